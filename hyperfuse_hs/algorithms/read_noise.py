"""Noise that is there without any counts, from how much neighbouring positions differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

MIN_PAIRS = 30
"""Pairs of positions below which nothing is said."""

MIN_CHANNELS = 16
"""Channels below which nothing is said."""

SIGNIFICANCE = 4.0
"""Standard errors by which a part of the noise must exceed zero."""

STEPS = 5
"""Repetitions of the fit, with weights from the one before."""


def read_noise(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    r"""Estimate the variance of the noise without counts, over the gain of counts.

    The variance of a detector's noise is :math:`a + b m` at a mean of m (Janesick, Photon
    Transfer, SPIE 2007, chap. 5). Half the squared difference of neighbours has this mean where
    the specimen is the same; what is left of its variation goes with m squared.

    Parameters
    ----------
    first, second
        ``(n, C)`` values at pairs of neighbouring positions.

    Returns
    -------
    float
        ``a / b``: 0 where no noise without counts is seen, infinity where no other noise is seen
        or there are too few values to tell.
    """
    n, channels = first.shape
    if n < MIN_PAIRS or channels < MIN_CHANNELS:
        return np.inf
    mean = np.asarray((first + second) / 2, dtype=np.float64)
    half = np.asarray(first - second, dtype=np.float64) ** 2 / 2
    variance, level = _of_similar_pairs(half, mean)
    level = np.maximum(level, 0.0)
    top = float(level.max())
    if top <= 0 or not np.any(variance > 0):
        return np.inf
    design = np.stack([np.ones(channels), level / top, (level / top) ** 2], axis=1)
    weight = 1 / np.maximum(variance, 1e-3 * variance.mean())
    for _ in range(STEPS):
        found = nnls(design * weight[:, None], variance * weight)[0]
        fitted = np.maximum(design @ found, 1e-6 * variance.mean())
        weight = 1 / fitted
    # The scatter about the fit says how well the parts are known.
    scatter = float(np.mean(((variance - fitted) * weight) ** 2))
    errors = np.sqrt(scatter * np.diag(np.linalg.pinv((design * weight[:, None] ** 2).T @ design)))
    without, counted = found[0], found[1] / top
    if found[1] <= SIGNIFICANCE * errors[1]:
        return np.inf
    return float(without / counted) if without > SIGNIFICANCE * errors[0] else 0.0


def _of_similar_pairs(
    half: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average over the half of the pairs that differ least, as the other channels see it."""
    n, channels = half.shape
    variance, level = np.empty(channels), np.empty(channels)
    scale = np.maximum(half.mean(axis=0), np.finfo(float).tiny)
    for own in (np.arange(channels) % 2 == 0, np.arange(channels) % 2 == 1):
        distance = np.sum(half[:, ~own] / scale[~own], axis=1)
        similar = np.argsort(distance)[: (n + 1) // 2]
        variance[own] = half[np.ix_(similar, np.flatnonzero(own))].mean(axis=0)
        level[own] = mean[np.ix_(similar, np.flatnonzero(own))].mean(axis=0)
    return variance, level
