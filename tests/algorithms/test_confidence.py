"""Laws of intervals near bounds, and the table of the paper they come from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.confidence import bounded_interval

LEVELS = (0.6827, 0.9, 0.95)


@pytest.mark.parametrize(
    ("estimate", "ends"),
    [
        # Feldman and Cousins, Table X.
        (-3.0, [(0.0, 0.04), (0.0, 0.26), (0.0, 0.42)]),
        (0.0, [(0.0, 1.0), (0.0, 1.64), (0.0, 1.96)]),
        (1.0, [(0.24, 2.0), (0.0, 2.64), (0.0, 2.96)]),
        (2.0, [(1.0, 3.0), (0.58, 3.64), (0.35, 3.96)]),
        (3.0, [(2.0, 4.0), (1.37, 4.64), (1.14, 4.96)]),
    ],
)
def test_intervals_are_those_of_the_paper(estimate, ends):
    found = [bounded_interval(np.array(estimate), np.array(1.0), v, 0.0) for v in LEVELS]
    np.testing.assert_allclose(found, ends, atol=0.006)


@pytest.mark.parametrize("level", [0.68, 0.95])
@pytest.mark.parametrize("truth", [0.0, 0.02, 0.3, 0.95, 1.0])
def test_intervals_hold_the_truth_as_often_as_stated(level, truth):
    estimates = truth + 0.1 * np.random.default_rng(0).standard_normal(20_000)
    lower, upper = bounded_interval(estimates, np.full(20_000, 0.1), level, 0.0, 1.0)
    assert np.mean((lower <= truth) & (truth <= upper)) == pytest.approx(level, abs=0.012)


@given(
    estimate=st.floats(-3, 4),
    error=st.floats(1e-6, 3),
    level=st.floats(0.5, 0.999),
    bounded=st.booleans(),
)
def test_intervals_are_never_empty_and_lie_within_the_bounds(estimate, error, level, bounded):
    low, high = (0.0, 1.0) if bounded else (-np.inf, np.inf)
    lower, upper = bounded_interval(np.array(estimate), np.array(error), level, low, high)
    assert low <= lower <= upper <= high
    assert lower <= np.clip(estimate, low, high) + 1e-9
    assert upper >= np.clip(estimate, low, high) - 1e-9


@given(estimate=st.floats(-0.5, 1.5), error=st.floats(1e-3, 0.3), level=st.floats(0.5, 0.99))
def test_what_is_missing_of_one_has_the_mirrored_interval(estimate, error, level):
    lower, upper = bounded_interval(np.array(estimate), np.array(error), level, 0.0, 1.0)
    low, high = bounded_interval(np.array(1 - estimate), np.array(error), level, 0.0, 1.0)
    np.testing.assert_allclose([low, high], [1 - upper, 1 - lower], atol=2e-3 * max(1, error))


def test_far_from_bounds_intervals_are_the_usual_ones():
    lower, upper = bounded_interval(np.array([0.5]), np.array([0.01]), 0.95, 0.0, 1.0)
    np.testing.assert_allclose([lower, upper], [[0.5 - 0.0196], [0.5 + 0.0196]], atol=1e-5)


def test_without_error_nothing_is_left_open_and_nan_stays():
    estimates, errors = np.array([0.3, np.nan, 0.2, -0.1]), np.array([0.0, 0.1, np.nan, 0.0])
    for end in bounded_interval(estimates, errors, 0.68, 0.0, 1.0):
        np.testing.assert_array_equal(end, [0.3, np.nan, np.nan, 0.0])
