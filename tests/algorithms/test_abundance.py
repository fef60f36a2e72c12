from itertools import combinations
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from hyperfuse_hs.algorithms.abundance import (
    nonnegative_abundances,
    nonnegative_least_squares,
    simplex_abundances,
    unconstrained_abundances,
)

seeds = st.integers(0, 2**32 - 1)


def make(seed, p, r, n=20, spread=1.5):
    rng = np.random.default_rng(seed)
    endmembers = rng.standard_normal((p, r))
    weights = rng.dirichlet(np.ones(p), n)
    return weights @ endmembers + spread * rng.standard_normal((n, r)), endmembers


def best_face(point, endmembers):
    """Fit on the affine hull of each face; of those inside their face, take the nearest."""
    p = len(endmembers)
    best, nearest = None, np.inf
    for size in range(1, p + 1):
        for face in combinations(range(p), size):
            corners = endmembers[list(face)]
            edges = corners[1:] - corners[0]
            inner = np.linalg.lstsq(edges.T, point - corners[0], rcond=None)[0]
            weights = np.concatenate([[1 - inner.sum()], inner])
            distance = np.sum((point - weights @ corners) ** 2)
            if weights.min() >= -1e-12 and distance < nearest - 1e-13:
                best, nearest = np.zeros(p), distance
                best[list(face)] = weights
    return best


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(-1, 4), st.sampled_from([0.0, 0.1, 1.5, 30.0]))
def test_simplex_abundances_are_those_of_the_best_face(seed, p, extra, spread):
    scores, endmembers = make(seed, p, max(p + extra, 1), n=4, spread=spread)
    found = simplex_abundances(scores, endmembers)
    expected = [best_face(row, endmembers) for row in scores]
    # Endmembers drawn at random are now and then nearly dependent.
    lifted = np.column_stack([endmembers, np.ones(p)])
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.linalg.cond(lifted) + 1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert found.min() >= 0


@pytest.mark.parametrize("p", [1, 2, 5, 12, 30])
@pytest.mark.parametrize("extra", [-1, 0, 5])
def test_simplex_abundances_meet_the_optimality_conditions(p, extra):
    scores, endmembers = make(p, p, max(p + extra, 1), n=300)
    found = simplex_abundances(scores, endmembers)
    slopes = (scores - found @ endmembers) @ endmembers.T
    multiplier = np.sum(found * slopes, axis=1, keepdims=True)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert np.max(slopes - multiplier) < 1e-9
    np.testing.assert_allclose(np.where(found > 0, slopes - multiplier, 0), 0, atol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 5, 12, 30])
@pytest.mark.parametrize("extra", [0, 5])
def test_nonnegative_abundances_equal_scipy(p, extra):
    scores, endmembers = make(p, p, p + extra, n=100)
    expected = [nnls(endmembers.T, row)[0] for row in scores]
    np.testing.assert_allclose(nonnegative_abundances(scores, endmembers), expected, atol=1e-8)


def test_digits_survive_nearly_equal_endmembers():
    rng = np.random.default_rng(0)
    endmembers = 1 + 1e-5 * rng.standard_normal((4, 6))
    truth = rng.dirichlet(np.ones(4), 50)
    scores = truth @ endmembers
    np.testing.assert_allclose(simplex_abundances(scores, endmembers), truth, atol=1e-8)
    np.testing.assert_allclose(nonnegative_abundances(scores, endmembers), truth, atol=1e-8)


@pytest.mark.parametrize("factor", [1e-150, 1e-9, 1e9])
def test_units_do_not_matter(factor):
    scores, endmembers = make(3, 5, 6)
    np.testing.assert_allclose(
        simplex_abundances(factor * scores, factor * endmembers),
        simplex_abundances(scores, endmembers),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        nonnegative_abundances(scores, endmembers * factor) * factor,
        nonnegative_abundances(scores, endmembers),
        atol=1e-12,
    )


@pytest.mark.parametrize("solve", [simplex_abundances, nonnegative_abundances])
def test_rows_are_independent_and_inputs_untouched(solve):
    scores, endmembers = make(1, 5, 5)
    before = scores.copy(), endmembers.copy()
    together = solve(scores, endmembers)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(endmembers, before[1])
    alone = np.concatenate([solve(row[None], endmembers) for row in scores[::-1]])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-14)
    np.testing.assert_array_equal(together, solve(np.asfortranarray(scores), endmembers))


def test_unconstrained_abundances_solve_the_normal_equations():
    scores, endmembers = make(2, 4, 7)
    found = unconstrained_abundances(scores, endmembers)
    np.testing.assert_allclose((scores - found @ endmembers) @ endmembers.T, 0, atol=1e-12)
    assert found.min() < 0


def test_more_corners_than_the_plane_can_hold_still_fit():
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    endmembers = np.column_stack([np.cos(angles), np.sin(angles)])
    inside = 0.6 * rng.uniform(-1, 1, (200, 2))
    found = simplex_abundances(inside, endmembers)
    np.testing.assert_allclose(found @ endmembers, inside, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


def test_equal_and_zero_endmembers_are_no_obstacle():
    scores, endmembers = make(4, 3, 4)
    doubled = np.vstack([endmembers, endmembers[:1], np.zeros((1, 4))])
    found = nonnegative_abundances(scores, doubled)
    expected = nonnegative_abundances(scores, endmembers)
    np.testing.assert_allclose(found @ doubled, expected @ endmembers, atol=1e-9)
    assert not found[:, 4].any()
    merged = simplex_abundances(scores, doubled[:4])
    merged = merged[:, :3] + merged[:, 3:] * [1, 0, 0]
    np.testing.assert_allclose(merged, simplex_abundances(scores, endmembers), atol=1e-8)
    same = simplex_abundances(scores, np.tile(endmembers[:1], (3, 1)))
    np.testing.assert_allclose(same.sum(axis=1), 1, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 10), st.integers(1, 10))
def test_least_squares_of_columns_meets_the_optimality_conditions(seed, p, rank):
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((rank, p))
    gram, cross = design.T @ design, design.T @ rng.standard_normal((rank, 30))
    found = nonnegative_least_squares(gram, cross)
    slopes = cross - gram @ found
    size = 1 + np.abs(found).max()
    assert found.min() >= 0
    assert slopes.max() < 1e-9 * size
    np.testing.assert_allclose(np.where(found > 0, slopes, 0), 0, atol=1e-9 * size)


def test_least_squares_of_columns_equals_scipy():
    rng = np.random.default_rng(0)
    design, data = rng.standard_normal((40, 8)), rng.standard_normal((40, 50))
    found = nonnegative_least_squares(design.T @ design, design.T @ data)
    expected = np.transpose([nnls(design, column)[0] for column in data.T])
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_component_without_weight_gets_zero():
    gram = np.diag([2.0, 0.0])
    found = nonnegative_least_squares(gram, [[4.0], [1.0]])
    np.testing.assert_allclose(found, [[2.0], [0.0]], rtol=1e-14)


@pytest.mark.parametrize("p", [6, 10])
def test_a_whole_scan_takes_about_a_second(p):
    scores, endmembers = make(0, p, p - 1, n=65536, spread=0.3)
    gram, cross = endmembers @ endmembers.T, endmembers @ scores.T
    simplex_abundances(scores[:2], endmembers)
    nonnegative_least_squares(gram, cross[:, :2])
    start = process_time()
    simplex_abundances(scores, endmembers)
    middle = process_time()
    nonnegative_least_squares(gram, cross)
    # Ten times what they take on an idle core: this fails for another algorithm, not for a load.
    assert middle - start < 5
    assert process_time() - middle < 5


@pytest.mark.parametrize(
    "solve", [simplex_abundances, nonnegative_abundances, unconstrained_abundances]
)
@pytest.mark.parametrize(
    ("scores", "endmembers", "message"),
    [
        (np.ones((3, 2)), np.ones((2, 3)), r"same r\. Got \(3, 2\) and \(2, 3\)"),
        (np.ones(3), np.ones((2, 3)), r"Got \(3,\)"),
        (np.ones((3, 2)), np.ones((0, 2)), "At least one endmember"),
        (np.full((3, 2), np.nan), np.ones((2, 2)), "scores are expected to be finite. Got 6"),
        (np.ones((3, 2)), np.full((2, 2), np.inf), "endmembers are expected to be finite. Got 4"),
    ],
)
def test_bad_input_is_explained(solve, scores, endmembers, message):
    with pytest.raises(ValueError, match=message):
        solve(scores, endmembers)


@pytest.mark.parametrize(
    ("gram", "cross", "message"),
    [
        (np.eye(2), np.ones((3, 4)), r"same p\. Got \(2, 2\) and \(3, 4\)"),
        (np.eye(2), np.ones(2), r"Got \(2, 2\) and \(2,\)"),
        (np.full((1, 1), np.nan), np.ones((1, 1)), "gram are expected to be finite"),
        (np.eye(1), np.full((1, 1), np.inf), "cross are expected to be finite"),
        (-np.eye(1), np.ones((1, 1)), "not to be negative. Got -1"),
    ],
)
def test_bad_normal_equations_are_explained(gram, cross, message):
    with pytest.raises(ValueError, match=message):
        nonnegative_least_squares(gram, cross)
