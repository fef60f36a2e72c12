import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hyperfuse_hs.algorithms.noise import (
    FEW_COUNTS,
    difference_variance,
    effective_channels,
    one_count,
    poisson_variance,
)

sums = arrays(float, st.integers(1, 30), elements=st.floats(0, 1e6))


@given(sums, st.integers(1, 10**4))
def test_variance_is_the_mean_of_each_channel_but_for_few_counts(channel_sum, n):
    variance = poisson_variance(channel_sum, n)
    enough = channel_sum >= FEW_COUNTS
    np.testing.assert_allclose(variance[enough], channel_sum[enough] / n)
    np.testing.assert_allclose(variance[~enough], FEW_COUNTS / n)


@given(sums, st.integers(1, 10**4), st.floats(1e-3, 1e3))
def test_variance_follows_the_unit_of_the_data(channel_sum, n, unit):
    """In units of which one count is `unit`, Poisson noise has variance unit times mean."""
    scaled = poisson_variance(unit * channel_sum, n, unit)
    np.testing.assert_allclose(scaled, unit * poisson_variance(channel_sum, n))


def test_division_brings_poisson_noise_to_unit_variance():
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.geomspace(0.2, 300, 12), size=(4000, 12))
    variance = np.var(counts, axis=0) / poisson_variance(counts.sum(axis=0), 4000)
    np.testing.assert_allclose(variance, 1.0, atol=0.12)


@given(sums)
def test_channels_are_counted_by_the_noise_they_hold(variance):
    count = effective_channels(variance, np.maximum(variance, 1.0))
    assert 1.0 <= count <= max(1, variance.size)
    np.testing.assert_allclose(count, max(1.0, np.minimum(variance, 1.0).sum()))


def test_full_channels_count_one_each_and_empty_ones_nothing():
    variance = np.array([5.0, 2.0, 0.0, 0.0])
    assert effective_channels(variance, np.array([5.0, 2.0, 1.0, 1.0])) == 2.0


@pytest.mark.parametrize("shape", [(4000,), (70, 60), (16, 16, 16)])
def test_variance_of_a_noisy_map_with_edges(shape):
    rng = np.random.default_rng(1)
    image = 3.0 * rng.standard_normal(shape)
    image[: shape[0] // 2] += 200.0
    found = difference_variance(image, np.zeros(shape, bool))
    # The edge is in some of the differences, so that the median is a little too large.
    assert found == pytest.approx(9.0, rel=0.2)


def test_a_plane_has_no_noise():
    y, x = np.mgrid[:9, :11]
    assert difference_variance(2.0 * y - 3.0 * x, np.zeros((9, 11), bool)) < 1e-20


def test_excluded_positions_do_not_count_as_noise():
    rng = np.random.default_rng(2)
    image = rng.standard_normal((40, 40))
    excluded = rng.random((40, 40)) < 0.3
    image[excluded] = 1e9
    spoilt = image.copy()
    spoilt[excluded] = np.nan
    found = difference_variance(image, excluded)
    assert found == difference_variance(spoilt, excluded)
    assert found == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("shape", [(2,), (2, 2), (1, 1)])
def test_maps_without_three_positions_in_a_row_have_none_to_show(shape):
    assert difference_variance(np.ones(shape), np.zeros(shape, bool)) == 0.0


@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_variance_of_a_map_scales_and_ignores_an_offset(seed, factor, offset):
    image = np.random.default_rng(seed).standard_normal((8, 9))
    none = np.zeros(image.shape, bool)
    expected = factor**2 * difference_variance(image, none)
    found = difference_variance(factor * image + offset, none)
    assert found == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-2, 1e2))
def test_one_count_is_found_in_flat_counts_of_any_unit(seed, unit):
    counts = np.random.default_rng(seed).poisson(4.0, size=(60, 40))
    assert one_count(unit * counts) == pytest.approx(unit, rel=0.2)


@pytest.mark.parametrize("shape", [(5, 1), (3, 4)])
def test_one_count_of_what_does_not_vary_is_one(shape):
    assert one_count(np.full(shape, 2.5)) == 1.0
