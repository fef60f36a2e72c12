from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms import purify
from hyperfuse_hs.algorithms.purify import amounts_to_cancel, largest_amounts, subtract

seeds = st.integers(0, 2**32 - 1)


def mixed_core(rng, p=3, channels=30, part=0.4):
    """Factors with component 0 mixed with the others: what a buried core looks like."""
    pure = rng.gamma(0.3, size=(p, channels))
    pure[0, : channels // 3] = 0.0
    mixed = pure.copy()
    shares = part * rng.dirichlet(np.ones(p - 1))
    mixed[0] = (1 - part) * pure[0] + shares @ pure[1:]
    return pure, mixed, shares


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(2, 5), st.data())
def test_amounts_cancel_the_feature(seed, p, data):
    component = data.draw(st.integers(0, p - 1))
    intensities = np.random.default_rng(seed).uniform(1.0, 5.0, p)
    intensities[component] *= 0.15
    amounts = amounts_to_cancel(intensities, component)
    assert amounts[component] == 0
    assert (amounts >= 0).all()
    mixing, _ = subtract(amounts, component, p)
    assert (mixing @ intensities)[component] == pytest.approx(0.0, abs=1e-9)


def test_amounts_ignore_components_with_less_than_nothing_of_the_feature():
    np.testing.assert_allclose(amounts_to_cancel(np.array([1.0, 4.0, -2.0]), 0), [0, 0.25, 0])


@pytest.mark.parametrize("target", [0.0, -3.0])
def test_a_component_without_the_feature_cannot_be_freed_of_it(target):
    with pytest.raises(ValueError, match=r"Expected component 1 to have some.*nothing to subtract"):
        amounts_to_cancel(np.array([2.0, target, 1.0]), 1)


@pytest.mark.parametrize("intensities", [[1.0, 0.0, -1.0], [3.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
def test_a_feature_that_is_not_stronger_elsewhere_cannot_be_cancelled(intensities):
    with pytest.raises(ValueError, match=r"Component 0 cannot be freed.*stronger in another"):
        amounts_to_cancel(np.array(intensities), 0)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 5), st.floats(0.0, 0.2))
def test_largest_amounts_keep_the_factor_above_the_slack(seed, p, slack):
    rng = np.random.default_rng(seed)
    _, mixed, shares = mixed_core(rng, p)
    kept = mixed.copy()
    amounts = largest_amounts(mixed, np.full(30, slack), 0)
    assert amounts[0] == 0
    assert (amounts >= 0).all()
    assert amounts.sum() < 1
    assert (mixed[0] - amounts @ mixed).min() >= -slack - 1e-7
    # What was mixed in can be taken out again, so the optimum is at least that.
    assert amounts.sum() >= shares.sum() - 1e-7
    np.testing.assert_array_equal(mixed, kept)


def test_largest_amounts_are_the_best_of_a_fine_grid():
    rng = np.random.default_rng(1)
    _, mixed, _ = mixed_core(rng)
    amounts = largest_amounts(mixed, np.zeros(30), 0)
    grid = np.linspace(0, 1, 201)
    feasible = [
        a + b
        for a, b in product(grid, grid)
        if a + b < 1 and (mixed[0] - a * mixed[1] - b * mixed[2]).min() >= 0
    ]
    assert max(feasible) <= amounts.sum() + 1e-9
    assert max(feasible) == pytest.approx(amounts.sum(), abs=0.015)


def test_channels_without_room_allow_nothing():
    factors = np.array([[0.0, 1.0], [1.0, 0.1]])
    assert not largest_amounts(factors, np.zeros(2), 0).any()


def test_a_single_component_has_nothing_to_subtract():
    np.testing.assert_array_equal(largest_amounts(np.ones((1, 4)), np.zeros(4), 0), [0.0])


def test_a_pure_component_is_left_alone():
    assert not largest_amounts(np.eye(3), np.zeros(3), 1).any()


def test_more_slack_allows_more():
    _, mixed, _ = mixed_core(np.random.default_rng(2))
    sums = [largest_amounts(mixed, np.full(30, s), 0).sum() for s in (0.0, 0.01, 0.1)]
    assert sums == sorted(sums)
    assert sums[-1] > sums[0]


@pytest.mark.parametrize("channels", [1, 7, 60])
def test_channels_taken_in_turns_give_the_same_amounts(monkeypatch, channels):
    _, mixed, _ = mixed_core(np.random.default_rng(3), channels=400)
    expected = largest_amounts(mixed, np.zeros(400), 0)
    monkeypatch.setattr(purify, "MAX_CHANNELS", channels)
    np.testing.assert_allclose(largest_amounts(mixed, np.zeros(400), 0), expected, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 6), st.data())
def test_subtraction_leaves_the_model_and_the_unit_sum_as_they_are(seed, p, data):
    rng = np.random.default_rng(seed)
    component = data.draw(st.integers(0, p - 1))
    amounts = rng.uniform(0, 0.9 / p, p)
    amounts[component] = 0
    mixing, inverse = subtract(amounts, component, p)
    abundances, factors = rng.dirichlet(np.ones(p), 20), rng.random((p, 9))
    np.testing.assert_allclose(
        (abundances @ inverse) @ (mixing @ factors), abundances @ factors, atol=1e-10
    )
    np.testing.assert_allclose((abundances @ inverse).sum(axis=1), 1.0, atol=1e-10)
    assert (abundances @ inverse >= -1e-12).all()
    others = np.arange(p) != component
    np.testing.assert_array_equal((mixing @ factors)[others], factors[others])


def test_subtracting_what_was_mixed_in_brings_the_pure_factor_back():
    pure, mixed, shares = mixed_core(np.random.default_rng(4))
    mixing, _ = subtract(np.concatenate([[0.0], shares]), 0, 3)
    np.testing.assert_allclose(mixing @ mixed, pure, atol=1e-12)
