import numpy as np
import pytest

from hyperfuse_hs.data.geometry import lacey_film, places_near, random_rotations, sphere_paths

FILM = {"hole_spacing": 24.0, "strand_width": 11.0, "thickness": 8.0}


def test_sphere_keeps_its_volume_and_diameter():
    centres, radii = np.array([[20.0, 25.3], [30.5, 12.0]]), np.array([6.0, 9.5])
    paths = sphere_paths(centres, radii, (50, 40), 1.0)
    np.testing.assert_allclose(paths.sum(axis=0), 4 / 3 * np.pi * radii**3, rtol=0.01)
    largest = paths.max(axis=0).toarray().ravel()
    assert (largest <= 2 * radii).all()
    np.testing.assert_allclose(largest, 2 * radii, rtol=0.02)


def test_sphere_path_is_the_chord():
    paths = sphere_paths(np.array([[10.0, 10.0]]), np.array([8.0]), (21, 21), 1.0)
    image = paths.toarray().reshape(21, 21)
    # Averaged over the pixel: two thirds of the mean of squares (1/3 px)^2 are negligible here.
    assert image[10, 14] == pytest.approx(2 * np.sqrt(64 - 16), rel=0.01)
    assert image[10, 1] == 0
    np.testing.assert_allclose(image, image.T)


def test_sphere_beyond_the_scan_is_cut_or_absent():
    centres = np.array([[-2.0, 5.0], [-40.0, 5.0]])
    paths = sphere_paths(centres, np.array([5.0, 5.0]), (12, 10), 1.0)
    assert 0 < paths[:, [0]].sum() < 4 / 3 * np.pi * 125 / 2
    assert paths[:, [1]].sum() == 0


def test_film_is_a_web_with_holes():
    film = lacey_film(np.random.default_rng(2), (96, 80), 1.0, **FILM)
    assert film.shape == (96, 80)
    assert film.max() <= FILM["thickness"]
    assert film.max() > 0.9 * FILM["thickness"]
    assert 0.2 < np.mean(film == 0) < 0.7


def test_film_does_not_depend_on_the_step():
    coarse = lacey_film(np.random.default_rng(2), (32, 32), 2.0, **FILM)
    fine = lacey_film(np.random.default_rng(2), (64, 64), 1.0, **FILM)
    merged = fine.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert np.corrcoef(merged.ravel(), coarse.ravel())[0, 1] > 0.97


def test_particles_touch_the_film():
    film = np.zeros((40, 40))
    film[:, :5] = 1.0
    radii = np.full(200, 4.0)
    centres = places_near(np.random.default_rng(0), film, 1.0, radii)
    assert centres.shape == (200, 2)
    assert centres[:, 1].max() <= 8.0
    assert centres[:, 1].max() > 5.0


def test_rotations_are_uniform_proper_rotations():
    rotations = random_rotations(np.random.default_rng(0), 4000)
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2),
        np.broadcast_to(np.eye(3), rotations.shape),
        atol=1e-12,
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    # Any axis goes anywhere: mean 0, mean square 1/3; the trace has mean 0 for the whole group.
    np.testing.assert_allclose(rotations.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.03)
