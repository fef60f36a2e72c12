"""The amounts that make a line vanish: unbiased, well used counts, and no false company."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms.net_intensity import shared_amounts

CHANNELS = np.arange(120)
INSIDE = np.arange(50, 61)
USABLE = np.ones(120, dtype=bool)


def line(centre, width=2.5):
    return np.exp(-0.5 * ((CHANNELS - centre) / width) ** 2)


def factors(shared=0.3, neighbour=0.0):
    """A core with part of the oxide's line, the oxide, and a film without it."""
    slope = 1.0 - 0.004 * CHANNELS
    core = slope + 8 * line(90) + neighbour * line(67)
    oxide = 0.5 * slope + 12 * line(55) + 2 * neighbour * line(67)
    film = 0.4 * slope + 20 * line(30)
    return np.array([(1 - shared) * core + shared * oxide, oxide, film])


def noise_of(spread, p=3):
    return np.eye(p)[:, :, None] * np.full(CHANNELS.size, spread**2)


@pytest.mark.parametrize("inside", [INSIDE, np.arange(53, 58), np.arange(45, 66)])
def test_amount_without_noise(inside):
    amounts = shared_amounts(factors(), noise_of(1e-3), 0, [1, 2], inside, USABLE)
    np.testing.assert_allclose(amounts, [0, 0.3, 0], atol=1e-3)


def estimates(inside, seeds=40, spread=0.1, **options):
    clean = factors(**options)
    found = []
    for seed in range(seeds):
        noisy = clean + np.random.default_rng(seed).normal(0, spread, clean.shape)
        found.append(shared_amounts(noisy, noise_of(spread), 0, [1], inside, USABLE)[1])
    return np.array(found)


def best_error(inside, margin, spread=0.1):
    """Error of the best unbiased estimate above a straight background that margins determine."""
    window = np.arange(inside[0] - margin, inside[-1] + margin + 1)
    axes = np.linalg.qr(np.vander(window - 55.0, 2))[0]
    shape = factors()[1, window]
    shape = shape - axes @ (axes.T @ shape)
    return spread * np.sqrt(1 + 0.3**2) / np.linalg.norm(shape)


@pytest.mark.slow
def test_few_counts_are_wasted():
    found = estimates(INSIDE)
    assert abs(found.mean() - 0.3) < 4 * found.std() / np.sqrt(found.size)
    assert found.std() < 1.4 * best_error(INSIDE, INSIDE.size)


@pytest.mark.slow
def test_the_tail_of_a_neighbouring_line_is_no_background():
    found = estimates(INSIDE, neighbour=10.0)
    assert abs(found.mean() - 0.3) < 1.5 * best_error(INSIDE, 2)
    assert found.std() < 1.4 * best_error(INSIDE, 2)
    # A line through as many channels on both sides, which is what one would do by hand.
    sides = np.r_[45:50, 61:66]
    net = factors(neighbour=10.0)
    net = net[:2, INSIDE].sum(axis=1) - INSIDE.size * net[:2][:, sides].mean(axis=1)
    assert abs(net[0] / net[1] - 0.3) > 5 * best_error(INSIDE, 2)


def test_excluded_channels_are_not_looked_at():
    given, usable = factors(), USABLE.copy()
    usable[[48, 57, 64]] = False
    given[:, ~usable] = np.random.default_rng(0).normal(0, 1e3, (3, 3))
    inside = INSIDE[usable[INSIDE]]
    amounts = shared_amounts(given, noise_of(1e-3), 0, [1, 2], inside, usable)
    np.testing.assert_allclose(amounts, [0, 0.3, 0], atol=1e-3)


def test_components_of_one_shape_share_the_amount():
    given = factors()
    given[2] = given[1]
    noisy = given + np.random.default_rng(1).normal(0, 0.1, given.shape)
    amounts = shared_amounts(noisy, noise_of(0.1), 0, [1, 2], INSIDE, USABLE)
    assert amounts.sum() == pytest.approx(0.3, abs=0.03)
    assert min(amounts[1:]) > 0.1


def test_nothing_is_taken_of_components_without_the_feature():
    rng = np.random.default_rng(0)
    for _ in range(20):
        noisy = factors() + rng.normal(0, 0.3, (3, CHANNELS.size))
        amounts = shared_amounts(noisy, noise_of(0.3), 0, [2], INSIDE, USABLE)
        assert not amounts.any()


def test_a_component_that_lacks_the_feature_is_left_alone():
    noisy = factors(shared=0.0) + np.random.default_rng(0).normal(0, 0.1, (3, CHANNELS.size))
    assert shared_amounts(noisy, noise_of(0.1), 0, [1], INSIDE, USABLE)[1] < 0.02
