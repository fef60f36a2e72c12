"""How noise goes with what is recorded, from how much neighbouring positions differ."""

from __future__ import annotations

from typing import NamedTuple

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

FITS = 2.0
"""Scatter of the variances of channels about a law that fits, over that of few pairs, at most."""

DIRECTIONS = 12
"""Directions of the differences of neighbours that are taken for signal, at most."""

ROUNDING = 1 / 12
"""Variance that rounding to whole numbers adds."""

STEPS = 4
"""Repetitions of the fits, with weights from the one before."""


class NoiseLaw(NamedTuple):
    """How the variance of the noise of a channel goes with its mean.

    Attributes
    ----------
    kind
        ``"counts"``: in proportion to the mean, but for an offset; ``"constant"``: it does not
        grow with the mean; ``"unknown"``: too little to tell.
    offset
        Variance at a mean of zero, over the gain of counts: that of noise without counts, less
        the level that is recorded without counts. 0 where none is seen.
    error
        Its standard error, where counts are seen.
    gain
        Variance over mean, where counts are seen, as the pairs tell it.
    misfit
        Mean squared distance of the variances of the channels from this law, over what few pairs
        make expect.
    """

    kind: str
    offset: float = 0.0
    error: float = 0.0
    gain: float = 1.0
    misfit: float = 0.0


UNKNOWN = NoiseLaw("unknown")


def noise_law(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    *,
    whole_numbers: bool = False,
    positive: bool = False,
) -> NoiseLaw:
    r"""Find how noise grows with the values, from how much neighbouring positions differ.

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
    positive
        Whether no value anywhere is zero or less: counts may lie above a level then, which the
        detector records without any, so that :math:`a = -b` times this level.

    Returns
    -------
    NoiseLaw
        Counts where the noise grows with the mean; their offset is zero unless it stands out of
        its error and matters in a common channel.
    """
    # Where nothing is recorded, nothing tells the noise.
    recorded = (first != 0).any(axis=1) | (second != 0).any(axis=1)
    first, second = first[recorded], second[recorded]
    n, channels = first.shape
    if n < MIN_PAIRS or channels < MIN_CHANNELS:
        return UNKNOWN
    mean = np.asarray((first + second) / 2, dtype=np.float64)
    differences = np.asarray(first - second, dtype=np.float64) / np.sqrt(2)
    level = np.maximum(mean.mean(axis=0), 0.0)
    if level.max() <= 0 or not differences.any():
        return UNKNOWN
    expected = level + level.mean()
    for _ in range(STEPS):
        variance, level = _of_similar_pairs(_without_signal(differences, expected) ** 2, mean)
        fit = _fit(variance, level, (0, 1, 2), free=positive)
        expected = np.maximum(fit.parts[0] + fit.parts[1] * level, _least(variance, free=positive))
    sampling = 2 / ((n + 1) // 2)
    # Over a small range of means, the three parts take the place of each other.
    plain = _fit(variance, level, (0, 1), free=positive)
    if not _grows(fit) and plain.scatter <= _fit(variance, level, (0, 2), free=positive).scatter:
        fit = plain
    if _grows(fit):
        return _counts(fit, float(np.median(level)), sampling, whole_numbers=whole_numbers)
    same, growing = (_fit(variance, level, (power,)).scatter for power in (0, 1))
    better = level.size * (growing - same) > SIGNIFICANCE**2 * same
    kind = "constant" if better and same < FITS * sampling else "unknown"
    return NoiseLaw(kind, misfit=same / sampling)


def _grows(fit: _Fit) -> bool:
    return bool(fit.parts[1] > SIGNIFICANCE * fit.errors[1])


def _counts(fit: _Fit, level: float, sampling: float, *, whole_numbers: bool) -> NoiseLaw:
    """Describe noise that grows with the mean; `level` is that of a common channel."""
    without, counted = fit.parts[0], fit.parts[1]
    least = max(SIGNIFICANCE * fit.errors[0], NOTICEABLE * counted * level)
    if whole_numbers:
        least = max(least, ROUNDING)
    offset = float(without / counted) if abs(without) > least else 0.0
    error = float(max(fit.errors[0], without, 0.0) / counted)
    return NoiseLaw("counts", offset, error, float(counted), fit.scatter / sampling)


class _Fit(NamedTuple):
    """Parts of the variance that go with powers of the mean, their errors, and the scatter."""

    parts: NDArray[np.float64]
    errors: NDArray[np.float64]
    scatter: float


def _fit(
    variance: NDArray[np.float64],
    level: NDArray[np.float64],
    powers: tuple[int, ...],
    *,
    free: bool = False,
) -> _Fit:
    """Fit parts that are not negative; but the first one may be, if it is free."""
    top = max(float(level.max()), np.finfo(float).tiny)
    design = np.stack([(level / top) ** power for power in powers], axis=1)
    signed = np.hstack([design, -design[:, :1]]) if free else design
    least = _least(variance, free=free)
    weight = 1 / np.maximum(variance, least)
    for _ in range(STEPS):
        found = nnls(signed * weight[:, None], variance * weight)[0]
        if free:
            found = np.append(found[0] - found[-1], found[1:-1])
        weight = 1 / np.maximum(design @ found, least)
    # The scatter about the fit says how well the parts are known.
    scatter = float(np.mean(((variance - design @ found) * weight) ** 2))
    errors = np.sqrt(scatter * np.diag(np.linalg.pinv((design * weight[:, None] ** 2).T @ design)))
    units = top ** np.array(powers, dtype=float)
    return _Fit(found / units, errors / units, scatter)


def _least(variance: NDArray[np.float64], *, free: bool) -> float:
    """Least variance that is told from none: above a level the smallest ones are not known well."""
    return float(variance.mean()) * (0.05 if free else 1e-3)


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
