import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.read_noise import noise_law

FEW_APART = [pytest.param(0.0, marks=pytest.mark.slow), 0.3]
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
    found = [noise_law(*neighbours(s, gain, read, dose, apart=apart)) for s in range(3)]
    assert {law.kind for law in found} == {"counts"}
    assert np.median([law.offset for law in found]) == pytest.approx(read**2 / gain, rel=0.25)


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize(("gain", "dose"), [(1.0, 1.0), (1.0, 0.01), (2.5, 1.0), (1.0, 100.0)])
def test_counts_alone_have_none(gain, dose, apart):
    for seed in range(3):
        law = noise_law(*neighbours(seed, gain, 0, dose, apart=apart))
        assert (law.kind, law.offset) == ("counts", 0)


def test_noise_that_does_not_grow_with_the_values_is_no_counts():
    rng = np.random.default_rng(0)
    mean = 50 * rng.gamma(0.5, size=300)
    law = noise_law(*(mean + 5 * rng.standard_normal((2, 400, 300))))
    assert law.kind == "constant"
    assert law.misfit == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_counts_that_are_alike_in_all_channels_are_not_taken_for_constant_noise(seed, positive):
    rng = np.random.default_rng(seed)
    mean = 1e4 * rng.uniform(0.98, 1.02, size=300)
    law = noise_law(*rng.poisson(mean, (2, 400, 300)).astype(float), positive=positive)
    assert law.kind != "constant"


@pytest.mark.parametrize("apart", FEW_APART)
@pytest.mark.parametrize(("gain", "read", "level"), [(1.0, 0.0, 50.0), (4.0, 10.0, 500.0)])
def test_a_level_below_the_counts_is_measured(gain, read, level, apart):
    found = []
    for seed in range(3):
        pairs = neighbours(seed, gain, read, dose=0.5, apart=apart)
        found.append(noise_law(*(values + level for values in pairs), positive=True))
    assert {law.kind for law in found} == {"counts"}
    expected = read**2 / gain - level
    assert np.median([law.offset for law in found]) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("dose", [1.0, 100.0])
@pytest.mark.parametrize(
    "seed", [0, *[pytest.param(k, marks=pytest.mark.slow) for k in range(1, 5)]]
)
def test_counts_that_are_all_positive_have_no_level(seed, dose):
    for apart in (0.0, 1.0):
        pairs = [values + 1e-9 for values in neighbours(seed, 1.0, 0, dose, apart=apart)]
        assert noise_law(*pairs, positive=True).offset == 0


@pytest.mark.parametrize(("n", "channels"), [(0, 0), (10, 300), (400, 8)])
def test_too_few_values_tell_nothing(n, channels):
    rng = np.random.default_rng(1)
    assert noise_law(*rng.poisson(10.0, (2, n, channels))).kind == "unknown"


def test_nothing_counted_tells_nothing():
    assert noise_law(np.zeros((50, 20)), np.zeros((50, 20))).kind == "unknown"


@settings(max_examples=3, deadline=None)
@given(st.floats(1e-3, 1e3))
def test_units_scale_it(unit):
    first, second = neighbours(2, 2.0, 6.0)
    plain = noise_law(first, second).offset
    assert plain > 0
    scaled = noise_law(unit * first, unit * second).offset
    assert scaled == pytest.approx(unit * plain, rel=1e-5)


def test_positions_where_nothing_is_recorded_say_nothing():
    rng = np.random.default_rng(5)
    pairs = rng.poisson(rng.uniform(1, 30, 64), size=(2, 100, 64)).astype(float)
    empty = np.zeros((2, 300, 64))
    found = noise_law(*np.concatenate([empty, pairs], axis=1))
    assert found == noise_law(*pairs)
    assert (found.kind, found.offset) == ("counts", 0)


def test_none_in_whole_numbers_that_is_less_than_rounding():
    rng = np.random.default_rng(0)
    mean = np.linspace(0.01, 0.5, 64)
    spread = np.sqrt(mean + 0.04)
    first, second = (mean + spread * rng.standard_normal((4000, 64)) for _ in range(2))
    assert 0 < noise_law(first, second).offset < 1 / 12
    assert noise_law(first, second, whole_numbers=True).offset == 0
