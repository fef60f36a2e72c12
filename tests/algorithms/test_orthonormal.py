import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.orthonormal import extended, ordered

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(0, 3))
def test_leading_columns_span_what_the_first_ones_given_span(seed, k, repeated):
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((40, k)) * rng.uniform(1e-3, 1e3, k)
    given_columns = np.hstack([columns, columns[:, :1].repeat(repeated, axis=1)])
    q = ordered(given_columns)
    assert q.shape == (40, k)
    np.testing.assert_allclose(q.T @ q, np.eye(k), atol=1e-10)
    for j in range(1, k + 1):
        part = columns[:, :j]
        np.testing.assert_allclose(q[:, :j] @ (q[:, :j].T @ part), part, rtol=1e-8, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(0, 4), st.integers(1, 5), st.integers(0, 2))
def test_added_directions_are_a_mixture_of_what_was_given(seed, known, k, inside):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((30, known)))[0]
    columns = rng.standard_normal((30, k))
    if known:
        columns = np.hstack([columns, basis[:, :1].repeat(inside, axis=1)])
    added, mixing = extended(basis, columns)
    assert added.shape[1] == k
    np.testing.assert_allclose(added.T @ added, np.eye(k), atol=1e-9)
    np.testing.assert_allclose(basis.T @ added, 0, atol=1e-9)
    np.testing.assert_allclose(np.hstack([basis, columns]) @ mixing, added, atol=1e-9)
