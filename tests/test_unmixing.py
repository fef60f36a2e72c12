import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.metrics import match_components
from hyperfuse_hs.concerns import concern_of
from hyperfuse_hs.lead import lead_plane
from hyperfuse_hs.scaling import design_weight
from hyperfuse_hs.unmixing import (
    ABUNDANCES,
    SIGNED,
    endmembers_of,
    unmix_nonnegative,
    unmix_signed,
    unmix_simplex,
)

seeds = st.integers(0, 2**32 - 1)
# Error of the abundances allowed, and change when the start is different. The data lie on faces
# as only the face mixture assumes; the vertex search returns one of several noisy positions.
SIMPLEX_METHODS = {
    "face_mixture": (0.03, 5e-3),
    "minimum_volume": (0.06, 5e-3),
    "vertex": (0.06, 3e-2),
}


def facets(rng, n, p):
    """Abundances on all faces: pure, between two, all."""
    abundances = rng.dirichlet(np.ones(p), n)
    for row in abundances[: 2 * n // 3]:
        row[rng.permutation(p)[: rng.integers(1, p)]] = 0.0
    return abundances / abundances.sum(axis=1, keepdims=True)


def scores(seed, n=150, p=3, strength=60.0, varied=False):
    """Whitened lead scores with unit noise, abundances and local intensity."""
    rng = np.random.default_rng(seed)
    abundances = facets(rng, n, p)
    vertices = strength * np.linalg.qr(rng.standard_normal((p + 1, p)))[0].T
    scale = rng.uniform(0.4, 1.6, n) if varied else np.ones(n)
    scale /= scale.mean()
    rows = design_weight(scale)[:, None] * (abundances @ vertices)
    return rows + rng.standard_normal(rows.shape), abundances, scale


def plane(rows, scale, p):
    """Plane of lead scores with the same noise everywhere."""
    return lead_plane(rows, np.ones(rows.shape), scale, p)


def error(found, truth):
    """Root mean square, components in whichever order."""
    order = match_components(found.T, truth.T)
    return float(np.sqrt(np.mean((found[:, order] - truth) ** 2)))


class FromFirstRows:
    """A user's own method: knows the vertices."""

    def __init__(self, rows):
        self.rows = rows

    def fit(self, points, n_components, noise):
        self.endmembers_ = points[self.rows]
        return self


def test_own_method_and_exact_vertices_give_exact_abundances():
    _, truth, scale = scores(0)
    truth[:3] = np.eye(3)
    exact = truth @ (60.0 * np.random.default_rng(0).standard_normal((3, 4)))
    lead = plane(exact, scale, 3)
    for kind in ABUNDANCES:
        found = unmix_simplex(lead, 3, FromFirstRows([0, 1, 2]), kind, 0).abundances
        np.testing.assert_allclose(found, truth, atol=1e-6)


@pytest.mark.parametrize("varied", [False, True])
def test_plane_holds_the_mixtures_and_undoes_the_intensity(varied):
    lead_scores, truth, scale = scores(1, strength=1e6, varied=varied)
    lead = plane(lead_scores, scale, 3)
    np.testing.assert_allclose(lead.axes.T @ lead.axes, np.eye(2), atol=1e-12)
    off = lead.lift(lead.coordinates) - lead.whitened
    assert np.abs(off).max() < 20
    np.testing.assert_allclose(lead.noise * scale, 1.0)
    vertices = np.linalg.lstsq(truth, lead.whitened, rcond=None)[0]
    assert np.abs(lead.whitened - truth @ vertices).max() < 20


@pytest.mark.parametrize("varied", [False, True])
@pytest.mark.parametrize("method", SIMPLEX_METHODS)
def test_methods_find_the_abundances(method, varied):
    lead_scores, truth, scale = scores(2, varied=varied)
    found = unmix_simplex(plane(lead_scores, scale, 3), 3, method, "simplex", 0)
    np.testing.assert_allclose(found.abundances.sum(axis=1), 1.0, atol=1e-9)
    assert found.abundances.min() >= 0
    assert error(found.abundances, truth) < SIMPLEX_METHODS[method][0]


@pytest.mark.parametrize("method", SIMPLEX_METHODS)
def test_permuting_positions_permutes_abundances(method):
    lead_scores, _, scale = scores(3)
    order = np.random.default_rng(0).permutation(len(scale))
    straight = unmix_simplex(plane(lead_scores, scale, 3), 3, method, "simplex", 0)
    shuffled = unmix_simplex(plane(lead_scores[order], scale[order], 3), 3, method, "simplex", 0)
    # The random starts see other positions, so the same optimum is reached from elsewhere.
    assert error(shuffled.abundances, straight.abundances[order]) < SIMPLEX_METHODS[method][1]


@pytest.mark.parametrize("method", SIMPLEX_METHODS)
def test_rotating_the_scores_changes_nothing(method):
    lead_scores, _, scale = scores(4)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    straight = unmix_simplex(plane(lead_scores, scale, 3), 3, method, "simplex", 0)
    turned = unmix_simplex(plane(lead_scores @ turn, scale, 3), 3, method, "simplex", 0)
    assert error(turned.abundances, straight.abundances) < SIMPLEX_METHODS[method][1]


@pytest.mark.parametrize("method", SIMPLEX_METHODS)
def test_the_same_seed_gives_the_same_and_leaves_the_scores_alone(method):
    lead_scores, _, scale = scores(5)
    kept = lead_scores.copy(), scale.copy()
    results = [
        unmix_simplex(plane(lead_scores, scale, 3), 3, method, "simplex", 7).abundances
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(lead_scores, kept[0])
    np.testing.assert_array_equal(scale, kept[1])


def test_faces_come_with_probabilities_and_support():
    lead_scores, truth, scale = scores(6)
    found = unmix_simplex(plane(lead_scores, scale, 3), 3, "face_mixture", "simplex", 0)
    posterior = found.face_posterior()
    assert posterior.shape == (len(scale), len(found.face_sets))
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-9)
    assert (found.facet_support > 5).all()
    assert np.isfinite(found.log_likelihood)
    order = match_components(found.abundances.T, truth.T)
    pure = np.flatnonzero(truth.max(axis=1) == 1)
    likely = np.argmax(posterior[pure], axis=1)
    right = [
        found.face_sets[face] == (order[truth[row].argmax()],)
        for face, row in zip(likely, pure, strict=True)
    ]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("kind", ABUNDANCES)
def test_a_single_component(kind):
    rng = np.random.default_rng(7)
    lead_scores = 50.0 + rng.standard_normal((40, 2))
    found = unmix_simplex(plane(lead_scores, np.ones(40), 1), 1, "face_mixture", kind, 0)
    assert found.abundances.shape == (40, 1)
    np.testing.assert_allclose(found.abundances, 1.0, atol=0.1)


def test_more_components_than_directions_are_refused():
    with pytest.raises(ValueError, match=r"n_components=4 is more.* at most 3 components"):
        plane(np.random.default_rng(8).standard_normal((20, 2)), np.ones(20), 4)


@pytest.mark.parametrize("fitted", ["no array", object(), [["a", "b"]]])
def test_own_method_that_returns_no_array(fitted):
    with pytest.raises(TypeError, match=r"fit\(scores, n_components, noise\) of unmixing= is"):
        endmembers_of(fitted, 3)


@pytest.mark.parametrize("fitted", [np.zeros((3, 3)), np.full((3, 2), np.nan), np.zeros(6)])
def test_own_method_that_returns_another_shape_or_nan(fitted):
    with pytest.raises(ValueError, match=r"expected to be finite and of shape \(3, 2\).*Got shape"):
        endmembers_of(fitted, 3)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_own_array_is_taken_as_it_is(seed):
    vertices = np.random.default_rng(seed).standard_normal((3, 2))
    np.testing.assert_array_equal(endmembers_of(vertices.tolist(), 3), vertices)


@pytest.mark.parametrize("kind", ABUNDANCES)
def test_nonnegative_factorisation_finds_separable_components(kind):
    rng = np.random.default_rng(9)
    truth, factors = facets(rng, 150, 3), np.kron(np.eye(3), np.ones(4)) * 30.0
    left, values, right = np.linalg.svd(truth @ factors, full_matrices=False)
    basis = left[:, :3]
    lead = plane(basis * values[:3], np.ones(150), 3)
    found = unmix_nonnegative(lead, basis, values[:3, None] * right[:3], 3, kind, 0)
    assert error(found.abundances, truth) < 0.03
    if kind != "none":
        assert found.abundances.min() >= 0


@pytest.mark.parametrize("method", SIGNED)
def test_signed_methods_keep_the_span_of_the_leading_scores(method):
    rng = np.random.default_rng(10)
    lead_scores, basis = rng.standard_normal((50, 5)), np.linalg.qr(rng.standard_normal((9, 5)))[0]
    found = unmix_signed(lead_scores, basis.T, 3, method).abundances
    assert found.shape == (50, 3)
    np.testing.assert_allclose(
        found @ found.T, lead_scores[:, :3] @ lead_scores[:, :3].T, atol=1e-9
    )
    if method == "none":
        np.testing.assert_array_equal(found, lead_scores[:, :3])


@pytest.mark.parametrize("method", ["face_mixture", "minimum_volume"])
def test_too_many_components_to_search_for_are_refused(method):
    rows = np.random.default_rng(9).standard_normal((60, 30))
    lead = plane(rows, np.ones(60), 21)
    match = "at most 20 components .* Got 21. If they were counted"
    with pytest.raises(ValueError, match=match) as caught:
        unmix_simplex(lead, 21, method, "simplex", 0)
    assert concern_of(caught.value) == ("n_components", None)
    assert unmix_simplex(lead, 21, "vertex", "simplex", 0).abundances.shape == (60, 21)
