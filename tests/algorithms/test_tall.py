"""Products of tall matrices in single precision lose no more than their elements have lost."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms import tall

ROWS = 2 * tall.ROWS + 17


@pytest.fixture(scope="module")
def matrices():
    rng = np.random.default_rng(0)
    # Means that are large next to the variation: sums in single precision would lose it.
    return 1e3 + rng.normal(size=(ROWS, 5)), 1e3 + rng.normal(size=(ROWS, 3))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_are_in_double_precision(matrices, kind):
    left, right = (matrix.astype(kind) for matrix in matrices)
    found = tall.crossed(left, right)
    np.testing.assert_allclose(found, left.astype(float).T @ right.astype(float), rtol=1e-13)


def test_rows_are_weighted(matrices):
    left, right = matrices
    weight = np.random.default_rng(1).uniform(size=ROWS)
    expected = left.T @ (weight[:, None] * right)
    np.testing.assert_allclose(tall.crossed(left, right, weight), expected, rtol=1e-13)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_are_turned_without_a_change_of_the_matrix(matrices, kind):
    matrix = matrices[0].astype(kind)
    before = matrix.copy()
    small = np.random.default_rng(2).normal(size=(5, 2))
    found = tall.turned(matrix, small)
    np.testing.assert_allclose(found, matrix.astype(float) @ small, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(matrix, before)


def test_many_elements_are_kept_in_single_precision():
    assert tall.precision(1000, 1000) is np.float64
    assert tall.precision(2**16, 2**7) is np.float32
    large = np.ones((2**12 + 1, 2**10), dtype=np.float32)
    assert tall.turned(large, np.eye(2**10)).dtype == np.float32


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_norms_of_rows(matrices, kind):
    matrix = matrices[0].astype(kind)
    np.testing.assert_allclose(
        tall.squared_norms(matrix), np.sum(matrix.astype(float) ** 2, axis=1), rtol=1e-13
    )


@pytest.mark.parametrize("shape", [(3, 7, 50), (600, 4, 9000)])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_rows_are_mixed_in_double_precision(shape, kind):
    rng = np.random.default_rng(0)
    small, wide = rng.random(shape[:2]), rng.random(shape[1:]).astype(kind)
    found = tall.mixed(small, wide)
    assert found.dtype == (tall.precision(shape[0], shape[2]) if kind == "f4" else np.float64)
    np.testing.assert_allclose(found, small @ wide.astype("f8"), rtol=2 * np.finfo(found.dtype).eps)
