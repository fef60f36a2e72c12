"""References to compare factors with: spectra, patterns, radial profiles, crystal structures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pint
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.matching import channel_means, radial_means, ring_profile
from hyperfuse_hs.algorithms.merging import channel_edges
from hyperfuse_hs.extended import conversion

Floats = NDArray[np.float64]

UNITS = {
    "$\\AA^{-1}$": "1/Å",
    "$A^{-1}$": "1/Å",
    "k_A^-1": "1/Å",
    "A^-1": "1/Å",
    "Å^-1": "1/Å",
    "1/A": "1/Å",
    "$nm^{-1}$": "1/nm",
    "k_nm^-1": "1/nm",
}
"""Ways in which reciprocal lengths are written in files, and the one that is understood."""

ABSENT = 1e-9
"""Power of a ring, over that of the strongest, that is no more than rounding."""

ANGSTROM = "1/Å"


@dataclass(frozen=True, eq=False)
class Curve:
    """A reference as a function of one axis.

    Parameters
    ----------
    name
        Of the reference.
    edges
        ``(K + 1,)`` of its channels, ascending, in the units of the factors.
    density
        ``(K,)``.
    """

    name: str
    edges: Floats
    density: Floats

    def at(self, edges: Floats, disk: float) -> Floats:
        """Mean in channels ``(C, 2)``, NaN where it is not known."""
        return channel_means(edges, self.edges, self.density)


@dataclass(frozen=True, eq=False)
class Rings:
    """A powder of a crystal.

    Parameters
    ----------
    name
        Of the crystal.
    radii, powers
        ``(n,)`` of its rings, in the units of the factors.
    """

    name: str
    radii: Floats
    powers: Floats

    def at(self, edges: Floats, disk: float) -> Floats:
        """Azimuthal mean at the middle of radial channels ``(C, 2)``."""
        return ring_profile(edges.mean(axis=1), self.radii, self.powers, disk)


def named(references: Any) -> dict[str, Any]:
    """Give every reference its name.

    Parameters
    ----------
    references
        Dict by name, or a list: signals are called by their titles, files by their names.

    Raises
    ------
    TypeError
        Neither dict nor list.
    ValueError
        None, or two with one name.
    """
    if isinstance(references, BaseSignal | str | Path) or not hasattr(references, "__len__"):
        raise TypeError(
            "Expected references as a dict by name, or a list, of signals, CIF files or crystal "
            f"structures. Got {type(references).__name__}."
        )
    if isinstance(references, Mapping):
        found = {str(name): item for name, item in references.items()}
    else:
        listed = [_own_name(item, number) for number, item in enumerate(references)]
        if len(set(listed)) < len(listed):
            raise ValueError(
                f"Expected references with different names. Got {listed}. Give a dict: "
                "{name: reference}."
            )
        found = dict(zip(listed, references, strict=True))
    if not found:
        raise ValueError("Expected at least one reference. Got none.")
    return found


def _own_name(item: Any, number: int) -> str:
    if isinstance(item, BaseSignal):
        return str(item.metadata.General.title) or f"reference {number}"
    if isinstance(item, str | Path):
        return Path(item).stem
    return str(getattr(item, "name", "") or getattr(item, "title", "") or f"reference {number}")


def understood(units: Any) -> Any:
    """Units in a spelling that can be converted."""
    return UNITS.get(units, units) if isinstance(units, str) else units


def spectrum(name: str, item: Any, units: Any) -> Curve:
    """Read a reference for spectra.

    Raises
    ------
    TypeError
        It is no signal.
    ValueError
        It is not a single spectrum, or has other units.
    """
    if not isinstance(item, BaseSignal):
        raise TypeError(
            f"Expected a spectrum as reference {name}. Got {type(item).__name__}: crystal "
            "structures are compared with diffraction patterns."
        )
    if item.axes_manager.signal_dimension != 1:
        raise ValueError(
            f"Expected a spectrum as reference {name}, with one signal axis. Got signal shape "
            f"{item.axes_manager.signal_shape}."
        )
    return _curve(name, item, units)


def pattern(name: str, item: Any, units: Any, largest: float) -> Curve | Rings:
    """Read a reference for diffraction patterns.

    Parameters
    ----------
    name, item
        A pattern, a radial profile, a CIF file, or a structure of diffpy or phase of orix.
    units
        Of the axes of the factors.
    largest
        Scattering vector up to which rings are needed, in these units.

    Raises
    ------
    TypeError, ValueError
        It is nothing of the kind, or has other units.
    ImportError
        It is a structure, and what reads it is not installed.
    """
    if not isinstance(item, BaseSignal):
        factor = _factor(name, ANGSTROM, units)
        radii, powers = powder_rings(name, item, largest / factor)
        return Rings(name, radii * factor, powers)
    if item.axes_manager.signal_dimension == 1:
        return _curve(name, item, units)
    if item.axes_manager.signal_dimension != 2:
        raise ValueError(
            f"Expected a pattern or a radial profile as reference {name}. Got signal shape "
            f"{item.axes_manager.signal_shape}."
        )
    values = _single(name, item)
    x, y = item.axes_manager.signal_axes
    factor = _factor(name, x.units, units)
    radii = factor * np.hypot(np.asarray(y.axis)[:, None], np.asarray(x.axis))
    edges = radial_edges(radii, factor * abs(float(x.scale)), 0.0)
    means, _ = radial_means(values.reshape(1, -1), radii.ravel(), edges)
    known = np.isfinite(means[0])
    last = int(np.argmin(known)) if not known.all() else known.size
    if not last:
        raise ValueError(
            f"Expected reference {name} with the beam at zero of both axes. Got the axes "
            f"{x.axis[0]:g} to {x.axis[-1]:g} and {y.axis[0]:g} to {y.axis[-1]:g}. Calibrate them."
        )
    return Curve(name, edges[: last + 1], means[0, :last])


def radial_edges(radii: Floats, step: float, start: float) -> Floats:
    """Edges of radial channels of one pixel, up to the largest whole circle."""
    rim = min(radii[0].min(), radii[-1].min(), radii[:, 0].min(), radii[:, -1].min())
    return np.arange(start, rim + step / 2, step)


def powder_rings(name: str, item: Any, largest: float) -> tuple[Floats, Floats]:
    r"""Rings of a powder in kinematic electron diffraction.

    A ring has the power :math:`\sum |F_{hkl}|^2 / (V^2 g)` of its reflections (B. K. Vainshtein,
    Structure Analysis by Electron Diffraction (1964)), with structure factors of diffsims.

    Parameters
    ----------
    name, item
        CIF file, structure of diffpy, or phase of orix.
    largest
        Radius of the largest ring, 1/Å.

    Returns
    -------
    radii, powers : ndarray
        ``(n,)``, radii ascending, 1/Å.
    """
    try:
        from diffpy.structure import Structure, loadStructure
        from diffsims.crystallography import ReciprocalLatticeVector
        from diffsims.utils.sim_utils import get_kinematical_intensities
        from orix.crystal_map import Phase
    except ImportError as error:
        raise ImportError(
            "Patterns of crystal structures are simulated by diffsims. Install it: pip install "
            '"hyperfuse_hs[diffraction]".'
        ) from error
    if isinstance(item, str | Path):
        if not Path(item).is_file():
            raise ValueError(
                f"Expected a CIF file as reference {name}. Got {str(item)!r}: no file."
            )
        item = loadStructure(str(item))
    structure = item.structure if isinstance(item, Phase) else item
    if not isinstance(structure, Structure) or not len(structure):
        raise TypeError(
            f"Expected a signal, a CIF file, a diffpy Structure or an orix Phase as reference "
            f"{name}. Got {type(item).__name__}."
        )
    # All atoms are listed, so that no symmetry is needed to know all reflections.
    phase = Phase(structure=Structure(structure), space_group=1)
    vectors = ReciprocalLatticeVector.from_min_dspacing(phase, 1 / largest)
    hkl, g = np.asarray(vectors.hkl), np.asarray(vectors.gspacing)
    hkl, g = hkl[g > 0], g[g > 0]
    intensity = get_kinematical_intensities(phase.structure, hkl, g, scattering_params="lobato")
    power = np.asarray(intensity) / (phase.structure.lattice.volume**2 * g)
    rounded = g.round(5)
    radii = np.unique(rounded)
    powers = np.bincount(np.searchsorted(radii, rounded), weights=power)
    present = powers > ABSENT * powers.max()
    return radii[present], np.asarray(powers[present], dtype=np.float64)


def _curve(name: str, item: BaseSignal, units: Any) -> Curve:
    values = _single(name, item)
    (axis,) = item.axes_manager.signal_axes
    centres = np.asarray(axis.axis, dtype=float) * _factor(name, axis.units, units)
    order = np.argsort(centres)
    known = order[np.isfinite(values[order])]
    if known.size < 2:
        raise ValueError(f"Expected values in reference {name}. Got NaN, or a single channel.")
    pairs = channel_edges(centres[known])
    return Curve(name, np.append(pairs[:, 0], pairs[-1, 1]), values[known])


def _single(name: str, item: BaseSignal) -> Floats:
    if item.axes_manager.navigation_size > 1:
        raise ValueError(
            f"Expected one spectrum or pattern as reference {name}. Got navigation shape "
            f"{item.axes_manager.navigation_shape}: take one, e.g. signal.inav[0], or "
            "signal.mean()."
        )
    values = np.asarray(item.data)
    if values.dtype.kind not in "buif":
        raise TypeError(f"Expected real numbers in reference {name}. Got dtype {values.dtype}.")
    return values.astype(np.float64).reshape(item.axes_manager.signal_shape[::-1])


def _factor(name: str, units: Any, wanted: Any) -> float:
    """Factor to the units of the factors."""
    own, target = understood(units), understood(wanted)
    if own == target:
        return 1.0
    try:
        return conversion(own, target)
    except (pint.PintError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected reference {name} and the factors in units that can be converted into each "
            f"other. Got {units} and {wanted}. Calibrate them: signal.axes_manager[-1].units."
        ) from error
