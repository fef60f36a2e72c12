"""Positions on a facet are told from positions that merely come near it."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms import facets

NOISE = 0.01


def on_edges(rng, count):
    """``count`` positions on each edge of a triangle."""
    parts = np.zeros((3, count, 3))
    for k, (a, b) in enumerate([(0, 1), (0, 2), (1, 2)]):
        parts[k][:, a] = rng.uniform(0, 1, count)
        parts[k][:, b] = 1 - parts[k][:, a]
    return parts.reshape(-1, 3)


def blurred(rng, parts, noise=NOISE):
    error = rng.normal(0, noise, parts.shape)
    return parts + error - error.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_positions_on_every_edge(seed):
    rng = np.random.default_rng(seed)
    coordinates = blurred(rng, on_edges(rng, 60))
    evidence = facets.absence_evidence(coordinates, np.ones(len(coordinates)))
    assert np.isnan(np.diag(evidence)).all()
    assert np.nanmin(evidence) > 3


@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
def test_a_component_under_another(power):
    """However the depth is distributed, and wherever in the noise the facet has been put."""
    for seed, shift in zip(range(12), np.tile([-1.0, 0.0, 1.0], 4), strict=True):
        rng = np.random.default_rng(seed)
        # From the most of component 0 that there is, where the facet was put, to none of it.
        buried = np.zeros((400, 3))
        buried[:, 1] = rng.uniform(0, 1, 400) ** power
        buried[:, 0] = 1 - buried[:, 1]
        film = rng.uniform(0, 1, 400)[:, None] * (rng.uniform(size=400) < 0.5)[:, None]
        buried = (1 - film) * buried + film * [0, 0, 1]
        known = on_edges(rng, 200)
        known = known[(known[:, 0] == 0) | (known[:, 1] == 0) & (known[:, 0] == 0)]
        coordinates = blurred(rng, np.vstack([buried, known]))
        coordinates[:, 1] += shift * NOISE * (coordinates[:, 0] > 0.1)
        evidence = facets.absence_evidence(coordinates, np.ones(len(coordinates)))
        if power <= 1:
            assert evidence[0, 1] < 3, seed
        assert evidence[1, 0] > 3
        assert evidence[2, 0] > 3


def test_noise_of_coordinates():
    rng = np.random.default_rng(0)
    coordinates = np.zeros((4000, 3))
    coordinates[:, 2] = 1.0
    coordinates[:, :2] = rng.normal(0, [0.02, 0.3], (4000, 2))
    np.testing.assert_allclose(facets.coordinate_noise(coordinates), [0.02, 0.3, 0], rtol=0.05)


def test_noise_may_differ_between_positions():
    rng = np.random.default_rng(0)
    parts = on_edges(rng, 200)
    precision = rng.choice([0.04, 1.0], len(parts))
    coordinates = parts + (blurred(rng, parts) - parts) / np.sqrt(precision)[:, None]
    known = facets.absence_evidence(coordinates, precision)
    assert np.nanmin(known) > 7
    assert np.nanmin(known) > np.nanmin(facets.absence_evidence(coordinates, np.ones(len(parts))))


def test_noise_as_wide_as_the_simplex_tells_nothing():
    rng = np.random.default_rng(0)
    coordinates = blurred(rng, rng.dirichlet(np.full(2, 8.0), 300), 0.3)
    assert not (facets.absence_evidence(coordinates, np.ones(300)) > 0).any()


def test_positions_exactly_on_a_facet_need_no_noise_to_be_seen():
    exact = np.repeat(np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]), 16, axis=0)
    evidence = facets.absence_evidence(exact, np.ones(48))
    assert evidence[0, 1] == evidence[1, 2] == 4
    assert evidence[2, 1] == pytest.approx(0, abs=1e-12)
