"""Chunks that take much memory: what is read, and what is said."""

import re
import threading

import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import zarr

import hyperfuse_hs as hf
from hyperfuse_hs import inputs, origin
from hyperfuse_hs import modality as module
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.streaming import collect

SHAPE = (12, 10, 6, 8)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    for where in (module, inputs):
        monkeypatch.setattr(where, "BLOCK_BYTES", 2**11)
        monkeypatch.setattr(where, "HUGE_BYTES", 2**13)
    monkeypatch.setattr(module, "HOLD_BYTES", 0)


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).poisson(5, SHAPE).astype("u2")


def modality(data):
    return Modality("Test", data, 2, np.zeros(120, bool), np.zeros(48, bool))


def largest_box(array):
    boxes = modality(array).boxes(by_chunk=True)
    return max(int(np.prod([s.stop - s.start for s in box])) for box in boxes)


def contiguous(values, path):
    h5py.File(path / "a.h5", "w").create_dataset("a", data=values).file.close()
    return da.from_array(h5py.File(path / "a.h5")["a"], chunks=-1)


def mapped(values, path):
    np.save(path / "a.npy", values)
    return da.from_array(np.load(path / "a.npy", mmap_mode="r"), chunks=-1)


def small_chunks(values, path):
    return da.from_array(zarr.array(values, chunks=(4, 5, 6, 8)), chunks=-1)


@pytest.mark.parametrize("make", [contiguous, mapped, small_chunks])
def test_what_can_be_read_in_parts_is(values, tmp_path, make):
    data = make(values, tmp_path)
    assert largest_box(data) * 2 <= 2**11


class Spy:
    """An array that notes how much is read of it at a time."""

    def __init__(self, values):
        self.values, self.sizes, self.lock = values, [], threading.Lock()
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key):
        with self.lock:
            self.sizes.append(self.values[key].size)
        return self.values[key]


@pytest.mark.parametrize("way", ["blocks", "tasks"])
def test_no_more_is_read_than_the_part(values, way):
    spy = Spy(values)
    spied = da.from_array(spy, chunks=-1)
    spy.sizes.clear()
    if way == "blocks":
        found = Survey(120, 48)
        for rows, block in modality(spied).blocks():
            found.update(rows, block)
    else:
        found = collect(modality(spied), lambda rows: Survey(120, 48), "sums")
    np.testing.assert_array_equal(found.channel_sum, values.sum(axis=(0, 1)).ravel())
    assert max(spy.sizes) * 2 <= 2**11
    assert sum(spy.sizes) == values.size


@pytest.mark.parametrize("kind", ["one stored chunk", "computed", "transposed"])
def test_other_huge_chunks_are_read_once(values, kind):
    data = {
        "one stored chunk": lambda: da.from_array(zarr.array(values, chunks=SHAPE), chunks=-1),
        "computed": lambda: da.ones(SHAPE, chunks=-1, dtype="u2"),
        "transposed": lambda: da.from_array(zarr.array(values), chunks=-1).transpose(1, 0, 2, 3),
    }[kind]()
    assert not origin.readable_in_parts(data)
    assert largest_box(data) == values.size
    assert len(modality(data).boxes()) == 1


def lazy(values, chunks):
    data = da.from_array(zarr.array(values, chunks=chunks), chunks=chunks)
    return hs.signals.Signal2D(data).as_lazy()


def fuse(s, **options):
    return hf.fuse([s], n_components=2, show_progressbar=False, **options)


def test_huge_chunks_are_warned_of_and_the_way_out_works(values):
    s = lazy(values, SHAPE)
    with pytest.warns(
        UserWarning,
        match=r"Signal2D is stored in chunks of up to 0 MiB \(shape \(12, 10, 6, 8\)\).*"
        r"rechunk\(nav_chunks=\(4, 4\), sig_chunks=-1\).*lazy=True",
    ) as caught:
        fuse(s)
    way = re.search(r"signal\.rechunk\(.*?\)(?=, then)", str(caught[0].message))[0]
    eval(way, {"signal": s})
    assert np.prod(s.data.chunksize) * 2 <= 2**13
    np.testing.assert_array_equal(s.data.compute(), values)


def test_huge_patterns_are_cut_too():
    s = hs.signals.Signal2D(da.ones((2, 2, 90, 100), chunks=-1, dtype="u2")).as_lazy()
    with pytest.warns(UserWarning, match=r"nav_chunks=\(1, 1\), sig_chunks=\(32, 32\)"):
        inputs.warn_of_huge_chunks(
            Modality("P", s.data, 2, np.zeros(4, bool), np.zeros(9000, bool))
        )


def test_a_signal_that_is_added_is_warned_of(values):
    h = fuse(hs.signals.Signal2D(values))
    with pytest.warns(UserWarning, match="Signal2D 2 is stored in chunks"):
        h.couple(lazy(values, SHAPE))


@pytest.mark.parametrize("kind", ["small chunks", "contiguous", "in memory"])
def test_no_warning_where_there_is_no_need(values, tmp_path, kind):
    fuse(
        {
            "small chunks": lambda: lazy(values, (4, 5, 6, 8)),
            "contiguous": lambda: hs.signals.Signal2D(contiguous(values, tmp_path)).as_lazy(),
            "in memory": lambda: hs.signals.Signal2D(values).as_lazy(),
        }[kind]()
    )
