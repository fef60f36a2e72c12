"""Name crystalline components by the rings of their mean diffraction pattern."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import linear_sum_assignment

from hyperfuse_hs.algorithms.matching import radial_means

THRESHOLD = 0.4
"""Correlation of the rings from which on a pattern counts as that of the crystal."""


def recognise(
    patterns: BaseSignal, references: Mapping[str, BaseSignal], disk_radius: float
) -> list[tuple[str | None, float]]:
    """Find which pattern belongs to which reference.

    Every reference goes to one pattern at most, so that the sum of the correlations is the
    largest possible; correlations below ``THRESHOLD`` give no name.

    Parameters
    ----------
    patterns
        P patterns along one navigation axis, on calibrated axes with the beam at zero.
    references
        Name -> powder pattern, with axes in the same units.
    disk_radius
        Radius of the diffraction disks in these units.

    Returns
    -------
    list of (str or None, float)
        For each pattern its name, or None where no rings are recognised, and its correlation with
        that reference (without a name: the largest with any).
    """
    correlations = ring_correlations(patterns, references, disk_radius)
    names = list(references)
    chosen: list[tuple[str | None, float]] = [(None, float(row.max())) for row in correlations]
    for number, reference in zip(*linear_sum_assignment(-correlations), strict=True):
        value = float(correlations[number, reference])
        if value >= THRESHOLD:
            chosen[number] = (names[reference], value)
    return chosen


def ring_correlations(
    patterns: BaseSignal, references: Mapping[str, BaseSignal], disk_radius: float
) -> NDArray[np.float64]:
    """Correlate the rings of patterns with those of references.

    Azimuthal means outside the direct disk are compared, in three steps: the square root, as how
    strong a ring is depends on how many particles happen to diffract into it, and where it is does
    not; times the scattering vector, which undoes the decline of scattering; minus itself smoothed
    over the width of a disk, which removes the diffuse background and the wide rings of amorphous
    matter.

    Parameters
    ----------
    patterns, references, disk_radius
        As in `recognise`.

    Returns
    -------
    ndarray
        ``(P, number of references)``, between -1 and 1.
    """
    x, y = patterns.axes_manager.signal_axes
    step = abs(float(x.scale))
    outer = min(np.abs(axis.axis[[0, -1]]).min() for axis in (x, y))
    edges = np.arange(3 * disk_radius, outer + step / 2, step)
    compared = [*patterns, *references.values()]
    profiles = np.array([radial_profile(pattern, edges) for pattern in compared])
    middles = (edges[:-1] + edges[1:]) / 2
    flattened = np.sqrt(np.maximum(profiles, 0.0)) * middles
    rings = flattened - gaussian_filter1d(flattened, disk_radius / step, axis=1)
    # A pattern without any structure has no correlation.
    rings -= rings.mean(axis=1, keepdims=True)
    rings /= np.maximum(np.linalg.norm(rings, axis=1, keepdims=True), np.finfo(float).tiny)
    count = len(compared) - len(references)
    return rings[:count] @ rings[count:].T


def radial_profile(pattern: BaseSignal, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average a pattern over circles around zero.

    Parameters
    ----------
    pattern
        One pattern on calibrated axes; NaN is left out.
    edges
        ``(B + 1,)`` radii between which to average, in the units of the axes.

    Returns
    -------
    ndarray
        ``(B,)``; zero where there is no pixel.
    """
    x, y = pattern.axes_manager.signal_axes
    radii = np.hypot(y.axis[:, np.newaxis], x.axis)
    values = np.asarray(pattern.data, dtype=float).reshape(radii.shape)
    means, _ = radial_means(values.reshape(1, -1), radii.ravel(), edges)
    return np.nan_to_num(means[0])
