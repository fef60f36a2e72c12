"""Sums of blocks of counts, most of which are zero.

A block X holds n probe positions x C channels of raw data, and only what is not zero in it is
visited, see :mod:`~hyperfuse_hs.algorithms.nonzero`. Nothing here starts threads or holds Python's
global lock, so several blocks can be treated at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.nonzero import (
    ONE,
    Words,
    as_rows,
    as_unsigned,
    count_ones,
    mark,
    trailing_zeros,
)
from hyperfuse_hs.algorithms.row_choice import Block, parts, some_rows

DENSE_FILL = 0.5
"""Fill from which :func:`gather` visits every channel."""

STRETCH = 16384
"""Channels of a row that are gathered at a time."""

LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def fill(block: Block, n_rows: int = 8) -> float:
    """Estimate which fraction of a block is not zero, from a few rows.

    Parameters
    ----------
    block
        ``(n, C)``, any real dtype.
    n_rows
        How many rows to look at, evenly spread.

    Returns
    -------
    float
        0 for an empty block.
    """
    n, n_channels = block.shape
    if not n * n_channels:
        return 0.0
    seen = some_rows(block, np.unique(np.linspace(0, n - 1, n_rows).astype(int)))
    return float(np.count_nonzero(seen) / max(seen.size, 1))


def gather(
    block: Block,
    bins: NDArray[np.int32],
    n_bins: int,
    channel_sum: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float32], float, float]:
    """Sum a block of whole numbers over positions, channels and bins of channels, in one run.

    Parameters
    ----------
    block
        ``(n, C)``, integers or booleans, below 2**63.
    bins
        ``(C,)`` bin of each channel; -1 leaves a channel out of everything.
    n_bins
        Number of bins.
    channel_sum
        ``(C,)``, the sum over the positions is added to it.

    Returns
    -------
    row_sum : ndarray
        ``(n,)`` sum over the channels.
    binned : ndarray
        ``(n, n_bins)`` sum over the channels of each bin.
    minimum, maximum : float
        Of all values; infinity and minus infinity if there are none.
    """
    values, index = parts(block)
    counts, sign = as_unsigned(values)
    flat, rows = as_rows(counts, index)
    kept = bins >= 0
    places = np.where(kept, bins, n_bins).astype(np.uint16 if n_bins < 2**16 else np.uint32)
    mask = np.packbits(np.pad(kept, (0, -kept.size % 64)), bitorder="little").view(np.uint64)
    sums = np.zeros(kept.size, dtype=np.int64)
    row_sum = np.empty(len(rows))
    binned = np.empty((len(rows), n_bins), dtype=np.float32)
    low, high, found = _gather(flat, rows, sign, places, mask, sums, row_sum, binned)
    np.add(channel_sum, sums, out=channel_sum, where=kept)
    n_values = len(rows) * int(np.count_nonzero(kept))
    if not n_values:
        return row_sum, binned, np.inf, -np.inf
    if found < n_values:
        low, high = min(low, 0), max(high, 0)
    return row_sum, binned, float(low), float(high)


@compiled(error_model="numpy")
def _gather(
    flat: NDArray[Any],
    rows: NDArray[np.intp],
    sign: int,
    places: NDArray[Any],
    mask: Words,
    sums: NDArray[np.int64],
    row_sum: NDArray[np.float64],
    binned: NDArray[np.float32],
) -> tuple[int, int, int]:
    """Fill the last three; return the extremes of what was visited and how many are not zero.

    What is left out has the place ``n_bins`` and is not set in the mask; what came to ``sums`` of
    it is to be ignored.
    """
    n_channels, n_bins = len(places), binned.shape[1]
    flags = np.empty(STRETCH, np.uint8)
    bits = np.empty(STRETCH // 64, np.uint64)
    line = np.zeros(n_bins + 1, np.int64)
    low, high, found = HIGHEST, LOWEST, 0
    for r in range(len(row_sum)):
        for a in range(0, n_channels, STRETCH):
            b = min(a + STRETCH, n_channels)
            row, place, total = flat[rows[r] + a : rows[r] + b], places[a:b], sums[a:b]
            part, allowed = bits[: (b - a + 63) // 64], mask[a // 64 : (b + 63) // 64]
            mark(row, flags, part)
            count = 0
            for t in range(len(part)):
                part[t] &= allowed[t]
                count += count_ones(part[t])
            found += count
            if count < DENSE_FILL * (b - a):
                low, high = _visit_set(row, sign, part, place, total, line, low, high)
            else:
                low, high = _visit_all(row, sign, place, total, line, low, high)
        whole = 0
        for k in range(n_bins):
            whole += line[k]
            binned[r, k] = line[k]
            line[k] = 0
        row_sum[r] = whole
    return low, high, found


@compiled(error_model="numpy")
def _visit_set(
    row: NDArray[Any],
    sign: int,
    bits: Words,
    places: NDArray[Any],
    sums: NDArray[np.int64],
    line: NDArray[np.int64],
    low: int,
    high: int,
) -> tuple[int, int]:
    for t in range(len(bits)):
        word = bits[t]
        while word:
            c = 64 * t + trailing_zeros(word)
            word &= word - ONE
            value: Any = (np.int64(row[c]) ^ sign) - sign
            sums[c] += value
            line[places[c]] += value
            low = min(low, value)
            high = max(high, value)
    return low, high


@compiled(error_model="numpy")
def _visit_all(
    row: NDArray[Any],
    sign: int,
    places: NDArray[Any],
    sums: NDArray[np.int64],
    line: NDArray[np.int64],
    low: int,
    high: int,
) -> tuple[int, int]:
    bottom, top, last = high, low, len(line) - 1
    for c in range(len(row)):
        value: Any = (np.int64(row[c]) ^ sign) - sign
        sums[c] += value
        low = min(low, value if places[c] < last else top)
        high = max(high, value if places[c] < last else bottom)
    for c in range(len(row)):
        line[places[c]] += (np.int64(row[c]) ^ sign) - sign
    return low, high
