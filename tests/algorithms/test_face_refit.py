"""Endmembers fitted again, under noise that is not alike in all directions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from hyperfuse_hs.algorithms.face_geometry import list_faces
from hyperfuse_hs.algorithms.face_kinds import probabilities, sort_kinds
from hyperfuse_hs.algorithms.face_prior import learn_shares, make_prior
from hyperfuse_hs.algorithms.face_refit import evaluate, refit_endmembers

BACKGROUND = -6.0


def make(p, seed=0, n=400):
    """Positions on the edges of a simplex, sorted by noise that differs between endmembers."""
    rng = np.random.default_rng([seed, p])
    corners = 2 * rng.standard_normal((p, p - 1)) + 3 * np.eye(p)[:, : p - 1]
    prior = make_prior(list_faces(p, 2), np.ones(len(list_faces(p, 2)), dtype=bool))
    abundances = np.zeros((n, p))
    for row in abundances:
        row[rng.choice(p, 2, replace=False)] = rng.dirichlet([0.7, 0.7])
    roots = np.eye(p - 1) + np.tril(rng.uniform(-0.4, 0.4, (p, p - 1, p - 1)))
    covariances = roots @ roots.transpose(0, 2, 1)
    noise = 0.05 * rng.uniform(0.5, 1.5, n)
    points = abundances @ corners
    points += np.sqrt(noise)[:, None] * rng.standard_normal(points.shape)
    return sort_kinds(points, noise, corners, covariances, prior), corners, prior


@pytest.mark.parametrize("p", [3, 4])
def test_slopes_are_those_of_the_log_likelihood(p):
    kinds, corners, prior = make(p)
    found = evaluate(kinds, prior, prior.even, BACKGROUND)
    step = 1e-5
    for index in range(corners.size):
        change = np.zeros(corners.size)
        change[index] = step
        change = change.reshape(corners.shape)
        above, below = (
            evaluate([k.see(c, prior) for k in kinds], prior, prior.even, BACKGROUND)
            for c in (corners + change, corners - change)
        )
        slope = (above.log_likelihood - below.log_likelihood) / (2 * step)
        # The cutoff of the kernel leaves out 2e-9 of a density: the sum is not quite smooth.
        assert found.gradient[index] == pytest.approx(slope, rel=1e-3, abs=0.01)
    assert np.linalg.eigvalsh(found.information)[0] > 0


def test_whitening_does_not_change_the_density():
    kinds, corners, prior = make(3)
    whole = evaluate(kinds, prior, prior.even, -np.inf).log_likelihood
    whitened = [replace(kind, root=np.eye(2)) for kind in kinds]
    inside = evaluate(whitened, prior, prior.even, -np.inf).log_likelihood
    log_dets = [len(k.rows) * np.log(np.diag(k.root)).sum() for k in kinds]
    assert whole == pytest.approx(inside - sum(log_dets))


def test_the_refit_is_more_likely_and_shares_stay_shares():
    kinds, corners, prior = make(3)
    off = corners + 0.2
    moved = [kind.see(off, prior) for kind in kinds]
    start = evaluate(moved, prior, prior.even, BACKGROUND).log_likelihood
    fit = refit_endmembers(moved, off, prior, prior.even, BACKGROUND)
    assert fit.log_likelihood > start + 10
    assert fit.shares.sum() == pytest.approx(1.0)
    again = [kind.see(fit.endmembers, prior) for kind in kinds]
    value = evaluate(again, prior, fit.shares, BACKGROUND).log_likelihood
    assert value == pytest.approx(fit.log_likelihood)
    np.testing.assert_allclose(probabilities(again, prior, fit.shares).sum(axis=1), 1.0)


def test_endmembers_without_volume_stay():
    kinds, corners, prior = make(3)
    flat = np.repeat(corners[:1], 3, axis=0)
    fit = refit_endmembers(
        [kind.see(flat, prior) for kind in kinds], flat, prior, prior.even, BACKGROUND
    )
    assert np.array_equal(fit.endmembers, flat)


def test_shares_do_not_depend_on_where_learning_starts():
    kinds, _, prior = make(3)
    found = sparse.csr_array(probabilities(kinds, prior, prior.even))
    uneven = np.linspace(1.0, 3.0, prior.even.size)
    starts = prior.even, uneven / uneven.sum()
    first, second = (learn_shares(found, prior, start, 1e-7) for start in starts)
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert first.sum() == pytest.approx(1.0)
