import numpy as np
import pytest

from hyperfuse_hs.algorithms import factor_noise
from hyperfuse_hs.algorithms.regression import factors_from_projection, projection_weights


def problem(seed=0, n=60, p=3, channels=8):
    rng = np.random.default_rng(seed)
    abundances = rng.dirichlet(np.full(p, 0.4), n)
    factors = rng.gamma(1.0, 20.0, (p, channels))
    basis = np.linalg.qr(np.hstack([abundances, rng.normal(size=(n, 2))]))[0]
    return rng, abundances, factors, basis


def test_weights_give_the_factors_of_the_regression():
    rng, abundances, factors, basis = problem()
    divisor = rng.uniform(0.5, 2, len(abundances))
    data = rng.normal(abundances @ factors, 1.0)
    design = abundances * rng.uniform(0.5, 2, (len(abundances), 1))
    projection = basis.T @ (data / np.sqrt(divisor)[:, None])
    expected = factors_from_projection(basis, projection, design, nonnegative=False)
    weights = projection_weights(basis, design) @ basis.T / np.sqrt(divisor)
    np.testing.assert_allclose(weights @ data, expected, rtol=1e-9, atol=1e-9)


def test_covariance_of_counts_is_that_of_many_draws():
    rng, abundances, factors, basis = problem()
    weights = projection_weights(basis, abundances) @ basis.T
    draws = np.array([weights @ rng.poisson(abundances @ factors) for _ in range(4000)])
    found = factor_noise.counting_covariance(weights, abundances, factors)
    centred = draws - draws.mean(axis=0)
    expected = np.einsum("tkc,tjc->kjc", centred, centred) / len(draws)
    root = np.sqrt(np.einsum("kkc->kc", found))
    np.testing.assert_allclose(
        found / root[:, None] / root, expected / root[:, None] / root, atol=0.1
    )
    row = np.array([1.0, -0.3, -0.1])
    np.testing.assert_allclose(
        factor_noise.combined_variance(found, row),
        (draws.transpose(0, 2, 1) @ row).var(axis=0),
        rtol=0.15,
    )


@pytest.mark.parametrize("empty", [0.0, -2.0])
def test_channels_without_counts_have_some_error(empty):
    _, abundances, factors, basis = problem()
    weights = projection_weights(basis, abundances) @ basis.T
    factors[:, 3] = empty
    found = factor_noise.counting_covariance(weights, abundances, factors)
    assert (np.linalg.eigvalsh(found.transpose(2, 0, 1)) > 0).all()
    variance = np.einsum("kkc->c", found)
    assert 0 < variance[3] <= factor_noise.LEAST_VARIANCE * variance.max()


def test_counts_of_a_factor_add_to_its_own_variance_in_proportion():
    _, abundances, factors, basis = problem()
    weights = projection_weights(basis, abundances) @ basis.T
    own = factor_noise.own_variance(weights, abundances)
    before = factor_noise.counting_covariance(weights, abundances, factors).diagonal().T
    for k in range(3):
        more = factors.copy()
        more[k] += 10.0
        after = factor_noise.counting_covariance(weights, abundances, more).diagonal().T
        np.testing.assert_allclose((after - before)[k], 10.0 * own[k], rtol=1e-9)
