"""Sums and products of sparse counts, against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms import count_kernels, nonzero
from hyperfuse_hs.algorithms.count_kernels import fill, gather
from hyperfuse_hs.algorithms.list_kernels import add_gram, add_products, multiply, summarise
from hyperfuse_hs.algorithms.listing import Listing, lanes, widened

COUNTS = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "uint64", "bool", ">u2")
REALS = (*COUNTS, "float16", "float32", "float64")
FILLS = (0.0, 0.01, 0.1, 0.6, 1.0)
LAYOUTS = {
    "whole": lambda wide: wide[::2, ::2].copy(),
    "every other": lambda wide: wide[::2, ::2],
    "odd offset": lambda wide: wide[1::2, 3 : 3 + wide.shape[1] // 2],
    "columns first": lambda wide: np.asfortranarray(wide[::2, ::2]),
    "backwards": lambda wide: wide[::-2, ::-2],
    "rows backwards": lambda wide: wide[::-2, : wide.shape[1] // 2],
    "read-only": lambda wide: frozen(wide[::2, ::2].copy()),
    "repeated": lambda wide: np.broadcast_to(wide[0, ::2].copy(), wide[::2, ::2].shape),
    "odd address": lambda wide: misaligned(wide[::2, ::2]),
}


def frozen(array):
    array.flags.writeable = False
    return array


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, dtype=np.uint8)
    moved = memory[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def random_counts(rng, shape, dtype, filled):
    """Mostly small counts, some as large as fits; negative ones where the dtype has them."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < filled
    if dtype.kind == "f":
        values = np.where(
            rng.random(shape) < 0.5, rng.integers(-3, 9, shape), rng.normal(size=shape)
        )
    else:
        info = np.iinfo(dtype)
        low, high = max(info.min, -(2**40)), min(info.max, 2**40)
        large = rng.choice([low, high], shape)
        values = np.where(rng.random(shape) < 0.9, rng.integers(max(low, -3), 9, shape), large)
    return np.where(rng.random(shape) < filled, values, 0).astype(dtype)


@st.composite
def blocks(draw, dtypes):
    n = draw(st.integers(1, 9))
    n_channels = draw(st.sampled_from([1, 2, 7, 63, 64, 65, 128, 257, 300, 777]))
    layout = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    filled = draw(st.sampled_from(FILLS))
    dtype = draw(st.sampled_from(dtypes))
    return layout(random_counts(rng, (2 * n, 2 * n_channels + 6), dtype, filled))


def check_gather(block, bins, n_bins):
    n, n_channels = block.shape
    before = block.copy(), bins.copy()
    channel_sum = np.linspace(0, 1, n_channels)
    row_sum, binned, minimum, maximum = gather(block, bins, n_bins, channel_sum)
    assert np.array_equal(block, before[0]) and np.array_equal(bins, before[1])
    kept = bins >= 0
    values = block.astype(np.int64)[:, kept]
    expected = np.linspace(0, 1, n_channels)
    expected[kept] += values.sum(axis=0)
    np.testing.assert_array_equal(channel_sum, expected)
    np.testing.assert_array_equal(row_sum, values.sum(axis=1))
    sums = np.zeros((n_bins, n), dtype=np.int64)
    np.add.at(sums, bins[kept], values.T)
    np.testing.assert_array_equal(binned, sums.T.astype(np.float32))
    assert (row_sum.dtype, binned.dtype) == (np.float64, np.float32)
    assert minimum == values.min(initial=2**62) or not values.size
    assert maximum == values.max(initial=-(2**62)) or not values.size
    if not values.size:
        assert (minimum, maximum) == (np.inf, -np.inf)


@settings(max_examples=150, deadline=None)
@given(
    blocks(COUNTS), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.9, 1.0]), st.integers(0, 99)
)
def test_gather_sums_as_numpy_does(block, n_bins, excluded, seed):
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, n_bins, block.shape[1], dtype=np.int32)
    bins[rng.random(block.shape[1]) < excluded] = -1
    check_gather(block, bins, n_bins)


@pytest.mark.parametrize("filled", FILLS)
def test_gather_goes_on_after_a_stretch(filled):
    rng = np.random.default_rng(3)
    n_channels = 2 * count_kernels.STRETCH + 77
    block = random_counts(rng, (3, n_channels), "uint16", filled)
    block[1] = 0
    block[2, count_kernels.STRETCH :] = 5
    bins = (np.arange(n_channels) // 50).astype(np.int32)
    bins[::7] = -1
    check_gather(block, bins, int(bins.max()) + 1)


def test_gather_takes_more_bins_than_two_bytes_can_number():
    block = np.ones((1, 70001), dtype=np.uint8)
    check_gather(block, np.arange(70001, dtype=np.int32)[::-1].copy(), 70001)


def test_gather_does_not_see_excluded_channels():
    block = np.full((4, 100), 7, dtype=np.uint16)
    block[:, 13] = 60000
    block[:, 14] = 0
    bins = np.zeros(100, dtype=np.int32)
    bins[13:15] = -1
    _, binned, minimum, maximum = gather(block, bins, 1, np.zeros(100))
    assert (minimum, maximum) == (7, 7)
    assert binned.tolist() == [[98 * 7]] * 4


def test_gather_of_nothing_has_no_extremes():
    row_sum, binned, minimum, maximum = gather(
        np.zeros((0, 5), dtype=np.uint8), np.zeros(5, dtype=np.int32), 1, np.zeros(5)
    )
    assert (row_sum.shape, binned.shape) == ((0,), (0, 1))
    assert (minimum, maximum) == (np.inf, -np.inf)


@settings(max_examples=150, deadline=None)
@given(blocks(REALS), st.sampled_from([0, 1, 16, 19, 65]), st.integers(0, 99))
def test_products_are_those_of_numpy(block, width, seed):
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((len(block), width), dtype=np.float32)
    wide = widened(left)
    out = rng.standard_normal((block.shape[1], lanes(width)), dtype=np.float32)
    before, expected = (block.copy(), left.copy()), out.astype(np.float64)
    add_products(Listing().of(block), wide, out)
    assert np.array_equal(block, before[0]) and np.array_equal(left, before[1])
    exact = block.astype(np.float64)
    size = np.abs(exact).T @ np.abs(wide) + np.abs(expected)
    expected += exact.T @ wide.astype(np.float64)
    assert np.all(np.abs(out - expected) <= 1e-5 * size)


@settings(max_examples=100, deadline=None)
@given(blocks(REALS), st.sampled_from([1, 16, 19]), st.integers(0, 99))
def test_vectors_are_multiplied_as_numpy_does(block, width, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((block.shape[1], width), dtype=np.float32)
    found = multiply(Listing().of(block), widened(vectors))[:, :width]
    exact = block.astype(np.float64)
    size = np.abs(exact) @ np.abs(vectors)
    assert np.all(np.abs(found - exact @ vectors.astype(np.float64)) <= 1e-5 * size)


@settings(max_examples=100, deadline=None)
@given(blocks(REALS), st.integers(0, 99))
def test_a_list_holds_all_that_is_summed(block, seed):
    weight = np.random.default_rng(seed).random(len(block))
    found = summarise(Listing().of(block), weight)
    exact = block.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(
        found.channel_sum, exact.sum(axis=0), atol=1e-6 * np.abs(exact).max()
    )
    np.testing.assert_allclose(found.total, exact.sum(axis=1), atol=1e-6 * np.abs(exact).max())
    np.testing.assert_allclose(found.channel_square, weight @ exact**2)
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())


def test_lists_are_made_in_the_same_memory():
    listing, rng = Listing(), np.random.default_rng(0)
    for filled in (0.2, 0.1, 0.9):
        block = random_counts(rng, (7, 200), "uint16", filled)
        listed = listing.of(block)
        rows = np.repeat(np.arange(7), np.diff(listed.starts[:, [0, -1]], axis=1)[:, 0])
        again = np.zeros(block.shape)
        again[rows, listed.channels] = listed.values
        np.testing.assert_array_equal(again, block.astype(np.float32))
        assert np.shares_memory(listed.values, listing.of(block).values)


@settings(max_examples=150, deadline=None)
@given(blocks(REALS))
def test_the_gram_matrix_is_that_of_numpy(block):
    n_channels = block.shape[1]
    before, out = block.copy(), np.full((n_channels, n_channels), 0.5, dtype=np.float32)
    add_gram(Listing().of(block), out)
    assert np.array_equal(block, before)
    exact = block.astype(np.float64)
    size = np.abs(exact).T @ np.abs(exact) + 0.5
    expected = 0.5 + np.triu(exact.T @ exact)
    assert np.all(np.abs(out - expected) <= 1e-5 * size)
    below = np.tril_indices(n_channels, -1)
    assert np.all(out[below] == 0.5)


def test_empty_blocks_add_nothing():
    nothing = Listing().of(np.zeros((0, 5), dtype=np.uint16))
    out = np.full((5, 16), 2.0, dtype=np.float32)
    add_products(nothing, np.zeros((0, 16), dtype=np.float32), out)
    assert np.all(out == 2)
    gram = np.full((5, 5), 2.0, dtype=np.float32)
    add_gram(nothing, gram)
    assert np.all(gram == 2)


@pytest.mark.parametrize("shape", [(300, 20), (300, 16)])
def test_what_would_be_overrun_is_refused(shape):
    listed = Listing().of(np.ones((20, 300), dtype=np.uint16))
    left = np.zeros((20, shape[1]), dtype=np.float32)
    with pytest.raises(ValueError, match="multiple of 16 columns.*Pad it"):
        add_products(listed, left, np.zeros(shape[::-1], dtype=np.float32).T)


@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32", "bool"])
def test_fill_is_estimated_from_a_few_rows(dtype):
    block = random_counts(np.random.default_rng(5), (500, 4000), dtype, 0.1)
    share = np.count_nonzero(block) / block.size
    assert fill(block) == pytest.approx(share, rel=0.05)
    assert fill(block, n_rows=500) == share


def test_fill_looks_at_all_parts_of_a_block():
    block = np.zeros((80, 10), dtype=np.uint8)
    block[40:] = 1
    assert fill(block) == 0.5
    assert fill(block[:1]) == 0 and fill(block[40:43]) == 1
    assert fill(block[:0]) == 0 and fill(block[:, :0]) == 0


@pytest.mark.parametrize("layout", ["whole", "odd offset", "read-only", "repeated"])
def test_rows_that_are_contiguous_are_not_copied(layout):
    block = LAYOUTS[layout](np.arange(20 * 200, dtype=np.uint16).reshape(20, 200))
    flat, places = nonzero.as_rows(block)
    assert np.shares_memory(flat, block)
    assert not flat.flags.writeable
    for r, row in enumerate(block):
        assert np.array_equal(flat[places[r] : places[r] + block.shape[1]], row)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.sampled_from(FILLS), st.integers(0, 99))
def test_lists_tell_what_is_not_zero(n_channels, filled, seed):
    block = random_counts(np.random.default_rng(seed), (4, n_channels), "uint16", filled)
    channels, values, starts, width = Listing().of(block)
    rows, expected = np.nonzero(block)
    assert width == n_channels
    assert np.array_equal(channels, expected)
    assert np.array_equal(values, block[rows, expected].astype(np.float32))
    assert starts.shape == (4, -(-n_channels // 64) + 1)
    for r in range(4):
        for t in range(starts.shape[1]):
            assert starts[r, t] == np.count_nonzero(
                (rows < r) | ((rows == r) & (expected < 64 * t))
            )
