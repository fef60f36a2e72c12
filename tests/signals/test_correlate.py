"""What goes with what: correlations of features and of modalities, against truth and chance."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import hyperfuse_hs as hf
from hyperfuse_hs import associations, features, streamed
from hyperfuse_hs import modality as modality_module

pytest.importorskip("benchmarks", reason="the benchmarks are not part of the package")

from benchmarks import unrelated  # noqa: E402

RULES = {"n_components": 3, "random_state": 0, "show_progressbar": False}
SCANS = {"a line": (400,), "an image": (18, 20), "a stack": (3, 10, 12)}
LINES = (20.0, 40.0)


def smooth(rng, scan):
    return unrelated.smooth_maps(rng, scan, 1.5, 3)


def make(scan, seed=0, thickness=False):
    """Two modalities that share all maps, one that shares none, and an image."""
    rng = np.random.default_rng(seed)
    known, foreign = smooth(rng, scan), smooth(rng, scan)
    local = 0.5 + smooth(rng, scan)[..., :1] if thickness else np.ones((*scan, 1))
    first = unrelated.lines(rng, 3, 60, 2000.0)
    second = unrelated.lines(rng, 3, 48, 1000.0)
    spectrum = hs.signals.Signal1D(rng.poisson(local * (known @ first)))
    spectrum.metadata.General.title = "spectrum"
    spectrum.axes_manager[-1].trait_set(name="Energy", units="eV", scale=1.0)
    pattern = rng.poisson(local * (known @ second)).reshape(*scan, 6, 8)
    pattern = hs.signals.Signal2D(pattern)
    pattern.metadata.General.title = "pattern"
    other = hs.signals.Signal1D(rng.poisson(local * (foreign @ unrelated.lines(rng, 3, 50, 800.0))))
    other.metadata.General.title = "foreign"
    truth = {"known": known, "first": first, "second": second}
    return {"spectrum": spectrum, "pattern": pattern, "foreign": other}, truth


def fuse(signals, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hf.fuse(list(signals.values()), **{**RULES, **options})


@pytest.fixture(scope="module")
def plain():
    signals, truth = make(SCANS["an image"])
    return fuse(signals), signals, truth


def true_slope(truth, window=LINES, keep=None):
    """Slope of the mean of each channel on the mean of the window."""
    maps = truth["known"].reshape(-1, 3)
    maps = maps if keep is None else maps[keep]
    feature = maps @ truth["first"][:, int(window[0]) : int(window[1]) + 1].sum(axis=1)
    feature = feature - feature.mean()
    return feature @ (maps @ truth["second"]) / (feature @ feature)


def agrees(found, expected, least=0.97):
    slope, picked = found.slope.data.ravel(), found.significant.data.ravel()
    assert np.corrcoef(slope, expected)[0, 1] > least
    assert picked.mean() > 0.3
    assert (np.sign(slope[picked]) == np.sign(expected[picked])).mean() > 0.97
    assert slope @ expected / (expected @ expected) == pytest.approx(1, abs=0.1)


class TestRegion:
    @pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
    def test_slopes_are_those_of_the_truth(self, scan):
        signals, truth = make(scan)
        found = fuse(signals).correlate("spectrum", "pattern", LINES)
        agrees(found, true_slope(truth))

    def test_signals_are_of_the_native_class(self, plain):
        h, signals, _ = plain
        found = h.correlate(signals["spectrum"], signals["pattern"], LINES)
        for signal in found:
            assert type(signal) is hs.signals.Signal2D
            assert signal.data.shape == (6, 8)
            assert signal.metadata.Correlation.feature_of == "spectrum"
        assert found.significant.data.dtype == bool
        back = h.correlate("pattern", "spectrum", np.eye(6, 8, dtype=bool))
        assert back.z.axes_manager[-1].units == "eV"
        assert back.correlation.data.shape == (60,)
        assert np.abs(back.correlation.data).max() <= 1

    def test_reads_no_data(self, plain, monkeypatch):
        h, _, _ = plain

        def refuse(*args, **kwargs):
            raise AssertionError("data were read")

        monkeypatch.setattr(modality_module.Modality, "blocks", refuse)
        assert h.correlate("spectrum", "pattern", LINES).z.data.shape == (6, 8)
        assert h.correlate().z.data.shape == (3, 3)

    def test_regions_may_be_given_in_several_ways(self, plain):
        h, _, _ = plain
        mask = (np.arange(60) >= 20) & (np.arange(60) <= 40)
        by_range = h.correlate("spectrum", "pattern", LINES)
        for region in (mask, hs.signals.Signal1D(mask), hs.roi.SpanROI(20, 41)):
            found = h.correlate("spectrum", "pattern", region)
            np.testing.assert_allclose(found.z.data, by_range.z.data)
        box = np.zeros((6, 8), dtype=bool)
        box[1:4, 2:5] = True
        by_mask = h.correlate("pattern", "spectrum", box)
        by_roi = h.correlate("pattern", "spectrum", hs.roi.RectangularROI(2, 1, 5, 4))
        np.testing.assert_allclose(by_roi.z.data, by_mask.z.data)

    def test_a_component_is_a_feature(self, plain):
        h, _, truth = plain
        order = hf.metrics.match_components(h.get_factors("spectrum").data, truth["first"])
        found = h.correlate("spectrum", "pattern", int(order[0]))
        maps = truth["known"].reshape(-1, 3)
        centred = maps[:, 0] - maps[:, 0].mean()
        expected = centred @ (maps @ truth["second"]) / (centred @ centred)
        assert np.corrcoef(found.slope.data.ravel(), expected)[0, 1] > 0.97

    def test_what_goes_along_is_taken_out(self, plain):
        h, _, truth = plain
        found = h.correlate("spectrum", "pattern", LINES, beyond=(0.0, 12.0))
        maps = truth["known"].reshape(-1, 3)
        maps = maps - maps.mean(axis=0)
        feature = maps @ truth["first"][:, 20:41].sum(axis=1)
        other = maps @ truth["first"][:, :13].sum(axis=1)
        feature = feature - other * (feature @ other) / (other @ other)
        expected = feature @ (maps @ truth["second"]) / (feature @ feature)
        assert np.corrcoef(found.slope.data.ravel(), expected)[0, 1] > 0.9

    def test_nothing_goes_with_a_foreign_modality(self, plain):
        h, _, _ = plain
        found = h.correlate("spectrum", "foreign", LINES)
        assert not found.significant.data.any()

    def test_with_masks(self):
        signals, truth = make(SCANS["an image"])
        scan_mask = np.zeros(SCANS["an image"], dtype=bool)
        scan_mask[:3] = scan_mask[8, 5:] = True
        channels = np.zeros((6, 8), dtype=bool)
        channels[0, :3] = True
        h = fuse(signals, navigation_mask=scan_mask, signal_masks={"pattern": channels})
        found = h.correlate("spectrum", "pattern", LINES)
        for signal in found[:3]:
            np.testing.assert_array_equal(np.isnan(signal.data), channels)
        assert not found.significant.data[channels].any()
        expected = true_slope(truth, keep=~scan_mask.ravel())
        kept = ~channels.ravel()
        assert np.corrcoef(found.slope.data.ravel()[kept], expected[kept])[0, 1] > 0.97

    def test_where_counts_follow_the_thickness(self):
        signals, truth = make(SCANS["an image"], thickness=True)
        h = fuse(signals)
        assert "total" in h._result.options["scale"]
        agrees(h.correlate("spectrum", "pattern", LINES), true_slope(truth), 0.95)

    @pytest.mark.parametrize("how", ["passive", "coupled"])
    def test_with_modalities_that_only_receive(self, how):
        signals, truth = make(SCANS["an image"])
        if how == "passive":
            h = fuse(signals, roles={"pattern": "passive"})
        else:
            h = fuse({name: signals[name] for name in ("spectrum", "foreign")})
            h.couple(signals["pattern"], "pattern")
        agrees(h.correlate("spectrum", "pattern", LINES), true_slope(truth))
        with pytest.raises(ValueError, match="pattern is passive: take the feature from another"):
            h.correlate("pattern", "spectrum", np.eye(6, 8, dtype=bool))
        pairs = h.correlate()
        assert np.isnan(pairs.correlation.data[h.modalities.index("pattern"), 0])

    def test_with_an_image(self):
        signals, truth = make(SCANS["an image"])
        image = hs.signals.Signal2D(
            signals["pattern"].data[..., :3, :].sum(axis=(-1, -2)).astype(float)
        )
        image.metadata.General.title = "image"
        h = fuse({**signals, "image": image})
        found = h.correlate("spectrum", "image", LINES)
        expected = true_slope(truth).reshape(6, 8)[:3].sum()
        assert found.slope.data.size == 1
        assert found.slope.data.item() == pytest.approx(expected, rel=0.1)
        back = h.correlate("image", "spectrum", True)
        assert back.z.data.shape == (60,)
        assert back.significant.data.mean() > 0.3

    @pytest.mark.parametrize("directions", [10, 1000])
    def test_on_disk(self, monkeypatch, directions):
        monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
        monkeypatch.setattr(streamed, "PROJECTION", 0)
        monkeypatch.setattr(streamed, "LEAST_DIRECTIONS", directions)
        signals, truth = make(SCANS["an image"])
        h = fuse({name: signal.as_lazy() for name, signal in signals.items()})
        part = h._scores.modalities["pattern"]
        assert (part.turn.shape[1] == 10) == (directions == 10)
        agrees(h.correlate("spectrum", "pattern", LINES), true_slope(truth))
        assert not h.correlate("spectrum", "foreign", LINES).significant.data.any()
        back = h.correlate("pattern", "spectrum", np.eye(6, 8, dtype=bool))
        memory = fuse(signals).correlate("pattern", "spectrum", np.eye(6, 8, dtype=bool))
        picked = memory.significant.data
        np.testing.assert_allclose(back.slope.data[picked], memory.slope.data[picked], rtol=0.1)

    def test_comes_back_from_files(self, plain, tmp_path):
        h, _, _ = plain
        h.save(tmp_path / "h.hspy")
        loaded = hs.load(tmp_path / "h.hspy")
        np.testing.assert_allclose(
            loaded.correlate("spectrum", "pattern", LINES).z.data,
            h.correlate("spectrum", "pattern", LINES).z.data,
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "options", "match"),
        [
            (("spectrum", "nothing", LINES), {}, "Expected one of the modalities .* Got 'nothing'"),
            (("spectrum", None, LINES), {}, "Expected two modalities with a region"),
            (("spectrum", "spectrum", LINES), {}, "Got spectrum twice"),
            (("spectrum", "pattern", (80, 90)), {}, r"holds no channel .* runs from 0 to 59 eV"),
            (("spectrum", "pattern", 3), {}, "Expected a component from 0 to 2"),
            (("pattern", "spectrum", LINES), {}, "needs a single signal axis"),
            (("pattern", "spectrum", np.ones(3)), {}, r"mask of shape \(6, 8\)"),
            (("spectrum", "pattern", LINES), {"rate": 0}, "Expected a rate between 0 and 1. Got 0"),
            (("spectrum", "pattern"), {"beyond": LINES}, "Expected a region to look beyond"),
            (("spectrum",), {}, "Expected two different modalities at least"),
            (
                ("spectrum", "pattern", LINES),
                {"beyond": LINES},
                "The variation of the feature does not stand out of the noise of spectrum",
            ),
        ],
    )
    def test_what_cannot_be_asked(self, plain, arguments, options, match):
        with pytest.raises(ValueError, match=match):
            plain[0].correlate(*arguments, **options)

    def test_a_modality_of_noise(self):
        signals, _ = make(SCANS["an image"])
        noise = np.random.default_rng(5).poisson(20.0, signals["foreign"].data.shape)
        signals["foreign"] = signals["foreign"]._deepcopy_with_new_data(noise)
        h = fuse(signals)
        with pytest.raises(ValueError, match="does not stand out of the noise of foreign"):
            h.correlate("foreign", "spectrum", (0, 10))
        assert not h.correlate("spectrum", "foreign").significant.data[0, 1]


class TestPairs:
    def test_pairs_are_found(self, plain):
        found = plain[0].correlate()
        assert found.correlation.metadata.Modalities == ["spectrum", "pattern", "foreign"]
        np.testing.assert_array_equal(found.significant.data, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
        values = found.correlation.data
        assert values[0, 1] > 0.95
        np.testing.assert_array_equal(values, values.T)
        np.testing.assert_array_equal(np.diag(values), 1)
        assert found.z.data[0, 1] > 3 > found.z.data[0, 2]

    def test_one_pair(self, plain):
        found = plain[0].correlate("pattern", "spectrum")
        assert found.correlation.metadata.Modalities == ["pattern", "spectrum"]
        assert found.correlation.data[0, 1] == pytest.approx(
            plain[0].correlate().correlation.data[0, 1]
        )


class TestFigures:
    def test_matrix_of_pairs(self, plain):
        figure = plain[0].plot_correlations()
        texts = {text.get_text(): text.get_fontweight() for text in figure.axes[0].texts}
        assert len(figure.axes[0].texts) == 6
        z = plain[0].correlate().z.data
        assert [w for t, w in texts.items() if f"z = {z[0, 1]:.1f}" in t] == ["bold"]
        assert [w for t, w in texts.items() if f"z = {z[0, 2]:.1f}" in t] == ["normal"]

    @pytest.mark.filterwarnings("error")
    def test_feature_and_all_other_modalities(self, plain):
        figure = plain[0].plot_correlations("spectrum", region=LINES)
        titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
        assert titles[0] == "Feature of spectrum\nCounts"
        assert titles[1].startswith("pattern: ") and titles[2] == "foreign: 0% significant"
        figure.canvas.draw()

    def test_one_modality_along_a_line(self):
        h = fuse(make(SCANS["a line"])[0])
        figure = h.plot_correlations("pattern", "spectrum", np.eye(6, 8, dtype=bool))
        assert figure.axes[1].get_xlabel() == "Energy (eV)"
        assert figure.axes[0].get_ylabel() == "Counts"
        assert len(figure.axes) == 2
        assert h.plot_correlations("pattern", "spectrum", 1).axes[0].get_ylabel() == "Abundance"


def pooled(name, make, seeds):
    """Means over seeds of what the benchmark measures."""
    found = {}
    for seed in seeds:
        for record in unrelated.measure_null(name, make, seed):
            found.setdefault(record.quantity, []).append(record.value)
    return {quantity: np.mean(values) for quantity, values in found.items()}


def holds(found, seeds):
    chance = 2 * np.sqrt(unrelated.RATE / seeds)
    assert found["false among the significant"] <= unrelated.RATE + chance
    assert found.get("pair said to be correlated", 0) <= unrelated.RATE + chance


def test_false_discoveries_are_as_few_as_stated():
    make = unrelated.NULLS["smooth maps, few counts"]
    small = pooled("", lambda seed: make(seed, scan=(28, 28)), range(10))
    holds(small, 10)
    assert small["mean of z²"] == pytest.approx(1, abs=0.15)
    assert small["|z| > 1.96"] == pytest.approx(0.05, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", unrelated.NULLS)
def test_false_discoveries_are_as_few_as_stated_over_many_seeds(name):
    found = pooled(name, unrelated.NULLS[name], range(8))
    holds(found, 8)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [400.0, 1e5], ids=["few counts", "many counts"])
def test_scores_of_what_is_unrelated_are_standard_normal(counts):
    """1000 channels of maps that vary smoothly; with many counts, chance is of these alone."""
    rows = []
    for seed in range(36):
        asked = unrelated.smooth_fields(seed, scan=(32, 32), width=1.5, counts=counts)
        first, region, other = asked.asked
        h = unrelated.fused(asked)
        found = h.correlate(asked.signals[first], asked.signals[other], region, rate=0.05)
        z = found.z.data
        assert z.size >= 1000
        beyond = np.mean(np.abs(z) > 1.96)
        rows.append([z.mean(), np.mean(z**2), beyond, found.significant.data.any()])
    rows = np.array(rows, dtype=float)
    mean, square, beyond, discovered = rows.mean(axis=0)
    # Channels of a seed follow the same few maps: what is independent is the seeds.
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    assert error[0] < 0.02 and error[1] < 0.3 and error[2] < 0.04
    assert abs(mean) < 3 * error[0]
    assert abs(square - 1) < 3 * error[1]
    assert abs(beyond - 0.05) < 3 * error[2]
    # Where nothing is related, any discovery is a false one.
    assert discovered <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(rows))


def periodic(seed, width=2.0, scan=(40, 40), channels=60):
    """Spectra of smooth maps that meet their own other end, so that they may be shifted."""
    rng = np.random.default_rng(seed)
    signals = {}
    for name in ("one", "two"):
        fields = gaussian_filter(rng.standard_normal((3, *scan)), (0, width, width), mode="wrap")
        shares = np.exp(1.2 * fields / fields.std())
        maps = np.moveaxis(shares / shares.sum(axis=0), 0, -1)
        signals[name] = hs.signals.Signal1D(
            rng.poisson(maps @ unrelated.lines(rng, 3, channels, 1500.0))
        )
        signals[name].metadata.General.title = name
    return signals


@pytest.mark.slow
def test_significance_agrees_with_shifts_of_the_map():
    """Shifted around the ends of the scan, a map stays alike to itself and loses all relation."""
    spreads = []
    for seed in range(6):
        signals = periodic(seed)
        h = fuse(signals)
        found = h.correlate("one", "two", (0.0, 15.0))
        feature = h._feature("one", (0.0, 15.0)).map.reshape(40, 40)
        feature = feature - feature.mean()
        data = signals["two"].data.astype(float)
        spectra = np.fft.fft2(data - data.mean(axis=(0, 1)), axes=(0, 1))
        products = np.fft.ifft2(
            np.conj(np.fft.fft2(feature))[..., None] * spectra, axes=(0, 1)
        ).real
        spread = np.sqrt(np.mean(products**2, axis=(0, 1)))
        here = products[0, 0] / spread
        spreads.append((found.z.data @ here) / (here @ here))
    # z is to what shifts make of it as one to one.
    assert np.median(spreads) == pytest.approx(1, abs=0.12)


def test_what_is_significant_is_so_in_both_halves_of_split_counts():
    signals, _ = make(SCANS["an image"], seed=3)
    rng = np.random.default_rng(0)
    half = rng.binomial(signals["pattern"].data, 0.5)
    halves = []
    for counts in (half, signals["pattern"].data - half):
        split = {**signals, "pattern": signals["pattern"]._deepcopy_with_new_data(counts)}
        h = fuse(split)
        halves.append(h.correlate("spectrum", "pattern", LINES))
    picked = halves[0].significant.data & (np.abs(halves[0].z.data) > 3)
    assert picked.mean() > 0.2
    assert (np.sign(halves[1].z.data[picked]) == np.sign(halves[0].z.data[picked])).all()
    assert (np.abs(halves[1].z.data[picked]) > 2).mean() > 0.95
    # Twice their difference is noise alone, with the variance that the noise model says.
    scores, result = h._scores, h._result
    feature = features.make_feature(scores, result, "spectrum", h._loading("spectrum", LINES))
    noise = associations._summed_noise(
        scores, scores.modalities["pattern"], feature.values
    ).reshape(6, 8)
    size = float(feature.values @ feature.values) * feature.reliability
    difference = (halves[0].slope.data - halves[1].slope.data) * size / np.sqrt(2 * noise)
    assert np.mean(difference**2) == pytest.approx(1, abs=0.5)


def likeness_of_shoulder(counts, seeds, size):
    """Correlations of slopes with the true difference of the polymorphs."""
    found = []
    for seed in seeds:
        likeness, _, signs = unrelated.measure_power(counts, size, seed)
        found.append(likeness.value)
        assert signs.value > 0.75 or np.isnan(signs.value)
    return found


def test_a_shoulder_of_titanium_brings_the_rings_of_anatase():
    assert likeness_of_shoulder("flat", [1], 40)[0] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("counts", ["flat", "thickness"])
def test_a_shoulder_of_titanium_brings_the_rings_of_anatase_in_every_seed(counts):
    assert min(likeness_of_shoulder(counts, range(3), 64)) > 0.7
