"""The face mixture: its density, its climb, and recovery against the oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.face_geometry import face_geometry, list_faces, pad_faces
from hyperfuse_hs.algorithms.face_posterior import face_probabilities
from hyperfuse_hs.algorithms.face_problem import FaceProblem, outer_products
from hyperfuse_hs.algorithms.face_search import Climb, climb, first_guess, log_prior
from hyperfuse_hs.algorithms.faces import face_mixture

# One seed at once; the others find what is rare, and take their time.
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


def vertices_of(rng, p):
    return 3 * np.eye(p, p - 1) + 0.3 * rng.standard_normal((p, p - 1))


def interfaces(rng, n_positions, p):
    """Half pure positions, the others on edges; the last component is never purer than 0.6."""
    abundances = np.zeros((n_positions, p))
    for row in abundances:
        first, second = rng.choice(p - 1, 2, replace=False)
        share = rng.random()
        row[first] = 1.0
        if share < 0.35:
            row[[first, second]] = share / 0.35, 1 - share / 0.35
        elif share < 0.5:
            purity = 0.6 * rng.random()
            row[[first, -1]] = 1 - purity, purity
    return abundances


def capped(rng, n_positions, p):
    """At most three components, none purer than 0.8."""
    rows = []
    while len(rows) < n_positions:
        row = np.zeros(p)
        row[rng.choice(p, rng.integers(2, 4), replace=False)] = 1
        row[row > 0] = rng.dirichlet(np.ones(int(row.sum())))
        if row.max() <= 0.8:
            rows.append(row)
    return np.array(rows)


def mixture(design, seed, n_positions=1500, p=4, sigma=0.05):
    rng = np.random.default_rng(seed)
    vertices = vertices_of(rng, p)
    abundances = design(rng, n_positions, p)
    noise = sigma**2 * rng.uniform(0.5, 2.0, n_positions)
    scores = abundances @ vertices
    scores += np.sqrt(noise)[:, None] * rng.standard_normal(scores.shape)
    return scores, noise, vertices, abundances


def distance(found, truth):
    gaps = np.linalg.norm(found[:, None] - truth[None], axis=2)
    order = gaps.argmin(axis=0)
    assert len(set(order)) == len(truth)
    return np.sqrt(np.sum((found[order] - truth) ** 2))


def small_problem(seed, p=4):
    rng = np.random.default_rng(seed)
    vertices = vertices_of(rng, p)
    noise = rng.uniform(0.002, 0.2, 60)
    scores = rng.dirichlet(np.full(p, 0.5), 60) @ vertices
    scores += np.sqrt(noise)[:, None] * rng.standard_normal(scores.shape)
    weights = rng.dirichlet(np.ones(len(list_faces(p, 3))))
    members, sizes = pad_faces(list_faces(p, 3))
    problem = FaceProblem(scores, noise, members, sizes, -12.0)
    exponents = np.exp(rng.uniform(-1.5, 1.5, len(problem.group_sizes)))
    return problem, vertices, weights, exponents


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_gradient_agrees_with_finite_differences(seed, p):
    problem, vertices, weights, exponents = small_problem(seed, p)
    at = np.concatenate([vertices.ravel(), np.log(exponents)])

    def log_likelihood(point):
        moved = point[: vertices.size].reshape(vertices.shape)
        return problem.evaluate(moved, weights, np.exp(point[vertices.size :])).log_likelihood

    steps = 1e-5 * np.eye(len(at))
    expected = np.array(
        [(log_likelihood(at + step) - log_likelihood(at - step)) / 2e-5 for step in steps]
    )
    found = problem.evaluate(vertices, weights, exponents).gradient
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max() + 1e-5)


@pytest.mark.parametrize("height", [2.0, 0.2, 0.05])
@pytest.mark.parametrize("exponent", [0.3, 1.0, 4.0])
def test_density_of_every_triangle_integrates_to_one_however_thin(height, exponent):
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.4, height]])
    sigma, step = 0.1, 0.025
    axis = np.arange(-7.0, 8.0, step)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    members, sizes = pad_faces([(0, 1, 2)])
    problem = FaceProblem(grid, np.full(len(grid), sigma**2), members, sizes, -np.inf)
    density = np.exp(problem.posterior(corners, np.ones(1), np.array([exponent]))[0])
    assert density.sum() * step**2 == pytest.approx(1.0, abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_likelihood_does_not_fall_during_the_climb(seed):
    problem, vertices, weights, exponents = small_problem(seed)
    start = Climb(1.2 * vertices, weights, exponents, -np.inf, False, 0)
    values = [problem.evaluate(start.endmembers, weights, exponents).log_likelihood]
    values[0] += log_prior(start)
    for n_iter in range(1, 8):
        found = climb(problem, start, max_iter=n_iter, tolerance=0.0)
        values.append(found.log_likelihood + log_prior(found))
    assert np.all(np.diff(values) >= -1e-9)


@pytest.mark.parametrize("design", [interfaces, capped])
@pytest.mark.parametrize("seed", SEEDS)
def test_endmembers_reach_the_cramer_rao_bound(design, seed):
    scores, noise, vertices, _ = mixture(design, seed)
    fit = face_mixture(scores, 4, noise, random_state=0)
    problem = FaceProblem(scores, noise, *pad_faces(fit.faces), -np.inf)
    # No start knows more than the truth: what is found must be at least as likely.
    from_truth = climb(problem, first_guess(problem, vertices))
    assert fit.log_likelihood * len(scores) > from_truth.log_likelihood - 0.5
    information = problem.evaluate(vertices, from_truth.weights, from_truth.exponents).information[
        : vertices.size, : vertices.size
    ]
    bound = np.sqrt(np.trace(np.linalg.inv(information)))
    assert distance(fit.endmembers, vertices) < 2 * bound
    assert fit.converged


@pytest.mark.parametrize("seed", SEEDS)
def test_endmembers_of_pure_phases_are_as_good_as_with_known_abundances(seed):
    scores, noise, vertices, abundances = mixture(interfaces, seed)
    fit = face_mixture(scores, 4, noise, random_state=0)
    root = np.sqrt(noise)[:, None]
    oracle = np.linalg.lstsq(abundances / root, scores / root, rcond=None)[0]
    assert distance(fit.endmembers, vertices) < 1.5 * distance(oracle, vertices)


def oracle(scores, noise, abundances):
    root = np.sqrt(noise)[:, None]
    return np.linalg.lstsq(abundances / root, scores / root, rcond=None)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_phase_nowhere_pure_is_found_however_sharp_the_scores(seed):
    scores, noise, vertices, abundances = mixture(interfaces, seed, sigma=0.003)
    fit = face_mixture(scores, 4, noise, random_state=0)
    best = distance(oracle(scores, noise, abundances), vertices)
    assert distance(fit.endmembers, vertices) < 2 * best


@pytest.mark.parametrize("seed", SEEDS)
def test_outliers_do_not_become_endmembers(seed):
    scores, noise, vertices, abundances = mixture(interfaces, seed, sigma=0.02)
    odd = np.random.default_rng(seed).choice(len(scores), len(scores) // 100, replace=False)
    scores[odd] *= 3
    kept = np.delete(np.arange(len(scores)), odd)
    fit = face_mixture(scores, 4, noise, random_state=0)
    best = distance(oracle(scores[kept], noise[kept], abundances[kept]), vertices)
    assert distance(fit.endmembers, vertices) < 2.5 * best


@pytest.mark.parametrize("exponent", [0.3, 3.0])
def test_endmembers_are_found_where_positions_do_not_fill_the_simplex_evenly(exponent):
    def design(rng, n_positions, p):
        return rng.dirichlet(np.full(p, exponent), n_positions)

    scores, noise, vertices, _ = mixture(design, 0, 2000, p=3, sigma=0.03)
    fit = face_mixture(scores, 3, noise, random_state=0)
    # The bound of an estimator that knows the density.
    problem = FaceProblem(scores, noise, *pad_faces([(0, 1, 2)]), -np.inf)
    information = problem.evaluate(vertices, np.ones(1), np.array([exponent])).information
    bound = np.sqrt(np.trace(np.linalg.inv(information)[:6, :6]))
    assert distance(fit.endmembers, vertices) < 2.5 * bound
    assert fit.exponents[-1] == pytest.approx(exponent, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [0.3, 1.0])
def test_edges_of_blurred_interfaces_are_told_from_even_ones(exponent):
    def design(rng, n_positions, p):
        abundances = np.zeros((n_positions, p))
        for row in abundances:
            row[rng.choice(p, 2, replace=False)] = rng.dirichlet([exponent, exponent])
        return abundances

    scores, noise, vertices, abundances = mixture(design, 0, sigma=0.02)
    fit = face_mixture(scores, 4, noise, random_state=0)
    edges = np.array([len(face) == 2 for face in fit.faces])
    assert fit.weights[edges].sum() > 0.8
    np.testing.assert_allclose(fit.exponents[edges], exponent, rtol=0.25)
    best = distance(oracle(scores, noise, abundances), vertices)
    assert distance(fit.endmembers, vertices) < 2 * best


def test_posterior_rows_sum_to_one_and_find_the_faces():
    scores, noise, _, abundances = mixture(interfaces, 3, sigma=0.02)
    fit = face_mixture(scores, 4, noise, random_state=0)
    rng = np.random.default_rng(0)
    known = face_probabilities(scores, fit.endmembers, noise, fit.faces, fit.weights, rng)
    posterior = known.posterior
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)
    sizes = np.array([len(face) for face in fit.faces])
    found = posterior @ (sizes == 1)
    assert found[abundances.max(axis=1) == 1.0].mean() > 0.9
    assert fit.weights.sum() == pytest.approx(1.0)
    assert np.all(fit.facet_support > 0.3 * len(scores))


def test_turned_moved_scaled_scores_give_turned_moved_scaled_endmembers():
    scores, noise, _, _ = mixture(interfaces, 4, 500)
    before = scores.copy(), noise.copy()
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    fit = face_mixture(scores, 4, noise, random_state=1, n_starts=2)
    again = face_mixture(5 * scores @ turn + 2, 4, 25 * noise, random_state=1, n_starts=2)
    np.testing.assert_allclose(again.endmembers, 5 * fit.endmembers @ turn + 2, atol=5e-3)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood - 3 * np.log(5), abs=1e-5)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(noise, before[1])


def test_order_of_positions_does_not_matter_and_seed_repeats():
    scores, noise, _, _ = mixture(capped, 5, 500)
    order = np.random.default_rng(0).permutation(500)
    fit = face_mixture(scores, 4, noise, random_state=1)
    same = face_mixture(scores, 4, noise, random_state=1)
    shuffled = face_mixture(scores[order], 4, noise[order], random_state=1)
    np.testing.assert_array_equal(fit.endmembers, same.endmembers)
    assert distance(shuffled.endmembers, fit.endmembers) < 5e-3


@pytest.mark.parametrize("case", ["two components", "fewest", "duplicates", "no noise"])
def test_extreme_input_gives_finite_endmembers(case):
    scores, noise, _, _ = mixture(capped, 6, 300)
    p = 4
    if case == "two components":
        scores, p = scores[:, :1], 2
    elif case == "fewest":
        scores, noise = scores[:5], noise[:5]
    elif case == "duplicates":
        scores, noise = np.repeat(scores[:30], 10, axis=0), np.repeat(noise[:30], 10)
    else:
        noise = np.zeros(300)
    fit = face_mixture(scores, p, noise, random_state=0, n_starts=3)
    assert fit.endmembers.shape == (p, p - 1)
    assert np.isfinite(fit.endmembers).all()
    assert np.isfinite(fit.log_likelihood)


def test_constant_scores_are_refused():
    with pytest.raises(ValueError, match="span only 0 directions, 3 components need 2"):
        face_mixture(np.ones((20, 2)), 3, np.ones(20))
    with pytest.raises(ValueError, match="Got 2 positions for 3 components"):
        face_mixture(np.eye(2), 3, np.ones(2))


def test_outer_products_of_slopes_are_summed():
    slopes = np.random.default_rng(0).standard_normal((40, 5))
    slopes[::3, 1:3] = 0.0
    np.testing.assert_allclose(outer_products(slopes), slopes.T @ slopes, atol=1e-12)


@pytest.mark.parametrize("p", [2, 3, 5])
def test_a_moved_endmember_changes_only_its_own_faces(p):
    problem, vertices, weights, exponents = small_problem(0, p)
    for moved_one in range(p):
        part, own_weights, own_exponents = problem.faces_of(moved_one, vertices, weights, exponents)
        moved = vertices.copy()
        moved[moved_one] += 0.3
        expected = problem.total(moved, weights, exponents)
        found = part.total(moved, own_weights, own_exponents)
        assert found == pytest.approx(expected, abs=1e-5)
        some = part.subset(np.arange(7)).total(moved, own_weights, own_exponents)
        expected = problem.subset(np.arange(7)).total(moved, weights, exponents)
        assert some == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("thinness", [1.0, 1e-7])
def test_faces_are_measured_however_thin(thinness):
    vertices = vertices_of(np.random.default_rng(0), 5) * [1.0, 1.0, 1.0, thinness]
    geometry = face_geometry(vertices, *pad_faces(list_faces(5, 3)))
    for f, face in enumerate(list_faces(5, 3)):
        edges = vertices[list(face[1:])] - vertices[face[0]]
        size = len(face)
        volume = np.prod(np.linalg.svd(edges, compute_uv=False)) / math.factorial(size - 1)
        assert geometry.log_volumes[f] == pytest.approx(np.log(volume) if size > 1 else 0.0)
        np.testing.assert_allclose(
            geometry.gradients[f, 1:size] @ edges.T, np.eye(size - 1), atol=1e-7
        )
        frame = geometry.frames[:, geometry.frame_starts[f] : geometry.frame_starts[f + 1]]
        np.testing.assert_allclose(frame.T @ frame, np.eye(frame.shape[1]), atol=1e-12)
        np.testing.assert_allclose(
            frame @ (frame.T @ edges.T), edges.T if frame.size else 0 * edges.T, atol=1e-12
        )


def test_faces_without_volume_are_told():
    vertices = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    volumes = face_geometry(vertices, *pad_faces(list_faces(3, 2))).log_volumes
    assert np.isneginf(volumes[5]) and np.isfinite(volumes[:5]).all()
    assert volumes[6] < -30
