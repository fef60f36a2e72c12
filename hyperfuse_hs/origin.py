"""What lies behind a lazy array: files, memory, or the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import MaterializedLayer


def leaves(array: da.Array) -> Iterator[Any]:
    """Yield what the graph of a lazy array begins with: data, or objects that read them."""
    for layer in array.dask.layers.values():
        if isinstance(layer, MaterializedLayer):
            for node in layer.values():
                yield getattr(node, "value", node)


def bytes_in_memory(array: da.Array) -> int:
    """Size of the data that the graph itself holds [bytes]."""
    return sum(leaf.nbytes for leaf in leaves(array) if type(leaf) is np.ndarray)


def on_workers(array: da.Array) -> bool:
    """Whether data are in the memory of workers, after ``persist``."""
    return any(hasattr(leaf, "client") and hasattr(leaf, "key") for leaf in leaves(array))


def open_files(array: da.Array) -> Iterator[tuple[str, str]]:
    """Yield path and mode of the HDF5 files that the graph reads."""
    for leaf in leaves(array):
        file: Any = getattr(leaf, "file", None)
        if hasattr(file, "filename") and hasattr(file, "mode"):
            yield str(file.filename), str(file.mode)


def culled(array: da.Array) -> da.Array:
    """Drop from the graph what the array does not need."""
    graph = array.dask.cull(array.__dask_keys__())
    return da.Array(graph, array.name, array.chunks, meta=array)
