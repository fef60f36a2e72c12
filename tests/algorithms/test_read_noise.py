import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.read_noise import read_noise

APART = [0.0, pytest.param(0.3, marks=pytest.mark.slow), 1.0]


def neighbours(seed, gain=1.0, read=0.0, dose=1.0, n=400, channels=300, apart=0.0):
    """Counts at pairs of positions, a part of which belong to different phases."""
    rng = np.random.default_rng(seed)
    spectra = 100 * dose * rng.gamma(0.5, size=(3, channels))
    left = rng.dirichlet(np.full(3, 0.3), n)
    right = np.where(rng.random((n, 1)) < apart, rng.dirichlet(np.full(3, 0.3), n), left)
    values = [gain * rng.poisson(a @ spectra) for a in (left, right)]
    return [v + read * rng.standard_normal(v.shape) for v in values]


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("dose", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(("gain", "read"), [(1.0, 5.0), (4.0, 20.0)])
def test_read_noise_is_measured(gain, read, dose, apart):
    found = [read_noise(*neighbours(s, gain, read, dose, apart=apart)) for s in range(3)]
    assert np.median(found) == pytest.approx(read**2 / gain, rel=0.25)


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize(("gain", "dose"), [(1.0, 1.0), (1.0, 0.01), (2.5, 1.0), (1.0, 100.0)])
def test_counts_alone_have_none(gain, dose, apart):
    assert all(read_noise(*neighbours(s, gain, 0, dose, apart=apart)) == 0 for s in range(3))


def test_noise_that_does_not_grow_with_the_values_is_no_counts():
    rng = np.random.default_rng(0)
    mean = 50 * rng.gamma(0.5, size=300)
    assert read_noise(*(mean + 5 * rng.standard_normal((2, 400, 300)))) == np.inf


@pytest.mark.parametrize(("n", "channels"), [(0, 0), (10, 300), (400, 8)])
def test_too_few_values_tell_nothing(n, channels):
    rng = np.random.default_rng(1)
    assert read_noise(*rng.poisson(10.0, (2, n, channels))) == np.inf


def test_nothing_counted_tells_nothing():
    assert read_noise(np.zeros((50, 20)), np.zeros((50, 20))) == np.inf


@settings(max_examples=3, deadline=None)
@given(st.floats(1e-3, 1e3))
def test_units_scale_it(unit):
    first, second = neighbours(2, 2.0, 6.0)
    plain = read_noise(first, second)
    assert read_noise(unit * first, unit * second) == pytest.approx(unit * plain, rel=1e-6)


def test_positions_where_nothing_is_recorded_say_nothing():
    rng = np.random.default_rng(5)
    pairs = rng.poisson(rng.uniform(1, 30, 64), size=(2, 100, 64)).astype(float)
    empty = np.zeros((2, 300, 64))
    assert read_noise(*np.concatenate([empty, pairs], axis=1)) == read_noise(*pairs) == 0.0


def test_none_in_whole_numbers_that_is_less_than_rounding():
    rng = np.random.default_rng(0)
    mean = np.linspace(0.01, 0.5, 64)
    spread = np.sqrt(mean + 0.04)
    first, second = (mean + spread * rng.standard_normal((4000, 64)) for _ in range(2))
    assert 0 < read_noise(first, second) < 1 / 12
    assert read_noise(first, second, whole_numbers=True) == 0
