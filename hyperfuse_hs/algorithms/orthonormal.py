"""Orthonormal bases of tall columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    sizes = np.linalg.norm(columns, axis=0)
    q, r = np.linalg.qr(columns / np.where(sizes > 0, sizes, 1.0))
    kept = (np.abs(np.diag(r)) > DEPENDENT) & (sizes[: len(r)] > 0)
    return q if kept.all() else np.ascontiguousarray(q[:, kept])


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
    inside = known.T @ columns
    rest = columns - known @ inside
    again = known.T @ rest
    rest, inside = rest - known @ again, inside + again
    sizes = np.linalg.norm(columns, axis=0)
    sizes = np.where(sizes > 0, sizes, 1.0)
    squares, axes = np.linalg.eigh((rest / sizes).T @ (rest / sizes))
    kept = squares > ROUNDED**2
    mixing = (axes[:, kept] / np.sqrt(squares[kept])) / sizes[:, None]
    return rest @ mixing, np.vstack([-inside @ mixing, mixing])
