import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.survey import Survey

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
    st.booleans(),
)
def test_blocks_in_any_order_give_the_facts_of_the_whole(seed, cuts, dtype, gram):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 200, size=(17, 6)).astype(dtype)
    weight = rng.random(17)
    kept = data.copy()
    survey = in_blocks(Survey(17, 6, weight, gram=gram), data, rng.permutation(17), sorted(cuts))
    exact = data.astype(float)
    np.testing.assert_allclose(survey.channel_sum, exact.sum(axis=0))
    np.testing.assert_allclose(survey.total, exact.sum(axis=1))
    weighted = np.sqrt(weight)[:, None] * exact
    if gram:
        scale = np.abs(exact).max() ** 2 * 17
        np.testing.assert_allclose(survey.take_gram(), weighted.T @ weighted, atol=1e-5 * scale)
    else:
        squares = np.sum(weighted**2, axis=0)
        np.testing.assert_allclose(survey.channel_square, squares, rtol=1e-5)
    assert (survey.minimum, survey.maximum) == (exact.min(), exact.max())
    assert survey.whole_numbers
    assert survey.count == 1.0
    assert survey.n_not_finite == 0
    np.testing.assert_array_equal(data, kept)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["u1", "i4", "f8"]), st.booleans(), st.integers(1, 16))
def test_parts_of_positions_and_channels_add_up(seed, dtype, by_channel, cut):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 40_000 if dtype == "i4" else 200, size=(17, 20)).astype(dtype)
    data = data / 2 if dtype == "f8" else data
    bins = rng.integers(0, 4, 20).astype(np.int32)
    bins[:4] = np.arange(4)

    def empty():
        return Survey(17, 20, bins=bins)

    whole, first, second = empty(), empty(), empty()
    rows, channels = np.arange(17), np.arange(20)
    whole.update(rows, data)
    if by_channel:
        first.update(rows, data[:, :cut], channels[:cut])
        second.update(rows, data[:, cut:], channels[cut:])
    else:
        first.update(rows[:cut], data[:cut])
        second.update(rows[cut:], data[cut:])
    joint = first.plus(second)
    for name in ("channel_sum", "channel_square", "total"):
        np.testing.assert_allclose(getattr(joint, name), getattr(whole, name), rtol=1e-6)
    assert (joint.minimum, joint.maximum) == (whole.minimum, whole.maximum)
    assert joint.whole_numbers == whole.whole_numbers
    sums = np.stack([data[:, bins == b].sum(axis=1) for b in range(4)], axis=1)
    np.testing.assert_allclose(joint.take_binned(), sums, rtol=1e-6)
    np.testing.assert_allclose(whole.take_binned(), sums, rtol=1e-6)


@pytest.mark.parametrize("fill", [0.05, 1.0])
def test_what_is_absorbed_is_the_same_and_used_up(fill):
    rng = np.random.default_rng(0)
    data = (rng.integers(1, 50, (40, 60)) * (rng.random((40, 60)) < fill)).astype("u2")

    def parts():
        for rows in (np.arange(15), np.arange(15, 40)):
            part = Survey(40, 60, gram=True)
            part.update(rows, data[rows])
            yield part

    expected = Survey.plus(*parts())
    first, second = parts()
    joint = first.absorb(second)
    np.testing.assert_array_equal(joint.take_gram(), expected.take_gram())
    np.testing.assert_array_equal(joint.total, data.sum(axis=1))
    assert not first.has_gram and not second.has_gram


def test_pairs_of_neighbours_come_from_all_parts_up_to_a_limit():
    data = np.arange(2000.0).reshape(500, 4)
    parts = []
    for start in range(0, 500, 100):
        part = Survey(500, 4)
        part.update(np.arange(start, start + 100), data[start : start + 100])
        parts.append(part)
    joint = parts[0]
    for part in parts[1:]:
        joint = joint.plus(part)
    first, second = joint.neighbours
    assert first.shape == second.shape == (5 * 50, 4)
    np.testing.assert_array_equal(second - first, 4.0)


def test_positions_without_counts_can_be_left_out():
    data = np.arange(20).reshape(5, 4)
    bins = np.array([0, 0, 1, 1], dtype=np.int32)
    survey = Survey(5, 4, bins=bins)
    survey.update(np.array([3, 4, 0]), data[[3, 4, 0]])
    survey.update(np.array([1, 2]), data[[1, 2]])
    empty = np.array([False, True, False, True, False])
    survey.without(empty)
    kept = data[~empty]
    np.testing.assert_array_equal(survey.total, kept.sum(axis=1))
    np.testing.assert_array_equal(survey.take_binned(), kept.reshape(3, 2, 2).sum(axis=2))


def test_sums_do_not_overflow_the_type_of_the_data():
    survey = Survey(1000, 2)
    survey.update(np.arange(1000), np.full((1000, 2), 255, dtype=np.uint8))
    np.testing.assert_array_equal(survey.channel_sum, [255_000, 255_000])
    np.testing.assert_array_equal(survey.total, np.full(1000, 510.0))
    np.testing.assert_allclose(survey.channel_square, 1000 * 255.0**2)


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
