r"""Abundances of known endmembers, and non-negative least squares of many columns at once.

Every problem here is a small quadratic programme per row,

.. math::

    \min_{x \ge 0} \tfrac12 x^T G x - c^T x \quad (\text{and } 1^T x = 1 \text{ if asked}),

solved exactly by an active set (Lawson and Hanson, *Solving Least Squares Problems*, 1974,
chapter 23). With the sum constraint this is "fully constrained least squares" (Heinz and Chang,
IEEE TGRS 39 (2001) 529), here without the usual heavily weighted extra row, which is inexact.
"""

import numpy as np
from numpy.typing import ArrayLike

from hyperfuse_hs.algorithms.active_set import RIDGE, Floats, refine, solve_rows

# Each step multiplies the error that the ridge leaves by RIDGE times the condition number of G.
REFINEMENTS = 3


def simplex_abundances(scores: ArrayLike, endmembers: ArrayLike) -> Floats:
    r"""Solve for abundances that are not negative and sum to one.

    .. math:: \min_x |z - E^T x|^2, \quad x \ge 0, \quad 1^T x = 1

    As the sum is one, :math:`G = E E^T` may be replaced by :math:`G + s^2 1 1^T` and the origin
    by the mean endmember: neither moves the minimum, and G is then regular whenever the
    endmembers span a simplex, in ``p - 1`` dimensions too.

    Parameters
    ----------
    scores
        ``(N, r)``, one row a probe position, best with the same noise in all r directions.
    endmembers
        ``(p, r)``, in the same coordinates.

    Returns
    -------
    numpy.ndarray
        ``(N, p)``. Each row depends on the same row of `scores` alone. If the endmembers are
        not the corners of a simplex, one of several equally good solutions.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a value is not finite.
    """
    points, corners = _check(scores, endmembers)
    if len(corners) == 1:
        return np.ones((len(points), 1))
    centre = corners.mean(axis=0)
    corners = corners - centre
    size = np.sqrt(np.mean(np.sum(corners**2, axis=1)))
    scale = size if size > 0 else 1.0
    points, corners = _compress((points - centre) / scale, corners / scale)
    return _solve_design(points, corners, corners @ corners.T + 1.0, closed=True)


def nonnegative_abundances(scores: ArrayLike, endmembers: ArrayLike) -> Floats:
    r"""Solve for abundances that are not negative, with any sum.

    .. math:: \min_x |z - E^T x|^2, \quad x \ge 0

    Parameters
    ----------
    scores
        ``(N, r)``, one row a probe position.
    endmembers
        ``(p, r)``, in the same coordinates.

    Returns
    -------
    numpy.ndarray
        ``(N, p)``. An endmember that is zero gets abundance zero.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a value is not finite.
    """
    points, corners = _check(scores, endmembers)
    norms = np.sqrt(np.sum(corners**2, axis=1))
    units = np.where(norms > 0, norms, 1.0)
    points, corners = _compress(points, corners / units[:, None])
    gram = corners @ corners.T
    np.fill_diagonal(gram, 1.0)
    return _solve_design(points, corners, gram, closed=False) / units


def unconstrained_abundances(scores: ArrayLike, endmembers: ArrayLike) -> Floats:
    r"""Solve for abundances of any sign and sum: ordinary least squares.

    .. math:: \min_x |z - E^T x|^2

    Parameters
    ----------
    scores
        ``(N, r)``, one row a probe position.
    endmembers
        ``(p, r)``, in the same coordinates.

    Returns
    -------
    numpy.ndarray
        ``(N, p)``, of smallest norm where the solution is not unique.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a value is not finite.
    """
    points, corners = _check(scores, endmembers)
    return np.asarray(points @ np.linalg.pinv(corners), dtype=np.float64)


def nonnegative_least_squares(gram: ArrayLike, cross: ArrayLike) -> Floats:
    r"""Solve non-negative least squares for many columns, given the normal equations.

    .. math:: \min_{x \ge 0} \tfrac12 x^T G x - c^T x \quad \text{for each column } c

    Parameters
    ----------
    gram
        ``(p, p)``, G: symmetric, no negative eigenvalue. It may be singular.
    cross
        ``(p, C)``, one column c for each problem.

    Returns
    -------
    numpy.ndarray
        ``(p, C)``. Zero where the diagonal of `gram` is.

    Raises
    ------
    ValueError
        If the shapes do not fit together, a value is not finite or the diagonal is negative.
    """
    matrix = np.asarray(gram, dtype=np.float64)
    columns = np.asarray(cross, dtype=np.float64)
    if columns.ndim != 2 or matrix.shape != (len(columns), len(columns)):
        raise ValueError(
            "gram is expected to be (p, p) and cross (p, C) with the same p. "
            f"Got {matrix.shape} and {columns.shape}."
        )
    _check_finite("gram", matrix)
    _check_finite("cross", columns)
    diagonal = np.diagonal(matrix)
    if np.any(diagonal < 0):
        raise ValueError(
            f"The diagonal of gram is expected not to be negative. Got {diagonal.min():g}. "
            "Give the products A^T A of the columns of a real matrix A."
        )
    units = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix / np.outer(units, units)
    np.fill_diagonal(scaled, 1.0)
    rows = np.ascontiguousarray((columns / units[:, None]).T)
    rows[:, diagonal == 0] = 0.0
    ridged = scaled + RIDGE * np.eye(len(scaled))
    solution = solve_rows(ridged, rows, False)
    for _ in range(REFINEMENTS):
        refine(ridged, rows - solution @ scaled, False, solution)
    return np.ascontiguousarray((solution / units).T)


def _check(scores: ArrayLike, endmembers: ArrayLike) -> tuple[Floats, Floats]:
    points = np.asarray(scores, dtype=np.float64)
    corners = np.asarray(endmembers, dtype=np.float64)
    if points.ndim != 2 or corners.ndim != 2 or points.shape[1] != corners.shape[1]:
        raise ValueError(
            "scores are expected to be (N, r) and endmembers (p, r) with the same r. "
            f"Got {points.shape} and {corners.shape}."
        )
    if len(corners) == 0:
        raise ValueError("At least one endmember is expected. Got none.")
    _check_finite("scores", points)
    _check_finite("endmembers", corners)
    return points, corners


def _check_finite(name: str, values: Floats) -> None:
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise ValueError(
            f"{name} are expected to be finite. Got {bad} values that are not: leave out the "
            "excluded probe positions or channels first."
        )


def _compress(points: Floats, corners: Floats) -> tuple[Floats, Floats]:
    """Drop what is orthogonal to all endmembers: it changes no abundance."""
    if corners.shape[1] <= len(corners):
        return points, corners
    axes, triangle = np.linalg.qr(corners.T)
    return points @ axes, np.ascontiguousarray(triangle.T)


def _solve_design(points: Floats, corners: Floats, gram: Floats, *, closed: bool) -> Floats:
    """Solve all rows, then correct with slopes that come from the residuals.

    The residuals keep the digits that forming G loses ("corrected seminormal equations", Björck,
    Linear Algebra Appl. 88/89 (1987) 31).
    """
    ridged = gram + RIDGE * np.eye(len(gram))
    solution: Floats = solve_rows(ridged, points @ corners.T, closed)
    for _ in range(REFINEMENTS):
        refine(ridged, (points - solution @ corners) @ corners.T, closed, solution)
    return solution
