import numpy as np
import pytest

from hyperfuse_hs.algorithms.faces import face_mixture
from hyperfuse_hs.algorithms.refit import FaceRefit, RepeatedFit
from hyperfuse_hs.algorithms.simplex import vertex_component_analysis

CORNERS = np.array([[0.0, 0.0], [1.0, 0.1], [0.2, 0.9]])
DEVIATION = 0.02


def draw(rng, count=600):
    truth = np.zeros((count, 3))
    third = count // 3
    truth[np.arange(third), rng.integers(0, 3, third)] = 1
    truth[third : 2 * third, :2] = rng.dirichlet(np.ones(2), third)
    truth[2 * third :] = rng.dirichlet(np.ones(3), count - 2 * third)
    return truth @ CORNERS + DEVIATION * rng.standard_normal((count, 2))


@pytest.fixture(scope="module")
def first():
    points = draw(np.random.default_rng(0))
    noise = np.full(len(points), DEVIATION**2)
    found = face_mixture(points, 3, noise, random_state=0)
    refit = FaceRefit(points, noise, found.endmembers, found.faces, found.weights)
    return points, refit, found


def test_the_first_fit_is_found_again(first):
    points, refit, found = first
    np.testing.assert_allclose(refit.first.endmembers, found.endmembers, atol=0.3 * DEVIATION)
    np.testing.assert_allclose(refit(points), refit.first.endmembers, atol=0.1 * DEVIATION)


def test_fresh_noise_moves_endmembers_about_the_truth(first):
    _, refit, _ = first
    order = np.argmin(np.sum((CORNERS[:, None] - refit.first.endmembers) ** 2, axis=2), axis=1)
    found = np.array([refit(draw(np.random.default_rng(seed)))[order] for seed in range(1, 21)])
    np.testing.assert_allclose(found.mean(axis=0), CORNERS, atol=0.5 * DEVIATION)
    assert (found.std(axis=0) > 0.02 * DEVIATION).all()
    assert (found.std(axis=0) < DEVIATION).all()


def test_a_repeated_search_keeps_the_order_of_components():
    rng = np.random.default_rng(3)
    points = draw(rng)
    seeds = iter(range(10))
    repeated = RepeatedFit(
        lambda z: vertex_component_analysis(z, 3, random_state=next(seeds)), CORNERS
    )
    for _ in range(10):
        np.testing.assert_allclose(repeated(points), CORNERS, atol=6 * DEVIATION)
