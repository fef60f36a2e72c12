import threading
import tracemalloc
from contextlib import contextmanager

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs import modality as module
from hyperfuse_hs.modality import Modality, merged_edges, nested_edges


def make(data, navigation_ndim, positions=None, channels=None, **options):
    shape = data.shape
    n = int(np.prod(shape[:navigation_ndim]))
    c = int(np.prod(shape[navigation_ndim:]))
    positions = np.zeros(n, bool) if positions is None else positions
    channels = np.zeros(c, bool) if channels is None else channels
    return Modality("test", data, navigation_ndim, positions, channels, **options)


def gathered(modality):
    """Put the blocks together again; how often each row came."""
    whole = np.full((modality.n_positions, modality.n_channels), np.nan)
    times = np.zeros(modality.n_positions, int)
    for rows, block in modality.blocks():
        assert block.shape == (rows.size, modality.n_channels)
        whole[rows] = block
        times[rows] += 1
    return whole, times


def numbers(shape, dtype=float):
    values = np.random.default_rng(0).integers(0, 250, size=shape)
    return values.astype(dtype)


def partitions(draw, size):
    cuts = draw(st.sets(st.integers(1, size - 1))) if size > 1 else set()
    edges = [0, *sorted(cuts), size]
    return tuple(b - a for a, b in zip(edges[:-1], edges[1:], strict=True))


@st.composite
def cases(draw):
    navigation = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    signal = draw(st.lists(st.integers(1, 4), max_size=2))
    data = numbers((*navigation, *signal), draw(st.sampled_from(["u1", ">u2", "f4", ">f8"])))
    if draw(st.booleans()):
        data = da.from_array(data, chunks=tuple(partitions(draw, n) for n in data.shape))
    n, c = int(np.prod(navigation)), int(np.prod(signal))
    positions = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    channels = np.array(draw(st.lists(st.booleans(), min_size=c, max_size=c)))
    return data, len(navigation), positions, channels, draw(st.integers(1, 2000))


@settings(max_examples=80, deadline=None)
@given(cases())
def test_every_position_comes_once_and_masks_delete(case):
    data, navigation_ndim, positions, channels, block_bytes = case
    modality = make(data, navigation_ndim, positions, channels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block_bytes)
        whole, times = gathered(modality)
    assert (times == 1).all()
    unfolded = np.asarray(data).reshape(positions.size, channels.size)
    np.testing.assert_array_equal(whole, unfolded[~positions][:, ~channels])
    assert modality.passes == 1


CHUNKS = {
    "single patterns": (1, 1, 8, 8),
    "one huge chunk": (9, 7, 8, 8),
    "ragged": ((4, 1, 4), (3, 4), (5, 3), 8),
    "lines": (1, 7, 8, 8),
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**25])
def test_no_chunk_is_read_twice_in_a_pass(monkeypatch, chunks, block_bytes):
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    lock, reads = threading.Lock(), {}

    def count(block, block_info=None):
        if block_info:
            where = block_info[0]["chunk-location"]
            with lock:
                reads[where] = reads.get(where, 0) + 1
        return block

    source = numbers((9, 7, 8, 8), "u2")
    lazy = da.from_array(source, chunks=chunks)
    lazy = lazy.map_blocks(count, dtype=lazy.dtype, meta=np.empty((0,) * 4, "u2"))
    modality = make(lazy, 2)
    whole, times = gathered(modality)
    np.testing.assert_array_equal(whole, source.reshape(63, 64))
    assert (times == 1).all()
    assert len(reads) == lazy.npartitions
    assert set(reads.values()) == {1}
    assert modality.passes == 1


def test_lazy_and_eager_give_the_same_whole_and_large_blocks_stay_bounded(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 64 * 10)
    data = numbers((9, 7, 8, 8), "u1")
    for source in (data, da.from_array(data, chunks=(9, 7, 8, 8))):
        modality = make(source, 2)
        assert max(block.shape[0] for _, block in modality.blocks()) <= 10


def test_blocks_of_data_in_memory_are_views():
    data = numbers((12, 10, 6), "u2")
    for _, block in make(data, 2).blocks():
        assert np.shares_memory(block, data)


@pytest.mark.parametrize("layout", ["transposed", "strided", "reversed"])
def test_data_that_are_not_contiguous(layout):
    data = numbers((6, 5, 7))
    view = {"transposed": data.T, "strided": data[::2, :, 1:], "reversed": data[::-1, ::-1]}[layout]
    whole, _ = gathered(make(view, 2))
    np.testing.assert_array_equal(whole, view.reshape(-1, view.shape[2]))


def test_non_contiguous_data_are_not_copied_as_a_whole(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**16)
    data = np.zeros((40, 50, 60, 50), "u1").transpose(1, 0, 3, 2)
    modality = make(data, 2)
    tracemalloc.start()
    try:
        for _ in modality.blocks():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < data.nbytes / 10


def test_small_lazy_data_are_read_once_and_kept(monkeypatch):
    lazy = da.from_array(numbers((4, 3, 5)), chunks=2)
    seen = []

    @contextmanager
    def watch(total, description):
        yield lambda count: seen.append((total, count, description))

    modality = make(lazy, 2)
    modality.watch = watch
    modality.hold()
    assert not modality.lazy
    assert seen == [(1, 1, "test: reading, pass 1 of 1")]
    assert modality.begin_pass("first look") == "test: first look, in memory"
    assert (modality.passes, modality.planned) == (1, 1)
    np.testing.assert_array_equal(modality.data, lazy.compute())
    monkeypatch.setattr(module, "HOLD_BYTES", lazy.nbytes - 1)
    larger = make(lazy, 2)
    larger.hold()
    assert larger.lazy


def test_nothing_is_computed_before_the_first_pass():
    def fail(block):
        raise AssertionError("read too early")

    lazy = da.ones((4, 4, 3), chunks=2).map_blocks(fail, dtype=float, meta=np.empty((0, 0, 0)))
    modality = make(lazy, 2)
    assert (modality.n_positions, modality.n_channels, modality.nbytes) == (16, 3, 384)
    with dask.config.set(scheduler="synchronous"), pytest.raises(AssertionError, match="too early"):
        next(modality.blocks())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 60))
def test_runs_of_chunks_are_whole_and_as_long_as_fits(chunks, capacity):
    edges = merged_edges(tuple(chunks), capacity)
    ends = np.concatenate([[0], np.cumsum(chunks)])
    assert edges[0] == 0
    assert edges[-1] == ends[-1]
    assert set(edges) <= set(ends.tolist())
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        first = np.searchsorted(ends, start)
        assert stop - start <= max(capacity, chunks[first])
        following = np.searchsorted(ends, stop)
        if following < len(chunks):
            assert stop - start + chunks[following] > capacity


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 200))
def test_boxes_are_as_large_as_fits_wherever_a_chunk_does(rows, columns, capacity):
    chunks = (rows,) * 5, (columns,) * 7
    edges = nested_edges(chunks, capacity)
    assert [along[-1] for along in edges] == [5 * rows, 7 * columns]
    largest = np.prod([np.diff(along).max() for along in edges])
    assert largest <= max(capacity, rows * columns)


@settings(max_examples=40, deadline=None)
@given(cases(), st.data())
def test_location_points_at_the_value_in_the_data(case, draw):
    data, navigation_ndim, positions, channels, _ = case
    modality = make(data, navigation_ndim, positions, channels)
    if not modality.n_positions or not modality.n_channels:
        return
    row = draw.draw(st.integers(0, modality.n_positions - 1))
    channel = draw.draw(st.integers(0, modality.n_channels - 1))
    where, which = modality.location(row, channel)
    whole, _ = gathered(modality)
    assert np.asarray(data)[(*where, *which)] == whole[row, channel]


def test_progress_sees_every_tile_and_says_which_pass():
    seen = []

    @contextmanager
    def watch(total, description):
        ticks = []
        yield ticks.append
        seen.append((total, sum(ticks), description))

    modality = make(da.ones((4, 4, 3), chunks=(4, 2, 3)), 2, watch=watch)
    for _ in range(2):
        gathered(modality)
    assert [d for *_, d in seen] == ["test, pass 1", "test, pass 2"]
    assert all(total == done >= 1 for total, done, _ in seen)
