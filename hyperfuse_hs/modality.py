"""One modality as a stream of blocks of probe positions, in memory or on disk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.row_choice import Block, Room, RowChoice, together
from hyperfuse_hs.origin import in_memory, readable_in_parts

BLOCK_BYTES = 2**25
"""Aim for the size of one block after the cast to float32 [bytes]."""

HOLD_BYTES = 2**26
"""Lazy data up to this size are read once and kept in memory [bytes]."""

HUGE_BYTES = 2**28
"""Chunks above this size are read slice by slice, where their files allow [bytes]."""


Box = tuple[slice, ...]
Tick = Callable[[int], object]
Watch = Callable[[int, str], AbstractContextManager[Tick]]


@contextmanager
def unwatched(total: int, description: str) -> Iterator[Tick]:
    """Show no progress."""
    yield lambda count: None


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
        Called with the number of pieces of a pass and a description; gives a context in which a
        function is called with how many more are done. For progress bars.
    passes
        How often the data have been run over; of lazy data that are held, how often read.
    planned
        How often they will be, if that is known.
    """

    name: str
    data: Any
    navigation_ndim: int
    excluded_positions: NDArray[np.bool_]
    excluded_channels: NDArray[np.bool_]
    watch: Watch = field(default=unwatched, repr=False)
    passes: int = 0
    planned: int | None = None
    _held: bool = field(init=False, repr=False, default=False)
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

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the chunks along every axis; of data in memory, single positions."""
        if self.lazy:
            return tuple(self.data.chunks)
        scan = tuple((1,) * size for size in self.navigation_shape)
        return scan + tuple((size,) for size in self.signal_shape)

    @property
    def whole_spectra(self) -> bool:
        """Whether boxes of whole chunks that hold all channels are not huge."""
        scan = self.chunks[: self.navigation_ndim]
        size = int(np.prod([max(sizes, default=1) for sizes in scan], dtype=float))
        size *= max(1, self.excluded_channels.size) * self.data.dtype.itemsize
        return size <= HUGE_BYTES or not self._chunked_channels

    def hold(self) -> None:
        """Read small lazy data, once, and keep them in memory."""
        if self.lazy and self.nbytes <= HOLD_BYTES:
            self.planned = 1
            with self.watch(1, self.begin_pass("reading")) as tick:
                self.data = np.asarray(self.data.compute())
                tick(1)
            self._held = True

    def begin_pass(self, stage: str = "") -> str:
        """Count one more pass and describe it."""
        name = f"{self.name}{f': {stage}' if stage else ''}"
        if self._held:
            return f"{name}, in memory"
        self.passes += 1
        return f"{name}, pass {self.passes}{'' if self.planned is None else f' of {self.planned}'}"

    def blocks(self, stage: str = "") -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        """Run once over the data.

        Yields
        ------
        rows
            ``(n,)`` which of the N positions the block holds.
        block
            ``(n, C)`` in the dtype of the data; may be a view: do not write to it.
        """
        description = self.begin_pass(stage)
        boxes = self.boxes()
        with self.watch(len(boxes), description) as tick:
            for box in boxes:
                rows, kept, channels = self.place(box)
                chosen = None if channels is None else ~self.excluded_channels
                values = np.asarray(self.data[box]).reshape(kept.size, -1)
                for some, block in blocks_of(values, rows, kept, chosen):
                    yield some, together(block)
                tick(1)

    def boxes(self, *, by_chunk: bool = False) -> list[Box]:
        """Split the data into boxes of whole chunks, as near to the block size as these allow.

        Parameters
        ----------
        by_chunk
            Whether a box may hold some of the channels only, where chunks do.

        Returns
        -------
        list of tuple of slice
            Every chunk is in one box, except for chunks of more than ``HUGE_BYTES`` of which a
            part can be read without the rest, or of which many would make up a box.
        """
        itemsize = max(self.data.dtype.itemsize, 4 if not by_chunk else 1)
        width = max(1, self.excluded_channels.size) * itemsize
        scan = nested_edges(self.chunks[: self.navigation_ndim], max(1, BLOCK_BYTES // width))
        positions = int(np.prod([np.diff(edges).max() for edges in scan], initial=1))
        edges = [[0, size] for size in self.signal_shape]
        if positions * width > HUGE_BYTES and self._in_slices(by_chunk):
            single = tuple((1,) * size for size in self.navigation_shape)
            scan = nested_edges(single, max(1, BLOCK_BYTES // width))
        elif by_chunk and positions * width > BLOCK_BYTES:
            capacity = max(1, BLOCK_BYTES // (positions * itemsize))
            edges = nested_edges(self.chunks[self.navigation_ndim :], capacity)
        axes = [[slice(a, b) for a, b in itertools.pairwise(e)] for e in [*scan, *edges]]
        return list(itertools.product(*axes))

    def _in_slices(self, by_chunk: bool) -> bool:
        """Whether huge boxes are read in slices.

        Where a chunk is read whole for every slice of it, it takes no more memory, and less time,
        to read it once.
        """
        if not self.lazy or readable_in_parts(self.data):
            return True
        return self._chunked_channels and not by_chunk

    @property
    def largest_chunk(self) -> int:
        """Size of the largest chunk that is read as a whole [bytes]; 0 of data in memory."""
        if not self.lazy or in_memory(self.data) or readable_in_parts(self.data):
            return 0
        chunk = [max(sizes, default=0) for sizes in self.data.chunks]
        return int(np.prod(chunk, dtype=float)) * int(self.data.dtype.itemsize)

    @property
    def _chunked_channels(self) -> bool:
        return any(len(sizes) > 1 for sizes in self.chunks[self.navigation_ndim :])

    def place(
        self, box: Box
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.intp] | None]:
        """Tell which positions and channels a box holds.

        Returns
        -------
        rows
            ``(n,)`` numbers of its positions that are not excluded, among N.
        kept
            ``(n_all,)``, False = excluded position.
        channels
            ``(c,)`` numbers of its channels that are not excluded, among C; None: all of them.
        """
        indices = np.arange(self.excluded_positions.size).reshape(self.navigation_shape)
        index = indices[box[: self.navigation_ndim]].ravel()
        kept = ~self.excluded_positions[index]
        part = tuple(box[self.navigation_ndim :])
        whole = all(s == slice(0, n) for s, n in zip(part, self.signal_shape, strict=False))
        channels = None
        if not whole or self.excluded_channels.any():
            number = np.where(self.excluded_channels, -1, np.cumsum(~self.excluded_channels) - 1)
            channels = number.reshape(self.signal_shape)[part].ravel()
            channels = channels[channels >= 0]
        return self._rows[index[kept]], kept, channels

    def location(self, row: int, channel: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Position and channel as indices of the data, from those of a block."""
        position = np.flatnonzero(~self.excluded_positions)[row]
        flat = np.flatnonzero(~self.excluded_channels)[channel]
        where = np.unravel_index(position, self.navigation_shape)
        which = np.unravel_index(flat, self.signal_shape) if self.signal_shape else ()
        return tuple(map(int, where)), tuple(map(int, which))


def blocks_of(
    values: NDArray[Any],
    rows: NDArray[np.intp],
    kept: NDArray[np.bool_],
    chosen: NDArray[np.bool_] | None,
    room: Room | None = None,
) -> Iterator[tuple[NDArray[np.intp], Block]]:
    """Split what was read into blocks of bounded size, without what is excluded.

    Parameters
    ----------
    values
        ``(n_all, c_all)``.
    rows
        ``(n,)`` numbers of the positions that are kept.
    kept
        ``(n_all,)``, False = excluded position.
    chosen
        ``(c_all,)``, False = excluded channel; None: all are kept.
    room
        Where what is left of a block may be put together; None: it is, anew.

    Yields
    ------
    rows, block
        ``(m,)`` and ``(m, c)``; with `room`, until the next ones.
    """
    step = max(1, BLOCK_BYTES // (4 * max(1, values.shape[1])))
    done = 0
    for start in range(0, kept.size, step):
        part = slice(start, start + step)
        inside = kept[part]
        count = int(np.count_nonzero(inside))
        if count == 0:
            continue
        some = values[part]
        block: Block = some
        if count < inside.size:
            index = np.flatnonzero(inside)
            block = some[index] if room is None else RowChoice(some, index, room)
        yield rows[done : done + count], block if chosen is None else together(block)[:, chosen]
        done += count


def nested_edges(chunks: tuple[tuple[int, ...], ...], capacity: int) -> list[list[int]]:
    """Edges along every axis of boxes of whole chunks with at most `capacity` elements."""
    least = [max(sizes, default=1) for sizes in chunks]
    edges: list[list[int]] = []
    for axis in reversed(range(len(chunks))):
        # What is left for this axis, where the ones before it take a chunk at least.
        room = capacity // max(1, int(np.prod(least[:axis], dtype=float)))
        edges.insert(0, merged_edges(chunks[axis], room))
        capacity = max(1, capacity // max(1, int(np.diff(edges[0]).max())))
    return edges


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
