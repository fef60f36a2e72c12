import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.metrics import match_components, spectral_angle
from hyperfuse_hs.algorithms.nmf import nonnegative_factorization

seeds = st.integers(0, 2**32 - 1)


def low_rank(data, rank):
    left, values, right = np.linalg.svd(data, full_matrices=False)
    return left[:, :rank] * values[:rank], right[:rank]


def mixture(seed, p=3, n=300, n_channels=40, noise=0.0):
    rng = np.random.default_rng(seed)
    factors = rng.gamma(0.4, size=(p, n_channels))
    abundances = rng.dirichlet(np.full(p, 0.4), n)
    return abundances, factors, abundances @ factors + noise * rng.standard_normal((n, n_channels))


def plain_loss(data, abundances, factors):
    return np.sum((data - abundances @ factors) ** 2)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 5), st.integers(1, 6))
def test_the_loss_never_rises(seed, rank, p):
    rng = np.random.default_rng(seed)
    scores, basis = rng.standard_normal((25, rank)), rng.standard_normal((rank, 12))
    square = np.sum((scores @ basis) ** 2)
    losses = [
        nonnegative_factorization(scores, basis, p, random_state=0, max_iter=n, tol=0).loss
        for n in (1, 2, 3, 5, 9, 20)
    ]
    assert np.diff(losses).max() <= 1e-12 * square
    assert losses[0] <= square


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 4), st.integers(1, 6))
def test_result_is_nonnegative_and_the_loss_is_that_of_the_product(seed, rank, p):
    rng = np.random.default_rng(seed)
    scores, basis = rng.standard_normal((20, rank)), rng.standard_normal((rank, 15))
    before = scores.copy(), basis.copy()
    found = nonnegative_factorization(scores, basis, p, random_state=seed, max_iter=30)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(basis, before[1])
    assert found.abundances.shape == (20, p)
    assert found.factors.shape == (p, 15)
    assert found.abundances.min() >= 0
    assert found.factors.min() >= 0
    expected = plain_loss(scores @ basis, found.abundances, found.factors)
    assert found.loss == pytest.approx(expected, rel=1e-9, abs=1e-12)
    norms = np.linalg.norm(found.factors, axis=1)
    np.testing.assert_allclose(norms[norms > 0], 1, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_product_of_nonnegative_matrices_is_found(seed):
    abundances, factors, data = mixture(seed)
    # Pure positions and channels make the factorisation unique.
    data[:3], abundances[:3] = factors, np.eye(3)
    found = nonnegative_factorization(*low_rank(data, 3), 3, random_state=0, tol=1e-9)
    assert found.loss < 1e-6 * np.sum(data**2)
    order = match_components(found.factors, factors)
    assert np.max(spectral_angle(found.factors[order], factors)) < 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("p", [2, 4])
def test_the_fit_is_as_good_as_that_of_scikit_learn(seed, p):
    decomposition = pytest.importorskip("sklearn.decomposition")
    data = np.maximum(mixture(seed, p=4, n=150, noise=0.05)[2], 0)
    model = decomposition.NMF(p, init="nndsvda", tol=1e-6, max_iter=3000)
    expected = plain_loss(data, model.fit_transform(data), model.components_)
    found = nonnegative_factorization(*low_rank(data, 40), p, random_state=0, tol=1e-7)
    assert found.loss <= 1.01 * expected


def test_optimality_conditions_hold_once_converged():
    data = np.maximum(mixture(0, noise=0.1)[2], 0)
    scores, basis = low_rank(data, 40)
    found = nonnegative_factorization(scores, basis, 3, random_state=0, tol=1e-14, max_iter=5000)
    assert found.converged
    residual = scores @ basis - found.abundances @ found.factors
    for values, slope in (
        (found.abundances, residual @ found.factors.T),
        (found.factors, found.abundances.T @ residual),
    ):
        size = 1e-4 * np.linalg.norm(data)
        assert slope.max() < size
        assert np.abs(slope[values > 0]).max() < size


def test_same_seed_same_result_and_no_global_random_state():
    scores, basis = low_rank(mixture(0)[2], 3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = nonnegative_factorization(scores, basis, 5, random_state=7)
    second = nonnegative_factorization(scores, basis, 5, random_state=7)
    np.testing.assert_array_equal(first.abundances, second.abundances)
    np.testing.assert_array_equal(first.factors, second.factors)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_converged_tells_whether_the_rounds_were_enough():
    scores, basis = low_rank(mixture(0, noise=0.1)[2], 40)
    cut = nonnegative_factorization(scores, basis, 3, random_state=0, max_iter=1, tol=0)
    assert (cut.n_iter, cut.converged) == (1, False)
    full = nonnegative_factorization(scores, basis, 3, random_state=0)
    assert full.converged
    assert full.n_iter < 500


def test_the_gauge_of_scores_and_basis_does_not_matter():
    data = mixture(1)[2]
    scores, basis = low_rank(data, 3)
    mixing = np.random.default_rng(0).standard_normal((3, 3))
    plain = nonnegative_factorization(scores, basis, 3, random_state=0)
    mixed = nonnegative_factorization(
        scores @ mixing, np.linalg.solve(mixing, basis), 3, random_state=0
    )
    np.testing.assert_allclose(mixed.factors, plain.factors, atol=1e-5)


def test_data_without_positive_values_give_zero():
    found = nonnegative_factorization(-np.ones((6, 1)), np.ones((1, 4)), 2, random_state=0)
    assert not (found.abundances @ found.factors).any()
    assert found.loss == pytest.approx(24)
    assert found.converged
    zero = nonnegative_factorization(np.zeros((6, 1)), np.ones((1, 4)), 2, random_state=0)
    assert zero.loss == 0


def test_the_data_are_never_formed():
    rng = np.random.default_rng(0)
    scores, basis = rng.random((4000, 3)), rng.random((3, 4000))
    nonnegative_factorization(scores[:5], basis[:, :5], 3, random_state=0)
    tracemalloc.start()
    nonnegative_factorization(scores, basis, 3, random_state=0, max_iter=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 4000 * 8 / 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"basis": np.ones((3, 4))}, r"same R\. Got \(5, 2\) and \(3, 4\)"),
        ({"scores": np.ones(2)}, r"Got \(2,\)"),
        ({"scores": np.ones((0, 2))}, "expected to have elements"),
        ({"scores": np.full((5, 2), np.nan)}, "scores are expected to be finite"),
        ({"basis": np.full((2, 4), np.inf)}, "basis are expected to be finite"),
        ({"n_components": 0}, "n_components is expected to be at least 1. Got 0"),
        ({"max_iter": 0}, "max_iter is expected to be at least 1. Got 0"),
        ({"tol": -1.0}, "tol is expected to be zero or positive. Got -1"),
        ({"tol": np.nan}, "tol is expected to be zero or positive. Got nan"),
    ],
)
def test_bad_input_is_explained(change, message):
    values = {"scores": np.ones((5, 2)), "basis": np.ones((2, 4)), "n_components": 1} | change
    with pytest.raises(ValueError, match=message):
        nonnegative_factorization(**values)
