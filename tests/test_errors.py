"""Errors of factors and abundances, against the truth of phantoms of many seeds."""

import warnings

import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import errors, streamed
from hyperfuse_hs import modality as modality_module
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.lead_noise import lead_noise
from hyperfuse_hs.resampling import resample

NAMES = ("EELS", "EDS", "Diffraction")


class Coverage:
    """Parts of the errors within 1 and 1.96 standard errors, over seeds of the TiO2 phantom."""

    def __init__(self, seeds, repetitions=0, counts="flat"):
        self.hits = {}
        for seed in seeds:
            self.one(seed, repetitions, counts)

    def one(self, seed, repetitions, counts):
        phantom = hf.data.tio2_polymorphs(
            scan=(32, 32),
            detector=(16, 16),
            eels_channels=256,
            eds_channels=256,
            counts=counts,
            random_state=seed,
        )
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
        source = h if not repetitions else h.bootstrap(repetitions, random_state=seed)
        for name in NAMES:
            truth = phantom.factors[name]
            error = (h.get_factors(name).data[order] - truth) / source.get_factor_errors(name).data[
                order
            ]
            self.count(name, error[truth > 0])
        truth = np.moveaxis(phantom.abundances, -1, 0)
        error = h.get_abundances().data[order] - truth
        spread = np.maximum(source.get_abundance_errors().data[order], 1e-12)
        inside = (truth > 0) & (truth < 1)
        self.count("mixed", (error / spread)[inside])
        self.count("pure", (error / spread)[(truth == 0) | (truth == 1)])
        for kind, where in (("inside", inside), ("corner", (truth == 0) | (truth == 1))):
            held = []
            for level in (0.6827, 0.95):
                lower, upper = (end.data[order] for end in source.get_abundance_interval(level))
                held.append(np.mean(((lower <= truth) & (truth <= upper))[where]))
            self.hits.setdefault(f"interval {kind}", []).append(held)

    def count(self, name, errors):
        inside = [np.mean(np.abs(errors) <= 1), np.mean(np.abs(errors) <= 1.96)]
        self.hits.setdefault(name, []).append(inside)

    def __getitem__(self, name):
        return np.mean(self.hits[name], axis=0)


def test_errors_hold_the_truth_as_often_as_they_should():
    coverage = Coverage(range(4))
    for name in ("EELS", "EDS"):
        np.testing.assert_allclose(coverage[name], [0.68, 0.95], atol=0.05)
    np.testing.assert_allclose(coverage["Diffraction"], [0.68, 0.95], atol=0.08)
    np.testing.assert_allclose(coverage["mixed"], [0.68, 0.95], atol=0.05)
    np.testing.assert_allclose(coverage["pure"], [0.80, 0.93], atol=0.05)
    np.testing.assert_allclose(coverage["interval inside"], [0.68, 0.95], atol=0.05)
    np.testing.assert_allclose(coverage["interval corner"], [0.68, 0.95], atol=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("counts", ["flat", "thickness"])
def test_errors_hold_the_truth_over_many_seeds(counts):
    coverage = Coverage(range(50), counts=counts)
    for name in (*NAMES, "mixed"):
        np.testing.assert_allclose(coverage[name], [0.68, 0.95], atol=0.05, err_msg=name)
    np.testing.assert_allclose(coverage["pure"], [0.80, 0.93], atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("counts", ["flat", "thickness"])
def test_bootstrap_errors_hold_the_truth_over_many_seeds(counts):
    coverage = Coverage(range(50), repetitions=40, counts=counts)
    for name in (*NAMES, "mixed"):
        np.testing.assert_allclose(coverage[name], [0.68, 0.95], atol=0.05, err_msg=name)


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
        found = errors.misfit_variance(scores, result, name, estimate)
        assert found.any() == misfit
        if misfit:
            assert np.median(found / estimate.covariance.diagonal().T) > 5


def test_errors_of_the_abundances_add_to_those_of_the_factors(fused):
    scores, result, noise = parts(fused)
    none = np.zeros((3, 3, 3))
    for name in NAMES:
        alone = errors.factor_errors(scores, result, name, None, none)
        together = errors.factor_errors(scores, result, name, noise)
        assert (together >= alone).all()
        assert 1e-4 < np.median(together / alone - 1) < 0.5


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
