import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from hyperfuse_hs.algorithms.rotation import orthomax, orthomax_criterion

seeds = st.integers(0, 2**32 - 1)


def turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(1, 30), st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_rotation_is_orthogonal_and_the_criterion_never_falls(seed, n_channels, p, gamma):
    loadings = np.random.default_rng(seed).standard_normal((n_channels, p))
    rotation = orthomax(loadings, gamma)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(p), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    before = orthomax_criterion(loadings, gamma)
    after = orthomax_criterion(loadings @ rotation, gamma)
    assert after >= before - 1e-12 * np.sum(loadings**4)


@settings(max_examples=50, deadline=None)
@given(seeds, st.integers(2, 5), st.sampled_from([0.0, 1.0, 2.0]))
def test_result_is_stationary(seed, p, gamma):
    loadings = np.random.default_rng(seed).standard_normal((20, p))
    turned = loadings @ orthomax(loadings, gamma)
    inner = turned**3 - gamma / len(turned) * turned * np.sum(turned**2, axis=0)
    slope = turned.T @ inner
    np.testing.assert_allclose(slope, slope.T, atol=1e-6 * np.sum(loadings**4))


@pytest.mark.parametrize("gamma", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_two_factors_reach_the_best_angle_there_is(seed, gamma):
    loadings = np.random.default_rng(seed).standard_normal((40, 2))
    angles = np.linspace(0, np.pi / 2, 200)
    best = max(
        -minimize_scalar(
            lambda angle: -orthomax_criterion(loadings @ turn(angle), gamma),
            bounds=(low, low + angles[1]),
            method="bounded",
        ).fun
        for low in angles
    )
    found = orthomax_criterion(loadings @ orthomax(loadings, gamma), gamma)
    assert found == pytest.approx(best, rel=1e-9)


def test_factors_that_do_not_overlap_come_back_from_a_random_rotation():
    rng = np.random.default_rng(0)
    simple = np.zeros((60, 4))
    for k in range(4):
        simple[15 * k : 15 * (k + 1), k] = rng.uniform(0.5, 2, 15)
    mixed = simple @ np.linalg.qr(rng.standard_normal((4, 4)))[0]
    before = mixed.copy()
    found = mixed @ orthomax(mixed)
    np.testing.assert_array_equal(mixed, before)
    order = np.argmax(np.abs(simple.T @ found), axis=1)
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(np.abs(found[:, order]), simple, atol=1e-8)


@pytest.mark.parametrize("factor", [1e-100, 1e50])
def test_units_do_not_matter(factor):
    loadings = np.random.default_rng(1).standard_normal((30, 3))
    np.testing.assert_allclose(orthomax(loadings * factor), orthomax(loadings), atol=1e-7)


def test_a_tie_is_broken_and_not_taken_for_the_end():
    # Both columns equal in square: the slope is zero here, at the minimum of the criterion.
    loadings = np.array([[1.0, 1.0], [1.0, -1.0]])
    found = loadings @ orthomax(loadings)
    np.testing.assert_allclose(np.sort(np.abs(found), axis=1), [[0, 2**0.5]] * 2, atol=1e-12)


def test_one_factor_and_flat_criteria_stay_as_they_are():
    np.testing.assert_array_equal(orthomax(np.ones((5, 1))), [[1.0]])
    np.testing.assert_array_equal(orthomax(np.zeros((5, 3))), np.eye(3))
    angles = np.arange(16) * np.pi / 8
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    np.testing.assert_array_equal(orthomax(circle), np.eye(2))


@pytest.mark.parametrize(
    ("loadings", "gamma", "message"),
    [
        (np.ones(3), 1.0, r"Got shape \(3,\)"),
        (np.ones((0, 3)), 1.0, r"Got shape \(0, 3\)"),
        (np.full((2, 2), np.nan), 1.0, "loadings and gamma are expected to be finite"),
        (np.ones((2, 2)), np.inf, "loadings and gamma are expected to be finite"),
    ],
)
def test_bad_input_is_explained(loadings, gamma, message):
    with pytest.raises(ValueError, match=message):
        orthomax(loadings, gamma)
