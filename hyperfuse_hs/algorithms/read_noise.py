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

NOTICEABLE = 0.05
"""Noise without counts, over that of the counts in a common channel, that is worth a model."""

DIRECTIONS = 12
"""Directions of the differences of neighbours that are taken for signal, at most."""

ROUNDING = 1 / 12
"""Variance that rounding to whole numbers adds."""

STEPS = 4
"""Repetitions of the fits, with weights from the one before."""


def read_noise(
    first: NDArray[np.floating], second: NDArray[np.floating], *, whole_numbers: bool = False
) -> float:
    r"""Estimate the variance of the noise without counts, over the gain of counts.

    The variance of a detector's noise is :math:`a + b m` at a mean of m (Janesick, Photon
    Transfer, SPIE 2007, chap. 5). Half the squared difference of neighbours has this mean where
    the specimen is the same. Of its variation the strongest directions are taken out; what is left
    of it goes with m squared.

    Parameters
    ----------
    first, second
        ``(n, C)`` values at pairs of neighbouring positions.
    whole_numbers
        Whether all are whole numbers. Noise that is less than that of rounding then does not show,
        and what looks like it in channels with hardly any counts is none.

    Returns
    -------
    float
        ``a / b``: 0 where no noise without counts is seen, infinity where no other noise is seen
        or there are too few values to tell.
    """
    # Where nothing is recorded, nothing tells the noise.
    recorded = (first != 0).any(axis=1) | (second != 0).any(axis=1)
    first, second = first[recorded], second[recorded]
    n, channels = first.shape
    if n < MIN_PAIRS or channels < MIN_CHANNELS:
        return np.inf
    mean = np.asarray((first + second) / 2, dtype=np.float64)
    differences = np.asarray(first - second, dtype=np.float64) / np.sqrt(2)
    level = np.maximum(mean.mean(axis=0), 0.0)
    if level.max() <= 0 or not differences.any():
        return np.inf
    expected = level + level.mean()
    for _ in range(STEPS):
        variance, level = _of_similar_pairs(_without_signal(differences, expected) ** 2, mean)
        parts, errors = _fit(variance, np.maximum(level, 0.0))
        expected = np.maximum(parts[0] + parts[1] * level, 1e-3 * variance.mean())
    without, counted = parts[0], parts[1]
    if counted <= SIGNIFICANCE * errors[1]:
        return np.inf
    least = max(SIGNIFICANCE * errors[0], NOTICEABLE * counted * float(np.median(level)))
    if whole_numbers:
        least = max(least, ROUNDING)
    return float(without / counted) if without > least else 0.0


def _fit(
    variance: NDArray[np.float64], level: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit ``a + b m + c m^2`` with parts that are not negative; return them and their errors."""
    top = max(float(level.max()), np.finfo(float).tiny)
    design = np.stack([np.ones(level.size), level / top, (level / top) ** 2], axis=1)
    least = 1e-3 * variance.mean()
    weight = 1 / np.maximum(variance, least)
    for _ in range(STEPS):
        found = nnls(design * weight[:, None], variance * weight)[0]
        weight = 1 / np.maximum(design @ found, least)
    # The scatter about the fit says how well the parts are known.
    scatter = float(np.mean(((variance - design @ found) * weight) ** 2))
    errors = np.sqrt(scatter * np.diag(np.linalg.pinv((design * weight[:, None] ** 2).T @ design)))
    units = np.array([1.0, top, top**2])
    return found / units, errors / units


def _without_signal(
    differences: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take the strongest directions out: neighbours of different composition differ along few.

    Over the root of the `expected` variance of the noise, this takes the same part of the noise in
    all channels.
    """
    scale = np.sqrt(expected)
    even = differences / scale
    count = min(DIRECTIONS, min(even.shape) // 8)
    # There are fewer pairs than channels: their Gram matrix is the smaller one.
    left = np.linalg.eigh(even @ even.T)[1][:, ::-1][:, :count]
    return np.asarray((even - left @ (left.T @ even)) * scale)


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
