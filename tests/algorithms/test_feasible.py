"""The end of a range: it holds the truth as often as promised, and is not much wider."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms import feasible
from hyperfuse_hs.algorithms.factor_noise import FactorEstimate, counting_covariance

SHARED = 0.3


def pure_factors(channels=200):
    channel = np.arange(channels)
    core, oxide = np.zeros(channels), np.zeros(channels)
    core[: channels // 2] = 3.0
    oxide[channels // 3 :] = 4.0
    oxide += 30 * np.exp(-0.5 * ((channel - 0.8 * channels) / 4) ** 2)
    return np.array([core, oxide])


def counted(seed, dose=1.0, n=300):
    """Fit factors to counts of which the first component holds part of the second."""
    rng = np.random.default_rng(seed)
    abundances = rng.dirichlet([0.5, 0.5], n)
    pure = pure_factors() * dose
    mixed = np.array([(1 - SHARED) * pure[0] + SHARED * pure[1], pure[1]])
    weights = np.linalg.pinv(abundances)
    fitted = weights @ rng.poisson(abundances @ mixed)
    covariance = counting_covariance(weights, abundances, fitted)
    return FactorEstimate(fitted, covariance, weights, 1.0, (fitted.shape[1],))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 13), max_size=3), st.integers(0, 2**32 - 1))
def test_windows_hold_every_channel_and_the_first_are_the_channels(shape, seed):
    values = np.random.default_rng(seed).normal(size=(2, int(np.prod(shape))))
    sums = feasible.window_sums(values, tuple(shape))
    np.testing.assert_allclose(sums[0], values, atol=1e-12)
    covered = feasible.window_sums(np.eye(values.shape[1]), tuple(shape))
    assert all((level.max(axis=1) > 0.5).all() for level in covered)
    # Each window is a sum of channels, each channel once.
    for level, weights in zip(sums, covered, strict=True):
        np.testing.assert_allclose(level, values @ weights, atol=1e-9)
        assert set(np.round(weights, 9).ravel()) <= {0.0, 1.0}


def test_windows_of_a_square():
    sums = feasible.window_sums(np.ones(64), (8, 8))
    assert [level.max() for level in sums] == pytest.approx([1, 4, 16, 64])
    assert [level.size for level in sums] == [64, 49, 9, 1]


@pytest.mark.parametrize("dose", [1.0, 0.02])
def test_the_truth_lies_inside_and_the_end_is_near(dose):
    ends = np.array(
        [feasible.feasible_amounts([counted(s, dose)], 0, [1])[0][1] for s in range(60)]
    )
    assert np.mean(ends >= SHARED) >= 0.95
    if dose == 1.0:
        assert np.median(ends) < 1.1 * SHARED


def test_a_wide_range_says_what_no_channel_does():
    """Where a hundred channels are a little too low, one at a time does not show it."""
    spread, low = 1.0, 0.8
    factors = np.zeros((2, 256))
    factors[1, 100:200] = low
    rng = np.random.default_rng(0)
    weights = np.zeros((2, 1))
    covariance = np.zeros((2, 2, 256))
    covariance[0, 0] = spread**2
    noisy = factors + [rng.normal(0, spread, 256), np.zeros(256)]
    wide = FactorEstimate(noisy, covariance, weights, 0.0, (256,))
    end = feasible.feasible_amounts([wide], 0, [1])[0][1]
    single = np.min((noisy[0] + 4.5 * spread)[100:200]) / low
    assert end < 0.7 * min(single, 1.0)


def test_the_most_restrictive_modality_ends_the_range():
    one, other = counted(0), counted(1)
    free = FactorEstimate(
        other.factors + [[50.0], [0.0]], other.covariance, other.weights, 1.0, other.shape
    )
    alone, _ = feasible.feasible_amounts([free], 0, [1])
    both, limit = feasible.feasible_amounts([free, one], 0, [1])
    assert limit == 1
    assert both[1] < alone[1]
    assert both[1] == pytest.approx(feasible.feasible_amounts([one], 0, [1])[0][1], rel=0.1)


def test_several_components_reach_the_end_of_largest_sum():
    factors = np.array([[2.0, 2.0, 3.0], [4.0, 0.0, 1.0], [0.0, 8.0, 10.0]])
    exact = FactorEstimate(factors, np.zeros((3, 3, 3)), np.zeros((3, 1)), 0.0, (3,))
    amounts, _ = feasible.feasible_amounts([exact], 0, [1, 2])
    grid = np.linspace(0, 1, 401)
    best = max(
        a + b
        for a, b in product(grid, grid)
        if (factors[0] - a * factors[1] - b * factors[2]).min() >= 0
    )
    assert amounts.sum() == pytest.approx(best, abs=5e-3)
    assert feasible.feasible_amounts([exact], 0, [2])[0][1] == 0


def test_a_factor_that_is_too_low_as_found_gets_no_lower():
    factors = np.array([[5.0, -1.0], [1.0, 1.0]])
    exact = FactorEstimate(factors, np.full((2, 2, 2), 1e-8), np.zeros((2, 1)), 0.0, (2,))
    assert not feasible.feasible_amounts([exact], 0, [1])[0].any()
    assert feasible.surely_negative(exact)


def test_noise_is_not_surely_negative():
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        covariance = np.eye(2)[:, :, None] * np.ones(300)
        noise = FactorEstimate(rng.normal(size=(2, 300)), covariance, np.zeros((2, 1)), 0.0, (300,))
        wrong += feasible.surely_negative(noise)
    assert wrong <= 4
