"""Products of a modality with a few vectors, one block after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.tall import precision
from hyperfuse_hs.modality import Modality


def project(
    modality: Modality, vectors: NDArray[np.float32], row_scale: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Multiply the data by a few vectors, in one pass.

    Parameters
    ----------
    modality
        The data X, N x C.
    vectors
        ``(C, k)``.
    row_scale
        ``(N,)``, rows are divided by its square root; None for ones.

    Returns
    -------
    ndarray
        ``(N, k)``.
    """
    shape = modality.n_positions, vectors.shape[1]
    scores = np.empty(shape, dtype=precision(*shape))
    for rows, block in modality.blocks("scores"):
        scores[rows] = block.astype(np.float32) @ vectors
    if row_scale is not None:
        scores /= np.sqrt(row_scale)[:, None]
    return scores


def back_project(
    modality: Modality,
    scores: NDArray[np.float64],
    row_scale: NDArray[np.float64] | None,
) -> NDArray[np.float32]:
    """Multiply scores by the data, in one pass.

    Parameters
    ----------
    modality
        The data X, N x C.
    scores
        ``(N, k)``.
    row_scale
        ``(N,)``, rows of the data are divided by its square root; None for ones.

    Returns
    -------
    ndarray
        ``(k, C)``, ``scores^T X``.
    """
    left = scores.astype(np.float32)
    if row_scale is not None:
        left /= np.sqrt(row_scale)[:, None].astype(np.float32)
    result = np.zeros((left.shape[1], modality.n_channels), dtype=np.float64)
    for rows, block in modality.blocks("projection"):
        result += left[rows].T @ block.astype(np.float32)
    return result.astype(np.float32)
