"""The same fusion on the processes of a local cluster of dask.distributed."""

import os
import resource
import signal
import sys
import threading
import time
from contextlib import contextmanager, nullcontext

import cloudpickle
import dask
import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from dask.utils import key_split
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin

import hyperfuse_hs as hf
from hyperfuse_hs import modality as modality_module
from hyperfuse_hs import streaming
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.streaming import collect

# Workers do not find the folder of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SCAN, NAMES = (24, 20), ["EELS", "EDS", "Diffraction"]
SIZES = {
    "scan": SCAN,
    "detector": (16, 16),
    "eels_channels": 200,
    "eds_channels": 256,
    "random_state": 3,
}
OPTIONS = {"n_components": 3, "random_state": 0, "show_progressbar": False}


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def phantom(client):
    return hf.data.tio2_polymorphs(**SIZES)


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


def test_a_cluster_gives_what_threads_give(client, files, phantom, watcher, monkeypatch):
    monkeypatch.setattr(streaming, "RUN_OVER_HELD", 0)
    monkeypatch.setattr(streaming, "RUN_BYTES", 2**16)
    loaded = [hs.load(path, lazy=True) for path in files]
    options = {"roles": {"EDS": "passive"}, "navigation_mask": phantom.navigation_mask}
    h = hf.fuse(loaded, **options, **OPTIONS)
    assert_same(h, with_threads(loaded, **options))
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
    meta = np.empty((0,) * 4, "u2")

    # A function in a function is sent as it is; others by name, which workers do not find.
    def draw(block_info=None):
        return patterns(block_info)

    return da.map_blocks(draw, chunks=chunks, dtype="u2", meta=meta, token="patterns")


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


# -- what may go wrong ----------------------------------------------------------------------------


def slowly(block):
    time.sleep(0.05)
    return block


def one(array, **options):
    none = np.zeros(int(np.prod(array.shape[:2])), bool), np.zeros(array[0, 0].size, bool)
    return Modality("Test", array, 2, *none, **options)


def survey_of(modality):
    n, channels = modality.n_positions, modality.n_channels
    return collect(modality, lambda rows: Survey(n, channels), "first look", by_chunk=True)


@contextmanager
def own_cluster(**options):
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", **options}
    with LocalCluster(**options) as local, Client(local) as made:
        yield made


@pytest.mark.slow
def test_a_worker_lost_in_mid_pass_does_not_lose_the_run():
    data = made_up((32, 32), (8, 8), 4)
    expected = np.asarray(data).reshape(-1, 64).sum(axis=0)
    with own_cluster() as client:
        processes = list(client.run(os.getpid).values())

        @contextmanager
        def kill_one(total, description):
            def tick(count):
                seen.append(count)
                if sum(seen) >= total // 4 and processes:
                    os.kill(processes.pop(), signal.SIGKILL)
                    processes.clear()

            yield tick

        seen = []
        modality = one(data.map_blocks(lambda block: slowly(block), dtype="u2"), watch=kill_one)
        found = survey_of(modality)
        assert not processes
        assert sum(seen) == len(modality.boxes(by_chunk=True))
    np.testing.assert_array_equal(found.channel_sum, expected)


def test_a_task_that_is_run_again_begins_with_an_empty_collector():
    data = made_up((8, 8), (64, 64), 4)
    # Without a copy on the way: scheduler, worker and client share this process.
    with own_cluster(n_workers=1, processes=False) as client:
        again = []

        def submit(function, *args, **options):
            if "sum" not in options["key"]:
                again.append(Client.submit(client, function, *args, pure=False).result().collector)
            return Client.submit(client, function, *args, **options)

        client.submit = submit
        found = survey_of(one(data))
    assert len(again) > 1
    np.testing.assert_array_equal(found.channel_sum, sum(part.channel_sum for part in again))


def press_ctrl_c():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.mark.slow
def test_ctrl_c_ends_the_tasks_of_a_cluster(client):
    data = made_up((64, 64), (8, 8), 4).map_blocks(lambda block: slowly(block), dtype="u2")
    s = hs.signals.Signal2D(data).as_lazy()
    started = time.monotonic()
    threading.Timer(2, press_ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        s.fuse(**OPTIONS)
    assert s.learning_results.factors is None
    deadline = time.monotonic() + 5
    while any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(client.processing().values())
    assert time.monotonic() - started < 256 * 0.05 / 2


@pytest.mark.slow
def test_the_interface_cancels_the_tasks_of_a_cluster(client):
    pytest.importorskip("traits", reason="the interface is made of traits")
    from hyperfuse_hs.gui.tool import Fuser

    def wait_for(what, seconds):
        deadline = time.monotonic() + seconds
        while not what() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert what()

    # A pass takes 25 seconds.
    data = made_up((256, 256), (8, 8), 4).map_blocks(lambda block: slowly(block), dtype="u2")
    s = hs.signals.Signal2D(data).as_lazy()
    tool = Fuser([s], n_components=3)
    tool.background = True
    tool.run()
    wait_for(lambda: tool.progress > 0, 60)
    assert tool.running and "first look" in tool.stage
    tool.cancel()
    wait_for(lambda: not tool.running, 5)
    assert tool.result is None and "Cancelled" in tool.notice and not tool.errors
    assert s.learning_results.factors is None
    wait_for(lambda: not any(client.processing().values()), 5)


@pytest.mark.parametrize("where", ["threads", "cluster"])
@pytest.mark.parametrize("kind", ["zspy", "hspy"])
def test_an_error_in_reading_is_raised_as_it_was(request, phantom, tmp_path, where, kind):
    s, path = phantom.signals["EELS"], tmp_path / f"damaged.{kind}"
    s.save(path, chunks=(8, 5, 200))
    expected = damage(path)
    if where == "cluster":
        request.getfixturevalue("client")
    loaded = hs.load(path, lazy=True)
    with dask.config.set(scheduler="threads") if where == "threads" else nullcontext():
        with pytest.raises(expected):
            loaded.fuse(**OPTIONS)
    assert loaded.learning_results.factors is None


def damage(path):
    """Spoil one chunk of a file; return what reading it raises."""
    if path.suffix == ".zspy":
        (chunk,) = path.glob("Experiments/*/data/1/2/0")
        os.truncate(chunk, 20)
        return RuntimeError
    with h5py.File(path) as file:
        group = next(iter(file["Experiments"].values()))
        place = group["data"].id.get_chunk_info(5)
    with open(path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"x" * place.size)
    return OSError


def test_a_file_that_is_open_for_writing(client, phantom, tmp_path):
    path = tmp_path / "open.hspy"
    phantom.signals["EELS"].save(path)
    loaded = hs.load(path, lazy=True, mode="r+")
    with pytest.raises(ValueError, match=r"EELS.*reading only.*open\.hspy.*\"r\+\".*mode=\"r\""):
        loaded.fuse(**OPTIONS)


def test_data_that_cannot_be_sent(client):
    lock = threading.Lock()
    data = da.ones((4, 4, 8, 8), chunks=2).map_blocks(lambda b: b if lock else b, dtype=float)
    with pytest.raises(TypeError, match=r"Test.*cannot be sent.*lock.*\.zspy"):
        survey_of(one(data))


def test_phantoms_are_the_same_with_a_cluster(client, phantom):
    with dask.config.set(scheduler="threads"):
        alone = hf.data.tio2_polymorphs(**SIZES)
    for name in NAMES:
        np.testing.assert_array_equal(phantom.signals[name].data, alone.signals[name].data)
        assert phantom.signals[name].data.max() > 0


# -- where the data are ---------------------------------------------------------------------------


def test_data_that_workers_hold_stay_there(client, watcher, sent):
    data = made_up((16, 16), (32, 32), 4)
    expected = data.compute(scheduler="threads")
    held = client.persist(data)
    found = survey_of(one(held.transpose(1, 0, 2, 3)[:, 1:]))
    reference = expected.transpose(1, 0, 2, 3)[:, 1:].reshape(-1, 1024)
    np.testing.assert_array_equal(found.channel_sum, reference.sum(axis=0))
    np.testing.assert_array_equal(found.total, reference.sum(axis=1))
    assert sum(sent) < expected.nbytes / 2
    # Not even brought together in pieces: there are the chunks that were there, and sums.
    assert {key_split(key) for key in watcher.sizes} == {"patterns", "Test-first-look"}


def test_data_in_the_memory_of_this_process_are_read_here(client, watcher, sent):
    values = np.random.default_rng(0).poisson(3, (8, 8, 16, 16))
    found = survey_of(one(da.from_array(values, chunks=4)))
    np.testing.assert_array_equal(found.total, values.sum(axis=(2, 3)).ravel())
    assert not sent and not watcher.sizes


def test_progress_comes_back_from_the_workers(client):
    seen = []

    @contextmanager
    def watch(total, description):
        ticks = []
        yield ticks.append
        deadline = time.monotonic() + 5
        while sum(ticks) < total and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append((total, sum(ticks), description))

    survey_of(one(made_up((16, 16), (64, 64), 4), watch=watch, planned=2))
    ((total, done, description),) = seen
    assert total == done > 1
    assert description == "Test: first look, pass 1 of 2"


@pytest.mark.slow
def test_the_memory_of_a_worker_is_bounded(monkeypatch):
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**25)
    monkeypatch.setattr(streaming, "RUN_OVER_HELD", 0)

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def import_all():
        import hyperfuse_hs.streaming  # noqa: F401

    # In 32 tasks, whose covariances would take 1 GiB on either worker (16 of them).
    n, channels = 32 * 32, 64 * 64
    held = 4 * channels**2
    data = da.ones((32, 32, 64, 64), chunks=(4, 8, 64, 64), dtype="f4")

    def start(rows):
        return Survey(n, channels, gram=True)

    with own_cluster() as client:
        client.run(import_all)
        before = client.run(peak)
        found = collect(one(data), start, "pass", held=held, sent=2**27)
        after = client.run(peak)
    assert (found.take_gram() == n).all()
    assert max(after[worker] - before[worker] for worker in before) < 10 * held
