"""Where the time of reading a file goes, on one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import zarr
from threadpoolctl import threadpool_limits

from benchmarks import scale_sets
from benchmarks.scale_sets import NAMES, Size
from hyperfuse_hs.algorithms.products import Products
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.streamed import first_look, project_unseen

REPEATS = 3

DIRECTIONS = 64
"""Directions that a part of a file is projected on."""

LARGEST = 2**26
"""Size of the part of a file that is looked at [bytes]."""


def shares(folder: Path, size: Size) -> dict[str, dict[str, float]]:
    """Time the steps of a look at part of each file.

    Returns
    -------
    dict
        By name, seconds for each GB of the array on one core: ``read`` (from the cache of the
        operating system), ``decompress``, ``sum`` by numpy of what is in memory, ``cast`` to
        single precision, and what our own passes do with it: ``first look``, ``projection`` (of
        data nobody has looked at) and ``second look``.
    """
    found = {}
    for name in NAMES:
        (signal,) = scale_sets.read(folder, size, (name,))
        with threadpool_limits(1), dask.config.set(scheduler="synchronous"):
            found[name] = _steps(_stored(folder / size.name / f"{name}.zspy"), signal.data)
    return found


def _stored(path: Path) -> Any:
    """Return the largest array of a file."""
    arrays: list[Any] = []
    zarr.open(str(path), mode="r").visitvalues(
        lambda item: arrays.append(item) if hasattr(item, "chunks") else None
    )
    return max(arrays, key=lambda array: array.nbytes)


def _steps(array: Any, data: Any) -> dict[str, float]:
    bounds = [int(np.cumsum(sizes)[0]) for sizes in data.chunks]
    rows = max(1, min(len(data), LARGEST // (data[: bounds[0]].nbytes // bounds[0])))
    part = data[: max(bounds[0], rows // bounds[0] * bounds[0])]
    keys = [key for key in array.chunk_store if key.startswith(array.path + "/")]
    keys = [key for key in keys if key[len(array.path) + 1].isdigit()][:: max(1, len(data))]
    packed = [array.chunk_store[key] for key in keys]
    chunk = int(np.prod(array.chunks)) * array.dtype.itemsize * len(keys) / 1e9
    values = part.compute().reshape(int(np.prod(part.shape[:2])), -1)
    size = values.nbytes / 1e9
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((len(values), DIRECTIONS)))[0]
    left = basis.astype(np.float32)

    def modality() -> Modality:
        none = np.zeros(len(values), bool), np.zeros(values.shape[1], bool)
        return Modality("part", values.reshape(part.shape), 2, *none)

    def second() -> None:
        found = Products(np.arange(len(values)), values.shape[1], left)
        found.update(found.rows, values)

    return {
        "read": _seconds(lambda: [array.chunk_store[key] for key in keys]) / chunk,
        "decompress": _seconds(lambda: [array.compressor.decode(one) for one in packed]) / chunk,
        "sum": _seconds(values.sum) / size,
        "cast": _seconds(lambda: values.astype(np.float32)) / size,
        "first look": _seconds(lambda: first_look(modality())) / size,
        "projection": _seconds(lambda: project_unseen(modality(), basis, None)) / size,
        "second look": _seconds(second) / size,
    }


def _seconds(call: Callable[[], Any]) -> float:
    """Return the least time of a few."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)
