import numpy as np
import pytest

from hyperfuse_hs.algorithms.products import Products


@pytest.mark.parametrize("dtype", ["u2", "f4", "i8"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("fill", [0.05, 1.0])
@pytest.mark.parametrize("kept", [True, False])
def test_products_of_two_parts_add_up(dtype, scaled, fill, kept):
    rng = np.random.default_rng(0)
    data = (rng.integers(1, 50, (40, 60)) * (rng.random((40, 60)) < fill)).astype(dtype)
    left, vectors = rng.standard_normal((40, 3)), rng.standard_normal((60, 4)).astype("f4")
    scale = rng.uniform(0.5, 2, 40) if scaled else None
    white = data / (1 if scale is None else np.sqrt(scale)[:, None])
    parts = []
    for rows in (np.arange(0, 40, 2), np.arange(1, 40, 2)):
        part = Products(rows, 60, left[rows], None if scale is None else scale[rows], vectors)
        part.update(rows[:5], data[rows[:5]])
        part.update(rows[5:], data[rows[5:]])
        part.close()
        parts.append(part)
    joint = parts[0].plus(parts[1]) if kept else parts[0].absorb(parts[1])
    assert (parts[0].sums is None) is not kept
    scores = white @ vectors
    tolerance = {"rtol": 1e-4, "atol": 1e-3}
    np.testing.assert_allclose(joint.scores(40), scores, **tolerance)
    inverse = 1 if scale is None else 1 / scale[:, None]
    expected = np.hstack([white.T @ left, white.T @ scores, (data * inverse).sum(axis=0)[:, None]])
    np.testing.assert_allclose(joint.sums, expected, rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(joint.squares, np.sum(white**2, axis=0), rtol=1e-5)
