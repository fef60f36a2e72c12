"""Tools of eXSpy and pyxem on factors give what they give on the true spectra and patterns."""

import logging
import warnings

import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf

LINES = ["O_Ka", "Ti_Ka"]
BACKGROUND, EDGE = (400.0, 440.0), slice(450.0, 500.0)
DEAD_CHANNEL, DEAD_PIXEL = 300, (9, 12)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)
    logging.getLogger("hyperspy").setLevel(logging.ERROR)


@pytest.fixture(scope="module")
def fused():
    """A fusion with a dead channel and a dead pixel, and the truth in its order."""
    pytest.importorskip("exspy")
    pytest.importorskip("pyxem")
    phantom = hf.data.tio2_polymorphs(
        scan=(32, 32),
        detector=(24, 24),
        eels_channels=400,
        eds_channels=512,
        eds_dose=1000.0,
        random_state=0,
    )
    channel, pixel = np.zeros(400, dtype=bool), np.zeros((24, 24), dtype=bool)
    channel[DEAD_CHANNEL], pixel[DEAD_PIXEL] = True, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = hf.fuse(
            list(phantom.signals.values()),
            n_components=3,
            roles={"EDS": "passive", "Diffraction": "passive"},
            navigation_mask=phantom.navigation_mask,
            signal_masks={"EELS": channel, "Diffraction": pixel},
            random_state=0,
            show_progressbar=False,
        )
    known = np.delete(np.arange(400), DEAD_CHANNEL)
    found = h.get_factors("EELS").data[:, known]
    order = hf.metrics.match_components(found, phantom.factors["EELS"][:, known])
    return h, phantom, order


def pair(fused, name):
    """Factors in the order of the truth, and the truth in the same signal."""
    h, phantom, order = fused
    found = h.get_factors(name)
    found.data = found.data[order]
    truth = found.deepcopy()
    truth.data = phantom.factors[name].copy()
    return found, truth


class TestXRays:
    def test_lines(self, fused):
        found, truth = pair(fused, "EDS")
        assert found.metadata.Sample.elements == ["C", "Cu", "O", "Ti"]
        windows = truth.estimate_background_windows(xray_lines=LINES, line_width=[3, 3])
        values = [s.get_lines_intensity(LINES, background_windows=windows) for s in (found, truth)]
        for a, b in zip(*values, strict=True):
            np.testing.assert_allclose(a.data.ravel()[:2], b.data.ravel()[:2], rtol=0.03)
            # The third is carbon, which has neither line.
            assert abs(a.data.ravel()[2] - b.data.ravel()[2]) < 0.02 * b.data.max()

    def test_cliff_lorimer_quantification_gives_the_composition(self, fused):
        found, truth = pair(fused, "EDS")
        oxygen, titanium = (s.data.ravel()[0] for s in truth.get_lines_intensity(LINES))
        # k-factors for weight fractions, of a standard with two atoms of oxygen to one of titanium.
        k = [2 * 15.999 / oxygen, 47.867 / titanium]
        result = found.quantification(
            found.get_lines_intensity(LINES), "CL", k, composition_units="atomic"
        )
        by_element = {s.metadata.Sample.elements[0]: s.data.ravel() for s in result}
        np.testing.assert_allclose(by_element["Ti"][:2], 100 / 3, atol=0.5)
        np.testing.assert_allclose(by_element["O"][:2], 200 / 3, atol=0.5)

    def test_a_fitted_model(self, fused):
        intensities = []
        for signal in pair(fused, "EDS"):
            model = signal.isig[0.2:].create_model()
            model.multifit()
            lines = model.get_lines_intensity(["Ti_Ka"])
            intensities.append(lines[0].data.ravel()[:2])
        np.testing.assert_allclose(*intensities, rtol=0.03)


class TestEnergyLoss:
    def test_background_and_edge(self, fused):
        edges = []
        for signal in pair(fused, "EELS"):
            net = signal.remove_background(BACKGROUND, fast=False)
            edges.append(net.isig[EDGE].data.sum(axis=1))
        np.testing.assert_allclose(edges[0][:2], edges[1][:2], rtol=0.03)
        assert abs(edges[0][2]) < 0.01 * edges[0][0]

    def test_a_fitted_model_leaves_out_the_dead_channel(self, fused):
        intensities = []
        for signal in pair(fused, "EELS"):
            one = signal.inav[0].isig[400.0:]
            one.set_microscope_parameters(
                beam_energy=200, convergence_angle=10, collection_angle=30
            )
            one.add_elements(["Ti", "O"])
            model = one.create_model(GOS="hydrogenic")
            # What the guide says to do where channels are excluded.
            model.set_signal_range_from_mask(np.isfinite(one.data))
            model.fit()
            intensities.append([model["Ti_L3"].intensity.value, model["O_K"].intensity.value])
        np.testing.assert_allclose(*intensities, rtol=0.03)
        assert np.all(np.array(intensities) > 0)


class TestDiffraction:
    def test_azimuthal_mean_without_the_dead_pixel(self, fused):
        found, truth = pair(fused, "Diffraction")
        assert found.calibration.units == ["1/Å", "1/Å"]
        assert found.calibration.center == truth.calibration.center
        mask = np.isnan(found.data[0])
        assert np.argwhere(mask).tolist() == [list(DEAD_PIXEL)]
        # What the guide says to do where pixels are excluded.
        found.data[:, mask] = 0.0
        profile = found.get_azimuthal_integral1d(npt=12, mean=True, mask=mask)
        expected = truth.get_azimuthal_integral1d(npt=12, mean=True)
        assert profile.axes_manager[-1].units == "1/Å"
        whole = truth.get_azimuthal_integral1d(npt=12, mean=True, mask=mask)
        np.testing.assert_allclose(whole.data, expected.data, atol=0.02 * expected.data.max())
        # Carbon has rings of its own, whatever the crystals.
        assert hf.metrics.spectral_angle(profile.data[2, 1:], expected.data[2, 1:]) < 10
        np.testing.assert_allclose(
            profile.data[:, 1:].sum(axis=1), expected.data[:, 1:].sum(axis=1), rtol=0.2
        )
