"""Read the chunks of a lazy array without copies of what was read."""

from __future__ import annotations

import itertools
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.local import get_sync
from dask.optimization import cull
from numpy.typing import NDArray

from hyperfuse_hs.origin import apart


class Reader:
    """Reads boxes of a lazy array, chunk by chunk, in the thread that asks for them.

    No collection of dask: nothing of the array is computed when it is part of a task.

    Parameters
    ----------
    array
        The data.
    """

    def __init__(self, array: da.Array) -> None:
        self._given = array
        (self.array,) = dask.optimize(apart(array))
        self._graph = dict(self.array.__dask_graph__())
        self._edges = [[0, *itertools.accumulate(sizes)] for sizes in self.array.chunks]

    def read(self, box: tuple[slice, ...]) -> NDArray[Any]:
        """Compute a box.

        Parameters
        ----------
        box
            One slice an axis, from the first to after the last.

        Returns
        -------
        ndarray
            Not to be written to: it may be what the array was made of.
        """
        ranges = [self._chunks(axis, part) for axis, part in enumerate(box)]
        if any(chunks is None for chunks in ranges):
            # Not of the optimized graph, which would read chunks as a whole before it cuts them.
            return np.asarray(self._given[box].compute(scheduler="synchronous"))
        indices = list(itertools.product(*[chunks for chunks in ranges if chunks is not None]))
        if len(indices) == 1:
            return self._chunk(indices[0])
        whole = np.empty([part.stop - part.start for part in box], dtype=self.array.dtype)
        for index in indices:
            place = tuple(
                slice(edges[k] - part.start, edges[k + 1] - part.start)
                for k, edges, part in zip(index, self._edges, box, strict=True)
            )
            whole[place] = self._chunk(index)
        return whole

    def _chunks(self, axis: int, part: slice) -> range | None:
        """Return which chunks lie in a range along an axis; None if it cuts through one."""
        edges = self._edges[axis]
        first, last = np.searchsorted(edges, [part.start, part.stop])
        if edges[first] != part.start or edges[last] != part.stop:
            return None
        return range(int(first), int(last))

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        key = (self.array.name, *index)
        graph, _ = cull(self._graph, [key])
        return np.asarray(get_sync(graph, key))
