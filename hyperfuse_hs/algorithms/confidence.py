"""Confidence intervals of normal estimates of quantities that have bounds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]

FARTHEST = 12.0
"""Standard errors from the bound beyond which it does not matter, or as far as is tabulated."""

STEPS = 1500
"""True values that are tabulated."""

HALVINGS = 40
"""Of the bracket of each accepted estimate."""


def bounded_interval(
    estimates: Floats,
    errors: Floats,
    level: float,
    low: float = -np.inf,
    high: float = np.inf,
) -> tuple[Floats, Floats]:
    """Confidence interval of quantities that cannot be beyond their bounds.

    Near a bound an interval of so many standard errors, cut at the bound, would hold the truth too
    often, or be empty. Those of Feldman and Cousins (Phys. Rev. D 57, 3873 (1998), section IV B)
    hold it as often as stated wherever it is, and are never empty.

    Parameters
    ----------
    estimates
        Of any shape, normal about the truth: they may be beyond the bounds.
    errors
        Standard errors, of the same shape; where one is 0 the interval is the estimate.
    level
        Part of the intervals that shall hold the truth, from 0.5 to 1.
    low, high
        Bounds. Only the nearer one counts, the other then cuts the interval.

    Returns
    -------
    lower, upper : ndarray
        Ends, of the shape of the estimates; NaN where these are.
    """
    estimates, errors = np.broadcast_arrays(np.asarray(estimates, float), np.asarray(errors, float))
    half = norm.ppf((1 + level) / 2)
    lower, upper = np.array(estimates - half * errors), np.array(estimates + half * errors)
    below = estimates - low <= high - estimates
    distance = np.where(below, estimates - low, high - estimates)
    # Where there is no bound in reach, or no error, the usual interval stands.
    bound = np.flatnonzero((errors > 0) & (distance < FARTHEST * errors))
    spread, side = errors.ravel()[bound], below.ravel()[bound]
    near, far = _from_bound(distance.ravel()[bound] / spread, level)
    if bound.size:
        anchor = np.where(side, low, high)
        lower.ravel()[bound] = np.where(side, anchor + near * spread, anchor - far * spread)
        upper.ravel()[bound] = np.where(side, anchor + far * spread, anchor - near * spread)
    return np.clip(lower, low, high), np.clip(upper, low, high)


def _from_bound(distances: Floats, level: float) -> tuple[Floats, Floats]:
    """Interval of a quantity that is at least 0, from estimates with unit error."""
    true, lowest, highest = _acceptance(level)
    inside = np.clip(distances, -FARTHEST, FARTHEST)
    lower = np.interp(inside, highest, true)
    upper = np.interp(inside, lowest, true)
    return lower, upper


@lru_cache(maxsize=8)
def _acceptance(level: float) -> tuple[Floats, Floats, Floats]:
    r"""Tabulate true values, and the lowest and highest estimate that each accepts.

    Estimates x are taken in the order of
    :math:`R = P(x|\mu) / P(x|\max(x, 0))` until they have the probability `level`.
    """
    half = float(norm.ppf((1 + level) / 2))
    true = np.concatenate([[0.0], np.geomspace(1e-4, 2 * FARTHEST, STEPS)])
    # Without a bound in reach the order is that of the distance from the truth.
    lowest, highest = true - half, true + half
    reached = (true > 0) & (true < half)
    mean = true[reached]
    narrow, wide = np.zeros(mean.size), np.full(mean.size, half)
    for _ in range(HALVINGS):
        width = (narrow + wide) / 2
        enough = norm.cdf(width) - norm.cdf(_partner(width, mean) - mean) > level
        narrow, wide = np.where(enough, narrow, width), np.where(enough, width, wide)
    lowest[reached], highest[reached] = _partner(wide, mean), mean + wide
    lowest[0], highest[0] = -np.inf, norm.ppf(level)
    return true, np.maximum.accumulate(lowest), np.maximum.accumulate(highest)


def _partner(width: Floats, mean: Floats) -> Floats:
    """Estimate below the bound with the same R as that by `width` above the true mean."""
    return (mean**2 - width**2) / (2 * mean)
