import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.noise import effective_channels, poisson_variance
from hyperfuse_hs.algorithms.rank import (
    ALLOWANCE,
    edge_band,
    noise_edge,
    score_noise,
    signal_strength,
    significant_rank,
    unevenness,
)

SHAPES = [(400, 30), (120, 120), (40, 500), (600, 6), (200, 1)]
sizes = st.integers(1, 10**6)


def leading(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def spiked(rng, n, c, strengths):
    """Unit noise on orthogonal maps and spectra; the maps besides."""
    left = np.linalg.qr(rng.standard_normal((n, len(strengths))))[0]
    right = np.linalg.qr(rng.standard_normal((c, len(strengths))))[0]
    return (left * np.sqrt(strengths)) @ right.T + rng.standard_normal((n, c)), left


@pytest.mark.parametrize(("n", "c"), SHAPES)
def test_gaussian_noise_stays_below_its_edge_and_near_it(n, c):
    rng = np.random.default_rng(0)
    tops = [leading(rng.standard_normal((n, c)))[0] for _ in range(40)]
    assert max(tops) < noise_edge(n, c)
    # A single channel has no largest of many: its norm is sqrt(N), the edge sqrt(N) + 1 and more.
    assert np.mean(tops) > (0.8 if c == 1 else 0.92) * noise_edge(n, c)


@pytest.mark.parametrize(("n", "c"), [(400, 30), (120, 120), (40, 500)])
def test_the_largest_value_of_noise_is_within_the_band_of_its_edge(n, c):
    rng = np.random.default_rng(2)
    tops = np.array([leading(rng.standard_normal((n, c)))[0] for _ in range(40)])
    low, high = edge_band(noise_edge(n, c), n, c)
    assert high == noise_edge(n, c)
    assert (low < tops).all() and (tops < high).all()
    # It is no wider than it has to be.
    assert high - low < 3 * np.ptp(tops)


def test_the_band_of_uneven_noise_allows_for_its_profile():
    even, _ = edge_band(noise_edge(300, 50), 300, 50)
    edge = 1.3 * (1 + ALLOWANCE) * noise_edge(300, 50)
    low, high = edge_band(edge, 300, 50)
    assert high == edge
    assert low == pytest.approx(1.3 * even / (1 + ALLOWANCE))


@pytest.mark.parametrize("mean", [0.05, 1.0, 30.0])
@pytest.mark.parametrize(("n", "c"), [(600, 40), (100, 150)])
def test_whitened_poisson_noise_stays_below_its_edge(n, c, mean):
    rng = np.random.default_rng(1)
    spectrum = mean * rng.gamma(1.0, size=c)
    for _ in range(15):
        counts = rng.poisson(spectrum, size=(n, c)).astype(float)
        sums = counts.sum(axis=0)
        divisor = poisson_variance(sums, n)
        channels = effective_channels(sums / n, divisor)
        # Less its mean, which is signal.
        values = leading((counts - sums / n) / np.sqrt(divisor))
        assert values[0] < 1.02 * noise_edge(n, channels)


@given(sizes, sizes, st.integers(1, 1000))
def test_edge_is_symmetric_above_marchenko_pastur_and_grows(n, c, more):
    edge = noise_edge(n, c)
    assert edge == pytest.approx(noise_edge(c, n), rel=1e-12)
    assert edge > np.sqrt(n) + np.sqrt(c)
    assert noise_edge(n + more, c) > edge


@settings(max_examples=60)
@given(st.integers(2, 10**5), st.integers(1, 10**5), st.lists(st.floats(1.01, 1e6), min_size=1))
def test_strength_inverts_the_shift_of_singular_values(n, c, excess):
    strength = np.array(excess) * np.sqrt(n * c)
    values = np.sqrt((strength + n) * (strength + c) / strength)
    np.testing.assert_allclose(signal_strength(values, n, c), strength, rtol=1e-6)


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.floats(0.0, 1.0))
def test_below_the_edge_there_is_no_strength(n, c, part):
    values = part * np.array([np.sqrt(n) + np.sqrt(c)])
    assert signal_strength(values, n, c)[0] == 0


@pytest.mark.parametrize(("n", "c"), [(500, 50), (200, 200), (100, 500)])
@pytest.mark.parametrize("excess", [2.5, 6.0, 40.0])
def test_strength_of_simulated_signals(n, c, excess):
    rng = np.random.default_rng(2)
    strength = excess * np.sqrt(n * c)
    found = [
        signal_strength(leading(spiked(rng, n, c, [strength])[0])[:1], n, c)[0] for _ in range(15)
    ]
    assert np.mean(found) == pytest.approx(strength, rel=0.08)


@pytest.mark.parametrize(("n", "c"), [(500, 50), (200, 200), (100, 500)])
@pytest.mark.parametrize("excess", [1.5, 3.0, 10.0])
def test_noise_of_scores_is_that_of_simulated_scores(n, c, excess):
    rng = np.random.default_rng(3)
    measured, predicted = [], []
    for _ in range(20):
        matrix, maps = spiked(rng, n, c, [excess * np.sqrt(n * c)])
        left, values, _ = np.linalg.svd(matrix, full_matrices=False)
        scores = left[:, 0] * values[0]
        off = scores - maps[:, 0] * (maps[:, 0] @ scores)
        measured.append(np.sqrt(off @ off / (n - 1)))
        predicted.append(score_noise(values[:1], n, c)[0])
    assert np.mean(predicted) == pytest.approx(np.mean(measured), rel=0.05)


def test_scores_of_pure_noise_are_all_noise():
    n, c = 300, 40
    left, values, _ = np.linalg.svd(
        np.random.default_rng(4).standard_normal((n, c)), full_matrices=False
    )
    spread = score_noise(values, n, c)
    np.testing.assert_allclose(spread, np.std(left * values, axis=0), rtol=0.02)


@given(st.integers(2, 10**4), st.integers(1, 10**4), st.floats(1.001, 1e4))
def test_noise_of_scores_is_at_least_that_of_a_known_direction(n, c, part):
    values = part * np.array([noise_edge(n, c)])
    assert 1.0 <= score_noise(values, n, c)[0] <= values[0] / np.sqrt(n)


@pytest.mark.parametrize("rank", [0, 1, 4])
@pytest.mark.parametrize("gain", [None, 7.0])
@pytest.mark.parametrize(("n", "c"), [(400, 60), (60, 400)])
def test_planted_rank_and_noise_are_found(n, c, gain, rank):
    rng = np.random.default_rng(5)
    for _ in range(5):
        strengths = np.linspace(3.0, 20.0, rank) * np.sqrt(n * c)
        matrix = np.sqrt(7.0) * spiked(rng, n, c, strengths)[0]
        found, noise = significant_rank(leading(matrix), np.sum(matrix**2), n, c, gain)
        assert found == rank
        assert noise == pytest.approx(7.0, rel=0.05)


def test_a_known_gain_is_returned_as_given():
    values = np.array([50.0, 5.0])
    assert significant_rank(values, 2525.0, 100, 20, 2.0) == (1, 2.0)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rank_without_noise_is_the_algebraic_one(rank):
    rng = np.random.default_rng(6)
    matrix = rng.standard_normal((50, rank)) @ rng.standard_normal((rank, 12))
    found, noise = significant_rank(leading(matrix), np.sum(matrix**2), 50, 12)
    assert found == rank
    assert noise < 1e-12


def test_nothing_is_significant_in_zeros():
    assert significant_rank(np.zeros(5), 0.0, 30, 5) == (0, 0.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_rank_does_not_depend_on_the_unit_of_the_data(seed, unit):
    rng = np.random.default_rng(seed)
    matrix = spiked(rng, 60, 30, rng.uniform(1, 5, 3) * np.sqrt(60 * 30))[0]
    values, energy = leading(matrix), np.sum(matrix**2)
    rank, noise = significant_rank(values, energy, 60, 30)
    scaled_rank, scaled_noise = significant_rank(unit * values, unit**2 * energy, 60, 30)
    assert scaled_rank == rank
    assert scaled_noise == pytest.approx(unit**2 * noise, rel=1e-6)


@given(st.integers(2, 3000), st.integers(1, 3000), st.floats(0.1, 10.0))
def test_even_noise_reaches_as_far_as_noise_does(n, c, variance):
    found = unevenness(np.full((n, 1), variance), np.ones((c, 1)), c)
    assert found.reach == pytest.approx(np.sqrt(variance), rel=2e-3)
    assert found.filling == pytest.approx(variance)


@pytest.mark.parametrize(("n", "c"), [(600, 40), (200, 200), (60, 500)])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_noise_uneven_over_positions_reaches_as_far_as_simulated(n, c, spread):
    rng = np.random.default_rng(9)
    rows = np.exp(spread * rng.standard_normal(n))
    tops = [leading(np.sqrt(rows)[:, None] * rng.standard_normal((n, c)))[0] for _ in range(10)]
    edge = unevenness(rows[:, None], np.ones((c, 1)), c).reach * noise_edge(n, c)
    assert max(tops) < edge
    assert np.mean(tops) > 0.85 * edge


@pytest.mark.parametrize(("n", "c"), [(800, 60), (300, 300), (6000, 80)])
def test_counts_of_phases_in_their_own_lines_reach_as_far_as_simulated(n, c):
    rng = np.random.default_rng(11)
    # The third phase is rare, and the only one that counts in its channels.
    abundances = rng.dirichlet([0.3, 0.3, 0.02], n)
    lines = np.ones((3, c))
    lines[2, : c // 8] = 100.0
    lines /= (abundances @ lines).mean(axis=0)
    mean = abundances @ lines
    tops = [leading(np.sqrt(mean) * rng.standard_normal((n, c)))[0] for _ in range(5)]
    found = unevenness(abundances, lines.T, c)
    # Scaling of rows and columns leaves this noise above the edge of unit noise.
    assert np.mean(tops) > 1.01 * noise_edge(n, c)
    assert max(tops) < found.reach * noise_edge(n, c)
    assert np.mean(tops) > 0.88 * found.reach * noise_edge(n, c)
    assert found.filling == pytest.approx(1, rel=0.02)


def test_noise_at_few_positions_is_not_taken_for_signal():
    n, c = 400, 60
    rows = np.where(np.arange(n) < 10, 20.0, 1.0)
    rng = np.random.default_rng(10)
    matrix = np.sqrt(rows)[:, None] * rng.standard_normal((n, c))
    values, energy = leading(matrix), np.sum(matrix**2)
    assert significant_rank(values, energy, n, c)[0] > 0
    uneven = unevenness(rows[:, None], np.ones((c, 1)), c)
    rank, noise = significant_rank(values, energy, n, c, uneven=uneven)
    assert rank == 0
    assert noise == pytest.approx(1.0, rel=0.05)


def test_nothing_is_not_uneven():
    assert unevenness(np.zeros((5, 1)), np.ones((3, 1)), 3) == (1.0, 0.0)
