"""Orthonormal bases of tall columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from hyperfuse_hs.algorithms.tall import crossed, turned

DEPENDENT = 1e-5
"""Part of a column, over its norm, that the ones before it must leave."""

ROUNDED = 1e-3
"""The same for columns that went through single precision."""


def ordered(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal basis whose first columns span the first ones given.

    Parameters
    ----------
    columns
        ``(N, k)``.

    Returns
    -------
    ndarray
        ``(N, j)`` with j <= k; fewer where columns depend on those before them.
    """
    triangle, kept = _triangle(crossed(columns, columns))
    basis = turned(columns if kept.all() else columns[:, kept], triangle)
    # Once more: what rounding of the Gram matrix has left.
    triangle, kept = _triangle(crossed(basis, basis))
    return turned(basis if kept.all() else basis[:, kept], triangle)


def _triangle(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Upper triangle that makes columns orthonormal, and which of them are independent.

    The inverse of the Cholesky factor of their Gram matrix, without those columns that leave next
    to nothing beside the ones before; to be done twice (Yamamoto et al., Electron. Trans. Numer.
    Anal. 44, 306 (2015)).
    """
    sizes = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.where(sizes > 0, sizes, 1.0)
    unit = gram / scale / scale[:, None]
    lower = np.zeros(gram.shape)
    kept: list[int] = []
    for j in np.flatnonzero(sizes):
        before = lower[j, : len(kept)]
        rest = unit[j, j] - before @ before
        if rest > DEPENDENT**2:
            lower[j:, len(kept)] = (unit[j:, j] - lower[j:, : len(kept)] @ before) / np.sqrt(rest)
            kept.append(int(j))
    triangle = solve_triangular(lower[kept, : len(kept)].T, np.eye(len(kept)))
    chosen = np.zeros(len(gram), dtype=bool)
    chosen[kept] = True
    return triangle / scale[kept, None], chosen


def extended(
    known: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal directions that some columns add to known ones.

    Parameters
    ----------
    known
        ``(N, K)`` orthonormal.
    columns
        ``(N, k)``.

    Returns
    -------
    added : ndarray
        ``(N, j)`` with j <= k, orthonormal and orthogonal to `known`.
    mixing : ndarray
        ``(K + k, j)`` such that ``added = [known, columns] @ mixing``.
    """
    inside = crossed(known, columns)
    rest = columns - turned(known, inside)
    again = crossed(known, rest)
    rest, inside = rest - turned(known, again), inside + again
    sizes = np.linalg.norm(columns, axis=0)
    sizes = np.where(sizes > 0, sizes, 1.0)
    squares, axes = np.linalg.eigh((rest / sizes).T @ (rest / sizes))
    kept = squares > ROUNDED**2
    mixing = (axes[:, kept] / np.sqrt(squares[kept])) / sizes[:, None]
    return rest @ mixing, np.vstack([-inside @ mixing, mixing])
