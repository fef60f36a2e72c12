"""Data with known truth: the package's phantoms, and small ones made of its materials.

Small cases have three modalities (EELS, EDX, ring patterns) of up to six materials that have
little in common, so that any number of components, any abundances and any noise can be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import hyperspy.api as hs
import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hyperfuse_hs.data import Phantom, core_shell, tio2_polymorphs
from hyperfuse_hs.data.materials import (
    ANATASE_MATERIAL,
    CARBON_MATERIAL,
    CORE_MATERIAL,
    RUTILE_MATERIAL,
    SHELL_MATERIAL,
    Material,
    eds_spectrum,
    eels_spectrum,
)
from hyperfuse_hs.data.spectra import Edge

Values = NDArray[np.float64]

DOSES = {"EELS": 1e5, "EDS": 300.0, "Diffraction": 5e3}
"""Counts of a probe position, those of the TiO2 phantom."""

CUPRITE_MATERIAL = Material(
    "cuprite",
    {"Cu": 51.0, "O": 25.5},
    (3.0e4, 2.95),
    (Edge(25.5, 2.8e3, 534.0, ((532.6, 0.5, 1.6), (542.0, 0.5, 8.0)), 0.55, 3.5),),
)
"""Cu2O: the copper edge lies above the range of EELS, so its oxygen alone is seen there."""

MATERIALS = (
    ANATASE_MATERIAL,
    CARBON_MATERIAL,
    SHELL_MATERIAL,
    RUTILE_MATERIAL,
    CORE_MATERIAL,
    CUPRITE_MATERIAL,
)

ENERGY_LOSS = np.arange(260.0, 760.0, 0.6)
"""eV."""

X_RAY_ENERGY = np.arange(0.1, 10.3, 0.02)
"""keV."""

LEAST_SHARE = 0.4
"""Of a phase made of grains, over that of equal shares."""

DETECTOR = 24
"""Pixels of the diffraction detector along each side."""


@dataclass(frozen=True, eq=False)
class Case:
    """Signals and the truth behind them.

    Parameters
    ----------
    name
        As printed.
    signals
        By name, the lead first.
    components
        Names of the components.
    abundances
        ``(N, p)``; NaN where nothing is.
    factors
        By name, ``(p, C)`` mean counts.
    scale
        ``(N,)`` local intensity.
    inside
        ``(N,)``, False = excluded.
    mask
        What `hyperfuse_hs.fuse` takes as ``navigation_mask``.
    """

    name: str
    signals: dict[str, BaseSignal]
    components: tuple[str, ...]
    abundances: Values
    factors: dict[str, Values]
    scale: Values
    inside: NDArray[np.bool_]
    mask: BaseSignal | None = None

    @property
    def lead(self) -> str:
        """Name of the calling signal."""
        return next(iter(self.signals))

    @property
    def varies(self) -> bool:
        """Whether counts follow the thickness."""
        return bool(np.ptp(self.scale[self.inside]) > 1e-9)

    def counts(self, name: str) -> NDArray:
        """Return the data of one modality at the positions inside, ``(n, C)``, in their type."""
        return np.asarray(self.signals[name].data).reshape(len(self.inside), -1)[self.inside]


def from_phantom(name: str, phantom: Phantom) -> Case:
    """Flatten the truth of a phantom."""
    p = len(phantom.components)
    return Case(
        name,
        dict(phantom.signals),
        phantom.components,
        phantom.abundances.reshape(-1, p),
        {m: factors.reshape(p, -1) for m, factors in phantom.factors.items()},
        phantom.scale.ravel(),
        ~np.asarray(phantom.navigation_mask.data, dtype=bool).ravel(),
        phantom.navigation_mask,
    )


def tio2(seed: int, *, size: int = 64, dose: float = 1.0, counts: str = "flat") -> Case:
    """TiO2 phantom with all doses multiplied by `dose`."""
    detector = 64 if size > 32 else 32
    phantom = tio2_polymorphs(
        scan=(size, size),
        detector=(detector, detector),
        eels_dose=dose * DOSES["EELS"],
        eds_dose=dose * DOSES["EDS"],
        diffraction_dose=dose * DOSES["Diffraction"],
        counts=counts,
        random_state=seed,
    )
    return from_phantom(f"TiO2 {size}x{size}, {counts}, dose {dose:.3g}", phantom)


def buried_core(seed: int, *, size: int = 64) -> Case:
    """Core-shell phantom."""
    return from_phantom(
        f"core-shell {size}x{size}", core_shell(scan=(size, size), random_state=seed)
    )


def material_factors(materials: tuple[Material, ...]) -> dict[str, Values]:
    """Factors of unit sum in EELS, EDX and diffraction, by name.

    Parameters
    ----------
    materials
        Out of `MATERIALS`.

    Returns
    -------
    dict
        ``(p, C)`` each. The patterns are rings, at radii that each material has for itself, over
        diffuse scattering.
    """
    factors = {
        "EELS": [eels_spectrum(m, ENERGY_LOSS, fwhm=0.8) for m in materials],
        "EDS": [eds_spectrum(m, X_RAY_ENERGY, beam_energy=200.0) for m in materials],
        "Diffraction": [_rings(MATERIALS.index(m)) for m in materials],
    }
    return {name: np.array([f / f.sum() for f in rows]) for name, rows in factors.items()}


def _rings(number: int) -> Values:
    rng = np.random.default_rng([7, number])
    y, x = np.indices((DETECTOR, DETECTOR)) - (DETECTOR - 1) / 2
    radius = np.hypot(x, y).ravel()
    radii, heights = rng.uniform(3, 12, 4), rng.uniform(0.3, 1.0, 4)
    rings = np.exp(-0.5 * ((radius[:, None] - radii) / 0.6) ** 2) @ heights
    return np.asarray(rings + 2 * np.exp(-radius / 4))


def make_case(
    name: str,
    abundances: Values,
    factors: Mapping[str, Values],
    rng: np.random.Generator,
    *,
    dose: float = 1.0,
    gain: float = 1.0,
    read_noise: float = 0.0,
    energy_shift: float = 0.0,
    components: tuple[str, ...] | None = None,
) -> Case:
    """Draw counts of a linear mixture.

    Parameters
    ----------
    name
        As printed.
    abundances
        ``(rows, columns, p)``; rows sum to one.
    factors
        By name, ``(p, C)`` of unit sum; what is not one of `DOSES` is refused.
    rng
        Source of all noise.
    dose
        Times `DOSES`.
    gain, read_noise
        Units that a count gives, and standard deviation of the noise added to them, of EELS and
        diffraction; X-rays are counted one by one.
    energy_shift
        Standard deviation of the shift of the EELS spectra, between positions [eV].
    components
        Names.

    Returns
    -------
    Case
        With mean ``abundances @ factors`` of every modality.
    """
    *scan, p = abundances.shape
    rows = abundances.reshape(-1, p)
    shifts = energy_shift * rng.standard_normal(len(rows))
    signals, truth = {}, {}
    for modality, unit in factors.items():
        scaled = dose * DOSES[modality] * unit
        mean = rows @ scaled
        if modality == "EELS" and energy_shift:
            mean = shifted(rows, scaled, shifts / (ENERGY_LOSS[1] - ENERGY_LOSS[0]))
        data = rng.poisson(mean).astype(np.float32)
        analog = modality != "EDS" and (gain != 1.0 or read_noise)
        if analog:
            data = gain * data + read_noise * rng.standard_normal(data.shape)
        truth[modality] = gain * scaled if analog else scaled
        signals[modality] = _signal(modality, data.astype(np.float32).reshape(*scan, -1))
    return Case(
        name,
        signals,
        components or tuple(map(str, range(p))),
        rows,
        truth,
        np.ones(len(rows)),
        np.ones(len(rows), dtype=bool),
    )


def shifted(rows: Values, factors: Values, shifts: Values) -> Values:
    """Mix factors, each position shifted by its own part of a channel, to second order."""
    slope = np.gradient(factors, axis=1)
    bend = np.gradient(slope, axis=1)
    moved = rows @ factors - shifts[:, None] * (rows @ slope)
    return np.maximum(moved + 0.5 * shifts[:, None] ** 2 * (rows @ bend), 0.0)


def _signal(modality: str, data: NDArray) -> BaseSignal:
    if modality == "Diffraction":
        signal = hs.signals.Signal2D(data.reshape(*data.shape[:2], DETECTOR, DETECTOR))
    else:
        signal = hs.signals.Signal1D(data)
        axis = {"EELS": ENERGY_LOSS, "EDS": X_RAY_ENERGY}[modality]
        signal.axes_manager[-1].offset, signal.axes_manager[-1].scale = axis[0], axis[1] - axis[0]
    signal.metadata.General.title = modality
    return signal


def grains(
    rng: np.random.Generator, size: int, p: int, *, width: float = 4.0, blur: float = 0.0
) -> Values:
    """Abundances of p phases: grains, interfaces of two, and where three meet.

    Parameters
    ----------
    rng
        Source of the layout.
    size
        Positions along each side.
    p
        Number of phases.
    width
        Size of the grains, in positions; at most a tenth of `size`.
    blur
        Standard deviation, in positions, of diffusion across the interfaces; 0 for none.

    Returns
    -------
    ndarray
        ``(size, size, p)``; rows sum to one.
    """
    fine = 4
    width = min(width, size / 10)
    share = np.zeros(p)
    # A phase that happens to be nearly absent would be another problem than the one asked for.
    while share.min() < LEAST_SHARE / p:
        fields = rng.standard_normal((p, fine * size, fine * size))
        fields = np.array([gaussian_filter(f, fine * width, mode="wrap") for f in fields])
        owner = np.argmax(fields / fields.std(axis=(1, 2), keepdims=True), axis=0)
        share = np.bincount(owner.ravel(), minlength=p) / owner.size
    present = np.eye(p)[owner]
    if blur:
        present = gaussian_filter(present, (fine * blur, fine * blur, 0), mode="wrap")
    return present.reshape(size, fine, size, fine, p).mean(axis=(1, 3))
