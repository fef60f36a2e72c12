"""One pass over a modality as tasks of dask: on threads, or wherever its scheduler runs them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import dask
import numpy as np
from dask.delayed import Delayed, delayed
from dask.system import CPU_COUNT
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hyperfuse_hs.algorithms.row_choice import Block, Room
from hyperfuse_hs.cache import Memory
from hyperfuse_hs.cluster import active_client, run_on_cluster
from hyperfuse_hs.heap import give_back
from hyperfuse_hs.modality import Box, Modality, Tick, blocks_of
from hyperfuse_hs.origin import culled, in_memory, on_workers, open_files
from hyperfuse_hs.reading import Reader

RUN_BYTES = 2**28
"""Data that one task reads, piece by piece [bytes]."""

BUDGET = 2**29
"""Pieces and results that all threads together hold at a time, where these allow [bytes]."""

RUN_OVER_HELD = 16
"""On a cluster a task reads this many times what it gives back, so that little moves."""

SENT_BYTES = 2**22
"""What a task of a cluster brings with it, apart from where its data are [bytes]."""


class Collector(Protocol):
    """Takes in a part of the data."""

    def update(
        self,
        rows: NDArray[np.intp],
        block: Block,
        channels: NDArray[np.intp] | None = None,
    ) -> None:
        """Take in one block of positions x channels."""

    def plus(self, other: Any) -> Any:
        """Join what was collected of two parts; both are left as they are."""


Some = TypeVar("Some", bound=Collector)


class InterruptedPassError(RuntimeError):
    """A pass was given up; what threads have begun is of no use any more."""


class Run:
    """What one task reads. No dataclass: dask would look for arrays inside and read them."""

    def __init__(self, modality: Modality, boxes: list[Box], reader: Reader | None = None) -> None:
        self.name = modality.name
        self.reader = reader
        self.places = [modality.place(box) for box in boxes]
        self.chosen = [_chosen(modality, box) for box in boxes]
        # In this process, boxes are read from the array that all runs share.
        self.arrays: list[Any] = boxes
        if reader is not None:
            return
        self.arrays = [modality.data[box] for box in boxes]
        # Without the chunks of other boxes, which would travel with the task.
        if modality.lazy and on_workers(modality.data):
            self.arrays = [culled(array) for array in self.arrays]
        elif modality.lazy:
            self.arrays = list(dask.optimize(*self.arrays))

    @property
    def rows(self) -> NDArray[np.intp]:
        """Positions of all boxes, ascending."""
        return np.unique(np.concatenate([rows for rows, _, _ in self.places]))

    def boxes(
        self,
    ) -> Iterator[Iterator[tuple[NDArray[np.intp], Block, NDArray[np.intp] | None]]]:
        """Read box by box, each as blocks: their positions, values and channels."""
        room = Room()
        for values, (rows, kept, channels), chosen in zip(
            self.arrays, self.places, self.chosen, strict=True
        ):
            if not rows.size:
                yield iter(())
                continue
            if self.reader is not None:
                values = self.reader.read(values)
            elif hasattr(values, "compute"):
                values = values.compute(scheduler="synchronous")
            values = np.asarray(values).reshape(kept.size, -1)
            blocks = blocks_of(values, rows, kept, chosen, room)
            yield ((some, block, channels) for some, block in blocks)


def _chosen(modality: Modality, box: Box) -> NDArray[np.bool_] | None:
    if not modality.excluded_channels.any():
        return None
    excluded = modality.excluded_channels.reshape(modality.signal_shape)
    return np.asarray(~excluded[tuple(box[modality.navigation_ndim :])]).ravel()


def collect(
    modality: Modality,
    start: Callable[[NDArray[np.intp]], Some],
    stage: str,
    *,
    by_chunk: bool = False,
    held: int = 0,
    sent: int = 0,
) -> Some:
    """Run once over the data, in parallel.

    Parameters
    ----------
    modality
        The data.
    start
        Makes an empty collector for some positions (ascending numbers).
    stage
        What the pass is for, in a word or two, for progress bars.
    by_chunk
        Whether the collector takes blocks with a part of the channels.
    held
        Size of what one collector holds [bytes].
    sent
        Size of what the empty collectors of all positions bring with them [bytes].

    Returns
    -------
    Collector
        Of all positions. Only collectors move between the workers of a cluster, never data. Where
        the same pass has been made before, nothing is read, see `hyperfuse_hs.cache`.
    """
    memory = Memory(modality, start, stage, by_chunk)
    found: Some | None = memory.recall()
    if found is None:
        give_back()
        found = _read(modality, start, stage, by_chunk, held, sent)
        memory.keep(found)
        give_back()
    return found


def _read(
    modality: Modality,
    start: Callable[[NDArray[np.intp]], Some],
    stage: str,
    by_chunk: bool,
    held: int,
    sent: int,
) -> Some:
    description = modality.begin_pass(stage)
    boxes = modality.boxes(by_chunk=by_chunk)
    client = _client(modality)
    threads = _threads(modality, boxes, held)
    if client is None:
        count = max(2 * threads, modality.nbytes / RUN_BYTES)
    else:
        cores = sum(client.ncores().values())
        run_bytes = max(RUN_BYTES, RUN_OVER_HELD * held)
        count = max(2 * cores, modality.nbytes / run_bytes, sent / SENT_BYTES)
    shares = _split(boxes, count)
    name = f"{task_name(modality.name, stage)}-{uuid4().hex}"
    with modality.watch(len(boxes), description) as tick:
        reader = Reader(modality.data) if modality.lazy and client is None else None
        runs = (Run(modality, share, reader) for share in shares)
        if client is not None:
            parts = ((run, start(run.rows)) for run in runs)
            return run_on_cluster(client, parts, _collect, _add, name, tick, held)
        return _on_threads(runs, start, name, tick, threads)


def _client(modality: Modality) -> Any:
    """Return the client of the cluster that is to read the data; None to read them here."""
    if not modality.lazy:
        return None
    client = active_client()
    # Data in the memory of this process would have to be sent.
    if client is None or in_memory(modality.data):
        return None
    for path, mode in open_files(modality.data):
        if mode != "r":
            raise ValueError(
                f"Expected the file of {modality.name} to be open for reading only, so that "
                f'workers can open it too. Got {path} with mode "{mode}". Load it with '
                'hs.load(..., lazy=True, mode="r").'
            )
    return client


def task_name(name: str, stage: str) -> str:
    """Name the tasks of a pass as the dashboard of dask shows them: up to the first number."""
    return f"{re.sub(r'[^a-zA-Z0-9]+', '_', name)}-{stage.replace(' ', '-')}"


def _split(boxes: list[Box], count: float) -> list[list[Box]]:
    """Share the boxes among tasks."""
    edges = np.linspace(0, len(boxes), int(np.clip(round(count), 1, len(boxes))) + 1).astype(int)
    return [boxes[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _threads(modality: Modality, boxes: list[Box], held: int) -> int:
    """Threads that may read at a time."""
    given = dask.config.get("num_workers", None) or CPU_COUNT
    largest = max(int(np.prod([s.stop - s.start for s in box], dtype=float)) for box in boxes)
    # As read, and joined from chunks; in single precision, pieces are cast a little at a time.
    size = (2 if modality.lazy else 0) * largest * modality.data.dtype.itemsize + 2 * held
    return int(np.clip(BUDGET // max(size, 1), 1, given))


def _collect(run: Run, collector: Some, report: Any) -> Some:
    """Take one run of pieces into an empty collector; this is the task of a pass."""
    for box in run.boxes():
        for rows, block, channels in box:
            if report.cancelled():
                raise InterruptedPassError("The pass was interrupted.")
            collector.update(rows, block, channels)
        report(1)
    if hasattr(collector, "close"):
        collector.close()
    return collector


def _add(*collectors: Some) -> Some:
    joint = collectors[0]
    for other in collectors[1:]:
        joint = joint.plus(other)
    return joint


def _absorb(total: Some, other: Some) -> Some:
    """Add up in place, as nothing is ever done twice here."""
    joint: Some = total.absorb(other) if hasattr(total, "absorb") else total.plus(other)
    return joint


class Report:
    """Tells the progress of the tasks in this process, and lets them end early."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self.stop.is_set()

    def __call__(self, count: int) -> None:
        """Say that some pieces are done."""
        with self._lock:
            self.tick(count)


def _begin(run: Run, start: Callable[[NDArray[np.intp]], Some], report: Any) -> Some:
    """Collect from the beginning: what is empty is only made when its turn has come."""
    return _collect(run, start(run.rows), report)


def _on_threads(
    runs: Iterator[Run],
    start: Callable[[NDArray[np.intp]], Some],
    name: str,
    tick: Tick,
    threads: int,
) -> Some:
    report = Report(tick)
    total: Delayed | None = None
    for k, run in enumerate(runs):
        part = delayed(_begin, pure=False)(run, start, report, dask_key_name=f"{name}-{k}")
        # One after the other, so that results do not wait for each other in memory.
        adding = {"dask_key_name": f"{name}-sum-{k}"}
        total = part if total is None else delayed(_absorb, pure=False)(total, part, **adding)
    # Threads of BLAS on top of those of dask would only get into each other's way.
    limits: Any = threadpool_limits(1, "blas") if threads > 1 else nullcontext()
    with limits:
        try:
            (result,) = dask.compute(total, scheduler=_local_scheduler(), num_workers=threads)
        except BaseException:
            report.stop.set()
            raise
    return result


def _local_scheduler() -> str:
    chosen = dask.config.get("scheduler", None)
    return "synchronous" if chosen in ("sync", "synchronous", "single-threaded") else "threads"
