"""Vertex searches and the minimum-volume simplex."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.face_geometry import pad_faces
from hyperfuse_hs.algorithms.face_problem import FaceProblem
from hyperfuse_hs.algorithms.simplex import (
    minimum_volume,
    successive_projection,
    vertex_component_analysis,
)


def mixture(seed, n_positions=400, p=4, sigma=0.02, pure=True):
    rng = np.random.default_rng(seed)
    vertices = 3 * np.eye(p, p - 1) + 0.3 * rng.standard_normal((p, p - 1))
    abundances = rng.dirichlet(np.ones(p), n_positions)
    if pure:
        abundances[:p] = np.eye(p)
    noise = np.full(n_positions, sigma**2)
    scores = abundances @ vertices + sigma * rng.standard_normal((n_positions, p - 1))
    return scores, noise, vertices, abundances


def distance(found, truth):
    gaps = np.linalg.norm(found[:, None] - truth[None], axis=2)
    order = gaps.argmin(axis=0)
    assert len(set(order)) == len(truth)
    return np.sqrt(np.sum((found[order] - truth) ** 2))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_successive_projection_picks_the_pure_positions(seed, p):
    scores, _, _, _ = mixture(seed, p=p, sigma=0.0)
    assert set(successive_projection(scores, p)) == set(range(p))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_vertex_component_analysis_finds_the_pure_positions(seed, p):
    scores, _, vertices, _ = mixture(seed, p=p, sigma=0.0)
    found = vertex_component_analysis(scores, p, random_state=seed)
    assert distance(found, vertices) < 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_minimum_volume_reaches_the_cramer_rao_bound_without_pure_positions(seed):
    scores, noise, vertices, _ = mixture(seed, 3000, pure=False)
    fit = minimum_volume(scores, 4, noise, random_state=0, n_starts=2)
    problem = FaceProblem(scores, noise, *pad_faces([(0, 1, 2, 3)]), -np.inf)
    information = problem.evaluate(vertices, np.ones(1), np.ones(1)).information[:12, :12]
    bound = np.sqrt(np.trace(np.linalg.inv(information)))
    assert distance(fit.endmembers, vertices) < 2 * bound
    assert fit.converged


@pytest.mark.parametrize("exponent", [0.3, 3.0])
def test_minimum_volume_learns_how_the_simplex_is_filled(exponent):
    rng = np.random.default_rng(0)
    vertices = 3 * np.eye(3, 2) + 0.3 * rng.standard_normal((3, 2))
    noise = np.full(3000, 0.02**2)
    scores = rng.dirichlet(np.full(3, exponent), 3000) @ vertices
    scores += 0.02 * rng.standard_normal(scores.shape)
    fit = minimum_volume(scores, 3, noise, random_state=0, n_starts=2)
    problem = FaceProblem(scores, noise, *pad_faces([(0, 1, 2)]), -np.inf)
    information = problem.evaluate(vertices, np.ones(1), np.array([exponent])).information
    bound = np.sqrt(np.trace(np.linalg.inv(information)[:6, :6]))
    assert distance(fit.endmembers, vertices) < 2.5 * bound
    assert fit.exponent == pytest.approx(exponent, rel=0.15)
    assert fit.converged


def test_minimum_volume_follows_scale_and_shift():
    scores, noise, _, _ = mixture(5)
    before = scores.copy(), noise.copy()
    fit = minimum_volume(scores, 4, noise, random_state=1, n_starts=2)
    again = minimum_volume(7 * scores - 3, 4, 49 * noise, random_state=1, n_starts=2)
    np.testing.assert_allclose(again.endmembers, 7 * fit.endmembers - 3, rtol=1e-4, atol=1e-3)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood - 3 * np.log(7), abs=1e-5)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(noise, before[1])


def test_scores_that_span_too_little_are_refused():
    flat = np.column_stack([np.arange(9.0), np.zeros(9)])
    for search in (successive_projection, vertex_component_analysis):
        with pytest.raises(ValueError, match="span only 1 directions"):
            search(flat, 3)
    for scores in (flat, np.ones((9, 2))):
        with pytest.raises(ValueError, match="span only . directions"):
            minimum_volume(scores, 3, np.ones(9))


def test_bad_noise_shape_and_values_are_refused():
    scores, noise, _, _ = mixture(0)
    with pytest.raises(ValueError, match="one variance for each of the 400"):
        minimum_volume(scores, 4, noise[:-1])
    with pytest.raises(ValueError, match="not negative"):
        minimum_volume(scores, 4, -noise)
    with pytest.raises(ValueError, match="need scores with 2 coordinates. Got 3"):
        minimum_volume(scores, 3, noise)
    with pytest.raises(ValueError, match="1 of 400 probe positions hold NaN"):
        minimum_volume(np.where(np.arange(400)[:, None] == 3, np.nan, scores), 4, noise)
