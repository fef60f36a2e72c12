"""What lies behind a lazy array: files, memory, or the workers of a cluster."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer


def leaves(array: da.Array) -> Iterator[Any]:
    """Yield what the graph of a lazy array begins with: data, or objects that read them."""
    for layer in array.dask.layers.values():
        if isinstance(layer, MaterializedLayer):
            for node in layer.values():
                yield getattr(node, "value", node)


def in_memory(array: da.Array) -> bool:
    """Whether the data are in the graph itself, in the memory of this process.

    Readers of files may put small arrays there, such as the places of the chunks.
    """
    size = sum(leaf.nbytes for leaf in leaves(array) if type(leaf) is np.ndarray)
    return 2 * size >= array.size * array.dtype.itemsize


def on_workers(array: da.Array) -> bool:
    """Whether data are in the memory of workers, after ``persist``."""
    return any(hasattr(leaf, "client") and hasattr(leaf, "key") for leaf in leaves(array))


def open_files(array: da.Array) -> Iterator[tuple[str, str]]:
    """Yield path and mode of the HDF5 files that the graph reads."""
    for leaf in leaves(array):
        file: Any = getattr(leaf, "file", None)
        if hasattr(file, "filename") and hasattr(file, "mode"):
            yield str(file.filename), str(file.mode)


def readable_in_parts(array: da.Array) -> bool:
    """Whether a part of any chunk is read without the rest of it.

    So it is where slices are handed on to what reads a file, and the file is not stored in chunks
    as large as those of the array.
    """
    kinds = {name.rpartition("-")[0] for name in array.dask.layers}
    if not kinds <= {"original-array", "array", "getitem"}:
        return False
    largest = int(np.prod([max(sizes, default=0) for sizes in array.chunks], dtype=float))
    stored = [leaf for leaf in leaves(array) if hasattr(leaf, "shape")]
    return all(
        getattr(leaf, "chunks", None) is None or 2 * np.prod(leaf.chunks) <= largest
        for leaf in stored
    )


def culled(array: da.Array) -> da.Array:
    """Drop from the graph what the array does not need."""
    graph = array.dask.cull(array.__dask_keys__())
    return da.Array(graph, array.name, array.chunks, meta=array)


def apart(array: da.Array) -> da.Array:
    """Copy the layers of the graph, not what is in them.

    A layer remembers all its tasks once somebody has asked for them, a kilobyte a chunk; the copies
    forget them when they go.
    """
    layers = {name: copy.copy(layer) for name, layer in array.dask.layers.items()}
    graph = HighLevelGraph(layers, array.dask.dependencies)
    return da.Array(graph, array.name, array.chunks, meta=array)


def first_layers(array: da.Array) -> list[Any]:
    """Layers of the graph that depend on no others."""
    needed = array.dask.dependencies
    return [layer for name, layer in array.dask.layers.items() if not needed.get(name)]


def places(array: da.Array) -> list[str]:
    """Names that datasets have within their files."""
    return sorted(
        str(getattr(leaf, "name", None) or getattr(leaf, "path", ""))
        for leaf in leaves(array)
        if hasattr(leaf, "file") or hasattr(leaf, "store")
    )


def states(array: da.Array) -> list[tuple[str, int, int]]:
    """Path, time of the last change [ns] and size [bytes] of the files that the graph names."""
    paths = set()
    for leaf in leaves(array):
        for owner, name in (("file", "filename"), ("store", "path"), ("", "filename")):
            path = getattr(getattr(leaf, owner, None) if owner else leaf, name, None)
            if isinstance(path, str | os.PathLike) and os.path.exists(path):
                paths.add(os.path.abspath(path))
    return [state for path in sorted(paths) for state in _states(path)]


def _states(path: str) -> Iterator[tuple[str, int, int]]:
    # Chunks that are files are replaced when they change, which changes their folder.
    folders = [entry[0] for entry in os.walk(path)] or [path]
    for folder in folders:
        about = os.stat(folder)
        yield folder, about.st_mtime_ns, about.st_size
