"""How much of a feature of one factor is another's: its net intensity above a background.

A straight background through channels next to the feature goes wrong where these hold the tail
of a neighbouring line, and wastes counts where it uses few. So windows of many widths are tried
on either side, and the one that describes the data best wins. All must describe the same channels
to be compared: those outside a window are taken as they are, each at the price of a free
parameter (Akaike, IEEE Trans. Autom. Control 19, 716 (1974)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hyperfuse_hs.algorithms.factor_noise import LEAST_VARIANCE, combined_variance

WIDTHS = 8
"""Widths of the window that are tried on each side, from one channel to as many as inside."""

LEAST_SIGNIFICANCE = 3.0
"""Standard errors, of both its own noise and the difference's, above which another component is
seen to have the feature."""

ROUNDS = 4
"""Rounds in which the noise of the difference follows the amounts."""


def shared_amounts(
    factors: NDArray[np.float64],
    covariance: NDArray[np.float64],
    component: int,
    others: Sequence[int],
    inside: NDArray[np.intp],
    usable: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Find the amounts of other components that explain the feature of one.

    Parameters
    ----------
    factors
        ``(p, C)`` on one axis.
    covariance
        ``(p, p, C)``.
    component
        Which one has part of the feature that is the others'.
    others
        Which ones may have given it.
    inside
        Channels of the feature, ascending.
    usable
        ``(C,)``, False where channels are excluded.

    Returns
    -------
    ndarray
        ``(p,)`` amounts b >= 0 such that ``e_k - sum_j b_j e_j`` shows in the window nothing but a
        straight background and noise, by weighted least squares (flat, in a window of two
        channels); zero for those that do not show
        the feature, all zero if none does. Where the shapes do not tell components apart the
        amounts are alike, as for a unit normal prior of each.
    """
    first, last, width = int(inside[0]), int(inside[-1]), inside.size
    reach = np.unique(np.round(np.append(0, np.geomspace(1, width, WIDTHS))).astype(int))
    size = factors.shape[1]
    every = np.flatnonzero(usable[max(0, first - width) : last + width + 1]).size
    best = (np.inf, 0)
    amounts = np.zeros(len(factors))
    for left in reach:
        for right in reach:
            window = np.arange(max(0, first - left), min(size, last + right + 1))
            window = window[usable[window]]
            degree = 1 if window.size > 2 else 0
            found, misfit = _fit(factors, covariance, component, others, window, degree)
            # All have one parameter for the amount in common.
            price = misfit + 2.0 * (degree + 1 + every - window.size)
            if (price, -window.size) < best:
                best, amounts = (price, -window.size), found
    return amounts


def _fit(
    factors: NDArray[np.float64],
    covariance: NDArray[np.float64],
    component: int,
    others: Sequence[int],
    window: NDArray[np.intp],
    degree: int,
) -> tuple[NDArray[np.float64], float]:
    """Fit the amounts in one window; return them and the sum of the squared residuals."""
    listed = list(others)
    position = (window - window.mean()) / max(float(np.ptp(window)), 1.0)
    background = np.vander(position, degree + 1)
    amounts, misfit = np.zeros(len(factors)), 0.0
    for _ in range(ROUNDS):
        row = -amounts
        row[component] = 1.0
        variance = combined_variance(covariance[:, :, window], row)
        mean = float(variance.mean())
        variance = np.maximum(variance, LEAST_VARIANCE * mean if mean > 0 else 1.0)
        root = 1 / np.sqrt(variance)
        axes = np.linalg.qr(background * root[:, None])[0]
        target = factors[component, window] * root
        shapes = factors[listed][:, window].T * root[:, None]
        target = target - axes @ (axes.T @ target)
        shapes = shapes - axes @ (axes.T @ shapes)
        own = np.array([covariance[j, j, window] for j in listed]).T * root[:, None] ** 2
        amounts = np.zeros(len(factors))
        amounts[listed] = _nonnegative_amounts(shapes, target, own)
        left = target - shapes @ amounts[listed]
        misfit = float(left @ left)
    return amounts, misfit


def _nonnegative_amounts(
    shapes: NDArray[np.float64], target: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Explain a target ``(n,)`` of unit noise by shapes ``(n, q)`` of such variance."""
    strength = np.sum(shapes**2, axis=0)
    doubt = LEAST_SIGNIFICANCE * np.sqrt(2 * np.sum(variance**2, axis=0))
    shown = strength > np.sum(variance, axis=0) + doubt + LEAST_SIGNIFICANCE**2
    amounts = np.zeros(shapes.shape[1])
    if not shown.any():
        return amounts
    kept = shapes[:, shown]
    count = kept.shape[1]
    found = nnls(np.vstack([kept, np.eye(count)]), np.append(target, np.zeros(count)))[0]
    # The prior settles the ratios of the amounts; their size is that of least squares.
    whole = kept @ found
    size = float(whole @ whole)
    if size > 0:
        amounts[shown] = found * max(float(whole @ target) / size, 0.0)
    return amounts
