"""Sums of blocks of numbers, against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.float_kernels import add_squares, gather_floats


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 70),
    st.sampled_from(["float16", "float32", "float64"]),
    st.integers(1, 5),
    st.booleans(),
    st.integers(0, 99),
)
def test_floats_are_gathered_as_numpy_does(n, channels, dtype, n_bins, whole, seed):
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(2 * n, channels)).astype(dtype)[::2]
    block = np.rint(9 * block) if whole else block
    bins = rng.integers(0, n_bins, channels, dtype=np.int32)
    found = gather_floats(block, bins, n_bins)
    exact = block.astype(np.float64)
    np.testing.assert_allclose(found.channel_sum, exact.sum(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.total, exact.sum(axis=1), atol=1e-9)
    sums = [exact[:, bins == k].sum(axis=1) for k in range(n_bins)]
    np.testing.assert_allclose(found.binned, np.transpose(sums), rtol=1e-5, atol=1e-5)
    assert (found.minimum, found.maximum) == (block.min(), block.max())
    assert found.whole == bool((exact == np.rint(exact)).all())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_noticed(bad):
    block = np.ones((3, 40), np.float32)
    block[2, 33] = bad
    assert gather_floats(block, np.zeros(40, np.int32), 1) is None


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "uint32"])
def test_squares_are_weighted(dtype):
    rng = np.random.default_rng(0)
    block = rng.integers(-50, 50, (7, 33)).astype(dtype)
    weight, out = rng.random(7), np.ones(33)
    add_squares(block, weight, out)
    expected = 1 + weight @ block.astype(np.float32).astype(np.float64) ** 2
    np.testing.assert_allclose(out, expected, rtol=1e-6)
