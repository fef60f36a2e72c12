"""What passes over lazy data have found, kept for the next call.

A fusion that was interrupted, or is done again with other options, reads only what it has not seen
before. What was found is kept as long as the signals are there, up to `MEMORY_BYTES` together, and
in temporary files where it is large.
Data in memory (lazy ones made of them as well) are not concerned: they may change in place.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import logging
import os
import pickle
import shutil
import sys
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.modality import Modality
from hyperfuse_hs.origin import first_layers, in_memory, places, states

__all__ = ["clear", "configure"]

MEMORY_BYTES = 2**30
"""Results of passes that are kept, unless `configure` says otherwise [bytes]."""

IN_MEMORY_BYTES = 2**22
"""Larger ones are kept in temporary files [bytes]."""

PARTS = 16
"""Parts in which empty collectors are looked at."""

SUFFIX = ".hyperfuse"

_log = logging.getLogger(__name__)


class _Kept:
    """A pickle in memory, or, if it is large, in a file of its own that goes with it.

    What is only kept for another call must not take the memory that the rest of this one needs.
    """

    def __init__(self, found: Any) -> None:
        # Arrays are counted, not copied.
        buffers: list[pickle.PickleBuffer] = []
        small = len(pickle.dumps(found, protocol=5, buffer_callback=buffers.append))
        large = small + sum(buffer.raw().nbytes for buffer in buffers) > IN_MEMORY_BYTES
        self._file: IO[bytes] = tempfile.TemporaryFile() if large else io.BytesIO()
        weakref.finalize(self, self._file.close)
        pickle.dump(found, self._file, protocol=5)
        self.size = self._file.tell()
        self._lock = threading.Lock()

    def load(self) -> Any:
        with self._lock:
            self._file.seek(0)
            return pickle.load(self._file)

    def copy_to(self, target: IO[bytes]) -> None:
        with self._lock:
            self._file.seek(0)
            shutil.copyfileobj(self._file, target)


class _Store:
    """Results by keys, the least recently used ones go first."""

    def __init__(self) -> None:
        self.limit = MEMORY_BYTES
        self.folder: Path | None = None
        self.entries: OrderedDict[str, _Kept] = OrderedDict()
        self.lock = threading.RLock()

    def take(self, key: str) -> _Kept | None:
        with self.lock:
            if key in self.entries:
                self.entries.move_to_end(key)
            return self.entries.get(key)

    def put(self, key: str, content: _Kept) -> None:
        with self.lock:
            self.entries[key] = content
            self.trim()

    def forget(self, key: str) -> None:
        with self.lock:
            self.entries.pop(key, None)

    def trim(self) -> None:
        while sum(kept.size for kept in self.entries.values()) > self.limit:
            self.entries.popitem(last=False)


_store = _Store()


def configure(*, memory: int | None = None, folder: str | Path | None = None) -> None:
    """Say how much of what passes over lazy data have found is kept, and where.

    Parameters
    ----------
    memory
        Most that is kept for this session [bytes], in memory or, of large results, in temporary
        files that go with it; 0 for nothing, None for 1 GiB.
    folder
        Where to keep it on disk as well, so that it outlives the session: a folder that is there,
        and that nobody else writes to. Its files are pickles, which run code when they are read.
        They are never deleted but by `clear`. None for no folder.

    Raises
    ------
    ValueError
        A negative size, or there is no such folder.
    """
    if memory is not None and memory < 0:
        raise ValueError(f"Expected memory as a number of bytes, 0 or more. Got {memory}.")
    if folder is not None and not Path(folder).is_dir():
        raise ValueError(f"Expected a folder that is there. Got {str(folder)!r}. Make it first.")
    with _store.lock:
        _store.limit = MEMORY_BYTES if memory is None else memory
        _store.folder = None if folder is None else Path(folder)
        _store.trim()


def clear() -> None:
    """Forget what passes have found, in memory and in the folder given to `configure`."""
    with _store.lock:
        _store.entries.clear()
        if _store.folder is not None:
            for path in _store.folder.glob(f"*{SUFFIX}"):
                path.unlink(missing_ok=True)


class Memory:
    """The place of one pass in the cache.

    Parameters
    ----------
    modality
        The data.
    start
        Makes an empty collector for some positions.
    stage
        Of the pass.
    by_chunk
        Whether it takes in some of the channels at a time.
    """

    def __init__(
        self,
        modality: Modality,
        start: Callable[[NDArray[np.intp]], Any],
        stage: str,
        by_chunk: bool,
    ) -> None:
        self.modality = modality
        self.key = self.path = None
        if not modality.lazy or not (_store.limit or _store.folder):
            return
        if in_memory(modality.data):
            return
        wanted = _digest_of_pass(modality, start, stage, by_chunk)
        # A signal that is loaded again is another one, as its file may be.
        layers = [id(layer) for layer in first_layers(modality.data)]
        identity = (modality.data.name, layers, states(modality.data))
        self.key = _digest(wanted, repr(identity).encode())
        if _store.folder is not None:
            content = _fingerprint(modality.data, modality.navigation_ndim)
            if content is not None:
                self.path = _store.folder / (_digest(wanted, content) + SUFFIX)

    def recall(self) -> Any:
        """Return what the pass found the last time, or None."""
        kept = None if self.key is None else _store.take(self.key)
        on_disk = kept is None and self.path is not None and self.path.exists()
        if kept is None and not on_disk:
            return None
        where = str(self.path) if on_disk else "memory"
        try:
            found = _read(self.path) if kept is None else kept.load()
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
            _log.warning("%s cannot be read (%s): the data are read again.", where, error)
            return None
        _log.info("%s: taken from %s, not read again.", self.modality.name, where)
        if self.modality.planned:
            self.modality.planned -= 1
        return found

    def keep(self, found: Any) -> None:
        """Keep what the pass found, as it is now."""
        if self.key is None:
            return
        kept = _Kept(found)
        _store.put(self.key, kept)
        for layer in first_layers(self.modality.data):
            weakref.finalize(layer, _store.forget, self.key).atexit = False
        if self.path is not None:
            # In one step, so that a file is whole or not there.
            with tempfile.NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
                kept.copy_to(file)
            os.replace(file.name, self.path)


def _read(path: Path | None) -> Any:
    assert path is not None
    with path.open("rb") as file:
        return pickle.load(file)


def _digest_of_pass(
    modality: Modality, start: Callable[[NDArray[np.intp]], Any], stage: str, by_chunk: bool
) -> bytes:
    """Tell passes apart by the masks and by the empty collectors they begin with."""
    hashed = hashlib.blake2b(f"{stage} {by_chunk} {modality.navigation_ndim}".encode())
    hashed.update(modality.excluded_positions.tobytes())
    hashed.update(modality.excluded_channels.tobytes())
    for rows in np.array_split(np.arange(modality.n_positions), PARTS):
        collector = start(rows)
        buffers: list[pickle.PickleBuffer] = []
        rest = pickle.dumps(collector, protocol=5, buffer_callback=buffers.append)
        hashed.update(rest)
        for buffer in buffers:
            hashed.update(buffer.raw())
    # Of another version of the package, results may look different.
    hashed.update(inspect.getsource(sys.modules[type(collector).__module__]).encode())
    return hashed.digest()


def _fingerprint(data: da.Array, navigation_ndim: int) -> bytes | None:
    """Tell data in files apart by the files, and the values at the first and last position."""
    known = states(data)
    if not known:
        return None
    first, last = (0,) * navigation_ndim, (-1,) * navigation_ndim
    values = [np.ascontiguousarray(data[at].compute(scheduler="sync")) for at in (first, last)]
    about = repr((data.shape, data.dtype.str, data.chunks, places(data), known)).encode()
    return b"".join([about, *(value.tobytes() for value in values)])


def _digest(*parts: bytes) -> str:
    hashed = hashlib.blake2b(digest_size=20)
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()
