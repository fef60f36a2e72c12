import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.survey import Survey, one_count

seeds = st.integers(0, 2**32 - 1)


def in_blocks(survey, data, order, cuts):
    for rows in np.split(order, cuts):
        if rows.size:
            survey.update(rows, data[rows])
    return survey


@settings(max_examples=40, deadline=None)
@given(
    seeds,
    st.lists(st.integers(1, 16), max_size=4),
    st.sampled_from(["u1", ">u2", "i4", "f4", ">f8"]),
)
def test_blocks_in_any_order_give_the_facts_of_the_whole(seed, cuts, dtype):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 200, size=(17, 6)).astype(dtype)
    weight = rng.random(17)
    probe = rng.standard_normal((6, 3), dtype=np.float32)
    kept = data.copy()
    survey = in_blocks(Survey(17, 6, probe, weight), data, rng.permutation(17), sorted(cuts))
    exact = data.astype(float)
    np.testing.assert_allclose(survey.channel_sum, exact.sum(axis=0))
    np.testing.assert_allclose(survey.total, exact.sum(axis=1))
    weighted = np.sqrt(weight)[:, None] * exact
    np.testing.assert_allclose(survey.channel_square, np.sum(weighted**2, axis=0), rtol=1e-5)
    scale = np.abs(exact).max() ** 2 * 17
    np.testing.assert_allclose(survey.sketch, weighted.T @ weighted @ probe, atol=1e-5 * scale)
    assert (survey.minimum, survey.maximum) == (exact.min(), exact.max())
    assert survey.whole_numbers
    assert survey.count == 1.0
    assert survey.n_not_finite == 0
    np.testing.assert_array_equal(data, kept)


def test_sums_do_not_overflow_the_type_of_the_data():
    survey = Survey(1000, 2)
    survey.update(np.arange(1000), np.full((1000, 2), 255, dtype=np.uint8))
    np.testing.assert_array_equal(survey.channel_sum, [255_000, 255_000])
    np.testing.assert_array_equal(survey.total, np.full(1000, 510.0))
    np.testing.assert_allclose(survey.channel_square, 1000 * 255.0**2)


def test_the_identity_as_probe_gives_the_gram_matrix():
    data = np.random.default_rng(0).standard_normal((50, 5))
    survey = Survey(50, 5, np.eye(5, dtype=np.float32))
    survey.update(np.arange(50), data)
    np.testing.assert_allclose(survey.sketch, data.T @ data, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_the_first_is_located(bad):
    data = np.ones((10, 4), dtype=np.float32)
    data[6, 2] = data[6, 3] = data[8, 0] = bad
    survey = in_blocks(Survey(10, 4), data, np.arange(10), [5, 8])
    assert survey.n_not_finite == 3
    assert survey.first_not_finite == (6, 2)


def test_fractions_are_noticed_in_any_block():
    data = np.ones((6, 3))
    data[5, 1] = 0.5
    assert not in_blocks(Survey(6, 3), data, np.arange(6), [3]).whole_numbers


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(1e-2, 1e2))
def test_one_count_is_found_in_flat_counts_of_any_unit(seed, unit):
    counts = np.random.default_rng(seed).poisson(4.0, size=(60, 40))
    assert one_count(unit * counts) == pytest.approx(unit, rel=0.2)


@pytest.mark.parametrize("shape", [(5, 1), (3, 4)])
def test_one_count_of_what_does_not_vary_is_one(shape):
    assert one_count(np.full(shape, 2.5)) == 1.0
