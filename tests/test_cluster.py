"""The same fusion on the processes of a local cluster of dask.distributed."""

import sys

import cloudpickle
import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from dask.utils import key_split
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin

import hyperfuse_hs as hf
from hyperfuse_hs import modality as modality_module
from hyperfuse_hs import streaming

# Workers do not find the folder of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SCAN, NAMES = (24, 20), ["EELS", "EDS", "Diffraction"]
OPTIONS = {"n_components": 3, "random_state": 0, "show_progressbar": False}


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def phantom():
    return hf.data.tio2_polymorphs(
        scan=SCAN, detector=(16, 16), eels_channels=200, eds_channels=256, random_state=3
    )


@pytest.fixture(scope="module", params=["zspy", "hspy"])
def files(request, phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name in NAMES:
        s = phantom.signals[name]
        chunks = (4, 4, *s.axes_manager.signal_shape[::-1])
        s.save(folder / f"{name}.{request.param}", chunks=chunks)
    return [folder / f"{name}.{request.param}" for name in NAMES]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**17)


def with_threads(signals, **options):
    with dask.config.set(scheduler="threads"):
        return hf.fuse(signals, **OPTIONS, **options)


def assert_same(h, other, tolerance=1e-5):
    np.testing.assert_allclose(h.data, other.data, atol=tolerance)
    for name in h.modalities:
        ours, theirs = h.get_factors(name).data, other.get_factors(name).data
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.nanmax(np.abs(theirs)))


class Watcher(SchedulerPlugin):
    """Notes what tasks there were and how large their results."""

    def __init__(self):
        self.sizes = {}

    def transition(self, key, start, finish, *args, nbytes=None, **kwargs):
        if finish == "memory" and nbytes is not None:
            self.sizes[key] = max(nbytes, self.sizes.get(key, 0))


@pytest.fixture
def watcher(client):
    plugin = Watcher()
    client.cluster.scheduler.add_plugin(plugin, name="watcher")
    yield plugin
    client.cluster.scheduler.remove_plugin("watcher")


@pytest.fixture
def sent(client, monkeypatch):
    """Sizes of what the client sends."""
    sizes, submit = [], client.submit

    def weighed(function, *args, **options):
        sizes.append(len(cloudpickle.dumps(args)))
        return submit(function, *args, **options)

    monkeypatch.setattr(client, "submit", weighed)
    return sizes


def test_a_cluster_gives_what_threads_give(client, files, watcher, monkeypatch):
    monkeypatch.setattr(streaming, "RUN_OVER_HELD", 0)
    monkeypatch.setattr(streaming, "RUN_BYTES", 2**16)
    loaded = [hs.load(path, lazy=True) for path in files]
    h = hf.fuse(loaded, roles={"EDS": "passive"}, **OPTIONS)
    assert_same(h, with_threads(loaded, roles={"EDS": "passive"}))
    # As the dashboard shows them.
    assert {key_split(key) for key in watcher.sizes} == {
        "EELS-first-look",
        "EELS-second-look",
        "EDS-projection",
        "Diffraction-first-look",
        "Diffraction-second-look",
    }
    assert any("sum" in key for key in watcher.sizes)


# -- what moves -----------------------------------------------------------------------------------


def patterns(block_info=None, dtype="u2"):
    """Counts made up on the worker that wants them."""
    (info,) = block_info.values()
    shape = tuple(b - a for a, b in info["array-location"])
    rng = np.random.default_rng(info["chunk-location"])
    brightness = rng.uniform(1, 3, (*shape[:2], 1, 1))
    return rng.poisson(np.broadcast_to(brightness, shape)).astype(dtype)


def made_up(scan, detector, chunk=8):
    chunks = tuple((chunk,) * (n // chunk) for n in scan) + tuple((n,) for n in detector)
    return da.map_blocks(patterns, chunks=chunks, dtype="u2", meta=np.empty((0,) * 4, "u2"))


@pytest.mark.slow
def test_only_what_was_collected_moves(client, watcher, sent, monkeypatch):
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**22)
    monkeypatch.setattr(streaming, "RUN_BYTES", 2**24)
    s = hs.signals.Signal2D(made_up((64, 64), (128, 128))).as_lazy()
    s.metadata.General.title = "patterns"
    map_ = hs.signals.BaseSignal(np.random.default_rng(0).random((64, 64))).T
    map_.metadata.General.title = "map"
    hf.fuse([map_, s], roles={"patterns": "support"}, **{**OPTIONS, "n_components": 2})
    n, c, r = 64 * 64, 128 * 128, 1024
    tasks = len([key for key in watcher.sizes if "sum" not in key])
    assert tasks >= 2 * 8
    assert max(watcher.sizes.values()) < 4 * n * r + 4 * c * 64 * 2
    assert sum(sent) < s.data.nbytes / 2
    assert max(sent) < streaming.SENT_BYTES
