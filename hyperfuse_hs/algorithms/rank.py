"""Which singular values stand out of unit noise, and how well.

A matrix of N positions x C channels is the sum of a low-rank signal and independent noise of
unit variance. The singular values of noise alone follow the law of Marchenko and Pastur (Math.
USSR-Sb. 1, 457 (1967)), those of the signal are shifted and their vectors tilted as described by
Benaych-Georges and Nadakuditi (J. Multivar. Anal. 111, 120 (2012)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRACY_WIDOM = 3.3
"""Quantile of the Tracy-Widom law (orthogonal class) exceeded once in about a thousand."""

TRACY_WIDOM_LOW = -4.6
"""Quantile of the same law that is not reached once in about a thousand."""

ALLOWANCE = 0.02
"""Relative error of the edge of noise whose profile is itself taken from counts."""

EDGE_STEP = 1e-3
"""Relative error of the squared edge of uneven noise; small next to the margin of Tracy-Widom."""

EDGE_POSITIONS = 2000
"""Positions, evenly spread, that stand for all in the edge of uneven noise."""

EDGE_ITERATIONS = 100
"""Steps after which the slow rise of `_outside` is taken to end: it is at the edge then."""


def noise_edge(n_positions: float, n_channels: float, quantile: float = TRACY_WIDOM) -> float:
    """Largest singular value to expect from unit noise alone.

    Parameters
    ----------
    n_positions, n_channels
        Size of the matrix.
    quantile
        Of the Tracy-Widom law.

    Returns
    -------
    float
        Edge of Marchenko and Pastur, ``sqrt(N) + sqrt(C)``, with the margin of Tracy and Widom
        (Johnstone, Ann. Stat. 29, 295 (2001), eqs. 1.3 and 1.4).
    """
    n, c = max(n_positions, 1.0), max(n_channels, 1.0)
    root = np.sqrt(n) + np.sqrt(c)
    spread = root * (1 / np.sqrt(n) + 1 / np.sqrt(c)) ** (1 / 3)
    return float(np.sqrt(max(root**2 + quantile * spread, 0.0)))


def edge_band(edge: float, n_positions: float, n_channels: float) -> tuple[float, float]:
    """Say between which values the largest one of noise alone is.

    Parameters
    ----------
    edge
        Above which values count as signal: `noise_edge`, times the reach of uneven noise with its
        allowance where there is such.
    n_positions, n_channels
        Size of the matrix.

    Returns
    -------
    low, high : float
        It is so in 998 of 1000 cases by the law of Tracy and Widom; where the noise is uneven,
        also if its profile is wrong by `ALLOWANCE` either way. The high end is `edge`.
    """
    even = noise_edge(n_positions, n_channels)
    low = edge * noise_edge(n_positions, n_channels, TRACY_WIDOM_LOW) / even
    known = np.isclose(edge, even, rtol=1e-9)
    return (low if known else low / (1 + ALLOWANCE) ** 2), edge


class Unevenness(NamedTuple):
    """How noise that is not the same everywhere differs from unit noise.

    Attributes
    ----------
    reach
        Largest singular value over that of unit noise.
    filling
        Mean variance.
    """

    reach: float = 1.0
    filling: float = 1.0

    @property
    def allowed(self) -> Unevenness:
        """The same with the allowance for a profile that is only estimated."""
        return self._replace(reach=self.reach * (1 + ALLOWANCE))


EVEN = Unevenness()


def unevenness(
    left: NDArray[np.float64], right: NDArray[np.float64], n_channels: float
) -> Unevenness:
    """Say how far independent noise with a given profile of variances reaches.

    Counts that differ from place to place and from channel to channel in the same way, such as
    those of a phase in its own lines, cannot be brought to unit variance by scaling rows and
    columns; what is left reaches further than unit noise.

    Parameters
    ----------
    left, right
        ``(N, r)`` and ``(C, r)``; the variances are ``left @ right.T``.
    n_channels
        Number of channels counted by the noise they hold, at most C.

    Returns
    -------
    Unevenness
        The reach is the root of the smallest z at which
        ``1 / u_i = z - sum_j S_ij / (1 - sum_k S_kj u_k)`` has a positive solution (the
        quadratic vector equation of Ajanki, Erdős and Krüger, Probab. Theory Relat. Fields 169,
        667 (2017), for X X^T), over ``sqrt(N) + sqrt(n_channels)``.
    """
    n_positions = len(left)
    left = left[:: max(1, n_positions // EDGE_POSITIONS)]
    each = n_positions / len(left)
    rows, columns = left @ right.sum(axis=0), right @ left.sum(axis=0) * each
    low = float(max(rows.max(), columns.max()))
    high = float(np.sqrt(max(rows.max(), 0.0)) + np.sqrt(max(columns.max(), 0.0))) ** 2
    if low <= 0:
        return Unevenness(1.0, 0.0)
    if len(left) * len(right) <= (len(left) + len(right)) * left.shape[1]:
        left, right = left @ right.T, np.eye(0)
    # The solution rises as the value falls: the one of a larger value is a start below it.
    start = np.zeros(len(left))
    while high - low > EDGE_STEP * high:
        middle = (low + high) / 2
        found = _outside(left, right, each, middle, start)
        if found is None:
            low = middle
        else:
            high, start = middle, found
    reach = np.sqrt(high) / (np.sqrt(n_positions) + np.sqrt(n_channels))
    return Unevenness(float(reach), float(np.mean(rows)) / n_channels)


def _outside(
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    each: float,
    square: float,
    start: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    """Solve the equation for a squared singular value above all of the noise; None for others.

    Starting below it, the iteration rises to the solution or beyond all bounds. A row of `left`
    stands for `each` positions; an empty `right` for the identity.
    """
    resolvent = np.maximum(start, 1 / square)
    for _ in range(EDGE_ITERATIONS):
        columns = left.T @ resolvent
        channels = 1 - (right @ columns if right.size else columns) * each
        if channels.min() <= 0:
            return None
        columns = 1 / channels
        inverse = square - left @ (right.T @ columns if right.size else columns)
        if inverse.min() <= 0:
            return None
        if np.max(np.abs(1 - resolvent * inverse)) < EDGE_STEP / 100:
            return resolvent
        resolvent = 1 / inverse
    return resolvent


def significant_rank(
    singular_values: NDArray[np.float64],
    energy: float,
    n_positions: float,
    n_channels: float,
    gain: float | None = None,
    uneven: Unevenness = EVEN,
) -> tuple[int, float]:
    """Count the singular values above the noise and measure the noise if it is not known.

    Parameters
    ----------
    singular_values
        ``(k,)`` leading ones, descending.
    energy
        Sum of squares of all elements.
    n_positions, n_channels
        Size of the matrix.
    gain
        Variance of the noise; None to take it from what the significant part leaves.
    uneven
        How the noise differs from unit noise times `gain`.

    Returns
    -------
    rank : int
        Number of significant singular values.
    gain : float
        Variance of the noise, in the units of the matrix squared.
    """
    squares = np.asarray(singular_values, dtype=float) ** 2
    limit = min(n_positions, n_channels)
    rank, noise = 0, gain
    for count in range(squares.size + 1):
        if gain is None:
            left = max(energy - squares[:count].sum(), 0.0)
            freedom = max(n_positions - count, 1.0) * max(n_channels - count, 1.0) * uneven.filling
            noise = left / freedom if count < limit and freedom > 0 else 0.0
        assert noise is not None
        rank = count
        edge = noise * (uneven.reach * noise_edge(n_positions - count, n_channels - count)) ** 2
        floor = energy * np.finfo(np.float32).eps ** 2
        if count == squares.size or squares[count] <= max(edge, floor):
            break
    assert noise is not None
    return rank, float(noise)


def signal_strength(
    singular_values: NDArray[np.float64], n_positions: float, n_channels: float
) -> NDArray[np.float64]:
    """Squared singular values that the signal has without noise.

    Parameters
    ----------
    singular_values
        ``(k,)`` in units of the noise.
    n_positions, n_channels
        Size of the matrix.

    Returns
    -------
    ndarray
        ``(k,)``, theta**2 from ``s**2 = (theta**2 + N)(theta**2 + C) / theta**2``; 0 where the
        singular value is not above the edge (Benaych-Georges and Nadakuditi, section 3.1).
    """
    excess = singular_values**2 - n_positions - n_channels
    inside = np.maximum(excess**2 - 4.0 * n_positions * n_channels, 0.0)
    strength: NDArray[np.float64] = np.where(excess > 0, (excess + np.sqrt(inside)) / 2, 0.0)
    edge = np.sqrt(n_positions * n_channels)
    kept: NDArray[np.float64] = np.where(strength > edge * (1 + 1e-6), strength, 0.0)
    return kept


def score_noise(
    singular_values: NDArray[np.float64], n_positions: float, n_channels: float
) -> NDArray[np.float64]:
    """Estimate the noise in each column of scores, in units of the noise of the data.

    The scores of a significant component hold its true map and, because the component's
    direction among the channels is itself estimated, noise of ``1 + C / theta**2`` times that of
    a known direction. Columns that are not significant are all noise.

    Parameters
    ----------
    singular_values
        ``(k,)`` in units of the noise.
    n_positions, n_channels
        Size of the matrix.

    Returns
    -------
    ndarray
        ``(k,)`` standard deviations, at least 1 for significant columns.
    """
    strength = signal_strength(singular_values, n_positions, n_channels)
    known = 1.0 + n_channels / np.where(strength > 0, strength, 1.0)
    alone = singular_values / np.sqrt(n_positions)
    spread: NDArray[np.float64] = np.where(strength > 0, np.minimum(known, alone), alone)
    return spread
