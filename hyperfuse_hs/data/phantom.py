"""What a phantom is, and how its arrays become HyperSpy signals."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np
from hyperspy.signals import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.data.counts import CountModel, poisson_counts

#: How the dose depends on the place: the same everywhere, or proportional to the thickness.
COUNTS = ("flat", "thickness")
#: Material thinner than this on average, in nm, counts as vacuum.
THINNEST = 0.5
# Random streams: the sample is drawn from the first, each modality from its own, so that leaving
# one out does not change the others.
STREAMS = {"sample": 0, "EELS": 1, "EDS": 2, "Diffraction": 3, "HAADF": 4}
# Native class of each modality: the package that brings it, and HyperSpy's name for it.
_NATIVE = {
    "EELS": ("exspy", "EELS"),
    "EDS": ("exspy", "EDS_TEM"),
    "Diffraction": ("pyxem", "electron_diffraction"),
}


@dataclass(frozen=True)
class Phantom:
    """
    Signals of several modalities of one scan, with the truth behind them.

    The mean counts of a modality are ``scale * (abundances @ factors)`` at each probe position,
    except that a crystalline particle has its own orientation, so its diffraction patterns follow
    the factor only in the mean over the particles.

    Parameters
    ----------
    signals
        Name of each modality -> its HyperSpy signal, Poisson counts.
    components
        Names of the p components.
    abundances
        Shape ``(rows, columns, p)``: part of each component in the path of the beam (by
        length). Rows sum to one; NaN in vacuum.
    factors
        Name of each modality -> mean counts of each pure component where ``scale`` is one, shape
        ``(p, *signal shape)``.
    scale
        Shape ``(rows, columns)``: local intensity, common to all modalities: one for flat
        counts, thickness over its mean for counts proportional to it; 0 in vacuum.
    thickness
        Shape ``(rows, columns)``: path of the beam through matter in nm.
    navigation_mask
        Signal over the scan, True = vacuum, excluded.
    """

    signals: dict[str, BaseSignal]
    components: tuple[str, ...]
    abundances: NDArray[np.float64]
    factors: dict[str, NDArray[np.float64]]
    scale: NDArray[np.float64]
    thickness: NDArray[np.float64]
    navigation_mask: BaseSignal


@dataclass(frozen=True)
class Sample:
    """
    What lies in the path of the beam at each of N probe positions.

    Parameters
    ----------
    components
        Names of the p components.
    scan
        Probe positions, (rows, columns).
    step
        Distance of probe positions in nm.
    paths
        Path through each component in nm, shape ``(N, p)``.
    counts
        One of ``COUNTS``.
    """

    components: tuple[str, ...]
    scan: tuple[int, int]
    step: float
    paths: NDArray[np.float64]
    counts: str

    @property
    def thickness(self) -> NDArray[np.float64]:
        """Whole path in nm, shape ``(N,)``."""
        return np.asarray(self.paths.sum(axis=1))

    @property
    def vacuum(self) -> NDArray[np.bool_]:
        """True where there is (nearly) nothing, shape ``(N,)``."""
        return np.asarray(self.thickness < THINNEST)

    @property
    def divisor(self) -> NDArray[np.float64]:
        """Path in nm that weighs one, shape ``(N,)``: the local or the mean path; inf in vacuum."""
        local = self.thickness
        mean = local[~self.vacuum].mean()
        return np.where(self.vacuum, np.inf, local if self.counts == "flat" else mean)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Scale times abundances, shape ``(N, p)``; 0 in vacuum."""
        return self.paths / self.divisor[:, np.newaxis]

    def factors(self, per_length: NDArray[np.float64], dose: float) -> NDArray[np.float64]:
        """
        Bring signals per length of path to counts.

        Parameters
        ----------
        per_length
            Signal of each component per length of path, shape ``(p, C)``, in any unit.
        dose
            Counts of a position, on average over those that are not vacuum.

        Returns
        -------
        ndarray
            Shape ``(p, C)``. With flat counts each row sums to the dose; otherwise the
            brightness of the components keeps its ratio.
        """
        totals = per_length.sum(axis=1, keepdims=True)
        if self.counts == "flat":
            return dose * per_length / totals
        mean = self.weights[~self.vacuum].mean(axis=0) @ totals
        return dose * per_length / mean


@dataclass(frozen=True)
class ModalityPlan:
    """
    A modality before any count is drawn.

    Parameters
    ----------
    name
        Key of ``STREAMS``.
    model
        Mean counts.
    factors
        Mean counts of each component, shape ``(p, *signal shape)``.
    axes
        Signal axes in numpy order, as HyperSpy takes them.
    metadata
        HyperSpy metadata.
    """

    name: str
    model: CountModel
    factors: NDArray[np.float64]
    axes: tuple[dict[str, Any], ...]
    metadata: dict[str, Any] = field(default_factory=dict)


def spectral_plan(
    name: str,
    sample: Sample,
    per_length: NDArray[np.float64],
    dose: float,
    axis: dict[str, Any],
    metadata: dict[str, Any],
) -> ModalityPlan:
    """
    Plan a modality that is exactly linear in the abundances.

    Parameters
    ----------
    name
        Key of ``STREAMS``.
    sample
        The sample.
    per_length
        Spectrum of each component per length of path, shape ``(p, C)``.
    dose
        Mean counts of a position.
    axis
        Signal axis.
    metadata
        HyperSpy metadata.

    Returns
    -------
    ModalityPlan
        The plan.
    """
    factors = sample.factors(per_length, dose)
    return ModalityPlan(name, CountModel(sample.weights, factors), factors, (axis,), metadata)


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raise ValueError, with the choices, unless `value` is one of them."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {listed}. Got {value!r}. Choose one of these.")


def check_modalities(modalities: Collection[str], choices: Collection[str]) -> None:
    """Raise unless `modalities` is a non-empty collection of names of the phantom's modalities."""
    if isinstance(modalities, str):
        raise TypeError(
            f"modalities must be a collection of names. Got the string {modalities!r}. "
            f"Give ({modalities!r},)."
        )
    for name in modalities:
        check_choice("Each of modalities", name, choices)
    if not modalities:
        raise ValueError("modalities must name at least one modality. Got none. Leave it out.")


def check_sizes(least: int, **sizes: tuple[int, ...] | int) -> None:
    """Raise ValueError unless all given sizes are integers not below `least`."""
    for name, size in sizes.items():
        values = np.atleast_1d(size)
        if values.dtype.kind not in "iu" or np.any(values < least):
            raise ValueError(
                f"{name} must be integers of at least {least}. Got {size!r}. Give larger ones."
            )


def check_doses(**doses: float) -> None:
    """Raise ValueError unless all given doses are positive and finite."""
    for name, dose in doses.items():
        if not (np.isfinite(dose) and dose > 0):
            raise ValueError(
                f"{name} must be a positive number of counts for each position. Got {dose!r}. "
                "Leave the modality out with modalities=... if you do not want it."
            )


def assemble(
    sample: Sample, plans: list[ModalityPlan], folder: str | Path | None, entropy: int
) -> Phantom:
    """
    Draw the counts and wrap them in signals.

    Parameters
    ----------
    sample
        The sample.
    plans
        The modalities.
    folder
        Where to write each modality, tile by tile, as ``<name>.zspy``, to be opened lazily; None
        to keep them in memory.
    entropy
        Seed of the counts.

    Returns
    -------
    Phantom
        The phantom.
    """
    navigation = navigation_axes(sample)
    signals = {}
    for plan in plans:
        counts = poisson_counts(
            plan.model, sample.scan, plan.factors.shape[1:], entropy, STREAMS[plan.name]
        )
        if folder is None:
            signals[plan.name] = native_signal(plan, _compute(counts), navigation)
        else:
            path = Path(folder) / f"{plan.name}.zspy"
            native_signal(plan, counts, navigation).save(path, chunks=counts.chunksize)
            signals[plan.name] = hs.load(path, lazy=True)
    vacuum = sample.vacuum.reshape(sample.scan)
    weights = np.where(sample.vacuum, np.nan, sample.thickness)[:, np.newaxis]
    return Phantom(
        signals=signals,
        components=sample.components,
        abundances=(sample.paths / weights).reshape(*sample.scan, -1),
        factors={plan.name: plan.factors for plan in plans},
        scale=sample.weights.sum(axis=1).reshape(sample.scan),
        thickness=sample.thickness.reshape(sample.scan),
        navigation_mask=BaseSignal(
            vacuum,
            axes=[axis | {"navigate": True} for axis in navigation],
            metadata={"General": {"title": "Vacuum"}},
        ),
    )


def navigation_axes(sample: Sample) -> list[dict[str, Any]]:
    """Return the axes of the scan in numpy order, as HyperSpy takes them."""
    return [
        {"name": name, "size": size, "scale": sample.step, "offset": 0.0, "units": "nm"}
        for name, size in zip("yx", sample.scan, strict=True)
    ]


def native_signal(
    plan: ModalityPlan, data: NDArray[Any] | da.Array, navigation: list[dict[str, Any]]
) -> BaseSignal:
    """
    Wrap counts in the native class of the modality, or a plain signal without its package.

    Parameters
    ----------
    plan
        The modality.
    data
        Counts, shape ``(rows, columns, *signal shape)``; a dask array gives a lazy signal.
    navigation
        Axes of the scan. They become signal axes where the modality has none of its own (an
        image).

    Returns
    -------
    BaseSignal
        The signal.
    """
    dimension = len(plan.axes) or 2
    axes = [axis | {"navigate": bool(plan.axes)} for axis in navigation]
    axes += [axis | {"navigate": False} for axis in plan.axes]
    lazy = "Lazy" if isinstance(data, da.Array) else ""
    plain = getattr(hs.signals, f"{lazy}Signal{dimension}D")
    signal = plain(data, axes=axes, metadata=plan.metadata)
    package, signal_type = _NATIVE.get(plan.name, ("", ""))
    if package and find_spec(package):
        with warnings.catch_warnings():
            # What these packages warn of while they are imported is no business of the phantom.
            warnings.simplefilter("ignore")
            signal.set_signal_type(signal_type)
    return signal


def _compute(counts: da.Array) -> NDArray[Any]:
    """Draw all tiles into one array, without a second copy of it."""
    data = np.empty(counts.shape, dtype=counts.dtype)
    da.store(counts, data, lock=False)
    return data
