import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.coupling import couple, significant_lead_rank, tall_svd
from hyperfuse_hs.algorithms.rank import noise_edge

seeds = st.integers(0, 2**32 - 1)


def lead_and_support(rng, n=600, sharpness=20.0, shared=True, lead=(40.0, 25.0, 10.0), width=8):
    """Scores with unit noise; the maps of the lead are among those of the support, or not."""
    count = len(lead)
    maps = np.linalg.qr(rng.standard_normal((n, 2 * width)))[0]
    exact = maps[:, :count] * np.array(lead) * np.sqrt(n)
    mixing = np.linalg.qr(rng.standard_normal((width, width)))[0]
    others = maps[:, :width] if shared else maps[:, width:]
    support = (others @ mixing) * sharpness * np.sqrt(n)
    return (
        exact,
        exact + rng.standard_normal(exact.shape),
        support + rng.standard_normal(support.shape),
    )


def error_of_lead(coupled, noisy, exact):
    """Error of the whitened lead scores: the same linear map applied to the exact ones."""
    denoised = coupled.basis @ (coupled.basis.T @ noisy)
    mapping = np.linalg.pinv(denoised) @ coupled.lead_scores
    return coupled.lead_scores - exact @ mapping


@pytest.mark.parametrize("sharpness", [None, 0.05, 1.0, 20.0, 500.0])
@pytest.mark.parametrize("shared", [True, False])
def test_noise_of_lead_scores_has_unit_covariance(sharpness, shared):
    rng = np.random.default_rng(0)
    repeats, covariance = 40, np.zeros((3, 3))
    for _ in range(repeats):
        exact, noisy, support = lead_and_support(
            rng, n=300, sharpness=sharpness or 1.0, shared=shared
        )
        if sharpness is None:
            coupled = couple([noisy], [True])
        else:
            coupled = couple([noisy, support], [True, False])
        error = error_of_lead(coupled, noisy, exact)
        covariance += error.T @ error / len(error) / repeats
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.25)


@pytest.mark.parametrize(
    ("sharpness", "shared", "most"), [(200.0, True, 0.2), (10.0, True, 0.8), (200.0, False, 1.02)]
)
def test_support_takes_noise_out_of_the_lead_or_leaves_it(sharpness, shared, most):
    """Error of the denoised scores over that of the scores themselves."""
    rng = np.random.default_rng(1)
    exact, noisy, support = lead_and_support(
        rng, sharpness=sharpness, shared=shared, lead=(8, 5, 3)
    )
    coupled = couple([noisy, support], [True, False])
    denoised = coupled.basis @ (coupled.basis.T @ noisy)
    assert np.linalg.norm(denoised - exact) < most * np.linalg.norm(noisy - exact)


def test_pure_noise_has_no_lead_directions():
    rng = np.random.default_rng(2)
    scores = rng.standard_normal((500, 6)), rng.standard_normal((500, 20))
    coupled = couple(scores, [True, False])
    # One joint direction, and the one of the lead that is asked for.
    assert coupled.basis.shape == (500, 2)
    assert coupled.singular_values[0] < coupled.edge == noise_edge(500, 26)
    assert significant_lead_rank(coupled) == 0


@pytest.mark.parametrize("shared", [True, False])
def test_lead_rank_is_that_of_the_lead_whatever_the_rank_of_the_support(shared):
    rng = np.random.default_rng(3)
    _, noisy, support = lead_and_support(rng, shared=shared)
    padded = np.hstack([noisy, rng.standard_normal((600, 3))])
    coupled = couple([padded, support], [True, False])
    assert coupled.basis.shape[1] == (8 if shared else 11)
    assert significant_lead_rank(coupled) == 3


@pytest.mark.parametrize("minimum", [1, 4, 6])
def test_minimum_rank_is_kept_whatever_the_noise(minimum):
    rng = np.random.default_rng(4)
    coupled = couple([rng.standard_normal((200, 6))], [True], minimum_rank=minimum)
    assert minimum <= coupled.basis.shape[1] <= 6


def test_no_more_directions_than_there_are():
    scores = np.outer(np.arange(1.0, 21.0), [100.0, 50.0])
    assert couple([scores], [True], minimum_rank=5).basis.shape == (20, 1)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_permuting_positions_permutes_the_scores(seed):
    rng = np.random.default_rng(seed)
    _, noisy, support = lead_and_support(rng, n=60)
    kept = noisy.copy(), support.copy()
    order = rng.permutation(60)
    straight = couple([noisy, support], [True, False])
    shuffled = couple([noisy[order], support[order]], [True, False])
    np.testing.assert_allclose(shuffled.singular_values, straight.singular_values, rtol=1e-9)
    np.testing.assert_allclose(shuffled.lead_values, straight.lead_values, rtol=1e-9)
    # Columns have no sign of their own: compare what does not depend on it.
    np.testing.assert_allclose(
        np.abs(shuffled.lead_scores), np.abs(straight.lead_scores[order]), atol=1e-5
    )
    np.testing.assert_array_equal(noisy, kept[0])
    np.testing.assert_array_equal(support, kept[1])


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_rotating_the_scores_of_a_modality_changes_nothing_that_matters(seed):
    rng = np.random.default_rng(seed)
    _, noisy, support = lead_and_support(rng, n=60)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    straight = couple([noisy, support], [True, False])
    turned = couple([noisy, support @ turn], [True, False])
    np.testing.assert_allclose(turned.lead_values, straight.lead_values, rtol=1e-9)
    np.testing.assert_allclose(
        turned.basis @ turned.basis.T, straight.basis @ straight.basis.T, atol=1e-8
    )


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 8), st.integers(0, 4))
def test_tall_decomposition_is_that_of_numpy(seed, k, dependent):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((40, k)) * rng.uniform(0.1, 100, k)
    matrix = np.hstack([matrix, matrix @ rng.standard_normal((k, dependent))])
    left, values, right = tall_svd(matrix)
    exact = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(values, exact, atol=2e-7 * exact[0])
    assert np.count_nonzero(values) <= k
    np.testing.assert_allclose((left * values) @ right, matrix, atol=1e-6 * exact[0])
    kept = left[:, :k]
    np.testing.assert_allclose(kept.T @ kept, np.eye(k), atol=1e-6 * (exact[0] / exact[k - 1]) ** 2)


@pytest.mark.parametrize("seed", range(10))
def test_an_unrelated_support_leaves_weak_lead_directions_alone(seed):
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    exact = rng.dirichlet(np.full(3, 0.5), 800) @ np.diag([60.0, 30.0, 8.0]) @ turned
    lead = np.hstack([exact, np.zeros((800, 2))]) + rng.standard_normal((800, 5))
    support = 20 * rng.standard_normal((800, 20))
    white = couple([lead, support], [True, False], minimum_rank=3).lead_scores[:, :3]
    noise = white - exact @ np.linalg.lstsq(exact, white, rcond=None)[0]
    np.testing.assert_allclose(np.var(noise, axis=0), 1.0, atol=0.2)


def test_what_few_positions_alone_have_is_restored_and_their_noise_is_known():
    rng = np.random.default_rng(5)
    n, special, squares, plain, far = 800, np.arange(12), [], [], []
    for _ in range(20):
        exact, noisy, support = lead_and_support(
            rng, n=n, sharpness=200.0, lead=(40.0, 25.0, 10.0), width=10
        )
        # A particle that the support does not know, several noise levels from where it belongs.
        lift = np.zeros_like(exact)
        lift[special] = 8.0
        coupled = couple([noisy + lift, support], [True, False])
        mapping = np.linalg.lstsq(exact, coupled.lead_scores, rcond=None)[0]
        error = coupled.lead_scores - (exact + lift) @ mapping
        squares.append(np.mean(error**2 / coupled.lead_noise, axis=1))
        plain.append(np.mean(coupled.lead_noise, axis=1))
        far.append(np.abs(error[special]).mean() / np.abs(lift @ mapping)[special].mean())
    squares, plain = np.mean(squares, axis=0), np.mean(plain, axis=0)
    others = np.delete(np.arange(n), special)
    assert np.mean(far) < 0.25
    assert squares[others].mean() == pytest.approx(1, abs=0.3)
    assert squares[special].mean() == pytest.approx(1, abs=0.5)
    assert plain[special].mean() > 1.8 * plain[others].mean()


def test_noise_of_lead_scores_follows_that_of_the_scores():
    rng = np.random.default_rng(6)
    n, squares, noise = 300, 0.0, 0.0
    variance = np.exp(0.8 * rng.standard_normal((n, 3)))
    variance /= variance.mean(axis=0)
    exact = lead_and_support(rng, n=n)[0]
    for _ in range(60):
        coupled = couple(
            [exact + np.sqrt(variance) * rng.standard_normal(exact.shape)],
            [True],
            variances=[variance],
        )
        mapping = np.linalg.lstsq(exact, coupled.lead_scores, rcond=None)[0]
        squares = squares + (coupled.lead_scores - exact @ mapping) ** 2 / 60
        noise = noise + coupled.lead_noise / 60
    ratio = np.log(squares.mean(axis=1)), np.log(noise.mean(axis=1))
    assert np.corrcoef(*ratio)[0, 1] > 0.9
    assert np.mean(noise) == pytest.approx(np.mean(squares), rel=0.1)


def test_uneven_noise_of_two_modalities_agrees_by_chance_where_it_is_strong():
    rng = np.random.default_rng(7)
    n = 600
    variance = np.where(np.arange(n) < 8, 60.0, 1.0)[:, None] * np.ones((n, 4))
    variance /= variance.mean(axis=0)
    scores = [np.sqrt(variance) * rng.standard_normal((n, 4)) for _ in range(3)]
    plain = couple(scores, [True, False, False])
    assert plain.singular_values[0] > plain.edge
    coupled = couple(scores, [True, False, False], variances=[variance] * 3)
    assert coupled.singular_values[0] < coupled.edge
