"""Find what is not zero in blocks of raw data, n probe positions x C channels.

A loop that compilers vectorise flags what is not zero, the flags of 64 channels are packed into the
bits of one word, and then only the bits that are set are visited. To look at the values one after
the other, or at words of 4 or 8 of them, takes several times as long, because the processor can't
guess where the next count is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled

Words = NDArray[np.uint64]
Limits = tuple[float, float]

STRETCH = 16384
"""Channels of a row that are marked at a time; their flags stay in the first-level cache."""

# Multiplied by eight bytes that are 0 or 1, gives these as the bits of the highest byte.
MAGIC, HIGHEST_BYTE = np.uint64(0x0102040810204080), np.uint64(56)

ONE = np.uint64(1)


def _trailing_zeros(context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


def _count_ones(context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


trailing_zeros: Any = intrinsic(_trailing_zeros)
"""In compiled code: number of the lowest bit that is set in a word that is not zero."""

count_ones: Any = intrinsic(_count_ones)
"""In compiled code: how many bits of a word are set."""


def as_unsigned(block: NDArray[np.generic]) -> tuple[NDArray[Any], int]:
    """View whole numbers of the same width alike, so that few kernels are compiled.

    Parameters
    ----------
    block
        ``(n, C)``, integers or booleans.

    Returns
    -------
    counts : ndarray
        ``(n, C)``, a view unless the bytes are swapped. 64 bits are signed.
    sign : int
        Bit s that is a sign: the value is ``(count ^ s) - s``. 0: there is none.
    """
    native = block.astype(block.dtype.newbyteorder("="), copy=False)
    size = native.itemsize
    if size == 8:
        return native.view(np.int64), 0
    return native.view(f"u{size}"), 1 << (8 * size - 1) if native.dtype.kind == "i" else 0


def as_values(block: NDArray[np.generic]) -> tuple[NDArray[Any], Limits]:
    """View data of any type as one of four, so that few kernels are compiled.

    Parameters
    ----------
    block
        ``(n, C)``, any real dtype.

    Returns
    -------
    values : ndarray
        ``(n, C)``, unsigned integers or float32; a view where there is one.
    limits
        From the first on, the second is to be taken off, see :func:`value_of`.
    """
    if block.dtype.kind in "bui" and block.itemsize < 8:
        counts, sign = as_unsigned(block)
        return counts, (float(sign) if sign else np.inf, 2.0 * sign)
    return block.astype(np.float32, copy=False), (np.inf, 0.0)


def as_rows(
    block: NDArray[Any], index: NDArray[np.intp] | None = None
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """View a block as one run through memory, so that one layout is compiled.

    Parameters
    ----------
    block
        ``(n, C)``. It is copied if the channels of a row are not contiguous.
    index
        ``(m,)`` rows that are meant; None: all of them.

    Returns
    -------
    flat : ndarray
        Read-only.
    places : ndarray
        ``(m,)`` where each row starts.
    """
    n, n_channels = block.shape
    step, rest = divmod(block.strides[0], block.itemsize)
    contiguous = n_channels < 2 or block.strides[1] == block.itemsize
    if rest or step < 0 or not contiguous or not block.flags.aligned or not block.size:
        block = np.array(block, order="C")
        step = n_channels
    length = (n - 1) * step + n_channels if block.size else 0
    flat = as_strided(block, (length,), (block.itemsize,), writeable=False)
    return flat, (np.arange(n) if index is None else index) * step


@compiled(error_model="numpy")
def value_of(stored: Any, limits: Limits) -> Any:
    """Return what :func:`as_values` made unsigned, in single precision."""
    value = np.float64(stored)
    return np.float32(value - limits[1] if value >= limits[0] else value)


@compiled(error_model="numpy")
def mark(row: NDArray[Any], flags: NDArray[np.uint8], bits: Words) -> None:
    """Set the bits of what is not zero in a row, 64 to a word.

    Parameters
    ----------
    row
        ``(C,)``, contiguous.
    flags
        Scratch memory, ``(64 W,)`` or more.
    bits
        ``(W,)``, to be filled; C is at most 64 W, what is beyond is not set.
    """
    for c in range(len(row)):
        flags[c] = row[c] != 0
    for c in range(len(row), 64 * len(bits)):
        flags[c] = 0
    words, packed = flags.view(np.uint64), bits.view(np.uint8)
    for k in range(len(packed)):
        packed[k] = (words[k] * MAGIC) >> HIGHEST_BYTE


@compiled(error_model="numpy")
def count_marked(flat: NDArray[Any], places: NDArray[np.intp], n_channels: int) -> int:
    """Count what is not zero in the rows of a block."""
    flags = np.empty(STRETCH, np.uint8)
    bits = np.empty(STRETCH // 64, np.uint64)
    found = 0
    for at in places:
        for a in range(0, n_channels, STRETCH):
            b = min(a + STRETCH, n_channels)
            part = bits[: (b - a + 63) // 64]
            mark(flat[at + a : at + b], flags, part)
            for t in range(len(part)):
                found += count_ones(part[t])
    return found
