"""What moves on a cluster, next to what was foreseen: ``python -m benchmarks.traffic``.

Fuses spectra and patterns, made up by the workers chunk by chunk, on a local cluster of two
processes. For every pass: tasks, what the client sends them, and what they give back, over the size
of the data; and the same foreseen by the model, which then goes on to sizes up to 1 TB.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from typing import Any

import cloudpickle
import dask.array as da
import hyperspy.api as hs
import numpy as np
from dask.utils import key_split
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin
from numpy.typing import NDArray

import hyperfuse_hs as hf
from hyperfuse_hs.cluster import FAN_IN
from hyperfuse_hs.streamed import BINNED_BYTES, BINS, BINS_OF_SPECTRA, n_directions
from hyperfuse_hs.streaming import RUN_BYTES, RUN_OVER_HELD, SENT_BYTES

SPECTRUM, PATTERN = (1024,), (128, 128)
COMPONENTS = 3
CHUNK = 16


class Watcher(SchedulerPlugin):
    """Notes how large the results of tasks are."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Note a task that is done."""
        if finish == "memory" and "nbytes" in kwargs:
            self.sizes[key] = kwargs["nbytes"]


def counts(block_info: Any = None, factors: Any = None) -> NDArray[np.uint16]:
    """Make up one chunk of a mixture of the same components, on the worker that reads it."""
    info = block_info[None]
    where = info["chunk-location"][:2]
    scan = tuple(b - a for a, b in info["array-location"][:2])
    abundances = np.random.default_rng(where).dirichlet(np.full(COMPONENTS, 0.3), scan)
    means = np.tensordot(abundances, factors, axes=1)
    return np.random.default_rng(where).poisson(means).astype("u2")


def made_up(scan: int, shape: tuple[int, ...], dose: float) -> da.Array:
    """Make up lazy data."""
    rng = np.random.default_rng(len(shape))
    factors = dose * rng.gamma(0.5, size=(COMPONENTS, *shape))
    chunks = ((CHUNK,) * (scan // CHUNK),) * 2 + tuple((n,) for n in shape)
    meta = np.empty((0,) * len(chunks), "u2")
    return da.map_blocks(counts, chunks=chunks, dtype="u2", meta=meta, factors=factors)


def foreseen(size: float, n: int, c: int, rank: int, spectra: bool, cores: int) -> NDArray[Any]:
    """Return tasks, bytes sent and bytes given back of the two looks, ``(2, 3)``."""
    bins = int(np.clip(BINNED_BYTES // (2 * n), 64, BINS_OF_SPECTRA if spectra else BINS))
    bins = min(bins, c)
    width = 2 * rank + 2 if spectra else min(rank, n_directions(c)) + 1
    looks = []
    for held, given, back in (
        (4 * c**2 if spectra else 24 * c, 0, 2 * n * bins),
        (4 * c * width, 4 * n * min(rank, n_directions(c)), 4 * n * rank if spectra else 0),
    ):
        tasks = max(2 * cores, size / max(RUN_BYTES, RUN_OVER_HELD * held), given / SENT_BYTES)
        constant = 20 * c + 8 * n if not given else (4 * c * rank if spectra else 0) + 8 * n / tasks
        looks.append((tasks, given + tasks * constant, tasks * held + back))
    return np.array(looks)


def measured(client: Client, scan: int) -> dict[str, NDArray[Any]]:
    """Return the same of one fusion, by pass."""
    signals = [
        hs.signals.Signal1D(made_up(scan, SPECTRUM, 50)).as_lazy(),
        hs.signals.Signal2D(made_up(scan, PATTERN, 1)).as_lazy(),
    ]
    watcher, sent = Watcher(), defaultdict(int)
    client.cluster.scheduler.add_plugin(watcher, name="watcher")
    submit = client.submit

    def weighed(function: Any, *args: Any, **options: Any) -> Any:
        sent[key_split(options["key"])] += len(cloudpickle.dumps(args))
        return submit(function, *args, **options)

    client.submit = weighed
    names = ["spectra", "patterns"]
    h = hf.fuse(signals, names=names, n_components=COMPONENTS, random_state=0)
    client.submit = submit
    client.cluster.scheduler.remove_plugin("watcher")
    print(f"\n{scan} x {scan}, directions: {h._scores.basis.shape[1]}; tasks, sent, given back")
    found = {}
    for key in sent:
        sizes = [v for k, v in watcher.sizes.items() if key_split(k) == key and "sum" not in k]
        found[key] = np.array([len(sizes), sent[key], sum(sizes)])
    return found


def report(name: str, size: float, values: NDArray[Any], model: NDArray[Any]) -> None:
    """Print a line."""
    share = values[1:] / size
    expected = model[1:] / size
    print(
        f"{name:24}{size / 1e9:8.2f} GB{values[0]:7.0f}{share[0]:10.2%}{share[1]:10.2%}"
        f"   foreseen{model[0]:7.0f}{expected[0]:10.2%}{expected[1]:10.2%}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic", description=__doc__)
    parser.add_argument("--scans", type=int, nargs="*", default=[64, 128])
    scans = parser.parse_args(arguments).scans
    hs.preferences.General.show_progressbar = False
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        for scan in scans:
            n = scan**2
            for key, values in measured(client, scan).items():
                spectra, look = key.startswith("spectra"), int("second" in key)
                c = int(np.prod(SPECTRUM if spectra else PATTERN))
                model = foreseen(2.0 * n * c, n, c, COMPONENTS, spectra, 2)[look]
                report(key, 2.0 * n * c, values, model)
    print(f"\nforeseen for 64 cores, 20 directions; sums move log{FAN_IN}(tasks) times at most")
    for scan, c in ((256, 2**16), (512, 2**16), (1024, 2**18), (1448, 2**18)):
        n = scan**2
        for look, values in enumerate(foreseen(2.0 * n * c, n, c, 20, False, 64)):
            name = f"{scan} x {scan}, look {look + 1}"
            print(f"{name:24}{2e-9 * n * c:8.0f} GB", end="")
            print(
                f"{values[0]:7.0f}{values[1] / (2.0 * n * c):10.3%}{values[2] / (2 * n * c):10.3%}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
