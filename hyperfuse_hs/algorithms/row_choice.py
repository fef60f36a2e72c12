"""Some rows of a block, n probe positions x C channels, copied only where they have to be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Room:
    """Memory for one block after the other: to get fresh memory takes longer than to copy."""

    def __init__(self) -> None:
        self._flat = np.empty(0, np.uint8)

    def take(self, values: NDArray[Any], index: NDArray[np.intp]) -> NDArray[Any]:
        """Copy some rows; what was returned before is overwritten."""
        shape = index.size, *values.shape[1:]
        size = int(np.prod(shape)) * values.dtype.itemsize
        if size > self._flat.size:
            self._flat = np.empty(size, np.uint8)
        out = self._flat[:size].view(values.dtype).reshape(shape)
        # Indices are within bounds; to have them checked, numpy would take them to a buffer first.
        return np.take(values, index, axis=0, out=out, mode="clip")


class RowChoice:
    """Some rows of an array.

    Parameters
    ----------
    values
        ``(m, C)``.
    index
        ``(n,)`` numbers of the rows that are meant.
    room
        Where they are put together.
    """

    def __init__(self, values: NDArray[Any], index: NDArray[np.intp], room: Room) -> None:
        self.values, self.index, self.room = values, index, room

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of channels."""
        return self.index.size, self.values.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self.values.dtype

    def together(self) -> NDArray[Any]:
        """Copy the rows, ``(n, C)``; valid until the next ones are."""
        return self.room.take(self.values, self.index)


Block = NDArray[Any] | RowChoice


def together(block: Block) -> NDArray[Any]:
    """Return a block as one array."""
    return block.together() if isinstance(block, RowChoice) else block


def parts(block: Block) -> tuple[NDArray[Any], NDArray[np.intp] | None]:
    """Return the array that a block is made of, and the rows of it that are meant, None for all."""
    return (block.values, block.index) if isinstance(block, RowChoice) else (block, None)


def some_rows(block: Block, rows: NDArray[np.intp]) -> NDArray[Any]:
    """Copy a few rows of a block."""
    if isinstance(block, RowChoice):
        return np.asarray(block.values[block.index[rows]])
    return block[rows]
