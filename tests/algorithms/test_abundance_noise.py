import numpy as np
import pytest

from hyperfuse_hs.algorithms.abundance import (
    nonnegative_abundances,
    simplex_abundances,
    unconstrained_abundances,
)
from hyperfuse_hs.algorithms.abundance_noise import constrained_errors, draw_on_faces

CORNERS = np.array([[0.0, 0.0], [1.0, 0.1], [0.2, 0.9]])
FACES = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
DEVIATION = 0.03


def simulated(truth, solve, corners=CORNERS, count=4000):
    rng = np.random.default_rng(0)
    points = truth @ corners + DEVIATION * rng.standard_normal((count, corners.shape[1]))
    return np.sqrt(np.mean((solve(points, corners) - truth) ** 2, axis=0))


@pytest.mark.parametrize("solve", [simplex_abundances, nonnegative_abundances])
@pytest.mark.parametrize("truth", [[0.3, 0.3, 0.4], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
def test_errors_are_those_of_fits_with_constraints(truth, solve):
    truth, corners = np.array(truth), np.hstack([CORNERS, np.ones((3, 1))])
    variance = np.full((1, 3), DEVIATION**2)
    found = constrained_errors(truth[None] @ corners, corners, variance, solve)[0]
    np.testing.assert_allclose(found, simulated(truth, solve, corners), rtol=0.15)


def test_the_face_says_where_errors_are_one_sided():
    pure = np.array([1.0, 0.0, 0.0])
    inside = CORNERS.mean(axis=0)
    expected = simulated(pure, simplex_abundances)
    found = constrained_errors(
        np.array([[-0.02, -0.01]]),
        CORNERS,
        np.full((1, 2), DEVIATION**2),
        simplex_abundances,
        FACES,
        np.eye(7)[[0]],
    )[0]
    np.testing.assert_allclose(found, expected, rtol=0.15)
    gram = np.linalg.inv(np.hstack([CORNERS, np.ones((3, 1))]))[:2]
    linear = DEVIATION * np.sqrt(np.sum(gram**2, axis=0))
    assert (found < 0.85 * linear).all()
    whole = constrained_errors(
        inside[None],
        CORNERS,
        np.full((1, 2), DEVIATION**2),
        simplex_abundances,
        FACES,
        np.eye(7)[[6]],
    )[0]
    np.testing.assert_allclose(whole, linear, rtol=0.1)


def test_without_constraints_errors_are_those_of_least_squares():
    truth = np.array([0.2, 0.5, 0.3])
    corners = np.array([[1.0, 0, 0.2], [0.2, 1, 0], [0, 0.1, 1]])
    variance = np.array([[1e-4, 4e-4, 9e-4]])
    found = constrained_errors(truth[None] @ corners, corners, variance, unconstrained_abundances)
    expected = np.sqrt(variance @ np.linalg.inv(corners) ** 2)
    np.testing.assert_allclose(found, expected, rtol=0.1)


def test_errors_do_not_depend_on_other_positions():
    rng = np.random.default_rng(1)
    truth = rng.dirichlet(np.ones(3), 5000)
    points, variance = truth @ CORNERS, np.full((5000, 2), DEVIATION**2)
    every = constrained_errors(points, CORNERS, variance, simplex_abundances)
    few = constrained_errors(points[4000:], CORNERS, variance[4000:], simplex_abundances)
    np.testing.assert_array_equal(every[4000:], few)


def test_faces_are_drawn_with_their_probability():
    rng = np.random.default_rng(2)
    points = np.tile(CORNERS.mean(axis=0), (6000, 1))
    shares = np.tile([0.2, 0, 0, 0.5, 0, 0, 0.3], (6000, 1))
    drawn = draw_on_faces(points, CORNERS, FACES, shares, rng)
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    present = (drawn > 1e-9).sum(axis=1)
    np.testing.assert_allclose(
        [np.mean(present == n) for n in (1, 2, 3)], [0.2, 0.5, 0.3], atol=0.02
    )
    assert (drawn[present == 1, 0] == 1).all()
    assert (drawn[present == 2, 2] == 0).all()
