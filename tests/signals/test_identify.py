"""Components named by references."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import identification, profiles
from hyperfuse_hs import references as references_
from hyperfuse_hs.references import Curve

TRUE_NAMES = ["anatase", "rutile", "carbon"]


@pytest.fixture(scope="module")
def fused():
    """The TiO2 phantom, and the order of its components in the result."""
    phantom = hf.data.tio2_polymorphs(
        scan=(40, 40),
        detector=(48, 48),
        eels_channels=256,
        modalities=["EELS", "Diffraction"],
        random_state=4,
    )
    h = hf.fuse(
        list(phantom.signals.values()),
        n_components=3,
        roles={"Diffraction": "passive"},
        navigation_mask=phantom.navigation_mask,
        random_state=0,
        show_progressbar=False,
    )
    order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
    return h, phantom, order


def library(phantom, shift=0.0, step=1):
    """True spectra as references, on an axis of their own."""
    axis = phantom.signals["EELS"].axes_manager[-1]
    found = {}
    for name, spectrum in zip(TRUE_NAMES, phantom.factors["EELS"], strict=True):
        found[name] = hs.signals.Signal1D(7 * spectrum[::step] + 3)
        own = found[name].axes_manager[0]
        own.offset, own.scale, own.units = axis.offset + shift, axis.scale * step, "eV"
    return found


class TestSpectra:
    def test_each_component_is_called_by_its_name(self, fused):
        h, phantom, order = fused
        found = h.identify("EELS", library(phantom), random_state=0)
        assert [found.best[k] for k in order] == TRUE_NAMES
        assert len(found) == 3
        for k, name in zip(order, TRUE_NAMES, strict=True):
            first = found[k][0]
            assert (first.reference, first.first) == (name, 1.0)
            assert first.score > 0.99
            assert first.score == found.scores[k].max()
            assert found[k][1].score < first.score - 2 * first.error
            assert "anatase" in repr(found)

    def test_a_shift_is_allowed_for_and_found(self, fused):
        h, phantom, order = fused
        step = phantom.signals["EELS"].axes_manager[-1].scale
        shifted = library(phantom, shift=1.5 * step)
        found = h.identify("EELS", shifted)
        assert [found.best[k] for k in order] == TRUE_NAMES
        np.testing.assert_allclose(
            [found[k][0].adjustment for k in order], -1.5 * step, atol=0.3 * step
        )
        strict = h.identify("EELS", shifted, tolerance=0.0)
        assert np.all(strict.scores.max(axis=1) < found.scores.max(axis=1))

    def test_references_may_be_in_other_units_and_lazy_or_a_list(self, fused):
        h, phantom, order = fused
        references = library(phantom)
        listed = []
        for name, signal in references.items():
            axis = signal.axes_manager[0]
            axis.offset, axis.scale, axis.units = 1e-3 * axis.offset, 1e-3 * axis.scale, "keV"
            signal.metadata.General.title = name
            listed.append(signal.as_lazy())
        found = h.identify(phantom.signals["EELS"], listed)
        assert [found.best[k] for k in order] == TRUE_NAMES

    def test_what_looks_like_nothing_has_no_name(self, fused):
        h, phantom, order = fused
        found = h.identify("EELS", {"carbon": library(phantom)["carbon"]})
        assert [found.best[k] for k in order] == [None, None, "carbon"]
        assert "none: nothing that looks alike" in repr(found)

    def test_messages(self, fused):
        h, phantom, _ = fused
        references = library(phantom)
        with pytest.raises(ValueError, match="one of the modalities"):
            h.identify("CL", references)
        with pytest.raises(ValueError, match="shift in units of the axis .*Got -1"):
            h.identify("EELS", references, tolerance=-1)
        part = references["carbon"].isig[:5]
        with pytest.raises(
            ValueError, match="at least 12 channels of EELS.*Got part, which covers"
        ):
            h.identify("EELS", {"part": part})
        with pytest.raises(ValueError, match="relative stretch from 0 to 0.5"):
            h.identify("Diffraction", hf.data.reference_patterns(), tolerance=0.7)
        with pytest.raises(ValueError, match="positive disk_radius. Got 0"):
            h.identify("Diffraction", hf.data.reference_patterns(), disk_radius=0)

    def test_an_image_cannot_be_identified(self, fused):
        _, phantom, _ = fused
        image = phantom.signals["EELS"].sum(axis=-1).T.as_signal2D((0, 1))
        h = hf.fuse(
            [phantom.signals["EELS"], image],
            names=["EELS", "image"],
            n_components=2,
            unmixing="vertex",
            navigation_mask=phantom.navigation_mask,
            show_progressbar=False,
        )
        with pytest.raises(ValueError, match="Got image, which has 0 signal axes"):
            h.identify("image", library(phantom))


class TestPatterns:
    def check(self, found, order):
        assert found.scores[order[0]].argmax() == 0
        assert found.scores[order[1]].argmax() == 1
        assert found.best[order[2]] is None

    def test_polymorphs_by_powder_patterns(self, fused):
        h, _, order = fused
        references = hf.data.reference_patterns()
        self.check(h.identify("Diffraction", references, random_state=0), order)

    def test_polymorphs_by_radial_profiles(self, fused):
        h, _, order = fused
        profiles_ = {}
        for name, pattern in hf.data.reference_patterns().items():
            curve = references_.pattern(name, pattern, "1/Å", 1.0)
            profiles_[name] = hs.signals.Signal1D(curve.density)
            axis = profiles_[name].axes_manager[0]
            axis.scale, axis.units = 10 * (curve.edges[1] - curve.edges[0]), "1/nm"
            axis.offset = axis.scale / 2
        self.check(h.identify("Diffraction", profiles_, random_state=0), order)

    def test_polymorphs_by_crystal_structures(self, fused, real_data):
        pytest.importorskip("diffsims")
        h, _, order = fused
        names = ("anatase", "rutile")
        files = {name: real_data("tio2_structures", f"{name}_P1.cif") for name in names}
        self.check(h.identify("Diffraction", files, random_state=0), order)

    def test_a_camera_length_that_errs_is_allowed_for(self, fused):
        h, _, order = fused
        references = hf.data.reference_patterns(detector=(128, 128))
        for signal in references.values():
            for axis in signal.axes_manager.signal_axes:
                axis.scale, axis.offset = axis.scale / 1.03, axis.offset / 1.03
        found = h.identify("Diffraction", references, tolerance=0.05, random_state=0)
        self.check(found, order)
        assert found[order[0]][0].adjustment > 0
        # With the pattern of a whole powder, how much it errs is found.
        scale = 0.95 / 32
        axes = [{"size": 64, "scale": scale, "offset": -32 * scale} for _ in "yx"]
        pattern = hf.data.reference_patterns()["anatase"].data[None]
        nothing = np.zeros_like(pattern)
        subject = profiles.radial_subject(axes, pattern, nothing, nothing, 0.05)
        curve = references_.pattern("x", references["anatase"], "1/Å", 1.0)
        rng = np.random.default_rng(0)
        exact = identification.identify(subject, [curve], "x", 0.05, rng)[0][0]
        assert exact.adjustment == pytest.approx(0.03, abs=0.006)
        assert exact.score > 0.98

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["patterns", "structures"])
    def test_polymorphs_are_named_whatever_the_seed(self, kind, real_data):
        references = hf.data.reference_patterns()
        if kind == "structures":
            pytest.importorskip("diffsims")
            references = {n: real_data("tio2_structures", f"{n}_P1.cif") for n in references}
        for seed in range(4):
            phantom = hf.data.tio2_polymorphs(scan=(48, 48), eds_channels=256, random_state=seed)
            h = hf.fuse(
                list(phantom.signals.values()),
                n_components=3,
                navigation_mask=phantom.navigation_mask,
                random_state=0,
                show_progressbar=False,
            )
            factors = h.get_factors("EELS").data
            order = hf.metrics.match_components(factors, phantom.factors["EELS"])
            best = h.identify("Diffraction", references, random_state=seed).best
            assert [best[k] for k in order] == ["anatase", "rutile", None]


def test_errors_of_scores_are_what_they_are_said_to_be():
    """Spectra drawn again and again have scores that scatter as much as their errors say."""
    edges = np.column_stack([np.arange(60.0), np.arange(1.0, 61.0)])
    rng = np.random.default_rng(0)
    truth = 100 + 40 * np.exp(-0.5 * ((np.arange(60) - 30) / 4) ** 2)
    reference = Curve("peak", np.arange(-10.0, 71.0), np.zeros(80))
    reference.density[10:70] = truth - 100
    scores, errors = [], []
    for _ in range(60):
        drawn = rng.poisson(truth)[None].astype(float)
        subject = profiles.Subject(edges, drawn, truth[None], np.zeros((1, 60)), 0.0)
        found = identification.identify(subject, [reference], "x", 0.0, rng)
        scores.append(found.scores[0, 0])
        errors.append(found.errors[0, 0])
    assert 0.7 < np.mean(errors) / np.std(scores) < 1.6
