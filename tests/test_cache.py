import io
import logging
import shutil
import threading
import time

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
import zarr

import hyperfuse_hs as hf
from hyperfuse_hs import cache, streaming
from hyperfuse_hs import modality as modality_module

SCAN, CHANNELS = (12, 10), 24
OPTIONS = {"n_components": 2, "noise": "poisson", "scale": "none", "show_progressbar": False}


@pytest.fixture(autouse=True)
def on_disk(monkeypatch):
    monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**11)


def counts(seed):
    rng = np.random.default_rng(seed)
    abundances = rng.dirichlet(np.full(2, 0.4), SCAN)
    return rng.poisson(abundances @ (rng.gamma(0.5, size=(2, CHANNELS)) * 60 + 1)).astype("u2")


class Source:
    """An array that counts what is read of it, and may be interrupted."""

    def __init__(self, values, patience=np.inf):
        self.values, self.read, self.patience = values, 0, patience
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.lock = threading.Lock()

    def __getitem__(self, key):
        values = self.values[key]
        with self.lock:
            if self.read + values.size > self.patience * self.values.size:
                raise KeyboardInterrupt
            self.read += values.size
        return values

    @property
    def times(self):
        return self.read / self.values.size

    def signal(self, title):
        data = da.from_array(self, chunks=(4, 5, CHANNELS), asarray=False, inline_array=True)
        self.read = 0
        s = hs.signals.Signal1D(data).as_lazy()
        s.metadata.General.title = title
        return s


@pytest.fixture
def pair():
    return Source(counts(0)), Source(counts(1))


def signals_of(pair):
    return [source.signal(name) for source, name in zip(pair, "AB", strict=True)]


@pytest.mark.parametrize("patience", [0.5, 1.5], ids=["first look", "second look"])
def test_what_was_found_before_an_interruption_is_not_read_again(pair, patience):
    first, second = pair
    second.patience = patience
    signals = signals_of(pair)
    with pytest.raises(KeyboardInterrupt):
        hf.fuse(signals, **OPTIONS)
    assert all(s.learning_results.factors is None for s in signals)
    assert first.times == (1 if patience < 1 else 2)
    # Another thread ends the piece that it was reading.
    time.sleep(0.3)
    second.patience, second.read = np.inf, 0
    h = hf.fuse(signals, **OPTIONS)
    assert first.times == 2
    assert second.times == (2 if patience < 1 else 1)
    assert [part.passes for part in h._result.modalities.values()] == (
        [1, 2] if patience < 1 else [0, 1]
    )


def test_the_same_call_again_reads_nothing_and_finds_the_same(pair):
    signals = signals_of(pair)
    h = hf.fuse(signals, random_state=0, **OPTIONS)
    again = hf.fuse(signals, random_state=0, **OPTIONS)
    assert [source.times for source in pair] == [2, 2]
    np.testing.assert_array_equal(again.data, h.data)
    np.testing.assert_array_equal(again.get_factors("A").data, h.get_factors("A").data)


def mask():
    excluded = np.zeros(SCAN, bool)
    excluded[:3, :3] = True
    return excluded


@pytest.mark.parametrize(
    ("change", "times"),
    [
        ({"navigation_mask": mask()}, 4),
        ({"signal_masks": {"A": np.arange(CHANNELS) < 3}}, 4),
        ({"noise": "gaussian"}, 3),
        ({"scale": "total"}, 3),
        ({"roles": {"A": "passive"}}, 3),
        ({"n_components": 3, "unmixing": "vertex"}, 2),
    ],
    ids=["navigation mask", "signal mask", "noise", "scale", "role", "components"],
)
def test_other_options_read_what_depends_on_them(pair, change, times):
    signals = signals_of(pair)
    hf.fuse(signals, **OPTIONS)
    changed = {**OPTIONS, "random_state": 0, **change}
    h = hf.fuse(signals, **changed)
    assert pair[0].times == times
    cache.clear()
    fresh = hf.fuse(signals, **changed)
    np.testing.assert_allclose(h.data, fresh.data, rtol=1e-6, atol=1e-6)


def test_data_in_memory_that_change_are_looked_at_again():
    s = hs.signals.Signal1D(counts(0))
    before = hf.fuse([s], random_state=0, **OPTIONS).get_factors("Signal1D").data
    s.data[...] = counts(5)
    after = hf.fuse([s], random_state=0, **OPTIONS).get_factors("Signal1D").data
    assert not np.allclose(before, after)


def test_nothing_is_kept_of_lazy_data_in_memory():
    # Whether they change when the array that they were made of does depends on dask.
    s = hs.signals.Signal1D(da.from_array(counts(0), chunks=5)).as_lazy()
    hf.fuse([s], random_state=0, **OPTIONS)
    assert not cache._store.entries


@pytest.mark.parametrize("how", ["another file", "in place"])
def test_files_that_change_are_read_again(tmp_path, how):
    path = tmp_path / "data.zspy"
    hs.signals.Signal1D(counts(0)).save(path, chunks=(4, 5, CHANNELS))
    s = hs.load(path, lazy=True)
    hf.fuse([s], **OPTIONS)
    if how == "in place":
        (group,) = path.glob("Experiments/*/data")
        zarr.open_array(str(group))[...] = counts(5)
    else:
        shutil.rmtree(path)
        hs.signals.Signal1D(counts(5)).save(path, chunks=(4, 5, CHANNELS))
        s = hs.load(path, lazy=True)
    h = hf.fuse([s], random_state=0, **OPTIONS)
    assert h._result.modalities["Signal1D"].passes == 2
    fresh = hf.fuse([hs.signals.Signal1D(counts(5))], random_state=0, **OPTIONS)
    np.testing.assert_allclose(h.data.sum(axis=(0, 1)), fresh.data.sum(axis=(0, 1)), rtol=1e-2)


def test_large_results_are_kept_in_files_that_go_with_the_session(pair, monkeypatch):
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 100)
    signals = signals_of(pair)
    first = hf.fuse(signals, random_state=0, **OPTIONS)
    assert not any(isinstance(k._file, io.BytesIO) for k in cache._store.entries.values())
    again = hf.fuse(signals, random_state=0, **OPTIONS)
    assert [source.times for source in pair] == [2, 2]
    np.testing.assert_array_equal(again.data, first.data)


def test_no_more_is_kept_than_was_said(pair):
    signals = signals_of(pair)
    hf.fuse(signals, **OPTIONS)
    sizes = [kept.size for kept in cache._store.entries.values()]
    assert len(sizes) == 4
    cache.configure(memory=sum(sizes) - 1)
    assert len(cache._store.entries) == 3
    cache.configure(memory=0)
    assert not cache._store.entries
    hf.fuse(signals, **OPTIONS)
    assert [source.times for source in pair] == [4, 4]


def test_what_was_found_goes_with_the_signals(pair):
    signals = signals_of(pair)
    hf.fuse(signals, **OPTIONS)
    del signals
    import gc

    gc.collect()
    assert not cache._store.entries


@pytest.fixture(params=["zspy", "hspy"])
def file(request, tmp_path):
    path = tmp_path / f"data.{request.param}"
    hs.signals.Signal1D(counts(0)).save(path, chunks=(4, 5, CHANNELS))
    return path


def passes_of(path):
    h = hf.fuse([hs.load(path, lazy=True)], **OPTIONS)
    return h._result.modalities["Signal1D"].passes


def test_a_folder_outlives_the_session(file, tmp_path, caplog):
    folder = tmp_path / "kept"
    folder.mkdir()
    cache.configure(memory=0, folder=folder)
    assert [passes_of(file), passes_of(file)] == [2, 0]
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:50])
    with caplog.at_level(logging.WARNING, "hyperfuse_hs.cache"):
        assert passes_of(file) == 2
    assert "cannot be read" in caplog.text
    assert passes_of(file) == 0
    file.touch() if file.is_file() else next(file.glob("Experiments/*/data")).touch()
    assert passes_of(file) == 2
    cache.clear()
    assert not list(folder.iterdir())


def test_bad_settings(tmp_path):
    with pytest.raises(ValueError, match=r"bytes, 0 or more\. Got -1"):
        cache.configure(memory=-1)
    with pytest.raises(ValueError, match=r"folder that is there\. Got .*nowhere"):
        cache.configure(folder=tmp_path / "nowhere")


def test_a_pass_that_fails_leaves_nothing(pair, monkeypatch):
    def fail(*args):
        raise RuntimeError("no")

    signals = signals_of(pair)
    monkeypatch.setattr(streaming, "_on_threads", fail)
    with pytest.raises(RuntimeError, match="no"):
        hf.fuse(signals, **OPTIONS)
    assert not cache._store.entries
