r"""Active-set kernel for small quadratic programmes, one per row, compiled.

.. math::

    \min_{x \ge 0} \tfrac12 x^T G x - c^T x \quad (\text{and } 1^T x = 1 \text{ if closed}),

as in Lawson and Hanson, *Solving Least Squares Problems* (1974), chapter 23, with one G for all
rows. The *members* are the components above zero, in the order of the Cholesky factor ``lower``
of their part of G, so that one more member costs one more row of the factor.
"""

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled

Floats = NDArray[np.float64]

# Added to the unit diagonal of G, so that dependent endmembers need no case of their own.
RIDGE = 1e-13
# A slope below this share of its terms is rounding.
TOLERANCE = 2e-15
# An active set needs about p rounds; this many times p ends it if rounding makes it cycle.
ROUNDS = 20


@compiled()
def _append(gram: Floats, members: NDArray[np.int64], size: int, lower: Floats) -> None:
    """Extend the Cholesky factor of the passive set by its member number ``size``."""
    new = members[size]
    pivot = gram[new, new]
    for a in range(size):
        total = gram[new, members[a]]
        for b in range(a):
            total -= lower[size, b] * lower[a, b]
        lower[size, a] = total / lower[a, a]
        pivot -= lower[size, a] ** 2
    lower[size, size] = np.sqrt(max(pivot, RIDGE))


@compiled()
def _substitute(lower: Floats, size: int, values: Floats) -> None:
    """Solve with the Cholesky factor, in place."""
    for a in range(size):
        for b in range(a):
            values[a] -= lower[a, b] * values[b]
        values[a] /= lower[a, a]
    for a in range(size - 1, -1, -1):
        for b in range(a + 1, size):
            values[a] -= lower[b, a] * values[b]
        values[a] /= lower[a, a]


@compiled()
def _minimum(
    lower: Floats,
    members: NDArray[np.int64],
    size: int,
    cross: Floats,
    closed: bool,
    total: float,
    work: Floats,
) -> float:
    """Write the minimum over the passive set to ``work[0]``; return the multiplier of the sum."""
    for a in range(size):
        work[0, a] = cross[members[a]]
        work[1, a] = 1.0
    _substitute(lower, size, work[0])
    if not closed:
        return 0.0
    _substitute(lower, size, work[1])
    multiplier = (work[0, :size].sum() - total) / work[1, :size].sum()
    for a in range(size):
        work[0, a] -= multiplier * work[1, a]
    return float(multiplier)


@compiled()
def _advance(x: Floats, members: NDArray[np.int64], size: int, goal: Floats) -> int:
    """Go towards the goal until a member reaches zero, drop it, and return how many are left."""
    step = 1.0
    stop = -1
    for a in range(size):
        if goal[a] <= 0.0:
            reach = x[members[a]] / (x[members[a]] - goal[a])
            if stop < 0 or reach < step:
                step = reach
                stop = a
    kept = 0
    for a in range(size):
        j = members[a]
        x[j] = goal[a] if stop < 0 else x[j] + step * (goal[a] - x[j])
        if a == stop or x[j] <= 0.0:
            x[j] = 0.0
        else:
            members[kept] = j
            kept += 1
    return kept


@compiled()
def _steepest(
    gram: Floats, cross: Floats, multiplier: float, x: Floats, blocked: NDArray[np.bool_]
) -> int:
    """Return the component at zero whose increase lowers the objective fastest, or -1."""
    best = -1
    steepest = 0.0
    for j in range(len(x)):
        if x[j] > 0.0 or blocked[j]:
            continue
        slope = cross[j] - multiplier
        terms = abs(cross[j]) + abs(multiplier)
        for i in range(len(x)):
            slope -= gram[j, i] * x[i]
            terms += abs(gram[j, i]) * x[i]
        if slope > max(steepest, TOLERANCE * terms):
            best = j
            steepest = slope
    return best


@compiled()
def solve_rows(gram: Floats, cross: Floats, closed: bool) -> Floats:
    r"""Minimise :math:`x^T G x / 2 - c^T x` over ``x >= 0``, for each row c.

    Parameters
    ----------
    gram
        ``(p, p)``, G: positive definite, diagonal of about one.
    cross
        ``(N, p)``, one row c for each problem.
    closed
        Whether ``x`` sums to one.

    Returns
    -------
    numpy.ndarray
        ``(N, p)``, one minimiser a row.
    """
    n_rows, p = cross.shape
    solution = np.zeros((n_rows, p))
    lower = np.zeros((p, p))
    members = np.zeros(p, dtype=np.int64)
    blocked = np.zeros(p, dtype=np.bool_)
    work = np.zeros((2, p))
    for t in range(n_rows):
        x = solution[t]
        size = 0
        multiplier = 0.0
        blocked[:] = False
        if closed:
            first = np.argmax(cross[t] - 0.5 * np.diag(gram))
            x[first] = 1.0
            members[0] = first
            _append(gram, members, 0, lower)
            size = 1
            multiplier = cross[t, first] - gram[first, first]
        for _ in range(ROUNDS * p):
            entering = _steepest(gram, cross[t], multiplier, x, blocked)
            if entering < 0:
                break
            members[size] = entering
            _append(gram, members, size, lower)
            found = _minimum(lower, members, size + 1, cross[t], closed, 1.0, work)
            # Its slope was rounding only: in exact arithmetic the newcomer always rises.
            if work[0, size] <= 0.0:
                blocked[entering] = True
                continue
            blocked[:] = False
            size += 1
            multiplier = found
            kept = _advance(x, members, size, work[0])
            while kept < size:
                size = kept
                for a in range(size):
                    _append(gram, members, a, lower)
                multiplier = _minimum(lower, members, size, cross[t], closed, 1.0, work)
                kept = _advance(x, members, size, work[0])
    return solution


@compiled()
def refine(gram: Floats, slopes: Floats, closed: bool, solution: Floats) -> None:
    """Correct the solutions, in place, each on its own support.

    Parameters
    ----------
    gram
        ``(p, p)``, as in :func:`solve_rows`.
    slopes
        ``(N, p)``, ``c - G x`` of each row, without the ridge and with more digits.
    closed
        Whether the sum of each row stays.
    solution
        ``(N, p)``, changed in place. A step ends where a component reaches zero.
    """
    n_rows, p = solution.shape
    lower = np.zeros((p, p))
    members = np.zeros(p, dtype=np.int64)
    work = np.zeros((2, p))
    for t in range(n_rows):
        x = solution[t]
        size = 0
        for j in range(p):
            if x[j] > 0.0:
                members[size] = j
                _append(gram, members, size, lower)
                size += 1
        if size == 0:
            continue
        _minimum(lower, members, size, slopes[t], closed, 0.0, work)
        step = 1.0
        for a in range(size):
            if work[0, a] < 0.0:
                step = min(step, -x[members[a]] / work[0, a])
        for a in range(size):
            x[members[a]] = max(x[members[a]] + step * work[0, a], 0.0)
