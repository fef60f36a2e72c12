import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.shrinkage import shrink

seeds = st.integers(0, 2**32 - 1)


def sparse(seed, n=3000, share=0.05, size=8.0):
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.5, 2.0, n)
    truth = np.where(rng.random(n) < share, size * rng.standard_normal(n), 0.0)
    return truth + np.sqrt(noise) * rng.standard_normal(n), noise, truth


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_taken_away(seed):
    values, noise, _ = sparse(seed, share=0.0)
    found = shrink(values, noise)
    assert np.mean(found.mean**2) < 0.02 * np.mean(values**2)
    assert np.mean(found.variance) < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_sparse_signal_is_found_with_its_error(seed):
    values, noise, truth = sparse(seed)
    found = shrink(values, noise)
    error = (found.mean - truth) ** 2
    # Better than to keep all values, and than to keep none.
    assert error.mean() < 0.25 * min(noise.mean(), np.mean(truth**2))
    assert error.mean() == pytest.approx(found.variance.mean(), rel=0.35)
    strong = np.abs(values) > 6 * np.sqrt(noise)
    np.testing.assert_allclose(found.mean[strong], values[strong], rtol=0.12)


@settings(deadline=None, max_examples=25)
@given(seeds, st.floats(1e-3, 1e3))
def test_units_and_signs_do_not_matter(seed, unit):
    values, noise, _ = sparse(seed, n=200)
    found = shrink(values, noise)
    other = shrink(-unit * values, unit**2 * noise)
    np.testing.assert_allclose(other.mean, -unit * found.mean, rtol=1e-9, atol=1e-12 * unit)
    np.testing.assert_allclose(other.variance, unit**2 * found.variance, rtol=1e-6)
    assert np.all(np.abs(found.mean) <= np.abs(values))
