"""How far one component may be subtracted from another before a factor is surely negative.

The factors are noisy, and a range has many channels: some are below zero by chance. So windows of
channels of every size are tested, single ones and large ones alike, and the level of the test is
shared among all of them (Bonferroni). If the true factor is not negative, the probability that
any window says otherwise is at most that level; hence the amounts that lead to the truth lie
within those found here with at least one minus the level. Windows find what single channels do
not: a wide range that is a little too low everywhere. Multiscale tests of this kind lose nothing
at small scales (Dumbgen and Spokoiny, Ann. Stat. 29, 124 (2001)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.factor_noise import FactorEstimate, combined_variance
from hyperfuse_hs.algorithms.purify import largest_amounts

LEVEL = 0.05
"""Probability that noise alone ends a range before the truth."""

ROUNDS = 30
"""Rounds in which the noise of the difference follows the amounts."""

SETTLED = 1e-4
"""Change of the amounts that ends them."""


def window_sums(values: NDArray[np.float64], shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Sum channels over windows of 1, 2, 4, ... channels along every axis, by half overlapping.

    Parameters
    ----------
    values
        ``(..., C)``.
    shape
        Of the signal space, of C channels.

    Returns
    -------
    list
        One array ``(..., windows)`` for each size.
    """
    leading = values.shape[:-1]
    grid = values.reshape(*leading, *(shape or (1,)))
    longest = max(shape, default=1)
    sums = []
    for size in 2 ** np.arange(int(np.floor(np.log2(max(longest, 1)))) + 1):
        found = grid
        for axis in range(len(leading), grid.ndim):
            found = _sum_along(found, axis, int(size))
        sums.append(found.reshape(*leading, -1))
    return sums


def _sum_along(values: NDArray[np.float64], axis: int, size: int) -> NDArray[np.float64]:
    length = values.shape[axis]
    size = min(size, length)
    first = np.unique(np.append(np.arange(0, length - size, max(1, size // 2)), length - size))
    before = np.zeros((*values.shape[:axis], 1, *values.shape[axis + 1 :]))
    running = np.concatenate([before, np.cumsum(values, axis=axis)], axis=axis)
    sums: NDArray[np.float64] = np.take(running, first + size, axis) - np.take(running, first, axis)
    return sums


def noise_allowance(
    estimate: FactorEstimate, row: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """How far below zero noise may take the windows of a combination of factors.

    Parameters
    ----------
    estimate
        The factors.
    row
        ``(p,)`` the combination.
    share
        Probability left to each size of windows, which its windows share alike.

    Returns
    -------
    ndarray
        ``(windows,)`` in the order of `window_sums`, from Bernstein's inequality (Boucheron,
        Lugosi and Massart, Concentration Inequalities, 2013, eq. 2.10). It is that of a normal
        distribution but for the few counts that a channel may have, each of which can be a jump.
    """
    variances = window_sums(combined_variance(estimate.covariance, row), estimate.shape)
    jump = estimate.count * float(np.max(-(row @ estimate.weights), initial=0.0))
    allowed = []
    for variance in variances:
        doubt = np.log(variance.size / share)
        part = jump * doubt / 3
        allowed.append(part + np.sqrt(part**2 + 2 * np.maximum(variance, 0.0) * doubt))
    return np.concatenate(allowed)


def difference_row(amounts: NDArray[np.float64], component: int) -> NDArray[np.float64]:
    """Row ``(p,)`` that subtracts amounts of the others from one factor."""
    row = -np.asarray(amounts, dtype=np.float64)
    row[component] = 1.0
    return row


def surely_negative(estimate: FactorEstimate, level: float = LEVEL) -> bool:
    """Whether some factor is negative beyond noise in some window."""
    sums = np.concatenate(window_sums(estimate.factors, estimate.shape), axis=-1)
    p, sizes = (
        len(estimate.factors),
        len(window_sums(np.zeros(estimate.factors.shape[1]), estimate.shape)),
    )
    return any(
        bool((sums[k] < -noise_allowance(estimate, np.eye(p)[k], level / sizes / p)).any())
        for k in range(p)
    )


def feasible_amounts(
    estimates: Sequence[FactorEstimate],
    component: int,
    others: Sequence[int],
    level: float = LEVEL,
) -> tuple[NDArray[np.float64], int]:
    """Find the end of the range: the largest amounts that leave no factor surely negative.

    Parameters
    ----------
    estimates
        Of the modalities that limit the range; all share the amounts.
    component
        Which one to subtract from.
    others
        Which ones may be subtracted.
    level
        Probability that the range ends before the truth because of noise.

    Returns
    -------
    amounts : ndarray
        ``(p,)`` b >= 0 of largest sum.
    limit : int
        Which of the modalities comes closest to its limit.
    """
    p = len(estimates[0].factors)
    sums = [window_sums(e.factors, e.shape) for e in estimates]
    share = level / sum(map(len, sums))
    joined = [np.concatenate(levels, axis=-1) for levels in sums]
    every = np.hstack(joined)
    owner = np.repeat(np.arange(len(joined)), [s.shape[1] for s in joined])
    amounts = np.zeros(p)
    for _ in range(ROUNDS):
        row = difference_row(amounts, component)
        slack = np.concatenate([noise_allowance(e, row, share) for e in estimates])
        # Where the factor as found is lower than that already, it may not get any lower.
        slack = np.maximum(slack, -every[component])
        found = largest_amounts(every, slack, component, others)
        change = float(np.abs(found - amounts).max())
        amounts = found
        if change < SETTLED:
            break
    room = (difference_row(amounts, component) @ every + slack) / np.maximum(slack, 1e-300)
    taken = amounts @ every > 0
    closest = int(np.argmin(np.where(taken, room, np.inf)))
    return amounts, int(owner[closest])
