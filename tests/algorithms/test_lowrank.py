import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh, subspace_angles

from hyperfuse_hs.algorithms.lowrank import (
    leading_eigenvectors,
    orthonormal,
    random_probe,
    rotate_to_singular,
)
from hyperfuse_hs.algorithms.rank import noise_edge

seeds = st.integers(0, 2**32 - 1)


def operator(rng, size, large):
    """Symmetric non-negative matrix: a few large eigenvalues on top of a bulk in [0, 1]."""
    axes = np.linalg.qr(rng.standard_normal((size, size)))[0]
    values = np.concatenate([np.sort(large)[::-1], rng.random(size - len(large))])
    return ((axes * values) @ axes.T).astype(np.float32)


def above(level):
    return lambda values: int(np.count_nonzero(values > level))


@pytest.mark.parametrize("size", [40, 150, 400])
@pytest.mark.parametrize("large", [[], [5.0], [1e4, 300.0, 20.0, 3.0], list(range(3, 63))])
def test_eigenvectors_are_those_of_scipy(size, large):
    large = large[: size // 2]
    rng = np.random.default_rng(0)
    matrix = operator(rng, size, large)
    found = leading_eigenvectors(lambda v: matrix @ v, size, above(2.0), rng)
    count = len(large)
    assert found.shape[1] >= min(count + 1, size)
    np.testing.assert_allclose(found.T @ found, np.eye(found.shape[1]), atol=1e-5)
    if count:
        _, exact = eigh(matrix.astype(float), subset_by_index=(size - count, size - 1))
        assert subspace_angles(exact, found[:, :count].astype(float)).max() < 2e-2
        values = np.einsum("ik,ik->k", found[:, :count], matrix @ found[:, :count])
        np.testing.assert_allclose(values, sorted(large, reverse=True), rtol=1e-3)


def test_all_eigenvectors_where_all_stand_out():
    matrix = operator(np.random.default_rng(1), 12, [10.0 + k for k in range(12)])
    found = leading_eigenvectors(
        lambda v: matrix @ v, 12, above(2.0), np.random.default_rng(2), block=5
    )
    assert found.shape == (12, 12)


def test_an_operator_of_low_rank_takes_few_products():
    rng = np.random.default_rng(3)
    half = rng.standard_normal((300, 4)).astype(np.float32)
    widths = []

    def product(vectors):
        widths.append(vectors.shape[1])
        return half @ (half.T @ vectors)

    found = leading_eigenvectors(product, 300, above(1.0), rng)
    kept = found[:, :4].astype(float)
    assert subspace_angles(half.astype(float), kept).max() < 1e-3
    assert sum(widths) <= 96


@pytest.mark.parametrize("strong", [[], [1e4]])
def test_a_weak_signal_just_above_the_noise_is_not_missed(strong):
    """Its direction is nearly absent from the start vectors, so it comes out late."""
    n, c = 600, 400
    rng = np.random.default_rng(8)
    strengths = np.array([*strong, 2.0]) * np.sqrt(n * c)
    maps = np.linalg.qr(rng.standard_normal((n, strengths.size)))[0]
    spectra = np.linalg.qr(rng.standard_normal((c, strengths.size)))[0]
    data = (maps * np.sqrt(strengths)) @ spectra.T + rng.standard_normal((n, c))
    data = data.astype(np.float32)
    found = leading_eigenvectors(
        lambda v: data.T @ (data @ v), c, above(noise_edge(n, c) ** 2), rng
    )
    values = np.linalg.norm(data @ found, axis=0)
    exact = np.linalg.svd(data, compute_uv=False)[: strengths.size]
    assert exact[-1] > noise_edge(n, c)
    np.testing.assert_allclose(values[: strengths.size], exact, rtol=1e-3)


def test_the_search_space_is_bounded():
    rng = np.random.default_rng(4)
    matrix = operator(rng, 200, np.full(100, 9.0))
    widths = []

    def product(vectors):
        widths.append(vectors.shape[1])
        return matrix @ vectors

    leading_eigenvectors(product, 200, lambda values: values.size, rng, block=16, max_size=50)
    assert sum(widths) <= 50


def test_the_same_seed_gives_the_same_vectors():
    matrix = operator(np.random.default_rng(5), 90, [50.0, 20.0])

    def vectors(seed):
        rng = np.random.default_rng(seed)
        return leading_eigenvectors(lambda v: matrix @ v, 90, above(2.0), rng)

    np.testing.assert_array_equal(vectors(7), vectors(7))


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 12), st.integers(0, 6), st.floats(-12, 12))
def test_orthonormal_spans_the_range_at_any_scale(seed, independent, repeated, magnitude):
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((40, independent))
    copies = columns[:, rng.integers(independent, size=repeated)]
    given_columns = np.hstack([columns, copies]) * 10.0**magnitude
    kept = given_columns.copy()
    basis = orthonormal(given_columns)
    assert basis.shape == (40, independent)
    np.testing.assert_allclose(basis.T @ basis, np.eye(independent), atol=1e-5)
    assert subspace_angles(columns, basis.astype(float)).max() < 1e-4
    np.testing.assert_array_equal(given_columns, kept)


def test_zero_columns_have_no_range():
    assert orthonormal(np.zeros((7, 3))).shape == (7, 0)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 8))
def test_rotation_makes_a_singular_value_decomposition_of_the_same_product(seed, k):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((30, k)) * rng.gamma(1.0, size=k)
    basis = orthonormal(rng.standard_normal((20, k)))
    kept = scores.copy(), basis.copy()
    turned, axes, values = rotate_to_singular(scores, basis)
    np.testing.assert_allclose(turned @ axes.T, scores @ basis.T, atol=1e-4)
    expected = np.linalg.svd(scores @ basis.T.astype(float), compute_uv=False)[:k]
    np.testing.assert_allclose(values, expected, atol=1e-5 * expected[0])
    np.testing.assert_allclose(turned.T @ turned, np.diag(values**2), atol=1e-8 * values[0] ** 2)
    np.testing.assert_array_equal(scores, kept[0])
    np.testing.assert_array_equal(basis, kept[1])


def test_probe_is_standard_normal_and_follows_the_seed():
    probe = random_probe(500, 20, np.random.default_rng(6))
    assert probe.dtype == np.float32
    assert abs(probe.mean()) < 0.05
    assert probe.std() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(probe, random_probe(500, 20, np.random.default_rng(6)))
