"""Sums and products of blocks of counts, from lists of what is not zero.

See :mod:`~hyperfuse_hs.algorithms.listing`. Nothing here starts threads or holds Python's global
lock, so several blocks can be treated at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.listing import LANES, Listed, add_multiple

SPARSE_PRODUCT_FILL = 0.2
"""Fill below which :func:`add_products` beats a cast and a dense product, stripe by stripe."""

SPARSE_GRAM_FILL = 0.15
"""Fill below which :func:`add_gram` beats a cast and a dense product."""

TILE = 2**16
"""Products that are summed at a time; these sums stay in the second-level cache."""

GRAM_TILE = 2
"""Words of 64 channels whose rows of the Gram matrix are summed at a time, for the same reason."""


def add_products(listed: Listed, left: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Add ``X^T L``, from the counts of X that are not zero.

    Parameters
    ----------
    listed
        Of X, ``(n, C)``.
    left
        ``(n, K)``, K a multiple of ``listing.LANES``.
    out
        ``(C, K)``, contiguous, added to.
    """
    _add_products(listed.channels, listed.values, listed.starts, _flat(left), _flat(out))


def multiply(listed: Listed, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply X by a few vectors, from the counts of X that are not zero.

    Parameters
    ----------
    listed
        Of X, ``(n, C)``.
    vectors
        ``(C, K)``, K a multiple of ``listing.LANES``.

    Returns
    -------
    ndarray
        ``(n, K)``.
    """
    out = np.zeros((len(listed.starts), vectors.shape[1]), dtype=np.float32)
    _multiply(listed.channels, listed.values, listed.starts, _flat(vectors), _flat(out))
    return out


def _flat(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """View a contiguous matrix as one run; read-only ones are compiled for, too."""
    if not matrix.flags.c_contiguous or matrix.shape[1] % LANES:
        raise ValueError(
            f"Expected a contiguous matrix with a multiple of {LANES} columns. Got shape "
            f"{matrix.shape}. Pad it with listing.widened."
        )
    return matrix.reshape(-1)


class Sums(NamedTuple):
    """Sums over a block of counts, see `summarise`."""

    channel_sum: NDArray[np.float64]
    channel_square: NDArray[np.float64]
    total: NDArray[np.float64]
    minimum: float
    maximum: float


def summarise(listed: Listed, weight: NDArray[np.float64]) -> Sums:
    """Sum counts over positions and over channels, and their squares over positions.

    Parameters
    ----------
    listed
        ``(n, C)``.
    weight
        ``(n,)`` of every position in the sums of squares.

    Returns
    -------
    Sums
        ``(C,)``, ``(C,)``, ``(n,)`` and the extremes of all values; infinity and minus infinity
        if there are none.
    """
    n, channels = len(listed.starts), listed.n_channels
    sums, squares, total = np.zeros(channels), np.zeros(channels), np.empty(n)
    low, high = _summarise(
        listed.channels, listed.values, listed.starts, weight, sums, squares, total
    )
    if listed.values.size < n * channels:
        low, high = min(low, 0.0), max(high, 0.0)
    return Sums(sums, squares, total, float(low), float(high))


def add_gram(listed: Listed, out: NDArray[np.float32]) -> None:
    """Add the upper triangle of ``X^T X``, from the pairs of counts of X that are not zero.

    Parameters
    ----------
    listed
        Of X, ``(n, C)``.
    out
        ``(C, C)``, added to; what is below the diagonal stays as it is.
    """
    _add_pairs(listed.channels, listed.values, listed.starts, out)


@compiled(error_model="numpy")
def _add_products(
    channels: NDArray[np.uint32],
    values: NDArray[np.float32],
    starts: NDArray[np.int64],
    left: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Add to a few channels at a time, whose sums stay in the second-level cache."""
    n_words = starts.shape[1] - 1
    width = len(left) // max(len(starts), 1)
    step = max(1, TILE // (64 * max(width, 1)))
    for first in range(0, n_words, step):
        last = min(first + step, n_words)
        for r in range(len(starts)):
            for k in range(starts[r, first], starts[r, last]):
                at = np.int64(channels[k]) * width
                for q in range(0, width, LANES):
                    add_multiple(out, at + q, left, r * width + q, values[k])


@compiled(error_model="numpy")
def _multiply(
    channels: NDArray[np.uint32],
    values: NDArray[np.float32],
    starts: NDArray[np.int64],
    vectors: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    width = len(out) // max(len(starts), 1)
    for r in range(len(starts)):
        for k in range(starts[r, 0], starts[r, -1]):
            at = np.int64(channels[k]) * width
            for q in range(0, width, LANES):
                add_multiple(out, r * width + q, vectors, at + q, values[k])


@compiled(error_model="numpy")
def _summarise(
    channels: NDArray[np.uint32],
    values: NDArray[np.float32],
    starts: NDArray[np.int64],
    weight: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    total: NDArray[np.float64],
) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for r in range(len(starts)):
        whole = 0.0
        for k in range(starts[r, 0], starts[r, -1]):
            value = np.float64(values[k])
            sums[channels[k]] += value
            squares[channels[k]] += weight[r] * value * value
            whole += value
            low = min(low, value)
            high = max(high, value)
        total[r] = whole
    return low, high


@compiled(error_model="numpy", fastmath={"contract"})
def _add_pairs(
    channels: NDArray[np.uint32],
    values: NDArray[np.float32],
    starts: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Add the products of all pairs of a row, for a few channels at a time."""
    n_words = starts.shape[1] - 1
    for first in range(0, n_words, GRAM_TILE):
        last = min(first + GRAM_TILE, n_words)
        for r in range(len(starts)):
            for a in range(starts[r, first], starts[r, last]):
                line, value = out[channels[a]], values[a]
                for b in range(a, starts[r, n_words]):
                    line[channels[b]] += value * values[b]
