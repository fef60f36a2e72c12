"""Lists of what is not zero in a block, and products with few vectors from them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.nonzero import (
    ONE,
    STRETCH,
    Limits,
    as_rows,
    as_values,
    count_marked,
    mark,
    trailing_zeros,
    value_of,
)
from hyperfuse_hs.algorithms.row_choice import Block, parts

code: Any = cgutils
ir = code.ir

LANES = 16
"""Numbers in single precision that are multiplied and added at once."""


class Listed(NamedTuple):
    """What is not zero in a block, n probe positions x C channels, row after row.

    Attributes
    ----------
    channels, values
        ``(m,)`` where something is not zero, and what.
    starts
        ``(n, W + 1)`` where in these lists each run of 64 channels starts.
    n_channels
        C, at most 64 W.
    """

    channels: NDArray[np.uint32]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    n_channels: int


class Listing:
    """Makes lists in memory that is used again: to get fresh memory takes longer than to list."""

    def __init__(self) -> None:
        self._channels = np.empty(0, np.uint32)
        self._values = np.empty(0, np.float32)
        self._starts = np.empty(0, np.int64)

    def of(self, block: Block) -> Listed:
        """List what is not zero in a block.

        Parameters
        ----------
        block
            ``(n, C)``, any real dtype.

        Returns
        -------
        Listed
            Valid until the next call.
        """
        n, n_channels = block.shape
        values, index = parts(block)
        stored, limits = as_values(values)
        flat, places = as_rows(stored, index)
        width = -(-n_channels // 64) + 1
        if n * width > self._starts.size:
            self._starts = np.empty(n * width, np.int64)
        starts = self._starts[: n * width].reshape(n, width)
        found = _list(flat, places, limits, n_channels, self._channels, self._values, starts)
        if found < 0:
            # Only where there is more than in the blocks before: to count takes half as long.
            room = count_marked(flat, places, n_channels)
            room += room // 8 + min(STRETCH, n_channels)
            self._channels = np.empty(room, np.uint32)
            self._values = np.empty(room, np.float32)
            found = _list(flat, places, limits, n_channels, self._channels, self._values, starts)
        return Listed(self._channels[:found], self._values[:found], starts, n_channels)


@compiled(error_model="numpy")
def _list(
    flat: NDArray[Any],
    places: NDArray[np.intp],
    limits: Limits,
    n_channels: int,
    channels: NDArray[np.uint32],
    values: NDArray[np.float32],
    starts: NDArray[np.int64],
) -> int:
    """Fill the last three, and return how much there is; -1 if it may not fit.

    Stretches of a row are still in the cache when they are listed.
    """
    flags = np.empty(STRETCH, np.uint8)
    bits = np.empty(STRETCH // 64, np.uint64)
    k = 0
    for r in range(len(starts)):
        for a in range(0, n_channels, STRETCH):
            b = min(a + STRETCH, n_channels)
            if k + b - a > len(values):
                return -1
            part = bits[: (b - a + 63) // 64]
            row = flat[places[r] + a : places[r] + b]
            mark(row, flags, part)
            for t in range(len(part)):
                starts[r, a // 64 + t] = k
                word = part[t]
                while word:
                    c = 64 * t + trailing_zeros(word)
                    word &= word - ONE
                    channels[k] = a + c
                    values[k] = value_of(row[c], limits)
                    k += 1
        starts[r, -1] = k
    return k


def widened(columns: NDArray[np.floating]) -> NDArray[np.float32]:
    """Pad columns ``(n, K)`` with zeros to a multiple of ``LANES``, in single precision."""
    n, width = columns.shape
    wide = np.zeros((n, lanes(width)), dtype=np.float32)
    wide[:, :width] = columns
    return wide


def lanes(width: int) -> int:
    """Return the next multiple of ``LANES``."""
    return -(-width // LANES) * LANES


def _add_multiple(context: Any, target: Any, at: Any, source: Any, start: Any, factor: Any) -> Any:
    """Write ``target[at : at + LANES] += factor * source[start : start + LANES]`` in vectors.

    A loop would be checked for overlaps each time, which takes longer than the sum.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)
        places = []
        for array, index in ((0, 1), (2, 3)):
            made = context.make_array(signature.args[array])(context, builder, arguments[array])
            place = builder.gep(made.data, [arguments[index]])
            places.append(builder.bitcast(place, vector.as_pointer()))
        undefined = ir.Constant(vector, ir.Undefined)
        first = ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(undefined, arguments[4], first)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        factors = builder.shuffle_vector(one, undefined, zeros)
        kind = ir.FunctionType(vector, [vector] * 3)
        fused = code.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        target, source = (builder.load(place, align=4) for place in places)
        builder.store(builder.call(fused, [factors, source, target]), places[0], align=4)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.float32), generate


add_multiple: Any = intrinsic(_add_multiple)
"""In compiled code: add a multiple of ``LANES`` numbers of one flat array to those of another."""
