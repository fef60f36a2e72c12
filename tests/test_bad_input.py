"""What does not fit is refused in the user's words, and every signal stays as it was."""

import copy
import inspect
import re

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs.concerns import concern_of
from hyperfuse_hs.gui.candidates import Candidate
from hyperfuse_hs.gui.entries import CANDIDATE_FIELDS
from hyperfuse_hs.gui.form import Form
from hyperfuse_hs.gui.tool import AGAIN_ENTRIES, DATA_ENTRIES
from hyperfuse_hs.options import name_signals

SHARED_ENTRIES = (*AGAIN_ENTRIES, *DATA_ENTRIES)

SCAN = (6, 8)
CHANNELS = 20
RULES = {"n_components": 3, "random_state": 0, "show_progressbar": False}


def counts(seed=0, channels=CHANNELS, scan=SCAN, p=3):
    """Return Poisson counts of mixtures; the abundances are the same for every seed."""
    mixtures = np.random.default_rng(9).dirichlet(np.full(p, 0.5), int(np.prod(scan)))
    rng = np.random.default_rng(seed)
    return rng.poisson(mixtures @ rng.uniform(5, 60, (p, channels))).reshape(*scan, channels) * 1.0


def spectra(data=None, title="spectra"):
    signal = hs.signals.Signal1D(counts() if data is None else data)
    signal.metadata.General.title = title
    return signal


def patterns(title="patterns"):
    signal = hs.signals.Signal2D(counts(1, 12).reshape(*SCAN, 3, 4))
    signal.metadata.General.title = title
    return signal


def remembering(signals):
    """Give every signal learning results of its own."""
    for signal in signals:
        if isinstance(signal, hs.signals.BaseSignal):
            signal.learning_results.factors = np.arange(6.0).reshape(3, 2)
            signal.learning_results.bss_algorithm = "an earlier one"
    return signals


def assert_shown_beside_an_entry(error, signals, options):
    """Check that the form has a place for an error: that of the option, and of its modality."""
    concern = concern_of(error)
    assert concern is not None, f"Nothing says which option this is about: {error}"
    option, name = concern
    assert option in {"signals", *inspect.signature(hf.fuse).parameters}
    try:
        names = name_signals(signals, options.get("names"))
    except (AttributeError, TypeError, ValueError):  # These are no signals that have names.
        names = []
    form = Form(candidates=[Candidate(name=known, chosen=True) for known in names])
    form.problems = [(option, name, str(error))]
    own = {item.name: item.errors for item in form.candidates if item.errors}
    if name in names:
        assert own == {name: {CANDIDATE_FIELDS[option]: str(error)}} and form.errors == {}
    else:
        assert own == {}
        assert form.errors == {"candidates" if option in CANDIDATE_FIELDS else option: str(error)}
        assert set(form.errors) <= {"candidates", *SHARED_ENTRIES}


def refused(signals, error, match, **options):
    """Fuse, expect the error beside its entry, and check that learning results are as before."""
    remembering(signals)
    native = [s for s in signals if isinstance(s, hs.signals.BaseSignal)]
    before = [(s.learning_results, copy.deepcopy(vars(s.learning_results))) for s in native]
    metadata = [s.metadata.as_dictionary() for s in native]
    with pytest.raises(error, match=match) as caught:
        hf.fuse(signals, **{**RULES, **options})
    assert_shown_beside_an_entry(caught.value, signals, options)
    for signal, (results, content), known in zip(native, before, metadata, strict=True):
        assert signal.learning_results is results
        np.testing.assert_equal(vars(results), content)
        np.testing.assert_equal(signal.metadata.as_dictionary(), known)


class TestSignals:
    @pytest.mark.parametrize(
        ("other", "match"),
        [
            (counts()[:, :5], r"spectra \(8, 6\) and other \(5, 6\)\. .*register.*inav\[:5, :6\]"),
            (counts()[0], r"spectra \(8, 6\) and other \(8,\)\. Take the same scan axes"),
            (counts().swapaxes(0, 1), r"other \(6, 8\)\. Swap its scan axes.*swap_axes"),
        ],
    )
    def test_other_navigation_shape(self, other, match):
        refused([spectra(), spectra(other, "other")], ValueError, match)

    @pytest.mark.parametrize(
        ("shape", "match"),
        [((6, 5), r"\(5, 6\) \(shape of the image\).*\.isig\[:5, :6\]"), ((8, 6), "swap_axes")],
    )
    def test_image_of_another_scan(self, shape, match):
        refused([spectra(), hs.signals.Signal2D(np.ones(shape))], ValueError, match)

    def test_no_navigation_dimension(self):
        refused([spectra(counts()[0, 0])], ValueError, "no navigation axis in any of spectra")

    def test_images_only_without_navigation_axes(self):
        images = [hs.signals.Signal2D(counts(i)[..., 0]) for i in range(2)]
        refused(images, ValueError, r"navigation axis .*image\.T for an image of the scan")

    def test_advice_for_images_works(self):
        images = [hs.signals.Signal2D(counts(i)[..., 0]) for i in range(2)]
        h = hf.fuse([images[0].T, images[1]], **{**RULES, "n_components": 2})
        assert h.data.shape == (*SCAN, 2)

    def test_complex(self):
        refused([spectra(counts() + 1j)], TypeError, r"real numbers.*complex128.*amplitude")

    def test_objects(self):
        refused([spectra(counts().astype(object))], TypeError, "dtype object .*change_dtype")

    def test_array_in_place_of_a_signal(self):
        refused([spectra(), counts()], TypeError, "Expected HyperSpy signals .* Got ndarray")

    def test_no_signal(self):
        with pytest.raises(ValueError, match="at least one signal"):
            hf.fuse([])

    def test_same_signal_twice(self):
        signal = spectra()
        refused([signal, signal], ValueError, "the same signal twice")


class TestData:
    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("role", ["auto", "passive"])
    def test_nan_and_infinity(self, role, lazy):
        data = counts()
        data[2, 3, 4], data[2, 3, 5], data[5, 0, 1] = np.nan, np.inf, -np.inf
        bad = spectra(data, "bad")
        bad = bad.as_lazy() if lazy else bad
        match = r"Got 3 NaN or infinite value\(s\) in bad, .*position \(3, 2\), channel \(4,\)"
        refused([patterns(), bad], ValueError, match, roles={"bad": role})

    def test_place_of_nan_behind_masks(self):
        data = counts()
        data[2, 3, 4] = np.nan
        positions, channels = np.zeros(SCAN, bool), np.zeros(CHANNELS, bool)
        positions[0, :3] = channels[:2] = True
        match = r"Got 1 NaN.*position \(3, 2\), channel \(4,\)"
        masks = {"navigation_mask": positions, "signal_masks": {"spectra": channels}}
        refused([spectra(data)], ValueError, match, **masks)

    @pytest.mark.parametrize("masks", ["navigation_mask", "signal_masks"])
    def test_excluded_nan_does_no_harm(self, masks):
        data = counts()
        data[2, 3, 4] = np.nan
        positions, channels = np.zeros(SCAN, bool), np.zeros(CHANNELS, bool)
        positions[2, 3] = channels[4] = True
        mask = positions if masks == "navigation_mask" else {"spectra": channels}
        h = hf.fuse([spectra(data)], **RULES, **{masks: mask})
        assert np.isfinite(h.data).sum() == 3 * (48 if masks == "signal_masks" else 47)

    @pytest.mark.parametrize("role", ["auto", "passive"])
    def test_negative_counts(self, role):
        bad = spectra(counts() - 30, "bad")
        refused(
            [patterns(), bad],
            ValueError,
            r'noise="poisson" expects counts.*minimum of -2\d in bad.*"gaussian"',
            noise={"bad": "poisson"},
            roles={"bad": role},
        )

    @pytest.mark.parametrize("value", [0, 3])
    def test_constant(self, value):
        constant = spectra(np.full((*SCAN, CHANNELS), value), "constant")
        refused([patterns(), constant], ValueError, f"vary. Got {value} everywhere in constant")

    @pytest.mark.parametrize("factor", [1e-30, 1e30, 1e200])
    @pytest.mark.parametrize("role", ["auto", "passive"])
    @pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
    def test_units_out_of_reach(self, factor, role):
        extreme = spectra(counts() * factor, "extreme")
        match = r"largest is between 1e-16 and 1e\+16.* Got .* in extreme. Change their units"
        refused([patterns(), extreme], ValueError, match, roles={"extreme": role})

    def test_inverted_mask(self):
        data, specimen = counts(), np.zeros(SCAN, bool)
        specimen[2:] = True
        data[~specimen] = 0
        match = r"0 everywhere in spectra that is not masked \(True = excluded\)"
        refused([spectra(data)], ValueError, match, navigation_mask=specimen)

    def test_same_spectrum_everywhere(self):
        same = np.broadcast_to(counts()[0, 0], (*SCAN, CHANNELS))
        refused([spectra(same)], ValueError, "fewer components")
        assert hf.fuse([spectra(same)], **{**RULES, "n_components": "auto"}).data.shape[-1] == 1

    def test_positions_without_counts_are_excluded_with_a_warning(self):
        data, mixed = counts(), counts(1)
        data[0], mixed[0] = 0, 0
        with pytest.warns(UserWarning, match=r"8 probe position\(s\) without any counts"):
            h = hf.fuse([spectra(data), spectra(mixed, "b")], **RULES)
        assert np.isnan(h.data[0]).all() and np.isfinite(h.data[1:]).all()
        assert "8 of 48 probe positions excluded" in h.summary()

    def test_positions_that_one_modality_sees_stay(self):
        data = counts()
        data[0] = 0
        assert np.isfinite(hf.fuse([spectra(data), patterns()], **RULES).data).all()

    def test_values_that_cancel_are_not_empty(self):
        data = np.random.default_rng(0).normal(size=(*SCAN, CHANNELS)) + counts() - 30
        data[0, 0, :] = 0
        data[0, 0, :2] = 40, -40
        assert np.isfinite(hf.fuse([spectra(data)], **RULES).data).all()

    def test_channels_without_counts_are_reported(self):
        data = counts()
        data[..., 3:5] = 0
        h = hf.fuse([spectra(data)], **RULES)
        assert "spectra: nothing in 2 of 20 channels" in h.summary()
        np.testing.assert_array_equal(h.get_factors("spectra").data[:, 3:5], 0)


class TestNumberOfComponents:
    @pytest.mark.parametrize("count", [0, -2])
    def test_too_few(self, count):
        refused([spectra()], ValueError, f"at least 1. Got {count}", n_components=count)

    @pytest.mark.parametrize("count", [2.0, 2.5, "three", None, True, [3]])
    def test_no_whole_number(self, count):
        match = re.escape(f'whole number or "auto". Got {count!r}')
        refused([spectra()], TypeError, match, n_components=count)

    def test_more_than_positions(self):
        refused([spectra()], ValueError, r"Got 48 position\(s\)", n_components=49)

    def test_more_than_channels(self):
        match = r"n_components=22 .* 20 channel\(s\) tell at most 21"
        refused([spectra()], ValueError, match, n_components=22)

    @pytest.mark.parametrize("unmixing", ["face_mixture", "nmf", "orthomax", "none"])
    def test_more_than_vary(self, unmixing):
        match = "n_components=20 is more than the data support.*tells at most"
        refused([spectra()], ValueError, match, n_components=20, unmixing=unmixing)

    @pytest.mark.parametrize(("scan", "count"), [((1, 2), 3), ((1, 1), 1)])
    def test_fewer_positions_than_components(self, scan, count):
        refused([spectra(counts(scan=scan))], ValueError, "as many probe", n_components=count)

    def test_fewer_positions_after_leaving_out_empty_ones(self):
        data = counts(scan=(1, 4))
        data[0, :2] = 0
        with pytest.warns(UserWarning, match="excluded"):
            refused([spectra(data)], ValueError, r"Got 2 position\(s\) for n_components=3")


class TestMasks:
    @pytest.mark.parametrize(
        ("mask", "match"),
        [
            (np.zeros((8, 6)), r"shape \(6, 8\).*Got \(8, 6\)\. Transpose it"),
            (np.zeros(48), r"shape \(6, 8\).*Got \(48,\)"),
            (np.ones(SCAN), "navigation_mask excludes everything"),
        ],
    )
    def test_navigation_mask(self, mask, match):
        refused([spectra()], ValueError, match, navigation_mask=mask)

    @pytest.mark.parametrize(
        ("mask", "match"),
        [
            (np.zeros(19), r"signal mask of spectra must have shape \(20,\).*Got \(19,\)"),
            (np.ones(20), "signal mask of spectra excludes everything"),
        ],
    )
    def test_signal_mask(self, mask, match):
        refused([spectra()], ValueError, match, signal_masks={"spectra": mask})

    def test_signal_mask_without_name(self):
        refused([spectra()], TypeError, "as a dict", signal_masks=np.zeros(20))


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"roles": "leader"}, ValueError, "auto, lead, support, passive. Got 'leader'"),
            ({"roles": {"spectra": "x"}}, ValueError, '"auto", "lead", "support", "passive"'),
            ({"noise": "x"}, ValueError, '"auto", "poisson", "gaussian", "none". Got \'x\''),
            ({"noise": None}, TypeError, "or its variance. Got NoneType"),
            ({"weights": "heavy"}, TypeError, "weights=\"auto\" or a dict .* Got 'heavy'"),
            ({"weights": 2}, TypeError, "Got 2"),
            ({"weights": {"spectra": "x"}}, TypeError, "number as weight of spectra. Got 'x'"),
            ({"weights": {"spectra": -1}}, ValueError, "at least 0 for spectra. Got -1"),
            ({"weights": {"spectra": np.nan}}, ValueError, "at least 0 for spectra. Got nan"),
            ({"scale": "x"}, ValueError, '"auto", "none", "total". Got \'x\''),
            ({"scale": {"spectra": "total"}}, ValueError, r'"none" or a map of shape \(6, 8\)'),
            ({"scale": np.ones((8, 6))}, ValueError, r"shape \(6, 8\). Got \(8, 6\)"),
            ({"scale": -np.ones(SCAN)}, ValueError, "not negative.*Got -1.0 to -1.0"),
            ({"scale": np.zeros(SCAN)}, ValueError, "not zero everywhere"),
            ({"unmixing": "x"}, ValueError, '"face_mixture", "minimum_volume", "vertex", "nmf"'),
            ({"unmixing": None}, ValueError, "Got None"),
            ({"abundances": "x"}, ValueError, '"simplex", "nonnegative", "none". Got \'x\''),
            ({"random_state": "x"}, TypeError, "whole number.*Got 'x'"),
            ({"random_state": 1.5}, TypeError, "whole number.*Got 1.5"),
            ({"random_state": -1}, ValueError, "at least 0. Got -1"),
            ({"names": ["a", "b"]}, ValueError, "Expected 1 different names"),
            (
                {"unmixing": "orthomax", "abundances": "nonnegative"},
                ValueError,
                'Use unmixing="nmf',
            ),
        ],
    )
    def test_unknown_value(self, options, error, match):
        refused([spectra()], error, match, **options)

    @pytest.mark.parametrize("option", ["roles", "noise", "weights", "scale", "signal_masks"])
    @pytest.mark.parametrize("key", ["EDX", spectra(title="another")])
    def test_unknown_name(self, option, key):
        match = rf"Expected one of \['spectra', 'patterns'\] in {option}. Got .*names="
        refused([spectra(), patterns()], ValueError, match, **{option: {key: "lead"}})

    def test_repeated_names(self):
        refused([spectra(), patterns()], ValueError, "2 different names", names=["a", "a"])

    def test_unknown_option(self):
        with pytest.raises(TypeError, match="ncomponents"):
            hf.fuse([spectra()], ncomponents=3)

    @pytest.mark.parametrize(
        "options",
        [
            {"roles": {"spectra": "support", "patterns": "passive"}},
            {"roles": {"spectra": "support"}, "weights": {"patterns": 0}},
            {"weights": {"spectra": 0, "patterns": 0}},
        ],
    )
    def test_nothing_may_lead(self, options):
        refused([spectra(), patterns()], ValueError, "a modality that may lead", **options)

    def test_lead_without_weight(self):
        options = {"roles": {"spectra": "lead"}, "weights": {"spectra": 0}}
        refused([spectra(), patterns()], ValueError, "0 makes spectra passive", **options)

    @pytest.mark.parametrize(
        ("variance", "match"),
        [
            (np.ones((6, 5, 20)), r"shape \(6, 8, 20\) or \(20,\). Got \(6, 5, 20\)"),
            (-1.0, "not negative"),
            (np.nan, "finite"),
            (np.zeros(20), 'noise="none".*from 0 to 0'),
            (da.from_array(np.full((*SCAN, CHANNELS), -3.0)), "from -3 to -3"),
        ],
    )
    @pytest.mark.parametrize("role", ["auto", "passive"])
    def test_variance(self, variance, match, role):
        noise, roles = {"spectra": variance}, {"spectra": role}
        refused([patterns(), spectra()], ValueError, match, noise=noise, roles=roles)

    def test_excluded_variance_does_no_harm(self):
        variance, mask = counts() + 1, np.zeros(SCAN, bool)
        variance[0], mask[0] = np.nan, True
        h = hf.fuse([spectra()], noise=variance, navigation_mask=mask, **RULES)
        assert np.isfinite(h.data[1:]).all()

    def test_variance_of_metadata(self):
        signal = spectra()
        signal.metadata.set_item("Signal.Noise_properties.variance", -2.0)
        refused([signal], ValueError, "variance of spectra must be finite, not negative")

    def test_own_unmixing_without_result(self):
        class Nothing:
            def fit(self, scores, n_components, noise):
                return self

        refused([spectra()], TypeError, "Got Nothing", unmixing=Nothing())
        refused([spectra()], TypeError, r"Got the class Nothing. .* Nothing\(", unmixing=Nothing)

    def test_own_unmixing_with_another_shape(self):
        class Wrong:
            def fit(self, scores, n_components, noise):
                return np.zeros((2, 2))

        refused([spectra()], ValueError, r"shape \(3, 2\).*Got shape \(2, 2\)", unmixing=Wrong())


def test_options_are_checked_before_data_are_read():
    def read(block):
        raise AssertionError("data were read")

    blocks = da.from_array(counts(), chunks=(3, 8, 20)).map_blocks(read, dtype=float, meta=counts())
    signal = hs.signals.Signal1D(blocks).as_lazy()
    with pytest.raises(ValueError, match="abundances must be one of"):
        hf.fuse([signal], **RULES, abundances="x")
    with pytest.raises(ValueError, match="as many probe positions"):
        hf.fuse([signal], **{**RULES, "n_components": 49})
