import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hyperfuse_hs import compress
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import noise_model
from hyperfuse_hs.result import ModalityScores
from hyperfuse_hs.scaling import (
    LEAST_INTENSITY,
    SCALES,
    carry_scale_noise,
    choose_scale,
    denoised_total,
    design_weight,
    follows_thickness,
    normalised,
    row_divisor,
)

# Times a unit, smaller ones than these are rounded to a few bits, or to zero.
intensities = arrays(float, st.integers(1, 30), elements=st.just(0.0) | st.floats(1e-300, 1e6))


def reduced(counts, kind="poisson"):
    data = counts.reshape(len(counts), 1, -1)
    modality = Modality(
        "test", data, 2, np.zeros(len(counts), bool), np.zeros(data.shape[-1], bool)
    )
    facts = compress.survey(modality)
    noise = noise_model(kind, modality, facts, None)
    return compress.compress(modality, facts, noise, None, np.random.default_rng(0)), noise


def mixture(seed, thickness, dose, n=400, channels=50, p=3):
    """Poisson counts of a mixture whose components differ in their total."""
    rng = np.random.default_rng(seed)
    abundances = rng.dirichlet(np.full(p, 0.7), n)
    factors = rng.gamma(1.0, size=(p, channels)) * dose / channels * np.array([[1.0], [1.5], [0.6]])
    varied = rng.uniform(1 - thickness, 1 + thickness, n)
    return rng.poisson(varied[:, None] * (abundances @ factors)), varied, factors


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dose", [1e3, 1e5])
def test_flat_mixtures_do_not_follow_thickness(seed, dose):
    counts, _, _ = mixture(seed, 0.0, dose)
    assert not follows_thickness(reduced(counts)[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("dose", "variation"), [(1e3, 0.5), (1e5, 0.2), (1e5, 0.9)])
def test_mixtures_of_varied_thickness_do(seed, dose, variation):
    counts, _, _ = mixture(seed, variation, dose)
    assert follows_thickness(reduced(counts)[0])


@pytest.mark.parametrize("seed", range(5))
def test_variation_lost_in_noise_is_not_followed(seed):
    counts, _, _ = mixture(seed, 0.05, 100)
    assert not follows_thickness(reduced(counts)[0])


def test_a_map_or_pure_noise_cannot_tell():
    rng = np.random.default_rng(0)
    assert not follows_thickness(reduced(rng.random((50, 1)), "gaussian")[0])
    assert not follows_thickness(reduced(rng.standard_normal((200, 20)), "gaussian")[0])


def test_total_is_that_of_the_data_less_its_noise():
    counts, thickness, factors = mixture(1, 0.8, 300)
    low, _ = reduced(counts)
    exact = np.random.default_rng(1).dirichlet(np.full(3, 0.7), 400) @ factors.sum(axis=1)
    exact = normalised(thickness * exact)
    found = normalised(denoised_total(low))
    plain = normalised(counts.sum(axis=1).astype(float))
    assert np.std(found - exact) < 1.05 * np.std(plain - exact)
    assert np.corrcoef(found, exact)[0, 1] > 0.97


@given(intensities)
def test_normalised_has_mean_one_and_stays_away_from_zero(intensity):
    kept = intensity.copy()
    relative = normalised(intensity)
    assert relative.mean() == pytest.approx(1.0)
    assert (relative > 0.5 * LEAST_INTENSITY).all()
    np.testing.assert_array_equal(intensity, kept)


@given(intensities, st.floats(1e-3, 1e3))
def test_normalised_does_not_depend_on_the_unit(intensity, unit):
    np.testing.assert_allclose(normalised(unit * intensity), normalised(intensity), rtol=1e-9)


@given(arrays(float, 20, elements=st.floats(1e-3, 1e3)))
def test_rows_after_division_have_unit_noise_or_less(scale):
    """Data are scale times abundances, the variance of their noise is the scale."""
    divisor = row_divisor(scale)
    assert (scale / divisor <= 1.0).all()
    np.testing.assert_allclose(design_weight(scale), scale / np.sqrt(divisor))


@pytest.mark.parametrize("kind", SCALES)
def test_every_modality_gets_the_same_scale(kind):
    counts, thickness, _ = mixture(2, 0.7, 1e4)
    low, _ = reduced(counts)
    scales, words = choose_scale(kind, low, ["a", "b"])
    assert list(scales) == ["a", "b"]
    assert scales["a"] is scales["b"]
    if kind == "none":
        assert scales["a"] is None
        assert words == "the same everywhere"
    else:
        assert np.corrcoef(scales["a"], thickness)[0, 1] > 0.7
        assert words == "proportional to the total of the calling signal"


def test_given_maps_are_taken_by_name():
    low, _ = reduced(mixture(3, 0.7, 1e4)[0])
    scales, words = choose_scale({"b": np.linspace(1, 3, 400)}, low, ["a", "b"])
    assert scales["a"] is None
    np.testing.assert_allclose(scales["b"], np.linspace(0.5, 1.5, 400))
    assert words == "as given"


def _one_channel(values, rank=1):
    n = len(values)
    return ModalityScores(
        name="HAADF",
        signal_shape=(),
        excluded=np.zeros(1, dtype=bool),
        noise="gaussian",
        gain=2.0,
        nonnegative=True,
        divisor=np.ones(1),
        channels=1.0,
        scores=values[:, None],
        singular_values=np.array([np.linalg.norm(values)]),
        rank=rank,
        edge=float(np.sqrt(n) + 1),
    )


@pytest.mark.parametrize("misfit", [0.5, 30.0])
def test_an_image_gets_the_noise_that_the_reference_leaves(misfit):
    rng = np.random.default_rng(3)
    reference = _one_channel(rng.normal(size=400) * 50 + 100)
    part = _one_channel(3 * reference.scores[:, 0] + misfit * rng.normal(size=400))
    before = part.scores.copy()
    carry_scale_noise(part, reference)
    known = reference.scores
    left = part.scores[:, 0] - known[:, 0] * (known[:, 0] @ part.scores[:, 0]) / np.sum(known**2)
    expected = 2.0 * max(1.0, misfit**2)
    assert part.gain == pytest.approx(expected, rel=0.2)
    # Noise below one stays as the image itself says; above, what is left has unit variance.
    assert np.var(left) == pytest.approx(min(1.0, misfit**2), rel=0.2)
    np.testing.assert_allclose(part.scores * np.sqrt(part.gain / 2.0), before)
