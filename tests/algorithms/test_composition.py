"""Amounts of known components: recovery, errors, and what is usual where data do not tell."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms.composition import (
    amount_covariance,
    estimate_amounts,
    usual_proportions,
)

P, CHANNELS, N = 3, 60, 4000


class Experiment:
    """Spectra of mixtures, the last two components nearly or wholly alike."""

    def __init__(self, seed=0, alike=0.0, dose=50.0, intensity=True):
        rng = np.random.default_rng(seed)
        factors = dose * rng.uniform(0, 1, (P, CHANNELS)) ** 2
        factors[2] = alike * factors[1] + (1 - alike) * factors[2]
        self.factors = factors
        proportions = rng.dirichlet([1.0, 3.0, 1.0], N)
        self.elsewhere = rng.dirichlet([1.0, 3.0, 1.0], N)
        scale = rng.uniform(0.5, 2, N) if intensity else np.ones(N)
        self.amounts = scale[:, None] * proportions
        mean = self.amounts @ factors
        divisor = mean.mean(axis=0)
        weighted = factors / divisor
        self.gram = weighted @ factors.T
        self.products = rng.poisson(mean) @ weighted.T
        means = np.vstack([factors, np.zeros(CHANNELS)])
        self.noise = np.einsum("kc,ac,bc->kab", means, weighted, weighted)
        self.usual = usual_proportions(self.elsewhere, sums=True)

    def solve(self):
        found = estimate_amounts(self.products, self.gram, self.usual)
        return found, amount_covariance(found, self.gram, self.noise, self.usual)


def test_amounts_are_not_negative_and_near_the_truth():
    case = Experiment(dose=1000.0)
    found, _ = case.solve()
    assert found.min() >= 0
    assert np.abs(found - case.amounts).mean() < 0.02


@pytest.mark.parametrize("alike", [0.0, 0.9, 1.0])
def test_errors_are_what_they_are_said_to_be(alike):
    case = Experiment(alike=alike)
    found, covariance = case.solve()
    for row in np.eye(P):
        error = np.mean(((found - case.amounts) @ row) ** 2)
        said = np.mean(np.einsum("i,nij,j->n", row, covariance, row))
        assert 0.75 < error / said < 1.2


def test_what_data_do_not_tell_is_as_usual():
    """Of two components that look the same, the sum is measured and the shares are the mean's."""
    case = Experiment(alike=1.0, dose=1e4)
    found, _ = case.solve()
    both = found[:, 1] + found[:, 2]
    np.testing.assert_allclose(both, case.amounts[:, 1:].sum(axis=1), atol=0.05)
    clear = both > 0.3 * found.sum(axis=1)
    share = case.elsewhere[:, 2].mean() / case.elsewhere[:, 1:].sum(axis=1).mean()
    assert np.mean(found[clear, 2] / both[clear]) == pytest.approx(share, abs=0.05)
    # Without what is usual, nothing would be right on average.
    truth = case.amounts[:, 2]
    assert np.mean((found[:, 2] - truth) ** 2) < 1.05 * np.mean((truth - share * both) ** 2)


def test_the_intensity_is_free():
    case = Experiment(dose=1e3)
    once = estimate_amounts(case.products, case.gram, case.usual)
    tenfold = estimate_amounts(10 * case.products, case.gram, case.usual)
    np.testing.assert_allclose(tenfold, 10 * once, rtol=0.2, atol=0.2)
    assert not estimate_amounts(np.zeros((2, P)), case.gram, case.usual).any()


def test_signed_amounts_take_no_constraint():
    case = Experiment(intensity=False)
    usual = usual_proportions(case.elsewhere - 1, sums=False)
    right = (case.amounts - 1) @ case.gram
    found = estimate_amounts(right, case.gram, usual)
    assert (found < 0).any()
    assert np.abs(found - case.amounts + 1).mean() < 0.1
    assert amount_covariance(found, case.gram, case.noise, usual).shape == (N, P, P)


def test_one_component_has_no_proportions():
    usual = usual_proportions(np.full((5, 1), 2.0), sums=True)
    found = estimate_amounts(np.array([[3.0], [6.0]]), np.array([[2.0]]), usual)
    np.testing.assert_allclose(found, [[1.5], [3.0]])
