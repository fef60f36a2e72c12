"""Which singular values stand out of unit noise, and how well.

A matrix of N positions x C channels is the sum of a low-rank signal and independent noise of
unit variance. The singular values of noise alone follow the law of Marchenko and Pastur (Math.
USSR-Sb. 1, 457 (1967)), those of the signal are shifted and their vectors tilted as described by
Benaych-Georges and Nadakuditi (J. Multivar. Anal. 111, 120 (2012)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

TRACY_WIDOM = 3.3
"""Quantile of the Tracy-Widom law (orthogonal class) exceeded once in about a thousand."""


def noise_edge(n_positions: float, n_channels: float) -> float:
    """Largest singular value to expect from unit noise alone.

    Parameters
    ----------
    n_positions, n_channels
        Size of the matrix.

    Returns
    -------
    float
        Edge of Marchenko and Pastur, ``sqrt(N) + sqrt(C)``, with the margin of Tracy and Widom
        (Johnstone, Ann. Stat. 29, 295 (2001), eqs. 1.3 and 1.4).
    """
    n, c = max(n_positions, 1.0), max(n_channels, 1.0)
    root = np.sqrt(n) + np.sqrt(c)
    spread = root * (1 / np.sqrt(n) + 1 / np.sqrt(c)) ** (1 / 3)
    return float(np.sqrt(root**2 + TRACY_WIDOM * spread))


def uneven_edge(rows: NDArray[np.float64], n_channels: float) -> float:
    """Say how much further noise reaches where it is not the same at every position.

    Parameters
    ----------
    rows
        ``(N,)`` variance of the noise of each position.
    n_channels
        Number of channels, C.

    Returns
    -------
    float
        Edge of the singular values over that of unit noise: the square is the minimum over
        ``a > max(v)`` of ``C a + a sum_t v_t / (a - v_t)`` (Silverstein and Choi, J. Multivar.
        Anal. 54, 295 (1995), theorem 4.1), divided by ``(sqrt(N) + sqrt(C))**2``.
    """
    variances = np.maximum(rows, 0.0)
    top = float(variances.max())
    if top <= 0:
        return 1.0

    def reach(log_distance: float) -> float:
        a = top * (1.0 + np.exp(log_distance))
        return float(n_channels * a + a * np.sum(variances / (a - variances)))

    squared = minimize_scalar(reach, bounds=(-12.0, 12.0), method="bounded").fun
    return float(np.sqrt(squared) / (np.sqrt(variances.size) + np.sqrt(n_channels)))


def significant_rank(
    singular_values: NDArray[np.float64],
    energy: float,
    n_positions: float,
    n_channels: float,
    gain: float | None = None,
    rows: NDArray[np.float64] | None = None,
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
    rows
        ``(N,)`` variance of the noise of each position, in units of `gain`; None for ones.

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
    filling = 1.0 if rows is None else float(np.mean(rows))
    spread = 1.0 if rows is None else uneven_edge(rows, n_channels)
    for count in range(squares.size + 1):
        if gain is None:
            left = max(energy - squares[:count].sum(), 0.0)
            freedom = max(n_positions - count, 1.0) * max(n_channels - count, 1.0) * filling
            noise = left / freedom if count < limit and freedom > 0 else 0.0
        assert noise is not None
        rank = count
        edge = noise * (spread * noise_edge(n_positions - count, n_channels - count)) ** 2
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
    kept: NDArray[np.float64] = np.where(strength > edge * (1 + 1e-9), strength, 0.0)
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
