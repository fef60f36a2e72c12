"""Laws of the correlation without background, and of means over channels, circles and rings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.matching import (
    channel_means,
    partial_correlations,
    polynomials,
    radial_means,
    ring_profile,
)

seeds = st.integers(0, 999)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.01, 100), st.integers(0, 4))
def test_size_and_background_do_not_matter(seed, size, degree):
    rng = np.random.default_rng(seed)
    curves, references = rng.standard_normal((3, 40)), rng.standard_normal((2, 40))
    basis, weights = polynomials(40, degree), rng.uniform(0.1, 1, 40)
    found = partial_correlations(curves, references, basis, weights)
    moved = size * curves + rng.standard_normal((3, degree + 1)) @ basis
    again = partial_correlations(moved, references, basis, weights)
    np.testing.assert_allclose(again, found, atol=1e-9)
    assert np.abs(found).max() <= 1 + 1e-12


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_it_is_what_a_fit_of_reference_and_background_leaves(seed):
    rng = np.random.default_rng(seed)
    curve, reference = rng.standard_normal((2, 30))
    basis, weights = polynomials(30, 2), rng.uniform(0.1, 1, 30)
    root = np.sqrt(weights)

    def left(design):
        fitted = np.linalg.lstsq((design * root).T, curve * root, rcond=None)[0]
        return np.sum((curve - fitted @ design) ** 2 * weights)

    found = partial_correlations(curve[None], reference[None], basis, weights)[0, 0]
    assert 1 - found**2 == pytest.approx(left(np.vstack([basis, reference])) / left(basis))


def test_what_is_all_background_correlates_with_nothing():
    basis = polynomials(30, 3)
    found = partial_correlations(basis[2:3], np.eye(30)[:4], basis, np.ones(30))
    assert not found.any()


def test_means_over_channels_keep_integrals():
    edges = np.linspace(0, 10, 41)
    density = np.random.default_rng(0).uniform(0, 1, 40)
    wide = np.array([[0, 3.3], [3.3, 6.1], [6.1, 10.0], [9.0, 11.0]])
    found = channel_means(wide, edges, density)
    assert np.isnan(found[3])
    total = np.sum(found[:3] * np.diff(wide[:3], axis=1)[:, 0])
    assert total == pytest.approx(np.sum(density) / 4)
    same = np.column_stack([edges[:-1], edges[1:]])
    np.testing.assert_allclose(channel_means(same, edges, density), density)


def test_means_over_circles_leave_out_nan():
    radii = np.array([0.5, 0.6, 1.5, 1.6, 5.0])
    values = np.array([[1.0, 3.0, np.nan, 4.0, 9.0], [1.0, 1.0, np.nan, np.nan, 1.0]])
    means, counts = radial_means(values, radii, np.arange(3.0))
    np.testing.assert_array_equal(means, [[2, 4], [1, np.nan]])
    np.testing.assert_array_equal(counts, [[2, 1], [2, 0]])


def test_rings_have_their_power():
    k = np.linspace(1e-4, 2, 20001)
    profile = ring_profile(k, np.array([0.5, 1.1]), np.array([3.0, 2.0]), 0.05)
    power = np.sum(2 * np.pi * k * profile) * (k[1] - k[0])
    assert power == pytest.approx(5.0, rel=1e-3)
    assert not profile[(k > 0.56) & (k < 1.04)].any()
