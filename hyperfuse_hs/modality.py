"""One modality as a stream of blocks of probe positions, in memory or on disk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 2**25
"""Aim for the size of one block after the cast to float32 [bytes]."""

HOLD_BYTES = 2**28
"""Lazy data up to this size are read once and kept in memory [bytes]."""


Tile = tuple[slice, ...]
Watch = Callable[[list[Tile], str], Iterable[Tile]]


def unwatched(tiles: list[Tile], description: str) -> Iterable[Tile]:
    """Show no progress."""
    return tiles


@dataclass(eq=False)
class Modality:
    """Co-registered data of one detector, unfolded block by block.

    Nothing here copies the data as a whole, except lazy data of at most ``HOLD_BYTES``,
    which are read once and kept.

    Parameters
    ----------
    name
        Name in messages and results.
    data
        Array of shape ``(nav..., sig...)``, any real dtype.
    navigation_ndim
        Number of leading axes of `data` that run over probe positions.
    excluded_positions
        ``(N_all,)``, True = excluded.
    excluded_channels
        ``(C_all,)``, True = excluded.
    watch
        Called with the tiles of a pass and a description; what it returns is run over. For
        progress bars.
    """

    name: str
    data: Any
    navigation_ndim: int
    excluded_positions: NDArray[np.bool_]
    excluded_channels: NDArray[np.bool_]
    watch: Watch = field(default=unwatched, repr=False)
    passes: int = field(default=0, init=False)
    _rows: NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Give every position that is not excluded its number."""
        self._rows = np.cumsum(~self.excluded_positions) - 1

    @property
    def navigation_shape(self) -> tuple[int, ...]:
        """Shape of the scan."""
        return tuple(self.data.shape[: self.navigation_ndim])

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """Shape of what is recorded at one probe position; () for a single number."""
        return tuple(self.data.shape[self.navigation_ndim :])

    @property
    def n_positions(self) -> int:
        """Number of probe positions that are not excluded, N."""
        return int(np.count_nonzero(~self.excluded_positions))

    @property
    def n_channels(self) -> int:
        """Number of channels that are not excluded, C."""
        return int(np.count_nonzero(~self.excluded_channels))

    @property
    def lazy(self) -> bool:
        """Whether every pass reads the data again."""
        return isinstance(self.data, da.Array)

    @property
    def nbytes(self) -> int:
        """Size of the data as stored [bytes]."""
        return int(self.data.size * self.data.dtype.itemsize)

    def hold(self) -> None:
        """Keep small lazy data in memory from the first pass on."""
        if self.lazy and self.nbytes <= HOLD_BYTES:
            self.data = np.asarray(self.data.compute())

    def blocks(self) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        """Run once over the data.

        Yields
        ------
        rows
            ``(n,)`` which of the N positions the block holds.
        block
            ``(n, C)`` in the dtype of the data; may be a view: do not write to it.
        """
        self.passes += 1
        channels = None if not self.excluded_channels.any() else ~self.excluded_channels
        indices = np.arange(self.excluded_positions.size).reshape(self.navigation_shape)
        for tile in self.watch(list(self._tiles()), f"{self.name}, pass {self.passes}"):
            values = np.asarray(self.data[tile])
            index = indices[tile].ravel()
            values = values.reshape(index.size, -1)
            for part in self._parts(index.size):
                kept = ~self.excluded_positions[index[part]]
                if not kept.any():
                    continue
                block = values[part] if kept.all() else values[part][kept]
                yield (
                    self._rows[index[part][kept]],
                    block if channels is None else block[:, channels],
                )

    def location(self, row: int, channel: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Position and channel as indices of the data, from those of a block."""
        position = np.flatnonzero(~self.excluded_positions)[row]
        flat = np.flatnonzero(~self.excluded_channels)[channel]
        where = np.unravel_index(position, self.navigation_shape)
        which = np.unravel_index(flat, self.signal_shape) if self.signal_shape else ()
        return tuple(map(int, where)), tuple(map(int, which))

    def _parts(self, n: int) -> Iterator[slice]:
        step = self._rows_per_block()
        return (slice(start, start + step) for start in range(0, n, step))

    def _rows_per_block(self) -> int:
        return max(1, BLOCK_BYTES // (4 * max(1, self.excluded_channels.size)))

    def _tiles(self) -> Iterator[Tile]:
        """Boxes of the scan made of whole chunks, as near to the block size as these allow."""
        capacity = self._rows_per_block()
        per_axis: list[list[slice]] = []
        for axis in reversed(range(self.navigation_ndim)):
            size = self.navigation_shape[axis]
            chunks = self.data.chunks[axis] if self.lazy else (1,) * size
            edges = merged_edges(chunks, capacity)
            per_axis.insert(0, [slice(a, b) for a, b in itertools.pairwise(edges)])
            capacity = max(1, capacity // int(np.diff(edges).max()))
        return itertools.product(*per_axis)


def merged_edges(chunks: tuple[int, ...], capacity: int) -> list[int]:
    """Edges of runs of whole chunks, each run at most `capacity` long or a single chunk."""
    edges = [0]
    run = 0
    for size in chunks:
        if run and run + size > capacity:
            edges.append(edges[-1] + run)
            run = 0
        run += size
    return [*edges, edges[-1] + run]
