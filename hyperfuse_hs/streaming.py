"""One pass over a modality as tasks of dask: on threads, or wherever its scheduler runs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import dask
import numpy as np
from dask.base import get_scheduler
from dask.delayed import Delayed, delayed
from dask.system import CPU_COUNT
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hyperfuse_hs.modality import Box, Modality, Tick, blocks_of

RUN_BYTES = 2**28
"""Data that one task reads, piece by piece [bytes]."""

BUDGET = 2**29
"""Pieces and results that all threads together hold at a time, where these allow [bytes]."""

SENT_BYTES = 2**22
"""What a task of a cluster brings with it, apart from where its data are [bytes]."""

FAN_IN = 8
"""Results that one task of a cluster adds up."""


class Collector(Protocol):
    """Takes in a part of the data."""

    def update(
        self,
        rows: NDArray[np.intp],
        block: NDArray[np.generic],
        channels: NDArray[np.intp] | None = None,
    ) -> None:
        """Take in one block of positions x channels."""

    def plus(self, other: Any) -> Any:
        """Join what was collected of two parts."""


Some = TypeVar("Some", bound=Collector)


class InterruptedPassError(RuntimeError):
    """A pass was given up; what threads have begun is of no use any more."""


class Run:
    """What one task reads. No dataclass: dask would look for arrays inside and read them."""

    def __init__(self, modality: Modality, boxes: list[Box]) -> None:
        self.name = modality.name
        self.places = [modality.place(box) for box in boxes]
        self.chosen = [_chosen(modality, box) for box in boxes]
        arrays = [modality.data[box] for box in boxes]
        # Without the chunks of other boxes, which would travel with the task.
        self.arrays = list(dask.optimize(*arrays)) if modality.lazy else arrays

    @property
    def rows(self) -> NDArray[np.intp]:
        """Positions of all boxes, ascending."""
        return np.unique(np.concatenate([rows for rows, _, _ in self.places]))

    def blocks(
        self, arrays: list[Any] | None
    ) -> Iterator[tuple[bool, NDArray[np.intp], NDArray[Any], NDArray[np.intp] | None]]:
        """Read box by box; the first entry tells whether a box begins."""
        for k, (rows, kept, channels) in enumerate(self.places):
            values = self.arrays[k] if arrays is None else arrays[k]
            if hasattr(values, "compute"):
                values = values.compute(scheduler="synchronous")
            values = np.asarray(values).reshape(kept.size, -1)
            begins = True
            for some, block in blocks_of(values, rows, kept, self.chosen[k]):
                yield begins, some, block, channels
                begins = False


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
        Of all positions. Only collectors move between the workers of a cluster, never data.
    """
    description = modality.begin_pass(stage)
    boxes = modality.boxes(by_chunk=by_chunk)
    client = active_client() if modality.lazy else None
    threads = _threads(modality, boxes, held)
    if client is None:
        count = max(2 * threads, modality.nbytes / RUN_BYTES)
    else:
        cores = sum(client.ncores().values())
        count = max(2 * cores, modality.nbytes / RUN_BYTES, sent / SENT_BYTES)
    runs = [Run(modality, part) for part in _split(boxes, count)]
    with modality.watch(len(boxes), description) as tick:
        name = f"{description.split(',')[0].replace(' ', '-').replace(':', '')}-{uuid4().hex}"
        if client is not None:
            return _on_cluster(client, runs, start, name, tick)
        return _on_threads(runs, start, name, tick, threads)


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


def _collect(collector: Some, run: Run, arrays: list[Any] | None, report: Any) -> Some:
    """Take one run of pieces into an empty collector; this is the task of a pass."""
    for begins, rows, block, channels in run.blocks(arrays):
        report.check()
        collector.update(rows, block, channels)
        if begins:
            report(1)
    if hasattr(collector, "close"):
        collector.close()
    return collector


def _add(*collectors: Some) -> Some:
    joint = collectors[0]
    for other in collectors[1:]:
        joint = joint.plus(other)
    return joint


class Report:
    """Tells the progress of the tasks in this process, and lets them end early."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Give up if nobody waits for the result any more."""
        if self.stop.is_set():
            raise InterruptedPassError("The pass was interrupted.")

    def __call__(self, count: int) -> None:
        """Say that some pieces are done."""
        with self._lock:
            self.tick(count)


def _on_threads(
    runs: list[Run],
    start: Callable[[NDArray[np.intp]], Some],
    name: str,
    tick: Tick,
    threads: int,
) -> Some:
    report = Report(tick)
    total: Delayed | None = None
    for k, run in enumerate(runs):
        part = delayed(_collect, pure=False)(
            start(run.rows), run, None, report, dask_key_name=f"{name}-{k}"
        )
        # One after the other, so that results do not wait for each other in memory.
        adding = {"dask_key_name": f"{name}-sum-{k}"}
        total = part if total is None else delayed(_add, pure=False)(total, part, **adding)
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


def active_client() -> Any:
    """Return the client of dask.distributed that dask would use now, or None."""
    owner = getattr(get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "submit") and hasattr(owner, "ncores") else None


class RemoteReport:
    """Tells the progress of tasks on the workers of a cluster, as events of its scheduler."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def check(self) -> None:
        """Go on: a cluster cancels its tasks itself."""

    def __call__(self, count: int) -> None:
        """Say that some pieces are done."""
        from distributed import get_worker

        get_worker().log_event(self.topic, count)


def _on_cluster(
    client: Any,
    runs: list[Run],
    start: Callable[[NDArray[np.intp]], Some],
    name: str,
    tick: Tick,
) -> Some:
    report = RemoteReport(name)
    client.subscribe_topic(name, lambda event: tick(event[1]))
    futures: list[Any] = []
    try:
        for k, run in enumerate(runs):
            # Data that the cluster holds already are given to the task; others it reads itself.
            arrays = client.compute(run.arrays) if _on_workers(run.arrays) else None
            key = f"{name}-{k}"
            futures.append(
                client.submit(_collect, start(run.rows), run, arrays, report, key=key, pure=False)
            )
        while len(futures) > 1:
            groups = [futures[i : i + FAN_IN] for i in range(0, len(futures), FAN_IN)]
            key = f"{name}-sum-{len(futures)}"
            futures = [
                client.submit(_add, *group, key=f"{key}-{k}", pure=False)
                for k, group in enumerate(groups)
            ]
        result: Some = futures[0].result()
        return result
    except BaseException:
        client.cancel(futures)
        raise
    finally:
        client.unsubscribe_topic(name)


def _on_workers(arrays: list[Any]) -> bool:
    """Whether parts of some arrays are futures, in the memory of workers."""
    from distributed import Future

    return any(
        isinstance(value, Future)
        for array in arrays
        for value in dict(array.__dask_graph__()).values()
    )
