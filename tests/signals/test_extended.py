"""Factors over several ranges, and predictions of one modality from another."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf

SIZE = 24


@pytest.fixture(autouse=True)
def no_progressbar(monkeypatch):
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)


def make_phantom(seed=1, **options):
    small = {"scan": (SIZE, SIZE), "detector": (16, 16), "eels_channels": 200, "eds_channels": 128}
    return hf.data.tio2_polymorphs(**{**small, "random_state": seed, **options})


def fused(signals, mask, **options):
    """Fuse with the first signal as lead and, which is quicker, the others passive."""
    signals = list(signals)
    rules = {"n_components": 3, "random_state": 0, "navigation_mask": mask}
    roles = {signal: "passive" for signal in signals[1:]}
    return hf.fuse(signals, **{**rules, "roles": roles, **options})


@pytest.fixture(scope="module")
def phantom():
    return make_phantom()


@pytest.fixture(scope="module")
def ranges(phantom):
    """EELS as one spectrum and in two overlapping ranges, and EDX."""
    eels, eds = phantom.signals["EELS"], phantom.signals["EDS"]
    signals = eels, eels.isig[:125], eels.isig[100:], eds
    names = "all", "low", "high", "EDS"
    return fused(signals, phantom.navigation_mask, names=names)


@pytest.fixture(scope="module")
def halves():
    """A phantom whose diffraction is taken to be known in the left half only."""
    phantom = make_phantom(seed=3)
    vacuum = phantom.navigation_mask.data
    missing = np.zeros_like(vacuum)
    missing[:, SIZE // 2 :] = True
    h = fused(phantom.signals.values(), vacuum | missing, roles="auto")
    return phantom, h, missing & ~vacuum


def variance(signal):
    return np.asarray(signal.metadata.Signal.Noise_properties.variance.data)


class TestExtendedFactors:
    def test_two_overlapping_ranges_give_the_spectrum_that_was_split(self, ranges):
        found, whole = ranges.get_extended_factors(["low", "high"]), ranges.get_factors("all")
        step = whole.axes_manager[-1].scale
        np.testing.assert_allclose(found.data, whole.data / step, rtol=1e-5, atol=1e-9)
        assert found.axes_manager[-1].is_uniform
        axis, expected = found.axes_manager[-1], whole.axes_manager[-1]
        np.testing.assert_allclose(axis.axis, expected.axis)
        assert (axis.name, axis.units, type(found)) == (expected.name, "eV", type(whole))
        assert found.metadata.Extended_factors.gains.as_dictionary() == pytest.approx(
            {"low": 1, "high": 1}
        )
        known = ranges.get_extended_factors(["low", "high"], gains={"low": 1, "high": 1})
        for name, channels in (("low", slice(0, 100)), ("high", slice(125, 200))):
            own = ranges.get_factor_errors(name).data / step
            own = own[:, :100] if name == "low" else own[:, 25:]
            np.testing.assert_allclose(variance(known)[:, channels], own**2, rtol=1e-6)
        # That the gain of the second range is fitted adds to its errors, only.
        more = variance(found) / variance(known) - 1
        np.testing.assert_allclose(more[:, :100], 0, atol=1e-6)
        assert (more[:, 125:] > 1e-4).all() and (more < 0.2).all()

    def test_order_does_not_matter_within_a_kind(self, ranges):
        one, other = (ranges.get_extended_factors(n) for n in (["low", "high"], ["high", "low"]))
        np.testing.assert_allclose(one.data, other.data, rtol=1e-5, atol=1e-9)

    def test_another_exposure_and_dispersion_are_brought_to_one_scale(self, phantom):
        second = make_phantom(eels_dose=3e5, modalities=["EELS"]).signals["EELS"]
        eels = phantom.signals["EELS"]
        low, high = eels.isig[:125], second.isig[100:].rebin(scale=(1, 1, 2))
        # Other counts of the same sample.
        high.data = np.random.default_rng(0).binomial(high.data.astype(int), 0.7)
        h = fused((low, high), phantom.navigation_mask, names=("low", "high"))
        found = h.get_extended_factors(["low", "high"])
        gain = found.metadata.Extended_factors.gains.high
        assert gain == pytest.approx(1 / 2.1, rel=0.01)
        assert not found.axes_manager[-1].is_uniform
        axis = found.axes_manager[-1].axis
        assert 125 < axis.size == 125 + np.sum(axis > low.axes_manager[-1].axis[-1])
        truth = phantom.factors["EELS"] / eels.axes_manager[-1].scale
        order = hf.metrics.match_components(
            h.get_factors("low").data, phantom.factors["EELS"][:, :125]
        )
        error = found.data[order][:, :125] - truth[:, :125]
        spread = np.sqrt(variance(found)[order][:, :125])
        # In the overlap, two measurements are better than one.
        alone = h.get_factor_errors("low").data[order] / eels.axes_manager[-1].scale
        assert np.mean(spread[:, 103:122] / alone[:, 103:122]) < 0.85
        assert np.mean((error / spread) ** 2) < 3
        # They meet as well as their errors say.
        about = found.metadata.Extended_factors
        assert about.differences.as_dictionary() == {"low and high": pytest.approx(1, abs=0.3)}
        assert about.apart == []

    def test_different_kinds_in_order_of_precedence_and_units_of_the_first(self, ranges):
        found = ranges.get_extended_factors(["all", "EDS"])
        axis = found.axes_manager[-1]
        assert (axis.units, axis.name, type(found)) == ("eV", "Energy", hs.signals.Signal1D)
        assert found.metadata.Signal.quantity == "Intensity (counts/eV)"
        energy, eds = axis.axis, ranges.get_factors("EDS")
        own = ranges.get_factors("all").axes_manager[-1].axis
        inside = (energy > 259.9) & (energy < 669.5)
        np.testing.assert_allclose(energy[inside], own[own < 669.5])
        above = energy > 800
        kev = eds.axes_manager[-1].axis
        np.testing.assert_allclose(energy[above], 1e3 * kev[kev > 0.8])
        density = eds.data / (1e3 * eds.axes_manager[-1].scale)
        np.testing.assert_allclose(found.data[:, above], density[:, kev > 0.8])
        about = found.metadata.Extended_factors
        assert (about.apart, about.differences.as_dictionary()) == (["all and EDS"], {})
        double = ranges.get_extended_factors(["all", "EDS"], gains={"EDS": 2.0})
        np.testing.assert_allclose(double.data[:, above], 2 * density[:, kev > 0.8])
        np.testing.assert_allclose(variance(double)[:, above], 4 * variance(found)[:, above])

    def test_three_modalities_of_two_kinds(self, ranges):
        found = ranges.get_extended_factors(["low", "high", "EDS"])
        both = ranges.get_extended_factors(["low", "high"])
        own = both.axes_manager[-1].axis
        place = np.searchsorted(found.axes_manager[-1].axis, own[0])
        np.testing.assert_allclose(found.data[:, place : place + own.size], both.data)
        assert set(found.metadata.Extended_factors.gains.as_dictionary()) == {"low", "high", "EDS"}

    def test_plain_signals_are_told_apart_by_their_names(self):
        """Where eXSpy is missing, signals have no type."""
        rng = np.random.default_rng(0)
        mixed = rng.dirichlet([0.3, 0.3], 50)
        counts = rng.poisson(mixed @ rng.uniform(1, 99, (2, 40))).astype(float)
        first, second = hs.signals.Signal1D(counts), hs.signals.Signal1D(counts[:, :30] + 1)
        for signal in (first, second):
            signal.axes_manager[-1].units = "eV"
        second.axes_manager[-1].offset = 20
        h = hf.fuse([first, second], names=["EELS", "EDS"], n_components=2)
        found = h.get_extended_factors(["EELS", "EDS"])
        np.testing.assert_allclose(found.data[:, :40], h.get_factors("EELS").data)
        np.testing.assert_allclose(found.data[:, 40:], h.get_factors("EDS").data[:, 20:])

    def test_a_gap_is_left_out_of_the_axis(self, phantom):
        eels = phantom.signals["EELS"]
        parts = eels.isig[:75], eels.isig[100:]
        h = fused(parts, phantom.navigation_mask, names=("low", "high"))
        axis = h.get_extended_factors(["low", "high"]).axes_manager[-1]
        expected = np.delete(eels.axes_manager[-1].axis, slice(75, 100))
        np.testing.assert_allclose(axis.axis, expected)

    def test_excluded_channels_are_nan_unless_the_other_range_has_them(self, phantom):
        eels = phantom.signals["EELS"]
        parts = eels.isig[:125], eels.isig[100:]
        mask = np.zeros(125, dtype=bool)
        mask[[10, 110]] = True
        h = fused(parts, phantom.navigation_mask, names=("low", "high"), signal_masks={"low": mask})
        found = h.get_extended_factors(["low", "high"])
        assert found.data.shape == (3, 200)
        assert np.flatnonzero(np.isnan(found.data).any(axis=0)).tolist() == [10]

    def test_it_is_kept_by_files(self, ranges, tmp_path):
        found = ranges.get_extended_factors(["all", "EDS"])
        found.save(tmp_path / "extended.hspy")
        loaded = hs.load(tmp_path / "extended.hspy")
        np.testing.assert_array_equal(loaded.data, found.data)
        np.testing.assert_allclose(loaded.axes_manager[-1].axis, found.axes_manager[-1].axis)

    def test_spectra_that_differ_are_reported(self, phantom):
        eels = phantom.signals["EELS"]
        shifted = eels.isig[100:]
        shifted.axes_manager[-1].offset += 4.0
        names = ("all", "high")
        h = fused((eels, shifted), phantom.navigation_mask, names=names)
        with pytest.warns(UserWarning, match="all and high differ by .* standard errors"):
            h.get_extended_factors(names)

    def test_messages(self, phantom, ranges):
        with pytest.raises(ValueError, match="at least two different modalities.*Got .'low'"):
            ranges.get_extended_factors("low")
        with pytest.raises(ValueError, match="at least two different"):
            ranges.get_extended_factors(["low", "low"])
        with pytest.raises(ValueError, match="one of the modalities .*Got 'CL'"):
            ranges.get_extended_factors(["low", "CL"])
        with pytest.raises(ValueError, match="range of all is covered by EDS.*name all first"):
            ranges.get_extended_factors(["EDS", "all"])
        with pytest.raises(ValueError, match="positive gain of EDS. Got -1"):
            ranges.get_extended_factors(["all", "EDS"], gains={"EDS": -1})
        with pytest.raises(TypeError, match="Expected gains as a dict"):
            ranges.get_extended_factors(["all", "EDS"], gains=2.0)
        with pytest.raises(TypeError, match="a number as gain of EDS. Got '2'"):
            ranges.get_extended_factors(["all", "EDS"], gains={"EDS": "2"})
        with pytest.raises(ValueError, match="gains of .*Got one of 'low'"):
            ranges.get_extended_factors(["all", "EDS"], gains={"low": 2.0})

    def test_messages_about_axes(self, phantom):
        eels, eds = phantom.signals["EELS"], phantom.signals["EDS"].deepcopy()
        eds.axes_manager[-1].units = "nm"
        signals = eels, eds, phantom.signals["Diffraction"]
        h = fused(signals, phantom.navigation_mask, unmixing="vertex")
        with pytest.raises(ValueError, match="EELS in eV and EDS in nm. Set the units"):
            h.get_extended_factors(["EELS", "EDS"])
        with pytest.raises(ValueError, match=r"Got Diffraction with signal shape \(16, 16\)"):
            h.get_extended_factors(["EELS", "Diffraction"])


class TestPrediction:
    def test_x_rays_from_eels_in_the_other_half_are_as_good_as_with_the_true_abundances(
        self, halves
    ):
        phantom, h, other = halves
        found = h.predict("EDS", from_="EELS")
        truth = phantom.abundances[other] @ phantom.factors["EDS"]
        order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
        oracle = phantom.abundances[other] @ h.get_factors("EDS").data[order]
        mean = found.data.compute()[other]
        error = np.mean((mean - truth) ** 2)
        assert error < 1.5 * np.mean((oracle - truth) ** 2)
        said = variance(found)[other]
        assert 0.5 < error / said.mean() < 2
        assert 0.5 < np.mean((mean - truth) ** 2 / said) < 2

    @pytest.mark.slow
    def test_diffraction_from_eels_is_as_good_as_with_the_true_abundances(self):
        """Of patterns of half a scan, the mean over few crystals is what limits it."""
        ratios, calibration = [], []
        for seed in range(6):
            phantom = make_phantom(seed, scan=(48, 48))
            vacuum = phantom.navigation_mask.data
            other = ~vacuum
            other[:, :24] = False
            h = fused(phantom.signals.values(), vacuum | other, roles="auto")
            found = h.predict("Diffraction", from_="EELS")
            truth = np.tensordot(phantom.abundances[other], phantom.factors["Diffraction"], axes=1)
            order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
            factors = h.get_factors("Diffraction").data[order]
            oracle = np.tensordot(phantom.abundances[other], factors, axes=1)
            error = np.mean((found.data.compute()[other] - truth) ** 2)
            ratios.append(error / np.mean((oracle - truth) ** 2))
            calibration.append(error / variance(found)[other].mean())
        assert np.median(ratios) < 1.05
        assert 0.5 < np.median(calibration) < 2

    def test_it_is_a_lazy_native_signal_on_the_scan_of_the_data(self, halves):
        phantom, h, other = halves
        found = h.predict("Diffraction", from_="EELS")
        assert found._lazy
        assert type(found).__name__.startswith("Lazy")
        native = phantom.signals["Diffraction"]
        assert found.data.shape == native.data.shape
        for axis, expected in zip(found.axes_manager._axes, native.axes_manager._axes, strict=True):
            assert (axis.name, axis.units, axis.scale) == (
                expected.name,
                expected.units,
                expected.scale,
            )

    def test_vacuum_is_predicted_to_be_empty(self, halves):
        phantom, h, _ = halves
        vacuum = phantom.navigation_mask.data
        assert not h.predict("EDS", from_="EELS").data.compute()[vacuum].any()

    def test_what_x_rays_cannot_tell_has_a_wide_error(self, halves):
        """They see no difference between the polymorphs."""
        phantom, h, other = halves
        mean = h.predict("EELS", from_="EDS")
        truth = phantom.abundances[other] @ phantom.factors["EELS"]
        error = (mean.data.compute()[other] - truth) ** 2
        assert 0.5 < error.mean() / variance(mean)[other].mean() < 2

    @pytest.mark.parametrize("lazy", [False, True])
    def test_a_second_scan_of_another_shape_and_dose(self, halves, lazy):
        _, h, _ = halves
        second = make_phantom(seed=5, modalities=["EELS", "EDS"], eels_dose=2e4)
        line = second.signals["EELS"].inav[:20, 7]
        if lazy:
            line = line.as_lazy()
        before = line.deepcopy()
        found = h.predict("EDS", from_=h._natives["EELS"], signal=line)
        assert found.data.shape == (20, 128)
        assert isinstance(found.data, da.Array)
        inside = ~second.navigation_mask.data[7, :20]
        truth = 0.2 * second.abundances[7, :20][inside] @ second.factors["EDS"]
        mean = found.data.compute()[inside]
        angle = hf.metrics.spectral_angle(mean.mean(axis=0), truth.mean(axis=0))
        assert angle < 5
        np.testing.assert_allclose(mean.sum(), truth.sum(), rtol=0.03)
        np.testing.assert_array_equal(np.asarray(line.data), np.asarray(before.data))

    def test_an_image_from_a_spectrum_and_back(self, phantom):
        image = phantom.signals["EELS"].sum(axis=-1).T.as_signal2D((0, 1))
        names = "EELS", "image"
        h = fused((phantom.signals["EELS"], image), phantom.navigation_mask, names=names)
        found = h.predict("image", from_="EELS")
        assert found.data.shape == (SIZE, SIZE)
        assert found.axes_manager.navigation_dimension == 0
        back = h.predict("EELS", from_="image")
        assert back.data.shape == phantom.signals["EELS"].data.shape
        again = h.predict("EELS", from_="image", signal=image.isig[:5, :7])
        np.testing.assert_allclose(again.data, back.data[:7, :5], rtol=1e-5, atol=1e-6)

    def test_positions_that_are_not_finite_give_nan(self, halves):
        phantom, h, _ = halves
        line = phantom.signals["EELS"].inav[:4, :3].deepcopy()
        line.change_dtype("float32")
        line.data[1, 2, 5] = np.nan
        found = h.predict("EDS", from_="EELS", signal=line).data.compute()
        assert np.argwhere(np.isnan(found).all(axis=-1)).tolist() == [[1, 2]]

    @pytest.mark.parametrize("unmixing", ["orthomax", "nmf"])
    def test_components_of_every_kind(self, phantom, unmixing):
        eels, eds = phantom.signals["EELS"], phantom.signals["EDS"]
        h = fused((eels, eds), phantom.navigation_mask, unmixing=unmixing)
        inside = ~phantom.navigation_mask.data
        found = h.predict("EDS", from_="EELS").data.compute()[inside]
        truth = phantom.abundances[inside] @ phantom.factors["EDS"]
        assert np.mean((found - truth) ** 2) < 0.2 * np.mean((truth - truth.mean(axis=0)) ** 2)

    def test_messages(self, halves, tmp_path):
        phantom, h, _ = halves
        with pytest.raises(ValueError, match="Got EELS twice.*get_model"):
            h.predict("EELS", from_="EELS")
        with pytest.raises(ValueError, match="one of the modalities"):
            h.predict("EELS", from_="CL")
        with pytest.raises(
            ValueError, match=r"channels of EELS, signal shape \(200,\). Got \(10,\)"
        ):
            h.predict("EDS", from_="EELS", signal=phantom.signals["EELS"].isig[:10])
        shifted = phantom.signals["EELS"].inav[:3, :3].deepcopy()
        shifted.axes_manager[-1].offset += 5
        with pytest.raises(ValueError, match="axis of EELS, from 260 to .* eV. Got 265 to"):
            h.predict("EDS", from_="EELS", signal=shifted)
        one = phantom.signals["EELS"].inav[0, 0]
        with pytest.raises(ValueError, match=r"without navigation axes.*inav\[:1, :1\]"):
            h.predict("EDS", from_="EELS", signal=one)
        with pytest.raises(TypeError, match="Expected HyperSpy signals"):
            h.predict("EDS", from_="EELS", signal=phantom.signals["EELS"].data)
        h.save(tmp_path / "h.hspy")
        loaded = hs.load(tmp_path / "h.hspy")
        with pytest.raises(ValueError, match="data of EELS are not there.*h.attach"):
            loaded.predict("EDS", from_="EELS")
        line = phantom.signals["EELS"].inav[:3, :2]
        again = loaded.predict("EDS", from_="EELS", signal=line)
        expected = h.predict("EDS", from_="EELS").data[:2, :3]
        np.testing.assert_allclose(again.data, expected, rtol=2e-3, atol=1e-9)
