"""One pass over a modality on the workers of a cluster of dask.distributed."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import dask.array as da
from dask.base import get_scheduler

from hyperfuse_hs.modality import Tick

FAN_IN = 8
"""Most results that one task adds up."""

ADDED_BYTES = 2**27
"""Results that one task adds up take no more than this, where two of them allow [bytes]."""

Some = TypeVar("Some")


def active_client() -> Any:
    """Return the client of dask.distributed that dask would use now, or None."""
    owner = getattr(get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "submit") and hasattr(owner, "ncores") else None


class RemoteReport:
    """Tells the progress of one task to whoever listens, and lets it end early.

    Parameters
    ----------
    topic
        Of the events.
    number
        Of the task.
    """

    def __init__(self, topic: str, number: int) -> None:
        from distributed import get_worker
        from distributed.worker import thread_state

        self.topic, self.number, self.done = topic, number, 0
        self._worker = get_worker()
        self._key = thread_state.key

    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more."""
        task = self._worker.state.tasks.get(self._key)
        return task is None or task.state == "cancelled"

    def __call__(self, count: int) -> None:
        """Say that some pieces are done."""
        self.done += count
        self._worker.log_event(self.topic, (self.number, self.done))


class _Progress:
    """Adds up what tasks report; one that begins again on another worker does not count twice."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick
        self.done: dict[int, int] = {}
        self.over = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, event: tuple[float, tuple[int, int]]) -> None:
        number, done = event[1]
        more = done - self.done.get(number, 0)
        if more > 0 and self.error is None:
            self.done[number] = done
            try:
                self.tick(more)
            except BaseException as error:
                # Whoever watches has given up: for the thread that waits, not for that of events.
                self.error = error
                self.over.set()

    def wait_for(self, future: Any) -> Any:
        """Wait for a result, or raise what whoever watches has raised."""
        future.add_done_callback(lambda _: self.over.set())
        self.over.wait()
        if self.error is not None:
            raise self.error
        return future.result()


class Collected(Generic[Some]):
    """What a task collected, with its size, by which dask decides where to add things up.

    Parameters
    ----------
    collector
        May hold arrays anywhere inside.
    """

    def __init__(self, collector: Some) -> None:
        self.collector = collector

    def __sizeof__(self) -> int:
        """Size of the arrays and the rest [bytes]."""
        buffers: list[pickle.PickleBuffer] = []
        rest = pickle.dumps(self.collector, protocol=5, buffer_callback=buffers.append)
        return len(rest) + sum(buffer.raw().nbytes for buffer in buffers)


def run_on_cluster(
    client: Any,
    parts: Iterator[tuple[Any, Some]],
    collect: Callable[[Any, Some, Any], Some],
    add: Callable[..., Some],
    name: str,
    tick: Tick,
    held: int,
) -> Some:
    """Collect parts of the data on the workers, and add up what was collected there.

    Parameters
    ----------
    client
        Of dask.distributed.
    parts
        What is to be read and an empty collector, for one task each.
    collect
        Called on a worker with these two and something to report to.
    add
        Called on a worker with some collectors.
    name
        Of the tasks.
    tick
        Called with the number of pieces that are done.
    held
        Size of what one collector holds [bytes].

    Returns
    -------
    Collector
        Of all parts; nothing else comes back.
    """
    fan_in = max(2, min(FAN_IN, ADDED_BYTES // max(held, 1)))
    progress = _Progress(tick)
    client.subscribe_topic(name, progress)
    futures: list[Any] = []
    groups: list[list[Any]] = []
    try:
        for number, (run, empty) in enumerate(parts):
            chunks = unplug(run.arrays)
            futures.append(
                client.submit(
                    _task,
                    # As bytes: a task that is begun again, after its worker was lost, starts from
                    # an empty collector, and the scheduler need not open the files.
                    _packed(run, empty),
                    list(chunks),
                    list(chunks.values()),
                    collect,
                    (name, number),
                    key=f"{name}-{number}",
                    pure=False,
                )
            )
        level = 0
        while len(futures) > 1:
            level += 1
            groups = [futures[i : i + fan_in] for i in range(0, len(futures), fan_in)]
            key = f"{name}-sum-{len(futures)}"
            # Before further data are read, so that few results wait in memory.
            futures = [
                client.submit(_sum, add, *group, key=f"{key}-{k}", pure=False, priority=level)
                for k, group in enumerate(groups)
            ]
        result: Some = progress.wait_for(futures[0]).collector
        return result
    except BaseException:
        # The error that is raised would keep the futures of this frame alive, and so their tasks.
        client.cancel([*futures, *(future for group in groups for future in group)])
        raise
    finally:
        client.unsubscribe_topic(name)


def _packed(run: Any, empty: Any) -> bytes:
    from distributed.protocol.pickle import dumps

    try:
        content: bytes = dumps((run, empty))
    # Whatever a user's data are made of may raise anything.
    except Exception as error:
        raise TypeError(
            f"The data of {run.name} cannot be sent to the workers of the cluster: {error}. Save "
            "them, e.g. as .zspy, and load them with hs.load(..., lazy=True)."
        ) from error
    return content


def _task(
    content: bytes,
    keys: list[Any],
    values: list[Any],
    collect: Callable[[Any, Any, Any], Some],
    topic: tuple[str, int],
) -> Collected[Some]:
    from distributed.protocol.pickle import loads

    run, empty = loads(content)
    plug(run.arrays, dict(zip(keys, values, strict=True)))
    return Collected(collect(run, empty, RemoteReport(*topic)))


def _sum(add: Callable[..., Some], *parts: Collected[Some]) -> Collected[Some]:
    return Collected(add(*(part.collector for part in parts)))


def unplug(arrays: list[Any]) -> dict[Any, Any]:
    """Take futures, data that the memory of workers holds, out of arrays.

    Parameters
    ----------
    arrays
        Of dask; changed in place.

    Returns
    -------
    dict
        Futures by their keys.
    """
    from distributed import Future

    found: dict[Any, Any] = {}
    for k, array in enumerate(arrays):
        graph = dict(array.__dask_graph__())
        here = {key: value for key, value in graph.items() if isinstance(value, Future)}
        if here:
            rest = {key: value for key, value in graph.items() if key not in here}
            arrays[k] = da.Array(rest, array.name, array.chunks, meta=array)
            found |= here
    return found


def plug(arrays: list[Any], values: dict[Any, Any]) -> None:
    """Put the data of futures back into arrays, see `unplug`."""
    if values:
        for k, array in enumerate(arrays):
            graph = {**dict(array.__dask_graph__()), **values}
            arrays[k] = da.Array(graph, array.name, array.chunks, meta=array)
