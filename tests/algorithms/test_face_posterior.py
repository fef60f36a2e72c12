"""Whether probabilities of faces are right as often as they say, where endmembers are known."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms.face_geometry import list_faces
from hyperfuse_hs.algorithms.face_posterior import face_probabilities
from hyperfuse_hs.algorithms.face_prior import EXPONENTS

SIGMA = 0.03


def draw(seed, p, exponent, n=3000, *, edge=None, unlike=1.0):
    """Positions on random faces, of abundances that spread in one way or, on edges, in another.

    At the first endmember the noise along the last axis is `unlike` times what is stated.
    """
    rng = np.random.default_rng([seed, p])
    corners = 2 * rng.standard_normal((p, p - 1)) + 3 * np.eye(p)[:, : p - 1]
    faces = list_faces(p, 3)
    faces = faces if p > 3 else faces[:-1] + (tuple(range(p)),)
    true = rng.choice(len(faces), n, p=rng.dirichlet(np.full(len(faces), 2.0)))
    abundances = np.zeros((n, p))
    for number, face in enumerate(faces):
        rows = np.flatnonzero(true == number)
        here = edge if edge and len(face) == 2 else exponent
        shares = rng.dirichlet(np.full(len(face), here), rows.size)
        abundances[rows[:, None], np.array(face)] = shares
    scale = np.linalg.svd(corners - corners.mean(axis=0), compute_uv=False)[-1]
    noise = (SIGMA * scale * rng.uniform(0.5, 1.5, n)) ** 2
    moved = np.sqrt(noise)[:, None] * rng.standard_normal((n, p - 1))
    moved[:, -1] *= np.sqrt(1 + (unlike**2 - 1) * abundances[:, 0])
    scores = abundances @ corners + moved
    return scores, corners, noise, faces, true


def find(drawn):
    scores, corners, noise, faces, _ = drawn
    even = np.full(len(faces), 1 / len(faces))
    return face_probabilities(scores, corners, noise, faces, even, np.random.default_rng(0))


@pytest.mark.parametrize("p", [3, 4])
@pytest.mark.parametrize(
    ("exponent", "edge", "unlike"),
    [(1.0, None, 1.0), (0.5, None, 1.0), (3.0, 1.0, 1.0), (1.0, 3.0, 1.0), (1.0, None, 3.0)],
)
def test_probabilities_are_right_as_often_as_they_say(p, exponent, edge, unlike):
    stated, so = [], []
    for seed in range(3):
        drawn = draw(seed, p, exponent, edge=edge, unlike=unlike)
        posterior = find(drawn).posterior
        np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)
        stated.append(posterior.ravel())
        so.append((np.arange(posterior.shape[1]) == drawn[4][:, None]).ravel())
    stated, so = np.concatenate(stated), np.concatenate(so)
    edges = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (stated > low) & (stated <= high)
        chance = 0.5 / np.sqrt(max(inside.sum(), 1))
        assert abs(so[inside].mean() - stated[inside].mean()) < 0.05 + 2 * chance


def test_shares_are_those_of_the_positions():
    drawn = draw(0, 4, 1.0)
    prior = find(drawn)
    true = np.bincount(drawn[4], minlength=len(drawn[3])) / len(drawn[4])
    assert prior.shares.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(prior.shares.sum(axis=1), true, atol=0.03)


def test_noise_is_learnt_where_one_endmember_is_alone():
    found = find(draw(0, 4, 1.0, unlike=3.0)).covariances
    np.testing.assert_allclose(np.trace(found[0]), 3 - 1 + 3.0**2, rtol=0.2)
    assert np.linalg.eigvalsh(found[0])[-1] == pytest.approx(3.0**2, rel=0.2)
    np.testing.assert_allclose(np.trace(found[1:], axis1=1, axis2=2), 3.0, rtol=0.2)


def test_abundances_in_the_middle_have_a_large_exponent():
    large = find(draw(0, 3, 4.0)).shares[-1]
    small = find(draw(0, 3, 0.5)).shares[-1]
    assert large @ np.log(EXPONENTS) / large.sum() > np.log(2.0)
    assert small @ np.log(EXPONENTS) / small.sum() < 0.0


def test_faces_of_weight_zero_stay_so():
    scores, corners, noise, faces, _ = draw(1, 4, 1.0, 500)
    weights = np.array([float(len(face) < 3) for face in faces])
    rng = np.random.default_rng(0)
    posterior = face_probabilities(scores, corners, noise, faces, weights, rng).posterior
    assert np.all(posterior[:, weights == 0] == 0)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)


def test_nothing_is_learnt_where_a_single_face_is_left():
    scores, corners, noise, faces, _ = draw(1, 4, 1.0, 500)
    weights = np.array([float(len(face) == 4) for face in faces])
    whole = face_probabilities(scores, corners, noise, faces, weights, np.random.default_rng(0))
    np.testing.assert_array_equal(whole.posterior, np.tile(weights, (500, 1)))
    assert whole.shares.sum() == pytest.approx(1)
    np.testing.assert_array_equal(whole.endmembers, corners)


def test_turned_moved_scaled_scores_give_the_same_probabilities():
    scores, corners, noise, faces, _ = drawn = draw(2, 4, 1.0, 500)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    moved = 5 * scores @ turn + 2, 5 * corners @ turn + 2, 25 * noise
    found = find((*moved, faces, None)).posterior
    np.testing.assert_allclose(found, find(drawn).posterior, atol=1e-6)


@pytest.mark.parametrize("p", [3, 4])
@pytest.mark.parametrize("unlike", [1.0, 3.0])
def test_endmembers_off_by_the_noise_are_found_again(p, unlike):
    before, after = [], []
    for seed in range(3):
        scores, corners, noise, faces, _ = draw(seed, p, 1.0, unlike=unlike)
        sigma = np.sqrt(np.median(noise))
        rng = np.random.default_rng(seed)
        off = corners + 0.5 * sigma * rng.standard_normal(corners.shape)
        even = np.full(len(faces), 1 / len(faces))
        found = face_probabilities(scores, off, noise, faces, even, rng).endmembers
        before.append(np.linalg.norm(off - corners) / sigma)
        after.append(np.linalg.norm(found - corners) / sigma)
    assert np.mean(after) < 0.5 * np.mean(before)


def test_probabilities_do_not_depend_on_errors_of_endmembers():
    scores, corners, noise, faces, _ = drawn = draw(0, 4, 1.0)
    off = corners + 0.3 * np.sqrt(np.median(noise)) * np.ones(3)
    posterior = find((scores, off, noise, faces, None)).posterior
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)
    assert np.mean(np.abs(posterior - find(drawn).posterior)) < 0.002


def test_outliers_change_neither_noise_nor_endmembers():
    scores, corners, noise, faces, _ = draw(0, 3, 1.0, 1000)
    away = scores.copy()
    away[:3] += 100 * np.sqrt(noise.max())
    few, many = (find((rows, corners, noise, faces, None)) for rows in (scores, away))
    sigma = np.sqrt(np.median(noise))
    assert np.abs(many.endmembers - few.endmembers).max() < sigma
    traces = np.trace(many.covariances, axis1=1, axis2=2)
    np.testing.assert_allclose(traces, np.trace(few.covariances, axis1=1, axis2=2), rtol=0.3)
