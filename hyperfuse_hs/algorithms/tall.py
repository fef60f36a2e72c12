"""Products of matrices with a row for every position, which are among the largest arrays there are.

Of many positions they are kept in single precision, and multiplied in double precision some rows at
a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOUBLE = 2**22
"""Elements up to which a matrix is kept in double precision."""

ROWS = 4096
"""Rows that are multiplied at a time."""


def precision(*shape: int) -> type[np.floating[Any]]:
    """Return the type in which a matrix of some shape is kept."""
    return np.float64 if np.prod(shape, dtype=float) <= DOUBLE else np.float32


def stripes(n_rows: int) -> Iterator[slice]:
    """Split rows into parts that are worked on one after the other."""
    return (slice(start, start + ROWS) for start in range(0, n_rows, ROWS))


def crossed(
    left: NDArray[np.floating],
    right: NDArray[np.floating],
    weight: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Sum the products of two matrices over their rows, in double precision.

    Parameters
    ----------
    left, right
        ``(N, k)`` and ``(N, l)``.
    weight
        ``(N,)`` weight of each row; None for ones.

    Returns
    -------
    ndarray
        ``(k, l)``, ``left^T diag(weight) right``.
    """
    result = np.zeros((left.shape[1], right.shape[1]))
    for part in stripes(len(left)):
        some = left[part].astype(np.float64, copy=False)
        other = some if right is left else right[part].astype(np.float64, copy=False)
        result += (some if weight is None else some * weight[part, None]).T @ other
    return result


def turned(matrix: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[Any]:
    """Multiply each row by a small matrix.

    Parameters
    ----------
    matrix
        ``(N, k)``.
    right
        ``(k, l)``.

    Returns
    -------
    ndarray
        ``(N, l)``, in double precision where there are few elements or N x k has it.
    """
    if matrix.dtype == np.float64:
        return np.asarray(matrix @ right)
    shape = len(matrix), right.shape[1]
    result = np.empty(shape, dtype=precision(*shape))
    for part in stripes(len(matrix)):
        result[part] = matrix[part].astype(np.float64) @ right
    return result


def mixed(small: NDArray[np.floating], wide: NDArray[np.floating]) -> NDArray[Any]:
    """Mix the rows of a matrix with a column for every channel, some channels at a time.

    Parameters
    ----------
    small
        ``(k, r)``.
    wide
        ``(r, C)``.

    Returns
    -------
    ndarray
        ``(k, C)``, in double precision where there are few elements or `wide` has it.
    """
    return turned(wide.T, small.T).T


def added(
    total: NDArray[np.floating] | None, more: NDArray[np.floating] | None
) -> NDArray[Any] | None:
    """Add to a matrix in its own memory; either may be missing."""
    if total is None or more is None:
        return more if total is None else total
    total += more
    return total


def squared_norms(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sum the squares of each row, ``(N,)``."""
    return np.asarray(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
