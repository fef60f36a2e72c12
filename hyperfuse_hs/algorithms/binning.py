"""Bins of channels: what is left of a data set that is too large to keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def choose_bins(
    shape: Sequence[int], excluded: NDArray[np.bool_], most: int
) -> tuple[NDArray[np.int32], int]:
    """Join neighbouring channels, as many along every axis, until few bins are left.

    Parameters
    ----------
    shape
        Of the signal space.
    excluded
        ``(C_all,)``, True = excluded channel.
    most
        Largest number of bins.

    Returns
    -------
    bins : ndarray
        ``(C,)`` bin of each channel that is not excluded.
    n_bins : int
        Number of bins that hold any.
    """
    shape = tuple(shape) or (1,)
    step = 1
    while np.prod([-(-size // step) for size in shape]) > most:
        step += 1
    grid = [-(-size // step) for size in shape]
    index = np.meshgrid(*[np.arange(size) // step for size in shape], indexing="ij")
    flat = np.ravel_multi_index([axis.ravel() for axis in index], grid)[~excluded]
    used, bins = np.unique(flat, return_inverse=True)
    return bins.astype(np.int32), used.size


def sum_bins(
    block: NDArray[np.generic], bins: NDArray[np.int32], n_bins: int
) -> NDArray[np.float32]:
    """Sum the channels of every bin.

    Parameters
    ----------
    block
        ``(n, C)``.
    bins
        ``(C,)`` bin of each channel.
    n_bins
        Number of bins.

    Returns
    -------
    ndarray
        ``(n, n_bins)``.
    """
    ones = np.ones(bins.size, dtype=np.float32)
    joined = sparse.csr_array((ones, (bins, np.arange(bins.size))), shape=(n_bins, bins.size))
    return np.ascontiguousarray((joined @ block.T.astype(np.float32)).T)
