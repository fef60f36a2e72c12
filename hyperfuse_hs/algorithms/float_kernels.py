"""Sums over blocks of numbers, n probe positions x C channels, in one run through memory.

Nothing here starts threads or holds Python's global lock, so several blocks can be treated at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.nonzero import Limits, as_rows, as_values, value_of


class Gathered(NamedTuple):
    """What `gather_floats` found in a block."""

    channel_sum: NDArray[np.float64]
    total: NDArray[np.float64]
    binned: NDArray[np.float32]
    minimum: float
    maximum: float
    whole: bool


def gather_floats(
    block: NDArray[np.floating], bins: NDArray[np.int32], n_bins: int
) -> Gathered | None:
    """Sum a block of floats over positions, channels and bins of channels.

    Parameters
    ----------
    block
        ``(n, C)``.
    bins
        ``(C,)`` bin of each channel, at least 0.
    n_bins
        Number of bins.

    Returns
    -------
    Gathered
        Sums ``(C,)``, ``(n,)`` and ``(n, n_bins)``, the extremes, and whether all are whole
        numbers; None if a value is NaN or infinite.
    """
    kind = np.float64 if block.dtype.itemsize > 4 else np.float32
    flat, places = as_rows(block.astype(kind, copy=False))
    n, channels = block.shape
    sums, total = np.zeros(channels), np.zeros(n)
    binned = np.zeros((n, n_bins), dtype=np.float32)
    finite, whole, low, high = _gather(flat, places, bins, sums, total, binned)
    return Gathered(sums, total, binned, float(low), float(high), whole) if finite else None


def add_squares(
    block: NDArray[np.generic], weight: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Add the weighted squares of every channel, summed over the positions.

    Parameters
    ----------
    block
        ``(n, C)``, any real dtype.
    weight
        ``(n,)`` of each position.
    out
        ``(C,)``, added to.
    """
    values, limits = as_values(block)
    flat, places = as_rows(values)
    _add_squares(flat, places, limits, weight, out)


@compiled(error_model="numpy")
def _gather(
    flat: NDArray[Any],
    places: NDArray[np.intp],
    bins: NDArray[np.int32],
    sums: NDArray[np.float64],
    total: NDArray[np.float64],
    binned: NDArray[np.float32],
) -> tuple[bool, bool, float, float]:
    n_channels = len(sums)
    line = np.zeros(binned.shape[1])
    low, high, whole = np.inf, -np.inf, True
    for r in range(len(total)):
        row = flat[places[r] : places[r] + n_channels]
        odd = 0
        for c in range(n_channels):
            # Neither NaN nor infinity is zero after being taken off itself.
            odd += row[c] - row[c] != 0
        if odd:
            return False, False, low, high
        if whole:
            for c in range(n_channels):
                odd += row[c] != np.rint(row[c])
            whole = odd == 0
        bottom, top = row[0], row[0]
        for c in range(n_channels):
            bottom = min(bottom, row[c])
            top = max(top, row[c])
            sums[c] += row[c]
        low, high = min(low, bottom), max(high, top)
        for c in range(n_channels):
            line[bins[c]] += row[c]
        for k in range(len(line)):
            total[r] += line[k]
            binned[r, k] = line[k]
            line[k] = 0.0
    return True, whole, low, high


@compiled(error_model="numpy", fastmath={"contract"})
def _add_squares(
    flat: NDArray[Any],
    places: NDArray[np.intp],
    limits: Limits,
    weight: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    for r in range(len(weight)):
        row = flat[places[r] : places[r] + len(out)]
        for c in range(len(out)):
            value = np.float64(value_of(row[c], limits))
            out[c] += weight[r] * value * value
