"""Noise of data in some directions, against data that are drawn again and again."""

from types import SimpleNamespace

import numpy as np
import pytest

from hyperfuse_hs.algorithms.noise import FEW_COUNTS
from hyperfuse_hs.projected_noise import projected_noise

N, CHANNELS, DIRECTIONS = 400, 30, 4


def part_of(noise, divisor, offset=0.0, scale=None):
    return SimpleNamespace(
        noise=noise, divisor=divisor, channels=float(CHANNELS), gain=1.0, offset=offset, scale=scale
    )


def drawn(rng, *, level=0.0, read=0.0, scale=None):
    rows = np.ones(N) if scale is None else scale
    mean = rows[:, None] * rng.uniform(5, 20, (N, 1)) * rng.uniform(0.5, 2, CHANNELS)

    def draw():
        values = rng.poisson(mean) + level + read * rng.standard_normal(mean.shape)
        return values / np.sqrt(rows)[:, None]

    return mean, draw


@pytest.mark.parametrize(("level", "read"), [(0.0, 0.0), (0.0, 3.0), (40.0, 0.0), (40.0, 3.0)])
def test_variance_is_that_of_counts_drawn_again(level, read):
    rng = np.random.default_rng(1)
    mean, draw = drawn(rng, level=level, read=read)
    # Some at a few positions only, as a small particle is seen.
    seen = np.linalg.qr(rng.standard_normal((N, DIRECTIONS)) * rng.gamma(0.2, size=(N, 1)))[0]
    # As common bases do, they hold what is the same everywhere, and the scores of what is not.
    seen = np.linalg.qr(np.column_stack([np.ones(N), mean.sum(axis=1), seen]))[0]
    joint = [seen.T @ draw() for _ in range(2000)]
    divisor = mean.mean(axis=0) + read**2
    part = part_of("mixed", divisor, read**2 - level)
    found = projected_noise(part, seen, np.mean(joint, axis=0))
    expected = np.var(joint, axis=0) / found.divisor
    assert np.median(np.abs(found.variance / expected - 1)) < 0.15


@pytest.mark.parametrize("level", [0.0, 40.0])
def test_no_variance_is_negative_and_read_noise_is_always_there(level):
    rng = np.random.default_rng(2)
    _, draw = drawn(rng, level=level)
    seen = np.linalg.qr(rng.standard_normal((N, DIRECTIONS)))[0]
    joint = seen.T @ draw()
    divisor = np.full(CHANNELS, 10.0)
    found = projected_noise(part_of("mixed", divisor, -level), seen, joint)
    assert (found.variance >= 0).all() and (found.variance == 0).any()
    positive = projected_noise(part_of("mixed", divisor, 4.0), seen, joint)
    squares = np.sum(seen**2, axis=0)[:, None]
    assert (positive.variance >= 4.0 * squares / positive.divisor * (1 - 1e-12)).all()


def test_channels_with_hardly_any_counts_are_divided_by_more():
    rng = np.random.default_rng(3)
    seen = np.linalg.qr(rng.standard_normal((N, DIRECTIONS)))[0]
    divisor = np.full(CHANNELS, 5.0)
    divisor[0] = 1e-6
    found = projected_noise(part_of("poisson", divisor), seen, np.ones((DIRECTIONS, CHANNELS)))
    assert found.divisor[0] == pytest.approx(FEW_COUNTS * DIRECTIONS / N)
    assert (found.divisor[1:] == 5).all()
    assert found.channels < CHANNELS


def test_noise_that_is_not_of_counts_is_even():
    part = part_of("gaussian", np.ones(CHANNELS))
    found = projected_noise(part, np.eye(N, 3), np.ones((3, CHANNELS)))
    assert found == (part.divisor, None, part.channels)
