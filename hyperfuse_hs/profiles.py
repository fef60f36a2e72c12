"""Factors as curves that can be compared: spectra, and patterns averaged over circles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_filter1d

from hyperfuse_hs.algorithms import matching
from hyperfuse_hs.algorithms.electrons import electron_wavelength
from hyperfuse_hs.algorithms.merging import channel_edges
from hyperfuse_hs.references import ANGSTROM, radial_edges, understood
from hyperfuse_hs.regions import axis_values

Floats = NDArray[np.float64]

DRAWS = 200
"""How often the scores are drawn anew with the errors of the factors."""

DEGREE = 3
"""Degree of the polynomial background of spectra."""

DIRECT_BEAM = 3.0
"""Radius around the direct beam that is left out, over that of a disk."""

LEAST_CHANNELS = 8
"""Channels that factors and references must share besides those that the background takes."""

LEAST_VARIANCE = 0.05
"""Least variance of a channel, over the median, for its weight: errors are not known so well."""

DISK_PIXELS = 2.0
"""Radius of a disk where nothing is known of it."""

RECIPROCAL = {ANGSTROM: 1.0, "1/nm": 10.0}
"""Units of a pattern, and how many of them 1/Å is."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Factors as curves over one axis, ready to be compared.

    Parameters
    ----------
    edges
        ``(C, 2)`` of the channels.
    values
        ``(p, C)``; NaN where excluded.
    white, common
        ``(p, C)`` variances: of errors that channels have for themselves, and of those that are
        alike over the width of a disk.
    disk
        Radius of the diffraction disks; 0 for spectra.
    """

    edges: Floats
    values: Floats
    white: Floats
    common: Floats
    disk: float

    @property
    def step(self) -> float:
        """Width of a channel."""
        return float(np.median(np.diff(self.edges, axis=1)))

    @property
    def rings(self) -> bool:
        """Whether these are radial profiles."""
        return self.disk > 0

    def only(self, chosen: NDArray[np.bool_]) -> Subject:
        """Keep some channels."""
        return Subject(
            self.edges[chosen],
            self.values[:, chosen],
            self.white[:, chosen],
            self.common[:, chosen],
            self.disk,
        )

    def prepared(self, curves: Floats) -> Floats:
        """Make curves comparable.

        How strong a ring is depends on how many crystals happen to diffract into it, and where it
        is does not: so the root is taken of profiles, times the scattering vector, which undoes
        the decline of scattering. What remains after smoothing over the width of a disk is the
        diffuse background, and the wide rings of amorphous matter: it is taken away.
        """
        if not self.rings:
            return curves
        root = np.sqrt(np.maximum(curves, 0.0)) * self.edges.mean(axis=1)
        return np.asarray(root - gaussian_filter1d(root, self.disk / self.step, axis=-1))

    def weights(self, component: int) -> Floats:
        """Weights of the channels: inverse variances of spectra, the same for all of patterns.

        The root makes the errors of profiles alike. How much they still differ is known from few
        crystals only, and rings that happen to be empty would get far too much weight.
        """
        if self.rings:
            return np.ones(len(self.edges))
        variance = self.white[component] + self.common[component]
        middle = float(np.median(variance))
        return 1 / np.maximum(variance, LEAST_VARIANCE * middle if middle > 0 else 1.0)

    def draw(self, component: int, rng: np.random.Generator) -> Floats:
        """Draw the curve anew with its errors, ``(DRAWS, C)``."""
        noise = rng.standard_normal((2, DRAWS, self.edges.shape[0]))
        if self.rings:
            kernel = np.ones(max(1, round(2 * self.disk / self.step)))
            noise[1] = convolve1d(noise[1], kernel / np.sqrt(kernel.size), axis=1, mode="wrap")
        spread = np.sqrt(self.white[component]) * noise[0]
        spread += np.sqrt(self.common[component]) * noise[1]
        return np.asarray(self.values[component] + spread)

    def background(self) -> Floats:
        """Functions that a background may be made of, ``(B, C)``."""
        degree = 0 if self.rings else DEGREE
        return matching.polynomials(len(self.edges), degree)


def spectral_subject(axis: dict[str, Any], factors: Floats, variance: Floats) -> Subject:
    """Arrange spectra ``(p, C)`` and their variance to be compared."""
    centres = axis_values(axis)
    order = np.argsort(centres)
    edges, values = channel_edges(centres[order]), factors[:, order]
    known = np.isfinite(values).all(axis=0)
    return Subject(
        edges[known],
        values[:, known],
        variance[:, order][:, known],
        np.zeros((len(values), int(known.sum()))),
        0.0,
    )


def radial_subject(
    axes: Sequence[dict[str, Any]], factors: Floats, white: Floats, common: Floats, disk: float
) -> Subject:
    """Average patterns ``(p, ky, kx)`` over circles.

    Parameters
    ----------
    axes
        Of ky and kx, with the beam at zero.
    factors
        NaN where excluded.
    white, common
        Variances: of errors that pixels have for themselves, and of those that are alike within a
        disk.
    disk
        Radius of the disks, in the units of the axes.
    """
    ky, kx = (axis_values(axis) for axis in axes)
    radii = np.hypot(ky[:, None], kx)
    step = float(np.median(np.abs(np.diff(kx))))
    edges = radial_edges(radii, step, DIRECT_BEAM * disk)
    if len(edges) < LEAST_CHANNELS:
        raise ValueError(
            "Expected patterns with the beam at zero of both axes, and rings beyond the direct "
            f"disk of radius {disk:.3g}. Got axes from {ky[0]:g} to {ky[-1]:g} and {kx[0]:g} to "
            f"{kx[-1]:g}. Calibrate them before the fusion."
        )
    flat = radii.ravel()
    means, counts = matching.radial_means(factors.reshape(len(factors), -1), flat, edges)
    area = max(1.0, np.pi * (disk / step) ** 2)
    spreads = []
    for variance, pixels in ((white, 1.0), (common, area)):
        mean, _ = matching.radial_means(variance.reshape(len(factors), -1), flat, edges)
        spreads.append(mean * np.minimum(pixels / np.maximum(counts, 1), 1.0))
    known = np.isfinite(means).all(axis=0)
    pairs = np.column_stack([edges[:-1], edges[1:]])
    return Subject(pairs[known], means[:, known], spreads[0][:, known], spreads[1][:, known], disk)


def disk_of(axes: Sequence[dict[str, Any]], tem: dict[str, Any], given: Any) -> float:
    """Find the radius of the diffraction disks, in the units of the axes.

    Parameters
    ----------
    axes
        Of ky and kx.
    tem
        Metadata of the microscope: beam energy, keV, and convergence angle, mrad.
    given
        The radius, or None.

    Raises
    ------
    ValueError
        It is not positive.
    """
    step = abs(float(np.median(np.diff(axis_values(axes[-1])))))
    if given is not None:
        if not isinstance(given, Real) or not 0 < float(given) < np.inf:
            raise ValueError(f"Expected a positive disk_radius. Got {given!r}.")
        return max(float(given), step / 2)
    angle, energy = tem.get("convergence_angle"), tem.get("beam_energy")
    units = understood(axes[-1].get("units"))
    if angle and energy and units in RECIPROCAL:
        radius = 1e-3 * float(angle) / electron_wavelength(float(energy)) * RECIPROCAL[units]
        return max(radius, step / 2)
    return DISK_PIXELS * step
