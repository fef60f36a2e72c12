import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hyperfuse_hs.algorithms.metrics import (
    match_components,
    root_mean_square_error,
    spectral_angle,
)

finite = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
spectra = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=finite
)


@st.composite
def two_spectra(draw):
    size = draw(st.integers(1, 8))
    pair = draw(hnp.arrays(np.float64, (2, size), elements=finite))
    assume((np.abs(pair).max(axis=1) > 1e-3).all())
    return pair


@given(two_spectra(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_angle_is_symmetric_and_ignores_the_length(pair, length_a, length_b):
    angle = spectral_angle(*pair)
    assert 0 <= angle <= 180
    np.testing.assert_allclose(spectral_angle(pair[1], pair[0]), angle, atol=1e-9)
    np.testing.assert_allclose(
        spectral_angle(pair[0] * length_a, pair[1] * length_b), angle, atol=1e-5
    )


@given(two_spectra())
def test_angle_to_itself_is_zero_and_to_its_opposite_180(pair):
    np.testing.assert_allclose(spectral_angle(pair, pair), 0, atol=1e-9)
    np.testing.assert_allclose(spectral_angle(pair, -pair), 180, atol=1e-9)


@given(two_spectra(), st.integers(0, 8), finite)
def test_nan_channel_is_the_same_as_no_channel(pair, where, other):
    angle = spectral_angle(*pair)
    first = np.insert(pair[0], min(where, pair.shape[1]), np.nan)
    second = np.insert(pair[1], min(where, pair.shape[1]), other)
    np.testing.assert_allclose(spectral_angle(first, second), angle, atol=1e-9)
    np.testing.assert_allclose(spectral_angle(second, first), angle, atol=1e-9)


@pytest.mark.parametrize("degrees", [1e-6, 0.01, 30.0, 90.0, 135.0, 180.0])
def test_known_angles_also_tiny_ones(degrees):
    angle = np.radians(degrees)
    measured = spectral_angle([1.0, 0.0], [np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(measured, degrees, rtol=1e-9)


def test_angle_broadcasts_over_leading_axes():
    rng = np.random.default_rng(0)
    a, b = rng.random((4, 1, 7)), rng.random((3, 7))
    angles = spectral_angle(a, b)
    assert angles.shape == (4, 3)
    cosine = (a[2, 0] @ b[1]) / np.linalg.norm(a[2, 0]) / np.linalg.norm(b[1])
    np.testing.assert_allclose(angles[2, 1], np.degrees(np.arccos(cosine)))


def test_angle_is_undefined_for_zero_vectors_and_no_channels():
    assert np.isnan(spectral_angle([0.0, 0.0], [1.0, 0.0]))
    assert np.isnan(spectral_angle([np.nan, 0.0], [1.0, 0.0]))
    assert spectral_angle(np.zeros((2, 0)), np.zeros((2, 0))).shape == (2,)


def test_angle_survives_extreme_magnitudes():
    np.testing.assert_allclose(spectral_angle([1e-200, 0], [1e300, 1e300]), 45)


@given(st.integers(1, 6), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_matching_undoes_permutation_scaling_and_additions(n_components, n_more, seed):
    rng = np.random.default_rng(seed)
    truth = np.eye(n_components + n_more, 12) + 0.1 * rng.random((n_components + n_more, 12))
    permutation = rng.permutation(len(truth))
    estimated = (truth * rng.uniform(0.1, 10, (len(truth), 1)))[permutation]
    order = match_components(estimated, truth[:n_components])
    np.testing.assert_array_equal(permutation[order], np.arange(n_components))


def test_matching_is_global_not_greedy():
    # The first true component is nearest to the same estimate as the second one, but giving it
    # away would leave the second with an orthogonal estimate.
    truth = np.array([[1.0, 0.0, 0.0], [1.0, 0.1, 0.0]])
    estimated = np.array([[1.0, 0.02, 0.0], [1.0, -0.5, 0.0]])
    np.testing.assert_array_equal(match_components(estimated, truth), [1, 0])


def test_matching_puts_undefined_components_last():
    truth = np.eye(2)
    estimated = np.array([[0.0, 0.0], [-1.0, 0.5], [0.0, 1.0]])
    np.testing.assert_array_equal(match_components(estimated, truth), [1, 2])


@given(spectra, finite)
def test_error_of_a_constant_shift_is_the_shift(a, shift):
    assume(a.size)
    np.testing.assert_allclose(root_mean_square_error(a, a + shift), abs(shift), atol=1e-8)


@given(spectra)
def test_error_is_zero_to_itself_and_leaves_inputs_alone(a):
    before = a.copy()
    assert root_mean_square_error(a, a) == 0
    np.testing.assert_array_equal(a, before)


def test_error_leaves_nan_out():
    a = np.array([[1.0, np.nan], [0.0, 4.0]])
    b = np.array([[1.0, 5.0], [np.nan, 2.0]])
    np.testing.assert_allclose(root_mean_square_error(a, b), np.sqrt((0 + 4) / 2))
    assert np.isnan(root_mean_square_error([np.nan], [1.0]))
    assert root_mean_square_error([np.inf], [1.0]) == np.inf


def test_messages_name_the_shapes():
    with pytest.raises(ValueError, match=r"broadcast. Got \(3,\) and \(4,\)"):
        spectral_angle(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match=r"broadcast. Got \(3,\) and \(4,\)"):
        root_mean_square_error(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match=r"same channels. Got shapes \(3,\) and \(2, 3\)"):
        match_components(np.ones(3), np.ones((2, 3)))
    with pytest.raises(ValueError, match="Got 1 estimated and 2 true"):
        match_components(np.ones((1, 3)), np.ones((2, 3)))
