import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hyperfuse_hs.algorithms.regression import (
    cost_of_signs,
    factors_from_design,
    factors_from_projection,
)

seeds = st.integers(0, 2**32 - 1)


def mixture(seed, p=3, n=50, channels=12):
    rng = np.random.default_rng(seed)
    abundances = rng.dirichlet(np.ones(p), n)
    factors = rng.gamma(0.5, size=(p, channels))
    return rng, abundances, factors


def span(*matrices):
    return np.linalg.qr(np.hstack(matrices))[0]


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 5), st.booleans())
def test_exact_input_gives_exact_factors(seed, p, nonnegative):
    rng, abundances, factors = mixture(seed, p)
    basis = span(abundances, rng.standard_normal((50, 2)))
    projection = basis.T @ (abundances @ factors)
    found = factors_from_projection(basis, projection, abundances, nonnegative=nonnegative)
    np.testing.assert_allclose(found, factors, atol=1e-6 * factors.max())


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_with_the_abundances_in_the_basis_it_is_least_squares_on_all_data(seed):
    rng, abundances, factors = mixture(seed)
    data = abundances @ factors + 0.3 * rng.standard_normal((50, 12))
    basis = span(abundances, rng.standard_normal((50, 4)))
    found = factors_from_projection(basis, basis.T @ data, abundances, nonnegative=False)
    expected = np.linalg.lstsq(abundances, data, rcond=None)[0]
    np.testing.assert_allclose(found, expected, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_nonnegative_factors_are_those_of_scipy(seed):
    rng, abundances, factors = mixture(seed)
    data = abundances @ factors + 0.3 * rng.standard_normal((50, 12))
    basis = span(abundances)
    kept = basis.copy(), data.copy(), abundances.copy()
    found = factors_from_projection(basis, basis.T @ data, abundances, nonnegative=True)
    expected = np.stack([nnls(abundances, column)[0] for column in data.T], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found >= 0).all()
    for before, after in zip(kept, (basis, data, abundances), strict=True):
        np.testing.assert_array_equal(before, after)


@settings(max_examples=30, deadline=None)
@given(seeds, st.permutations(range(3)))
def test_permuting_components_permutes_factors(seed, order):
    rng, abundances, factors = mixture(seed)
    basis = span(abundances)
    projection = basis.T @ (abundances @ factors + 0.3 * rng.standard_normal((50, 12)))
    straight = factors_from_projection(basis, projection, abundances, nonnegative=True)
    permuted = factors_from_projection(basis, projection, abundances[:, order], nonnegative=True)
    np.testing.assert_allclose(permuted, straight[list(order)], atol=1e-8)


def test_noise_of_the_abundances_outside_the_basis_does_not_weaken_the_factors():
    rng, abundances, factors = mixture(1, n=4000)
    basis = span(abundances)
    noisy = abundances + 0.3 * rng.standard_normal(abundances.shape)
    data = abundances @ factors
    found = factors_from_projection(basis, basis.T @ data, noisy, nonnegative=False)
    plain = np.linalg.lstsq(noisy, data, rcond=None)[0]
    error = np.linalg.norm(found - factors)
    assert error < 0.1 * np.linalg.norm(plain - factors)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_single_precision_projections_will_do(nonnegative):
    _, abundances, factors = mixture(2)
    basis = span(abundances)
    projection = (basis.T @ (abundances @ factors)).astype(np.float32)
    found = factors_from_projection(basis, projection, abundances, nonnegative=nonnegative)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, factors, atol=1e-4)


def test_what_not_being_negative_costs_is_what_it_adds_to_chi_squared():
    rng = np.random.default_rng(3)
    abundances = rng.dirichlet(np.ones(3), 50)
    data = abundances @ rng.normal(1, 2, (3, 20)) + 0.1 * rng.standard_normal((50, 20))
    variance = rng.uniform(0.01, 0.1, 20)
    basis = np.linalg.qr(abundances)[0]
    design, joint = basis.T @ abundances, basis.T @ data
    free, signs = (factors_from_design(design, joint, nonnegative=n) for n in (False, True))
    with_signs, without = (
        np.mean((data - abundances @ each) ** 2 / variance) for each in (signs, free)
    )
    found = cost_of_signs(design, free, signs, variance, len(data))
    assert found == pytest.approx(with_signs - without, rel=1e-6)
    assert found > 1
    assert cost_of_signs(design, free, free, variance, len(data)) == 0
