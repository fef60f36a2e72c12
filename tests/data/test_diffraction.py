import numpy as np
import pytest

from hyperfuse_hs.data.crystal import ANATASE, RUTILE, powder_lines
from hyperfuse_hs.data.diffraction import (
    Detector,
    amorphous_pattern,
    bragg_spots,
    direct_disk,
    draw_disks,
    electron_wavelength,
    powder_pattern,
    sphere_rocking_curve,
    thermal_diffuse_pattern,
)
from hyperfuse_hs.data.geometry import random_rotations

both = pytest.mark.parametrize("crystal", [ANATASE, RUTILE], ids=lambda crystal: crystal.name)


@pytest.mark.parametrize(("energy", "wavelength"), [(100, 0.0370), (200, 0.02508), (300, 0.01969)])
def test_wavelength(energy, wavelength):
    assert electron_wavelength(energy) == pytest.approx(
        wavelength, abs=5e-6 + 1e-4 * wavelength * 10
    )


def test_rocking_curve_is_the_mean_over_columns():
    diameter, s = 80.0, np.array([0.0, 1e-5, 1e-3, 4e-3, 0.02, 0.1])
    t = np.linspace(0, diameter, 20001)[1:]
    column = (t * np.sinc(np.outer(s, t))) ** 2
    expected = np.trapezoid(t * column, t) / np.trapezoid(t * t, t)
    np.testing.assert_allclose(sphere_rocking_curve(s, diameter), expected, rtol=1e-3)


def test_rocking_curve_has_unit_area_and_is_even():
    s = np.linspace(-2, 2, 400001)
    curve = sphere_rocking_curve(s, 100.0)
    np.testing.assert_allclose(np.trapezoid(curve, s), 1.0, rtol=2e-3)
    np.testing.assert_allclose(curve, curve[::-1], rtol=1e-6)


def test_direct_beam_is_on_its_pixel():
    for shape in ((64, 64), (33, 48)):
        detector = Detector(shape)
        disk = direct_disk(detector)
        assert disk.sum() == pytest.approx(1.0)
        centre = tuple(n // 2 for n in shape)
        assert detector.radii()[centre] == 0
        rows, columns = np.indices(shape)
        assert (disk * rows).sum() == pytest.approx(centre[0])
        assert (disk * columns).sum() == pytest.approx(centre[1])
        reach = detector.disk_radius + detector.scale
        assert (detector.radii()[disk > 0] <= reach).all()


def test_disks_keep_their_place_and_intensity():
    detector = Detector((64, 80))
    position = np.array([[0.21, -0.37], [0.5, 0.033]])
    drawn = draw_disks(position, np.array([2.0, 3.0]), np.array([0, 1]), 2, detector)
    assert drawn.shape == (2, 64 * 80)
    np.testing.assert_allclose(drawn.sum(axis=1), [2.0, 3.0])
    for pattern, place in zip(drawn.toarray().reshape(2, 64, 80), position, strict=True):
        for axis, offset in enumerate(detector.offsets):
            weight = pattern.sum(axis=1 - axis) / pattern.sum()
            k = offset + detector.scale * np.arange(len(weight))
            assert weight @ k == pytest.approx(place[axis], abs=0.1 * detector.scale)


def test_disks_off_the_detector_are_lost_and_do_not_wrap():
    detector = Detector((32, 32))
    edge = detector.offsets[0] - detector.scale / 2
    position = np.array([[edge, 0.0], [3.0, 0.0]])
    drawn = draw_disks(position, np.ones(2), np.array([0, 1]), 2, detector).toarray()
    assert drawn[0].sum() == pytest.approx(0.5, abs=0.15)
    assert drawn[1].sum() == 0
    assert drawn[0].reshape(32, 32)[16:].sum() == 0


@both
def test_zone_axis_spots_are_on_the_reciprocal_lattice(crystal):
    # Crystal axes along the detector: k of each spot is (k / a, h / a), and l = 0 is excited.
    position, intensity, particle = bragg_spots(
        crystal, np.eye(3)[np.newaxis], np.array([80.0]), Detector((64, 64))
    )
    index = position * crystal.a
    np.testing.assert_allclose(index, index.round(), atol=1e-9)
    assert (particle == 0).all()
    assert intensity.max() < 0.05
    # Fourfold axis: as much above as to the right.
    above, right = intensity[position[:, 0] > 0].sum(), intensity[position[:, 1] > 0].sum()
    assert above == pytest.approx(right)


@both
def test_mean_over_orientations_is_the_powder(crystal):
    detector = Detector((64, 64))
    n = 1500
    rotations = random_rotations(np.random.default_rng(0), n)
    position, intensity, _ = bragg_spots(crystal, rotations, np.full(n, 60.0), detector)
    radius, power = powder_lines(crystal, 0.75)
    power = 0.5 * detector.probability * power
    # An inclined spot lies somewhat inside its ring: split in the middle of the wider gaps.
    gaps = np.flatnonzero(np.diff(radius) > 0.04)
    borders = np.concatenate([[0.1], (radius[gaps] + radius[gaps + 1]) / 2])
    assert len(borders) > 3
    found = np.histogram(np.linalg.norm(position, axis=1), borders, weights=intensity)[0] / n
    expected = np.histogram(radius, borders, weights=power)[0]
    np.testing.assert_allclose(found, expected, rtol=0.15)


@both
def test_powder_pattern_has_its_rings_and_their_power(crystal):
    detector = Detector((256, 256))
    pattern = powder_pattern(crystal, detector)
    np.testing.assert_allclose(pattern[1:, 1:], pattern[1:, 1:][::-1, ::-1])
    np.testing.assert_allclose(pattern[1:, 1:], pattern[1:, 1:].T)
    radius, power = powder_lines(crystal, detector.k_max)
    inner = radius < 0.33
    within = detector.radii() < (radius[inner][-1] + radius[~inner][0]) / 2
    if radius[~inner][0] - radius[inner][-1] > 2.5 * detector.disk_radius:
        expected = 0.5 * detector.probability * power[inner].sum()
        assert pattern[within].sum() == pytest.approx(expected, rel=0.02)
    assert pattern[detector.radii() < 0.2].sum() == 0
    assert abs(detector.radii().ravel()[pattern.argmax()] - radius[power.argmax()]) < 0.05


def test_amorphous_carbon_has_two_rings_and_nothing_forward():
    detector = Detector((128, 128))
    pattern = amorphous_pattern({"C": 0.1}, ((0.48, 1.1, 0.055), (0.85, 0.7, 0.07)), detector)
    profile = pattern[64, 64:]
    k = detector.scale * np.arange(64)
    assert profile[k < 0.1].max() < 0.05 * profile.max()
    assert 0.42 < k[profile.argmax()] < 0.5
    np.testing.assert_allclose(pattern[1:, 1:], pattern[1:, 1:].T)


@both
def test_diffuse_scattering_is_what_the_spots_lose(crystal):
    detector = Detector((64, 64))
    diffuse = thermal_diffuse_pattern(crystal, detector)
    assert diffuse[32, 32] == 0
    assert (diffuse >= 0).all()
    _, weak = powder_lines(crystal, 0.9)
    rigid = type(crystal)(
        crystal.name, crystal.a, crystal.c, crystal.elements, crystal.positions, debye_waller=0.0
    )
    _, strong = powder_lines(rigid, 0.9)
    lost = 0.5 * detector.probability * (strong - weak).sum()
    gained = diffuse[detector.radii() < 0.9].sum()
    assert gained == pytest.approx(lost, rel=0.25)
