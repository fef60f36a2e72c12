import numpy as np
import pytest

from hyperfuse_hs.algorithms.metrics import spectral_angle
from hyperfuse_hs.data import tio2_polymorphs
from hyperfuse_hs.data.materials import (
    ANATASE_MATERIAL,
    CARBON_MATERIAL,
    CORE_MATERIAL,
    RUTILE_MATERIAL,
    SHELL_MATERIAL,
    eds_spectrum,
    eels_spectrum,
    haadf_brightness,
)
from hyperfuse_hs.data.spectra import (
    bremsstrahlung,
    core_loss,
    detector_fwhm,
    power_law,
    x_ray_lines,
)

LOSS = np.arange(260.0, 900.0, 0.1)
X_RAY = np.arange(0.0, 15.0, 0.01)
TITANIA = (ANATASE_MATERIAL, RUTILE_MATERIAL)


def test_resolution_agrees_with_exspy():
    pytest.importorskip("exspy")
    signal = tio2_polymorphs(scan=(16, 16), modalities=["EDS"]).signals["EDS"]
    for line, energy in (("O_Ka", 0.5249), ("Ti_Ka", 4.5109), ("Cu_Ka", 8.0478)):
        low, high = signal.estimate_integration_windows(1.0, xray_lines=[line])[0]
        assert high - low == pytest.approx(detector_fwhm(energy, 130.0), rel=1e-3)


def test_lines_keep_area_and_place():
    spectrum = x_ray_lines(X_RAY, {4.51: 3.0, 8.05: 1.0})
    assert spectrum.sum() * 0.01 == pytest.approx(4.0)
    assert X_RAY[spectrum.argmax()] == pytest.approx(4.51, abs=0.01)


def test_continuum_x_rays_fall_and_are_absorbed_at_low_energy():
    continuum = bremsstrahlung(X_RAY, 200.0)
    assert continuum.sum() * 0.01 == pytest.approx(1.0)
    assert continuum[X_RAY < 0.1].max() < 1e-3 * continuum.max()
    assert (np.diff(continuum[X_RAY > 0.6]) < 0).all()


def test_background_is_a_straight_line_in_the_logarithms():
    background = power_law(LOSS, 7.0, 3.0)
    np.testing.assert_allclose(np.diff(np.log(background)) / np.diff(np.log(LOSS)), -3.0)
    assert np.interp(300.0, LOSS, background) == pytest.approx(7.0)


@pytest.mark.parametrize("edge", [e for m in TITANIA for e in m.edges] + [*CARBON_MATERIAL.edges])
def test_edge_holds_its_cross_section_in_50_ev(edge):
    spectrum = core_loss(LOSS, edge, 0.8)
    window = (LOSS > edge.onset - 6) & (LOSS < edge.onset + 50)
    area = spectrum[window].sum() * 0.1
    assert area == pytest.approx(edge.density * edge.cross_section, rel=0.1)
    assert spectrum[LOSS < edge.onset - 16].max(initial=0.0) < 0.02 * spectrum.max()


def local_maxima(spectrum, low, high):
    """Energies of the local maxima of a spectrum between two energies."""
    inner = spectrum[1:-1]
    top = (
        (inner > spectrum[:-2]) & (inner > spectrum[2:]) & (LOSS[1:-1] > low) & (LOSS[1:-1] < high)
    )
    return LOSS[1:-1][top], inner[top]


def test_crystal_field_tells_the_polymorphs_apart():
    # Sharp, so that both parts of the eg peak of L3 show.
    heights = {}
    for material in TITANIA:
        spectrum = eels_spectrum(material, LOSS, fwhm=0.2)
        energies, height = local_maxima(spectrum, 459.3, 461.5)
        assert len(energies) == 2
        heights[material.name] = height[0] / height[1]
    assert heights["anatase"] > 1.1
    assert heights["rutile"] < 0.9
    # t2g and eg of L3 and of L2 at the resolution of the phantom.
    for material in TITANIA:
        spectrum = eels_spectrum(material, LOSS, fwhm=0.8)
        assert len(local_maxima(spectrum, 457.0, 467.0)[0]) == 4
        t2g, eg = local_maxima(spectrum, 529.0, 535.0)[0]
        assert 2.3 < eg - t2g < 2.9
    # Beyond, anatase has one maximum near 539 eV; rutile has two.
    anatase, rutile = (
        local_maxima(eels_spectrum(m, LOSS, fwhm=0.8), 537.5, 543.5)[0] for m in TITANIA
    )
    assert len(anatase) == 1
    assert len(rutile) == 2


def test_edx_is_blind_to_the_polymorph_but_not_to_carbon():
    spectra = [eds_spectrum(m, X_RAY, beam_energy=200.0) for m in (*TITANIA, CARBON_MATERIAL)]
    assert spectral_angle(spectra[0], spectra[1]) < 0.1
    assert spectral_angle(spectra[0], spectra[2]) > 60
    assert spectra[1].sum() / spectra[0].sum() == pytest.approx(4.24 / 3.90, rel=0.02)


def test_core_lacks_the_oxygen_line():
    core = eds_spectrum(CORE_MATERIAL, X_RAY, beam_energy=200.0)
    shell = eds_spectrum(SHELL_MATERIAL, X_RAY, beam_energy=200.0)
    window = (X_RAY >= 0.45) & (X_RAY <= 0.60)
    ends = X_RAY[window][[0, -1]]
    net = {}
    for name, spectrum in (("core", core), ("shell", shell)):
        inside = spectrum[window]
        net[name] = np.sum(inside - np.interp(X_RAY[window], ends, inside[[0, -1]])) / inside.sum()
    assert abs(net["core"]) < 0.03
    assert net["shell"] > 0.7
    edges = [edge.onset for edge in CORE_MATERIAL.edges]
    assert not any(500 < onset < 600 for onset in edges)
    assert any(500 < edge.onset < 600 for edge in SHELL_MATERIAL.edges)


def test_brightness_follows_atomic_number():
    brightness = [haadf_brightness(m) for m in (CORE_MATERIAL, SHELL_MATERIAL, CARBON_MATERIAL)]
    assert brightness[0] > 3 * brightness[1] > 9 * brightness[2]
