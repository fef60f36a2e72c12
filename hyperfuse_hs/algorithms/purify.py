"""Subtract components from one another, within what non-negativity allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

MOST = 1.0 - 1e-6
"""Largest part of a component that may be subtracted from it."""

MAX_CHANNELS = 20_000
"""Channels that bound the subtraction at first; others are added where it turns out too large."""

TOLERANCE = 1e-7
"""Excess over the room in a channel, relative to it, that is rounding."""


def amounts_to_cancel(intensities: NDArray[np.float64], component: int) -> NDArray[np.float64]:
    """How much of each other component cancels the intensity of one.

    Parameters
    ----------
    intensities
        ``(p,)`` of the feature in each factor.
    component
        Which one to free of it.

    Returns
    -------
    ndarray
        ``(p,)`` amounts b >= 0 of least norm with ``I[k] = sum_j b[j] I[j]``, 0 for the component.

    Raises
    ------
    ValueError
        The component has less than nothing of the feature, no other component has it, or
        cancelling it would take all of the component.
    """
    others = np.maximum(intensities, 0.0)
    others[component] = 0.0
    target = intensities[component]
    norm = float(others @ others)
    if target <= 0:
        raise ValueError(
            f"Expected component {component} to have some of the feature. Its net intensity is "
            f"{target:.4g}: there is nothing to subtract."
        )
    amounts = others * (target / norm) if norm > 0 else others
    if norm == 0 or amounts.sum() >= MOST:
        raise ValueError(
            f"Component {component} cannot be freed of the feature: it has {target:.4g} of it, "
            f"the others {np.array2string(others, precision=4)}. Choose a feature that is "
            "stronger in another component."
        )
    return amounts


def largest_amounts(
    factors: NDArray[np.float64], slack: NDArray[np.float64], component: int
) -> NDArray[np.float64]:
    """How much of the other components can be subtracted from one before it turns negative.

    Parameters
    ----------
    factors
        ``(p, C)``, non-negative.
    slack
        ``(C,)`` how far below zero noise may take a factor.
    component
        Which one to subtract from.

    Returns
    -------
    ndarray
        ``(p,)`` amounts b >= 0 of largest sum with ``e_k - sum_j b_j e_j >= -slack``.
    """
    others = [j for j in range(len(factors)) if j != component]
    amounts = np.zeros(len(factors))
    total = factors[others].sum(axis=0)
    bound = np.flatnonzero(total > 0)
    if not bound.size:
        return amounts
    room = factors[component, bound] + slack[bound]
    scale = np.where(room > 0, room, 1.0)
    rows, room = (factors[others][:, bound] / scale).T, room / scale
    chosen = _worst(total[bound] / scale - room, min(MAX_CHANNELS, bound.size))
    while True:
        amounts[others] = _largest_within(rows[chosen], room[chosen])
        excess = rows @ amounts[others] - room
        excess[chosen] = -np.inf
        more = _worst(excess, min(MAX_CHANNELS, int(np.sum(excess > TOLERANCE))))
        if not more.size:
            return amounts
        chosen = np.concatenate([chosen, more])


def _worst(excess: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    return np.argsort(-excess)[:count]


def _largest_within(rows: NDArray[np.float64], room: NDArray[np.float64]) -> NDArray[np.float64]:
    count = rows.shape[1]
    found = linprog(
        -np.ones(count),
        A_ub=np.vstack([rows, np.ones(count)]),
        b_ub=np.append(room, MOST),
        bounds=(0.0, None),
    )
    return np.maximum(found.x, 0.0) if found.success else np.zeros(count)


def subtract(
    amounts: NDArray[np.float64], component: int, n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrices that change factors and abundances and leave their product as it is.

    Parameters
    ----------
    amounts
        ``(p,)`` how much of each component to subtract.
    component
        From which one.
    n_components
        Number of components, p.

    Returns
    -------
    mixing : ndarray
        ``(p, p)`` M, new factors are ``M E``.
    inverse : ndarray
        ``(p, p)``, new abundances are ``A M^-1``; rows that summed to one still do.
    """
    mixing = np.eye(n_components)
    mixing[component] -= amounts
    mixing[component] /= 1.0 - amounts.sum()
    return mixing, np.asarray(np.linalg.inv(mixing), dtype=np.float64)
