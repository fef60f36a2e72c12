"""What data and non-negativity leave open, on a phantom whose core is always under its shell."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import feasibility

RULES = {"n_components": 3, "random_state": 0, "show_progressbar": False}
NAMES = ["EELS", "EDX", "HAADF"]
SEEDS = range(4)
SCAN = (32, 32)
CHANNELS = {"eels_channels": 512, "eds_channels": 512}


class Buried:
    """A fused core-shell phantom with its components in the order of the truth."""

    def __init__(self, seed, **options):
        options = {"scan": SCAN, "random_state": seed, **CHANNELS, **options}
        self.phantom = hf.data.core_shell(**options)
        truth = self.phantom.factors
        self.truth = {"EELS": truth["EELS"], "EDX": truth["EDS"], "HAADF": truth["HAADF"]}
        self.h = hf.fuse(
            list(self.phantom.signals.values()),
            names=NAMES,
            navigation_mask=self.phantom.navigation_mask,
            **RULES,
        )
        found = self.h.get_factors("EELS").data
        self.core, self.shell, self.carbon = map(
            int, hf.metrics.match_components(found, self.truth["EELS"])
        )

    def true_amount(self):
        """How much of the shell leads from the core as found to the true one."""
        found = self.h.get_factors("EELS").data[[self.core, self.shell, self.carbon]]
        parts = np.linalg.lstsq(found.T, self.truth["EELS"][0], rcond=None)[0]
        return -parts[1] / parts[0]

    def ratio(self, h, name):
        """Spectral angle of the core over that of least squares with the true abundances."""
        kept = ~self.phantom.navigation_mask.data.ravel()
        data = np.asarray(h._natives[name].data).reshape(kept.size, -1)[kept]
        abundances = self.phantom.abundances.reshape(kept.size, -1)[kept]
        oracle = np.linalg.lstsq(abundances, data, rcond=None)[0][0]
        found = h.get_factors(name).data[self.core]
        angles = hf.metrics.spectral_angle([found, oracle], self.truth[name][0])
        return angles[0] / angles[1]


@pytest.fixture(scope="module")
def cases():
    return [Buried(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def case(cases):
    return cases[0]


def test_only_the_core_is_not_identified(cases):
    for case in cases:
        for component in (case.shell, case.carbon):
            assert feasibility.open_components(case.h._result, component) == ([], True)
        assert feasibility.open_components(case.h._result, case.core) == ([case.shell], True)
        text = case.h.summary()
        assert f"Not identified: component {case.core}, (almost) nowhere seen without" in text
        assert text.count("Not identified") == 1


@pytest.mark.slow
def test_all_titania_phases_are_identified():
    phantom = hf.data.tio2_polymorphs(scan=(48, 48), detector=(16, 16), random_state=0)
    mask = phantom.navigation_mask
    h = hf.fuse(list(phantom.signals.values()), navigation_mask=mask, **RULES)
    assert "Identified: every component" in h.summary()
    assert "Not identified" not in h.summary()


def test_evidence_is_there_where_positions_are(cases):
    for case in cases:
        found = feasibility.absence_evidence(case.h._result)
        order = [case.core, case.shell, case.carbon]
        found = found[np.ix_(order, order)]
        assert np.isnan(np.diag(found)).all()
        assert found[0, 1] < 2
        assert min(found[k, j] for k, j in ((0, 2), (1, 0), (1, 2), (2, 0), (2, 1))) > 5


def test_interfaces_appear_as_faces(case):
    faces = case.h.get_faces()
    names = faces.metadata.Hypermodal_faces
    parts = np.nan_to_num(case.phantom.abundances)
    for pair, absent in (((0, 1), 2), ((1, 2), 0)):
        order = np.array([case.core, case.shell, case.carbon])[list(pair)]
        found = faces.data[names.index(",".join(map(str, sorted(order))))] > 0.5
        true = (parts[..., pair] > 0.03).all(axis=-1) & (parts[..., absent] == 0)
        assert np.mean(found[true]) > 0.9
        assert np.count_nonzero(found & (parts[..., absent] > 0.05)) < 0.1 * true.sum()


def test_the_truth_lies_inside(cases):
    for case in cases:
        ends = case.h.feasible_range(case.core)
        amounts = ends["EELS"].metadata.Feasible_range.amounts
        assert 0 < case.true_amount() < amounts[case.shell] < 2.5 * case.true_amount()
        assert amounts[case.core] == amounts[case.carbon] == 0


def test_ends_of_the_range(case):
    ends = case.h.feasible_range(case.core)
    assert list(ends) == NAMES
    about = ends["EDX"].metadata.Feasible_range
    amount = about.amounts[case.shell]
    for name, signal in ends.items():
        factors = case.h.get_factors(name)
        assert type(signal) is type(factors)
        assert signal.axes_manager.navigation_axes[0].name == "End"
        for a, b in zip(
            signal.axes_manager.signal_axes, factors.axes_manager.signal_axes, strict=True
        ):
            assert (a.name, a.units, a.scale, a.offset) == (b.name, b.units, b.scale, b.offset)
        core, shell = factors.data[[case.core, case.shell]]
        np.testing.assert_array_equal(signal.data[0], core)
        np.testing.assert_allclose(signal.data[1], (core - amount * shell) / (1 - amount))
        variance = signal.get_noise_variance()
        assert variance.data.shape == signal.data.shape
        assert (variance.data > 0).all()
        assert np.mean(variance.data[1]) > np.mean(variance.data[0])
        assert dict(signal.metadata.Feasible_range.as_dictionary()) == about.as_dictionary()
    assert about.component == case.core
    assert about.limit == "EDX"
    assert "not identified" in about.standing and str(case.shell) in about.standing


def test_errors_are_those_of_many_draws(cases):
    """The difference from the best mixture of the true factors is as large as the errors say."""
    for case, name in ((c, n) for c in cases for n in ("EELS", "EDX")):
        signal = case.h.feasible_range(case.carbon)[name]
        parts = np.linalg.lstsq(case.truth[name].T, signal.data[0], rcond=None)[0]
        error = signal.data[0] - parts @ case.truth[name]
        # Factors are cut off at zero where hardly anything is counted.
        counted = case.truth[name].min(axis=0) > 0.05 * case.truth[name].mean()
        z = error[counted] / np.sqrt(signal.get_noise_variance().data[0, counted])
        assert np.sqrt(np.mean(z**2)) == pytest.approx(1, abs=0.15)


def test_an_identified_component_has_two_equal_ends(case):
    for signal in case.h.feasible_range(case.carbon).values():
        np.testing.assert_array_equal(signal.data[0], signal.data[1])
        about = signal.metadata.Feasible_range
        assert about.standing.startswith("identified") and about.limit == ""
        assert not any(about.amounts)


def test_without_faces_everything_is_open(case):
    other = case.h.unmix(unmixing="minimum_volume")
    about = other.feasible_range(0)["EELS"].metadata.Feasible_range
    assert about.standing.startswith("unknown")
    assert feasibility.open_components(other._result, 0) == ([1, 2], False)


def test_purify_goes_to_the_far_end(case):
    ends, pure = case.h.feasible_range(case.core), case.h.purify(case.core)
    for name in NAMES:
        np.testing.assert_allclose(pure.get_factors(name).data[case.core], ends[name].data[1])


def test_what_the_positions_tell_is_kept_by_purify(case, tmp_path):
    pure = case.h.purify(case.core, "EDX", (0.45, 0.60))
    evidence = feasibility.absence_evidence(case.h._result)
    np.testing.assert_array_equal(feasibility.absence_evidence(pure._result), evidence)
    pure.save(tmp_path / "pure.hspy")
    loaded = hs.load(tmp_path / "pure.hspy")
    np.testing.assert_array_equal(feasibility.absence_evidence(loaded._result), evidence)
    left = pure.feasible_range(case.core)["EELS"].metadata.Feasible_range.amounts[case.shell]
    before = case.h.feasible_range(case.core)["EELS"].metadata.Feasible_range.amounts[case.shell]
    assert 0 < left < before


@pytest.mark.parametrize(
    ("name", "region"), [("EDX", (0.45, 0.60)), ("EELS", (525.0, 560.0)), ("EELS", (528.0, 545.0))]
)
def test_a_line_that_the_core_lacks_gives_its_spectra(cases, name, region):
    ratios = []
    for case in cases:
        pure = case.h.purify(case.core, name, region)
        np.testing.assert_allclose(
            pure.get_model("EELS").data[:2].compute(), case.h.get_model("EELS").data[:2].compute()
        )
        ratios.append([case.ratio(pure, n) for n in ("EELS", "EDX")])
        assert max(case.ratio(case.h, n) for n in ("EELS", "EDX")) > 1.8
    assert (np.median(ratios, axis=0) < 1.2).all(), ratios
    assert np.max(ratios) < 1.5, ratios


def test_only_what_is_open_is_subtracted(case):
    pure = case.h.purify(case.core, "EDX", (0.45, 0.60))
    before, after = case.h.data[~case.phantom.navigation_mask.data], pure.data
    np.testing.assert_allclose(
        after[~case.phantom.navigation_mask.data][:, case.carbon], before[:, case.carbon]
    )


@pytest.mark.parametrize("component", [-1, 3, 1.0, True, "a", None])
def test_no_such_component(case, component):
    with pytest.raises(ValueError, match="component from 0 to 2"):
        case.h.feasible_range(component)


def test_one_component_alone(case):
    ends = case.h.unmix(n_components=1).feasible_range(0)["EELS"]
    np.testing.assert_array_equal(ends.data[0], ends.data[1])


def test_signed_components_have_no_range(case):
    with pytest.raises(ValueError, match='"orthomax" may be negative'):
        case.h.unmix(unmixing="orthomax").feasible_range(0)


def test_nothing_limits_components_that_are_negative():
    rng = np.random.default_rng(0)
    mixed = rng.dirichlet(np.full(2, 0.5), 100)
    data = mixed @ rng.normal(0, 10, (2, 30)) + rng.normal(0, 0.1, (100, 30))
    signal = hs.signals.Signal1D(data.reshape(10, 10, 30))
    h = hf.fuse([signal], **{**RULES, "n_components": 2})
    with pytest.raises(ValueError, match="nothing else limits the range"):
        h.feasible_range(0)


def test_parts_and_results_without_fusion_are_refused(case):
    with pytest.raises(ValueError, match="part or rebinned copy"):
        case.h.inav[:3].feasible_range(0)
    with pytest.raises(ValueError, match="holds abundances only"):
        type(case.h)(np.ones((3, 4, 2))).feasible_range(0)


@pytest.mark.slow
def test_the_truth_lies_inside_in_most_seeds():
    inside = 0
    for seed in range(40):
        case = Buried(seed)
        amounts = case.h.feasible_range(case.core)["EELS"].metadata.Feasible_range.amounts
        inside += 0 <= case.true_amount() <= amounts[case.shell]
    assert inside >= 38
