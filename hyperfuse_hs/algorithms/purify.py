"""Subtract components from one another, within what non-negativity allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

MOST = 1.0 - 1e-6
"""Largest part of a component that may be subtracted from it."""

MAX_CHANNELS = 20_000
"""Channels that bound the subtraction at first; others are added where it turns out too large."""

TOLERANCE = 1e-7
"""Excess over the room in a channel, relative to it, that is rounding."""


class CannotCancelError(ValueError):
    """The other components do not have enough of a feature to free one of it."""


def amounts_to_cancel(
    intensities: NDArray[np.float64], component: int, others: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """How much of each other component cancels the intensity of one.

    Parameters
    ----------
    intensities
        ``(p,)`` of the feature in each factor.
    component
        Which one to free of it.
    others
        Which ones may be subtracted; None for all.

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
    held = np.zeros(len(intensities))
    chosen = _listed(others, component, len(intensities))
    held[chosen] = np.maximum(intensities[chosen], 0.0)
    target = intensities[component]
    norm = float(held @ held)
    if target <= 0:
        raise ValueError(
            f"Expected component {component} to have some of the feature. Its net intensity is "
            f"{target:.4g}: there is nothing to subtract."
        )
    amounts = held * (target / norm) if norm > 0 else held
    check_amounts(amounts, component)
    return amounts


def check_amounts(amounts: NDArray[np.float64], component: int) -> None:
    """Refuse to subtract nothing, or all of a component.

    Raises
    ------
    CannotCancelError
        The amounts ``(p,)`` are all zero or sum to one or more.
    """
    total = float(amounts.sum())
    if total == 0 or total >= MOST:
        what = "no other component has it" if total == 0 else "the others have too little of it"
        raise CannotCancelError(
            f"Component {component} cannot be freed of the feature: {what}. Choose a feature that "
            "is stronger in another component."
        )


def _listed(others: Sequence[int] | None, component: int, count: int) -> list[int]:
    return [j for j in (range(count) if others is None else others) if j != component]


def largest_amounts(
    factors: NDArray[np.float64],
    slack: NDArray[np.float64],
    component: int,
    others: Sequence[int] | None = None,
) -> NDArray[np.float64]:
    """How much of the other components can be subtracted from one before it turns negative.

    Parameters
    ----------
    factors
        ``(p, C)``, of channels or sums of them; noise may make some negative.
    slack
        ``(C,)`` how far below zero noise may take a factor.
    component
        Which one to subtract from.
    others
        Which ones may be subtracted; None for all.

    Returns
    -------
    ndarray
        ``(p,)`` amounts b >= 0 of largest sum with ``e_k - sum_j b_j e_j >= -slack``.
    """
    others = _listed(others, component, len(factors))
    amounts = np.zeros(len(factors))
    if not others:
        return amounts
    total = np.maximum(factors[others], 0.0).sum(axis=0)
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
