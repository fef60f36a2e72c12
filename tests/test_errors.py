"""Errors of factors and abundances, against the truth of phantoms of many seeds."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import errors, intervals, streamed, varying
from hyperfuse_hs import modality as modality_module
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.lead_noise import lead_noise
from hyperfuse_hs.resampling import resample

NAMES = ("EELS", "EDS", "Diffraction")
COMPONENTS = ("anatase", "rutile", "carbon")


LEVELS = (0.68, 0.95)


class Coverage:
    """Parts of the errors and intervals that hold the truth, over seeds of the TiO2 phantom.

    Of a result, and of bootstraps of it where there are repetitions.
    """

    def __init__(self, seeds, repetitions=0, counts="flat", dose=1.0, detector=(16, 16)):
        self.hits = {}
        for seed in seeds:
            self.one(seed, repetitions, counts, dose, detector)

    def one(self, seed, repetitions, counts, dose, detector):
        phantom = hf.data.tio2_polymorphs(
            scan=(32, 32),
            detector=detector,
            eels_channels=256,
            eds_channels=256,
            eels_dose=1e5 * dose,
            eds_dose=300 * dose,
            diffraction_dose=5e3 * dose,
            counts=counts,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            h = hf.fuse(
                list(phantom.signals.values()),
                n_components=3,
                random_state=0,
                show_progressbar=False,
                navigation_mask=phantom.navigation_mask,
                scale="auto" if counts == "flat" else phantom.scale,
            )
        found = h.get_factors("EELS").data
        order = hf.metrics.match_components(found, phantom.factors["EELS"])
        self.judge("result", h, h, phantom, order)
        if repetitions:
            self.judge("bootstrap", h, h.bootstrap(repetitions, random_state=seed), phantom, order)

    def judge(self, label, h, source, phantom, order):
        for name in NAMES:
            truth = phantom.factors[name]
            inside = held(source, truth, order, name)
            for number, component in enumerate(phantom.components):
                where = truth[number] > 0
                part = [one[number] for one in inside]
                self.count(label, f"interval {name}, {component}", part, where)
            error = h.get_factors(name).data[order] - truth
            near = np.abs(error) / source.get_factor_errors(name).data[order]
            self.count(label, name, [near <= 1, near <= 1.96], truth > 0)
            self.count(label, f"interval {name}", inside, truth > 0)
        truth = np.moveaxis(phantom.abundances, -1, 0)
        spread = np.maximum(source.get_abundance_errors().data[order], 1e-12)
        near = np.abs(h.get_abundances().data[order] - truth) / spread
        inside, pure = (truth > 0) & (truth < 1), (truth == 0) | (truth == 1)
        for kind, where in (("mixed", inside), ("pure", pure)):
            self.count(label, kind, [near <= 1, near <= 1.96], where)
            self.count(label, f"interval {kind}", held(source, truth, order), where)

        held_all = held(source, truth, order)
        self.count(label, "interval abundances", held_all, np.isfinite(truth))

    def count(self, label, what, inside, where):
        self.hits.setdefault((label, what), []).append([np.mean(part[where]) for part in inside])

    def check(self, label, names, atol=0.05, expected=LEVELS):
        for name in names:
            found = np.mean(self.hits[label, name], axis=0)
            np.testing.assert_allclose(found, expected, atol=atol, err_msg=f"{label}, {name}")


def held(source, truth, order, *name):
    """Tell where intervals of both levels hold the truth."""
    ask = source.get_factor_interval if name else source.get_abundance_interval
    ends = [tuple(end.data[order] for end in ask(*name, level)) for level in LEVELS]
    return [(lower <= truth) & (truth <= upper) for lower, upper in ends]


INTERVALS = tuple(f"interval {name}" for name in (*NAMES, "mixed", "pure"))


def test_errors_hold_the_truth_as_often_as_they_should():
    coverage = Coverage(range(4))
    coverage.check(
        "result", ("EELS", "EDS", "interval EELS", "interval EDS", "mixed", "interval mixed")
    )
    coverage.check("result", ("Diffraction", "interval pure"), atol=0.08)
    coverage.check("result", ("pure",), expected=(0.80, 0.93))


@pytest.mark.slow
@pytest.mark.parametrize("counts", ["flat", "thickness"])
def test_errors_hold_the_truth_over_many_seeds(counts):
    coverage = Coverage(range(16), repetitions=30, counts=counts, detector=(32, 32))
    coverage.check("result", (*NAMES, "mixed", *INTERVALS))
    coverage.check("result", ("pure",), expected=(0.80, 0.93))
    coverage.check("bootstrap", (*NAMES, "mixed", *INTERVALS[:-1], "interval abundances"))
    # Endmembers follow the noise of the pure positions, so their errors partly cancel there; the
    # bootstrap adds both as if they had nothing in common, and its intervals are wider than needed.
    coverage.check("bootstrap", INTERVALS[-1:], expected=(0.73, 0.97))
    # Not only on the average over components: noise, and what varies, are different in each.
    coverage.check("result", [f"interval Diffraction, {c}" for c in COMPONENTS])


@pytest.mark.slow
def test_intervals_hold_the_truth_at_a_tenth_of_the_dose():
    # What tells the polymorphs apart is then seen by the modalities together only, if at all.
    coverage = Coverage(range(16), dose=0.1, detector=(32, 32))
    coverage.check("result", ("EELS", "interval EELS", "interval abundances"))
    # X-rays are a few in a channel: whole numbers of them cannot be held in exactly 68 %.
    found = np.mean(coverage.hits["result", "interval EDS"], axis=0)
    assert 0.63 < found[0] < 0.85
    assert found[1] == pytest.approx(0.95, abs=0.03)


@pytest.fixture(scope="module")
def fused():
    phantom = hf.data.tio2_polymorphs(
        scan=(24, 24), detector=(16, 16), eels_channels=128, eds_channels=128, random_state=3
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hf.fuse(
            list(phantom.signals.values()),
            n_components=3,
            random_state=0,
            show_progressbar=False,
            navigation_mask=phantom.navigation_mask,
        )


def parts(h):
    return h._scores, h._result, lead_noise(h._scores, h._result, h._choices)


def test_only_modalities_that_vary_otherwise_have_a_misfit(fused):
    scores, result, _ = parts(fused)
    for name, misfit in (("EELS", False), ("EDS", False), ("Diffraction", True)):
        estimate = estimate_factors(scores, result, name)
        found = errors.misfit_variance(estimate)
        assert found.any() == misfit
        if misfit:
            # Crystals elsewhere would differ from these far more than this scan leaves open.
            elsewhere = errors.misfit_variance(estimate, everywhere=True)
            assert np.median(elsewhere / estimate.covariance.diagonal().T) > 5
            assert np.mean(elsewhere) > 3 * np.mean(found)


def test_patterns_are_means_over_the_crystals_of_the_scan(fused):
    phantom = hf.data.tio2_polymorphs(
        scan=(24, 24), detector=(16, 16), eels_channels=128, eds_channels=128, random_state=3
    )
    truth = phantom.factors["Diffraction"].reshape(3, -1)
    order = hf.metrics.match_components(fused.get_factors("EELS").data, phantom.factors["EELS"])
    found = fused.get_factors("Diffraction").data.reshape(3, -1)[order]
    inside = ~fused._result.excluded
    design = phantom.abundances.reshape(-1, 3)[inside]
    data = phantom.signals["Diffraction"].data.reshape(len(inside), -1)[inside]
    least_squares = np.linalg.lstsq(design, data, rcond=None)[0]
    error, expected = (np.linalg.norm(f - truth, axis=1) for f in (found, least_squares))
    assert (error < expected).all()
    assert np.mean(error / expected) < 0.6


def test_errors_of_the_abundances_add_to_those_of_the_factors(fused):
    scores, result, noise = parts(fused)
    none = np.zeros((3, 3, 3))
    for name in NAMES:
        alone = errors.factor_errors(scores, result, name, None, none)
        together = errors.factor_errors(scores, result, name, noise)
        assert (together >= alone).all()
        assert 1e-4 < np.median(together / alone - 1) < 0.5


def test_noise_of_the_abundances_mixes_what_varies_where_it_is(fused):
    scores, result, noise = parts(fused)
    estimate = estimate_factors(scores, result, "Diffraction")
    coordinates = result.coordinates[~result.excluded]
    weight = noise.lead.weight.reshape(-1, 1)
    across = noise.mixing @ noise.coordinates
    rng = np.random.default_rng(0)
    squares = np.zeros(3)
    for _ in range(300):
        # As many positions alone as there are, with fields of unit variance in all components.
        error = (np.sqrt(noise.raw) * rng.standard_normal(noise.raw.shape)) @ across
        fields = np.sqrt(np.clip(coordinates, 0, 1)) * rng.standard_normal(coordinates.shape)
        mixed = np.sum(error / weight * fields, axis=1)
        squares += (estimate.weights @ mixed) ** 2 / 300
    plain = replace(estimate, variation=None)
    varied = replace(estimate, variation=replace(estimate.variation, spread=np.zeros((3, 4, 4))))
    varied = replace(
        varied, variation=replace(varied.variation, spectra=np.ones(estimate.factors.shape))
    )
    found = [
        errors.factor_errors(scores, result, "Diffraction", noise, estimate=e) ** 2
        for e in (varied, plain)
    ]
    added = np.nanmedian(found[0] - found[1], axis=1)
    np.testing.assert_allclose(added, squares, rtol=0.3)


def test_power_in_too_many_directions_to_look_at_is_counted(fused, monkeypatch):
    scores, result, _ = parts(fused)
    whole = varying.fit_result(scores, result, "Diffraction", errors=True)
    monkeypatch.setattr(varying, "MOST", 10)
    monkeypatch.setattr(varying, "ELEMENTS", 0)
    few = varying.fit_result(scores, result, "Diffraction", errors=True)
    expected, found = (f.variation.spectra.sum() for f in (whole, few))
    assert found == pytest.approx(expected, rel=0.1)
    monkeypatch.setattr(varying, "MOST", 1000)
    again = varying.fit_result(scores, result, "Diffraction", errors=True)
    np.testing.assert_allclose(again.factors, whole.factors, rtol=1e-9)


def test_filtered_noise_is_less_than_raw_and_drawn_as_it_is(fused):
    _, _, noise = parts(fused)
    raw = noise.raw @ noise.mixing**2
    strong = slice(0, 2)
    assert (noise.filtered[:, strong].mean(axis=0) < raw[:, strong].mean(axis=0)).all()
    rng = np.random.default_rng(0)
    drawn = np.array([noise.draw(rng)[:, strong] for _ in range(300)])
    expected = noise.position_variance[:, strong].mean(axis=0)
    np.testing.assert_allclose(drawn.var(axis=0).mean(axis=0), expected, rtol=0.1)
    # Along the joint subspace, no noise has been taken out.
    weighted = drawn * noise.lead.weight[:, None]
    along = np.einsum("nr,dnk->drk", noise.basis, weighted)
    whole = (noise.basis**2).T @ raw[:, strong]
    np.testing.assert_allclose(along.var(axis=0).mean(axis=0), whole.mean(axis=0), rtol=0.15)


def test_lead_scores_give_back_the_coordinates(fused):
    _, result, noise = parts(fused)
    rows = noise.lead.whitened @ noise.coordinates
    rest = result.coordinates[~result.excluded] - rows
    np.testing.assert_allclose(rest - rest.mean(axis=0), 0, atol=1e-8)


def test_refitted_components_mix_with_similar_ones(fused):
    scores, result, _ = parts(fused)
    found = resample(scores, result, fused._choices, 20, np.random.default_rng(0))
    for matrices in (found.factors, found.abundances):
        assert matrices.shape == (20, 3, 3)
        np.testing.assert_allclose(matrices, np.tile(np.eye(3), (20, 1, 1)), atol=0.3)
    np.testing.assert_allclose(found.abundances.sum(axis=2), 1, atol=1e-9)
    carbon = int(np.argmin(result.modalities["EELS"].factors[:, -1]))
    others = [k for k in range(3) if k != carbon]
    spread = found.factors.std(axis=0)
    # The two polymorphs are alike, carbon is not.
    assert spread[others[0], others[1]] > 3 * spread[others[0], carbon]
    assert (found.abundance_variance(np.eye(3)) > 0).all()


def fuse_on_disk(phantom, monkeypatch, directions):
    """Fuse as from disk, the detector projected on some directions of the common basis."""
    monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
    monkeypatch.setattr(streamed, "PROJECTION", 0)
    monkeypatch.setattr(streamed, "LEAST_DIRECTIONS", directions)
    signals = [s.as_lazy() for s in phantom.signals.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hf.fuse(
            signals,
            n_components=3,
            random_state=0,
            show_progressbar=False,
            navigation_mask=phantom.navigation_mask,
        )


def test_errors_on_disk_are_about_those_in_memory(fused, monkeypatch):
    phantom = hf.data.tio2_polymorphs(
        scan=(24, 24), detector=(16, 16), eels_channels=128, eds_channels=128, random_state=3
    )
    h = fuse_on_disk(phantom, monkeypatch, 24)
    part = h._scores.modalities["Diffraction"]
    assert part.turn.shape[1] < h._scores.basis.shape[1]
    order = hf.metrics.match_components(h.get_factors("EELS").data, fused.get_factors("EELS").data)
    for name in NAMES:
        found = h.get_factor_errors(name).data[order]
        ratio = np.median(found) / np.median(fused.get_factor_errors(name).data)
        assert 0.7 < ratio < 1.4, name
    ratio = np.nanmedian(h.get_abundance_errors().data[order] / fused.get_abundance_errors().data)
    assert 0.8 < ratio < 1.25


def squared_errors(h, phantom):
    """Those of the mean patterns, true and stated, summed over the channels."""
    order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
    error = (h.get_factors("Diffraction").data[order] - phantom.factors["Diffraction"]) ** 2
    stated = h.get_factor_errors("Diffraction").data[order] ** 2
    return error.sum(axis=(1, 2)), stated.sum(axis=(1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("directions", [12, 24])
def test_a_few_directions_of_data_on_disk_tell_the_means_and_their_errors(
    seed, directions, monkeypatch
):
    phantom = hf.data.tio2_polymorphs(
        scan=(40, 40), detector=(16, 16), eels_channels=128, eds_channels=128, random_state=seed
    )
    whole = squared_errors(fuse_on_disk(phantom, monkeypatch, 1000), phantom)[0]
    h = fuse_on_disk(phantom, monkeypatch, directions)
    part = h._scores.modalities["Diffraction"]
    assert part.turn.shape[1] == directions < part.rank / 1.5
    error, stated = squared_errors(h, phantom)
    # With the directions in which crystals differ most, squares are 2 to 200 times those in memory.
    assert (error < 1.5 * stated).all()
    assert (error < 6 * whole).all() and error.sum() < 1.5 * whole.sum()


def test_intervals_are_wider_where_few_crystals_tell_what_varies(fused):
    scores, result, noise = parts(fused)
    name = "Diffraction"
    estimate = estimate_factors(scores, result, name)
    stated = errors.factor_errors(scores, result, name, noise, estimate=estimate)

    def width(freedom):
        variation = replace(estimate.variation, freedom=np.full(3, freedom))
        given = replace(estimate, variation=variation)
        upper = intervals.factor_interval(scores, result, name, stated, given, 0.95)[1]
        return upper - result.modalities[name].factors

    ratio = width(4.0) / width(1e9)
    varies = estimate.varying(everywhere=False).diagonal().T / stated**2
    # Student's distribution of four degrees of freedom over the normal one.
    assert ratio[varies > 0.95].mean() == pytest.approx(2.776 / 1.960, rel=0.05)
    np.testing.assert_allclose(ratio[varies < 0.05], 1.0, atol=0.02)
    assert estimate.variation.freedom.min() > 2 and estimate.variation.freedom.max() < 200


@pytest.mark.parametrize("bootstrapped", [False, True])
def test_intervals_are_around_what_was_found(fused, bootstrapped):
    source = fused.bootstrap(4, random_state=0) if bootstrapped else fused
    kept = ~fused._result.excluded.reshape(24, 24)
    found = fused.get_abundances().data[:, kept]
    narrow = source.get_abundance_interval(0.68)
    wide = source.get_abundance_interval()
    for signal in (*narrow, *wide):
        assert signal.axes_manager.signal_shape == (24, 24)
        assert np.isnan(signal.data[:, ~kept]).all()
        assert "interval" in signal.metadata.General.title
    lower, upper = (signal.data[:, kept] for signal in wide)
    assert (lower >= 0).all() and (upper <= 1).all() and (lower <= upper).all()
    assert (lower <= narrow[0].data[:, kept] + 1e-9).mean() > 0.99
    assert ((lower <= found + 1e-9) & (found <= upper + 1e-9)).mean() > 0.99
    for name in NAMES:
        lower, upper = source.get_factor_interval(name)
        assert type(lower) is type(fused.get_factors(name))
        factors = fused.get_factors(name).data
        inside = (lower.data <= factors + 1e-9) & (factors <= upper.data + 1e-9)
        assert (lower.data >= 0).all() and inside.mean() > 0.99


def test_intervals_are_as_wide_as_the_simplex_where_nothing_tells_components_apart():
    phantom = hf.data.tio2_polymorphs(
        scan=(24, 24),
        detector=(16, 16),
        eels_channels=128,
        eds_channels=128,
        eels_dose=1e3,
        eds_dose=30,
        diffraction_dose=50,
        random_state=3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = hf.fuse(
            list(phantom.signals.values()),
            n_components=3,
            random_state=0,
            show_progressbar=False,
            navigation_mask=phantom.navigation_mask,
        )
    assert "Only 2 of the 3 components stand out of the noise" in h.summary()
    order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
    lower, upper = (end.data[order] for end in h.get_abundance_interval(0.95))
    truth = np.moveaxis(phantom.abundances, -1, 0)
    kept = np.isfinite(truth[0])
    width = np.median((upper - lower)[:, kept], axis=1)
    # Carbon is told from titania all the same.
    assert (width[:2] > 0.8).all()
    assert width[2] < 0.5 * width[:2].min()
    assert ((lower <= truth) & (truth <= upper))[:, kept].mean() > 0.9
    assert (h.get_abundance_errors().data[order][:2, kept].mean(axis=1) > 0.2).all()


def test_intervals_of_signed_scores_have_no_bounds(fused):
    h = fused.unmix(unmixing="none")
    lower, upper = (end.data for end in h.get_abundance_interval(0.68))
    spread = h.get_abundance_errors().data
    known = np.isfinite(spread)
    np.testing.assert_allclose((upper - lower)[known], 2 * 0.99446 * spread[known], rtol=1e-3)
    assert lower[known].min() < 0


@pytest.mark.parametrize(
    ("level", "kind", "message"),
    [
        (95, ValueError, r"from 0.5 to 0.999. Got 95. Did you mean 0.95\?"),
        (0.2, ValueError, r"from 0.5 to 0.999. Got 0.2.$"),
        ("95 %", TypeError, "level as a number such as 0.95. Got str"),
        (True, TypeError, "Got bool"),
    ],
)
def test_levels_that_make_no_sense_are_refused(fused, level, kind, message):
    with pytest.raises(kind, match=message):
        fused.get_abundance_interval(level)
    with pytest.raises(kind, match=message):
        fused.get_factor_interval("EELS", level)
