"""What a hypermodal signal gives, how it changes and how it is kept."""

import itertools
import warnings

import dask.array as da
import hyperspy.api as hs
import matplotlib.figure
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs.algorithms import face_posterior
from hyperfuse_hs.signals.hypermodal import HypermodalSignal, LazyHypermodalSignal

SCAN = (8, 10)
RULES = {"n_components": 3, "random_state": 0, "show_progressbar": False}


@pytest.fixture(autouse=True)
def no_progressbar(monkeypatch):
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)


def mixtures():
    """Every component is absent from many positions."""
    mixed = np.random.default_rng(9).dirichlet(np.full(3, 0.3), 80)
    mixed[np.arange(80), np.arange(80) % 3] = 0
    return mixed / mixed.sum(axis=1, keepdims=True)


def counts(seed, shape):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0, 1, (3, int(np.prod(shape)))) ** 3 * 300 + 5
    return rng.poisson(mixtures() @ factors).reshape(*SCAN, *shape).astype(float)


def make_line(seed=1):
    line = hs.signals.Signal1D(counts(seed, (12,)))
    line.metadata.General.title = "line"
    axis = line.axes_manager.signal_axes[0]
    axis.name, axis.units, axis.scale, axis.offset = "Energy", "eV", 0.5, 450.0
    line.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    return line


def make_pattern():
    pattern = hs.signals.Signal2D(counts(2, (3, 4)))
    pattern.metadata.General.title = "pattern"
    return pattern


def make_image():
    image = hs.signals.Signal2D(counts(3, ()))
    image.metadata.General.title = "image"
    return image


@pytest.fixture
def natives():
    return make_line(), make_pattern(), make_image()


@pytest.fixture
def h(natives):
    return hf.fuse(natives, **RULES)


@pytest.fixture(scope="module")
def unchanged():
    """A fusion for tests that change nothing."""
    return hf.fuse([make_line(), make_pattern(), make_image()], **RULES)


def product(h, name):
    part = h._result.modalities[name]
    model = part.scale[:, None] * (h.data.reshape(-1, h.data.shape[-1]) @ part.factors)
    return model.reshape(h.get_model(name).data.shape)


class TestReading:
    def test_itself(self, unchanged):
        assert type(unchanged) is HypermodalSignal
        assert unchanged.metadata.Signal.signal_type == "hypermodal"
        assert unchanged.data.shape == (*SCAN, 3)
        assert unchanged.axes_manager.signal_axes[0].name == "Component"
        assert unchanged.modalities == ["line", "pattern", "image"]

    def test_abundances(self, h):
        maps = h.get_abundances()
        assert maps.axes_manager.navigation_shape == (3,)
        assert maps.axes_manager.signal_shape == SCAN[::-1]
        np.testing.assert_array_equal(np.moveaxis(maps.data, 0, -1), h.data)
        maps.data[:] = 0
        assert h.data.max() > 0

    def test_factors_have_class_axes_and_metadata_of_the_native_signal(self, h, natives):
        factors = [h.get_factors(name) for name in h.modalities]
        assert [type(f) for f in factors[:2]] == [hs.signals.Signal1D, hs.signals.Signal2D]
        axis = factors[0].axes_manager.signal_axes[0]
        assert (axis.name, axis.units, axis.scale, axis.offset) == ("Energy", "eV", 0.5, 450)
        assert factors[0].metadata.Acquisition_instrument.TEM.beam_energy == 200
        for signal, native in zip(factors[:2], natives, strict=False):
            assert signal.axes_manager.navigation_axes[0].name == "Component"
            assert signal.axes_manager.signal_shape == native.axes_manager.signal_shape
            np.testing.assert_array_equal(h.get_factors(native).data, signal.data)
        assert factors[2].data.shape == (3,)

    @pytest.mark.parametrize("kind", ["EELS", "EDS_TEM"])
    def test_native_classes(self, kind):
        pytest.importorskip("exspy")
        line = make_line()
        line.set_signal_type(kind)
        h = hf.fuse([line, make_pattern()], **RULES)
        assert h.modalities[0] == kind[:4].strip("_T")
        for signal in (h.get_factors(line), h.get_model(line).inav[:2, :2]):
            assert signal.metadata.Signal.signal_type == kind
        assert type(h.get_factors(line)) is type(line)

    def test_model_is_lazy_and_the_product(self, h, natives):
        for native in natives:
            model = h.get_model(native)
            assert model._lazy
            assert model.data.shape == native.data.shape
            assert model.axes_manager.shape == native.axes_manager.shape
            np.testing.assert_allclose(
                model.data.compute(), product(h, native.metadata.General.title)
            )

    def test_residual_is_one_where_the_model_fits(self, unchanged):
        residual = unchanged.get_residual("line")
        assert residual.axes_manager.signal_shape == SCAN[::-1]
        assert residual.data.mean() == pytest.approx(1, abs=0.15)

    def test_residual_shows_where_the_model_does_not_fit(self):
        line, pattern = make_line(), make_pattern()
        line.data[4, 5, 3] += 2000
        residual = hf.fuse([line, pattern], **RULES).get_residual("line").data
        assert np.unravel_index(residual.argmax(), SCAN) == (4, 5)
        assert residual[4, 5] > 10

    @pytest.mark.parametrize("counts", ["flat", "thickness"])
    def test_residual_of_the_phantom(self, counts):
        options = {"scan": (16, 16), "detector": (16, 16), "random_state": 0}
        phantom = hf.data.tio2_polymorphs(counts=counts, **options)
        h = hf.fuse(
            list(phantom.signals.values()), navigation_mask=phantom.navigation_mask, **RULES
        )
        for name in ("EELS", "EDS"):
            residual = h.get_residual(name).data
            assert np.nanmean(residual) == pytest.approx(1, abs=0.12), name
            assert (np.isnan(residual) == phantom.navigation_mask.data).all()

    @pytest.mark.parametrize(("noise", "mean"), [("poisson", 1), (50.0, None), ("gaussian", 1)])
    def test_noise_of_a_passive_modality(self, natives, noise, mean):
        h = hf.fuse(natives, roles={"pattern": "passive"}, noise={"pattern": noise}, **RULES)
        part = h._result.modalities["pattern"]
        assert part.noise == (noise if isinstance(noise, str) else "variance")
        residual = h.get_residual("pattern").data
        error = (h.get_model("pattern").data.compute() - natives[1].data) ** 2
        if mean:
            assert residual.mean() == pytest.approx(mean, rel=0.2)
            return
        # Three factors are fitted to every channel.
        freedom = 1 - 3 / np.prod(SCAN)
        channels = h.get_channel_residual("pattern").data
        assert channels.mean() == pytest.approx(error.mean() / 50 / freedom, rel=1e-4)
        assert residual.mean() == pytest.approx(channels.mean(), rel=0.01)

    def test_residual_of_a_passive_modality(self, natives):
        h = hf.fuse(natives, roles={"pattern": "passive"}, **RULES)
        assert h._result.modalities["pattern"].noise == "poisson"
        assert h._result.modalities["pattern"].gain == pytest.approx(1, rel=0.2)
        assert h.get_residual("pattern").data.mean() == pytest.approx(1, abs=0.2)

    def test_faces(self, unchanged):
        faces = unchanged.get_faces()
        assert faces.metadata.Hypermodal_faces == ["0", "1", "2", "0,1", "0,2", "1,2", "0,1,2"]
        np.testing.assert_allclose(faces.data.sum(axis=0), 1)
        absent = [i for i, f in enumerate(faces.metadata.Hypermodal_faces) if "0" not in f]
        away = unchanged.data[..., 0] < 1e-3
        assert faces.data[absent].sum(axis=0)[away].mean() > 0.8

    def test_probabilities_of_faces_are_computed_when_asked_for(self, unchanged, monkeypatch):
        asked = []
        compute = face_posterior.face_probabilities

        def counted(*arguments):
            asked.append(len(arguments[0]))
            return compute(*arguments)

        monkeypatch.setattr(face_posterior, "face_probabilities", counted)
        again = unchanged.unmix()
        again.summary(), again.get_factor_errors("line")
        assert asked == []
        np.testing.assert_array_equal(again.get_faces().data, unchanged.get_faces().data)
        again.get_abundance_errors(), again.plot_faces()
        assert asked == [np.prod(SCAN)]

    @pytest.mark.parametrize("unmixing", ["vertex", "orthomax"])
    def test_no_faces(self, unchanged, unmixing):
        other = unchanged.unmix(unmixing=unmixing)
        with pytest.raises(ValueError, match=f'face_mixture", .* 3 with "{unmixing}"'):
            other.get_faces()
        with pytest.raises(ValueError, match="one component|two at least|Got 1"):
            unchanged.unmix(n_components=1).get_faces()

    def test_summary(self, unchanged):
        text = unchanged.summary()
        for name, part in unchanged._result.modalities.items():
            assert name in text and part.role in text and part.reason in text
        assert text in repr(unchanged)
        assert "poisson" in text and "3 components by face_mixture" in text

    def test_components_that_are_everywhere_are_named(self):
        rng = np.random.default_rng(0)
        mixed = rng.dirichlet(np.full(2, 8.0), 80)
        data = rng.poisson(mixed @ (rng.uniform(5, 500, (2, 12)))).reshape(*SCAN, 12)
        text = hf.fuse([hs.signals.Signal1D(data)], **{**RULES, "n_components": 2}).summary()
        for one, other in ((0, 1), (1, 0)):
            assert f"Not identified: component {one}, (almost) nowhere seen without {other}" in text
        assert "Identified" not in text

    def test_components_seen_alone_are_identified(self, unchanged):
        assert "Identified: every component" in unchanged.summary()
        assert "Not identified" not in unchanged.summary()
        assert "dentified" not in unchanged.unmix(unmixing="vertex").summary()
        assert "dentified" not in unchanged.unmix(n_components=1).summary()

    @pytest.mark.parametrize(
        ("options", "quantity"),
        [
            ({"scale": "none"}, "thickness fractions"),
            ({"scale": np.ones(SCAN)}, "thickness fractions"),
            ({"scale": "total"}, "count fractions of line"),
            ({"scale": "total", "roles": {"line": "passive"}}, "count fractions of pattern"),
            ({"unmixing": "orthomax"}, "scores"),
        ],
    )
    def test_what_abundances_are_fractions_of(self, natives, options, quantity):
        h = hf.fuse(natives, **{**RULES, **options})
        assert h.get_abundances().metadata.Signal.quantity == quantity
        assert f"abundances are {quantity}\n" in h.summary()

    def test_a_lead_without_signal_is_named(self):
        data = np.random.default_rng(0).poisson(0.05, (*SCAN, 60))
        rules = {**RULES, "n_components": 1, "scale": "none"}
        with warnings.catch_warnings():
            # Positions without any counts are excluded, with a warning.
            warnings.simplefilter("ignore", UserWarning)
            text = hf.fuse([hs.signals.Signal1D(data)], names=["sparse"], **rules).summary()
        assert "sparse: nothing in it stands out of its noise." in text

    def test_figures(self, unchanged):
        for figure in (unchanged.plot_components(), unchanged.plot_scree(), unchanged.plot_faces()):
            assert isinstance(figure, matplotlib.figure.Figure)

    @pytest.mark.parametrize("m", ["lines", 0, None, make_line()], ids=["name", "0", "None", "new"])
    def test_unknown_modality(self, unchanged, m):
        for method in (unchanged.get_factors, unchanged.get_model, unchanged.get_residual):
            with pytest.raises(ValueError, match=r"one of the modalities \['line', 'pattern'"):
                method(m)

    def test_without_fusion(self):
        empty = HypermodalSignal(np.ones((3, 4, 2)))
        assert "hypermodal" in repr(empty).lower()
        for method in (empty.summary, empty.get_abundances, empty.unmix, empty.plot_scree):
            with pytest.raises(ValueError, match="holds abundances only"):
                method()


class TestUnmix:
    def test_reads_no_data(self, monkeypatch):
        monkeypatch.setattr("hyperfuse_hs.modality.HOLD_BYTES", 0)
        reads = []

        def read(block, block_info=None):
            reads.append(block_info)
            return block

        line = make_line()
        watched = da.from_array(line.data, chunks=(4, 10, 12)).map_blocks(read, dtype=float)
        line.data = watched
        line = line.as_lazy()
        line.data = watched
        h = hf.fuse([line, make_pattern()], **RULES)
        assert len(reads) >= 2
        reads.clear()
        for unmixing, p in itertools.product(["face_mixture", "nmf", "orthomax"], (2, 3)):
            other = h.unmix(unmixing=unmixing, n_components=p)
            assert other.data.shape == (*SCAN, p)
            other.purify(0) if unmixing == "nmf" else None
            other.get_factors("line"), other.summary(), other.write_back()
        assert not reads
        h.get_residual("line")
        assert len(reads) == 2

    def test_equals_a_new_fusion(self, natives, h):
        for options in (
            {"n_components": 2},
            {"unmixing": "nmf"},
            {"roles": {"pattern": "support"}},
            {"weights": {"pattern": 0.3}},
            {"abundances": "nonnegative"},
        ):
            again = h.unmix(**options)
            new = hf.fuse(natives, **{**RULES, **options})
            np.testing.assert_allclose(again.data, new.data, atol=1e-6)
            assert again.unmix().summary().split("\n")[0] == new.summary().split("\n")[0]

    def test_keeps_what_is_not_given(self, natives):
        h = hf.fuse(natives, unmixing="vertex", roles={"pattern": "support"}, **RULES)
        other = h.unmix(n_components=2)
        assert other._result.options["unmixing"] == "vertex"
        assert other._result.modalities["pattern"].role == "support"

    def test_leaves_the_first_result(self, h, natives):
        data, results = h.data.copy(), natives[0].learning_results
        other = h.unmix(n_components=2)
        np.testing.assert_array_equal(h.data, data)
        assert natives[0].learning_results is results
        other.write_back()
        assert natives[0].get_bss_loadings().data.shape == (2, *SCAN)
        h.write_back()
        assert natives[0].get_bss_loadings().data.shape == (3, *SCAN)

    def test_keys_may_be_signals(self, h, natives):
        other = h.unmix(roles={natives[1]: "passive"})
        assert other._result.modalities["pattern"].role == "passive"

    def test_unknown_options(self, unchanged):
        with pytest.raises(TypeError, match=r"unmix takes the options n_components.* Got noise"):
            unchanged.unmix(noise="none")
        with pytest.raises(ValueError, match="face_mixture"):
            unchanged.unmix(unmixing="x")

    @pytest.mark.parametrize(
        "options",
        [{"roles": {"pattern": "lead"}}, {"weights": {"pattern": 2.0}}],
        ids=["role", "weight"],
    )
    def test_what_was_passive_stays_passive(self, natives, options):
        h = hf.fuse(natives, roles={"pattern": "passive"}, **RULES)
        if "weights" in options:
            options = {**options, "roles": "auto"}
        with pytest.raises(ValueError, match="pattern was passive in the fusion"):
            h.unmix(**options)

    def test_nothing_left_to_lead(self, natives):
        h = hf.fuse(natives[:2], roles={"pattern": "passive"}, **RULES)
        with pytest.raises(ValueError, match="a modality that may lead"):
            h.unmix(weights={"line": 0})


class TestCouple:
    @pytest.mark.parametrize("lazy", [False, True])
    def test_adds_a_passive_modality(self, natives, lazy):
        line, pattern, image = natives
        h = hf.fuse([line], **RULES)
        abundances = h.data.copy()
        more = pattern.as_lazy() if lazy else pattern
        assert h.couple(more) is h
        assert h.couple(image, name="HAADF").modalities == ["line", "pattern", "HAADF"]
        part = h._result.modalities["pattern"]
        assert (part.role, part.passes) == ("passive", 1)
        np.testing.assert_array_equal(h.data, abundances)
        fused = hf.fuse([line, make_pattern()], roles={"pattern": "passive"}, **RULES)
        expected = fused.get_factors("pattern").data
        np.testing.assert_allclose(h.get_factors("pattern").data, expected, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(
            np.asarray(more.get_bss_model().data), h.get_model(more).data.compute(), rtol=1e-5
        )
        assert h.get_residual("pattern").data.mean() == pytest.approx(1, abs=0.2)
        assert h.unmix(n_components=2).get_factors("HAADF").data.shape == (2,)

    def test_automatic_names_do_not_repeat(self, natives):
        h = hf.fuse(natives[:2], **RULES).couple(make_line(5))
        assert h.modalities == ["line", "pattern", "line 2"]

    def test_refusals_change_nothing(self, h, natives):
        names, result = h.modalities, h._result
        nan = make_line(5)
        nan.data[1, 2, 3] = np.nan
        for signal, options, error, match in (
            (natives[0], {"name": "again"}, ValueError, "Got the one of line again"),
            (make_line(5), {"name": "line"}, ValueError, "name other than .* Got 'line'"),
            (make_line(5).inav[:5], {}, ValueError, r"line \(10, 8\) and the signal \(5, 8\)"),
            (nan, {}, ValueError, r"Got 1 NaN .* position \(2, 1\), channel \(3,\)"),
            (np.ones(3), {}, TypeError, "Got ndarray"),
            (make_line(5) * 1j, {}, TypeError, "complex"),
        ):
            with pytest.raises(error, match=match):
                h.couple(signal, **options)
            assert h.modalities == names and h._result is result
        assert nan.learning_results.factors is None


class TestPurify:
    """A line of components 0 and 1 in channel 5, of the second also in channel 8."""

    @pytest.fixture
    def mixed(self):
        rng = np.random.default_rng(0)
        factors = rng.uniform(20, 30, (3, 12))
        factors[0, 5] += 100
        factors[1, [5, 8]] += 60, 300
        factors[2, 2] += 400
        factors[0, 8] += 40
        data = rng.poisson(mixtures() @ factors * 30).reshape(*SCAN, 12)
        line = hs.signals.Signal1D(data * 1.0)
        line.metadata.General.title = "line"
        h = hf.fuse([line, make_pattern()], **RULES)
        return h, int(h.get_factors("line").data[:, 5].argmax())

    @pytest.mark.parametrize("region", ["range", "mask", "signal", "roi"])
    def test_no_intensity_is_left(self, mixed, region):
        h, component = mixed
        mask = np.arange(12) == 8
        given = {
            "range": (7.5, 8.5),
            "mask": mask,
            "signal": hs.signals.Signal1D(mask),
            "roi": hs.roi.SpanROI(8, 9),
        }[region]
        if region != "range":
            # The whole intensity, background and all, is in every component: not removable.
            with pytest.raises(ValueError, match="cannot be freed|nothing to subtract") as caught:
                h.unmix(n_components=2).purify(0, "line", np.ones(12, bool))
            assert "feature" in str(caught.value)
        before = {name: product(h, name) for name in h.modalities}
        pure = h.purify(component, "line", given)
        values = pure.get_factors("line").data[component]
        if region == "range":
            # The background goes through channel 7, channel 9 or both: all of 20 to 30 at 30.
            assert abs(values[8] - values[[7, 9]].mean()) < 10 * 30 < values.max() / 3
        else:
            assert abs(values[8]) < 1e-6 * values.max()
        for name, expected in before.items():
            np.testing.assert_allclose(product(pure, name), expected, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(pure.get_model(name).data.compute(), expected, atol=1e-6)
        np.testing.assert_allclose(pure.data.sum(axis=-1), 1)
        assert f"Component {component} has been purified" in pure.summary()

    def test_to_the_limit(self, mixed):
        h, component = mixed
        pure = h.purify(component)
        for name in h.modalities:
            np.testing.assert_allclose(product(pure, name), product(h, name), rtol=1e-6, atol=1e-6)
        others = [i for i in range(3) if i != component]
        np.testing.assert_array_equal(
            pure.get_factors("line").data[others], h.get_factors("line").data[others]
        )
        factors = pure.get_factors("line").data[component]
        assert factors.min() > -0.05 * factors.max()

    def test_leaves_the_first_result(self, mixed):
        h, component = mixed
        before = h.data.copy(), h.get_factors("line").data
        h.purify(component, "line", (7.5, 8.5))
        np.testing.assert_array_equal(h.data, before[0])
        np.testing.assert_array_equal(h.get_factors("line").data, before[1])

    def test_faces_are_gone(self, mixed):
        h, component = mixed
        with pytest.raises(ValueError, match="Purified ones have no faces"):
            h.purify(component).get_faces()

    @pytest.mark.parametrize("component", [-1, 3, 1.0, True, "a", None])
    def test_no_such_component(self, unchanged, component):
        with pytest.raises(ValueError, match="component from 0 to 2"):
            unchanged.purify(component)

    @pytest.mark.parametrize(
        ("m", "region", "match"),
        [
            ("line", None, "or neither"),
            (None, (450, 451), "or neither"),
            ("line", (1, 2), r"no channel of line, whose axis runs from 450 to 455.5 eV"),
            ("line", (452, 451), r"the lower end first. Got \(452, 451\)"),
            ("line", np.zeros(12), "holds no channel"),
            ("line", np.ones(3), r"mask of shape \(12,\). Got shape \(3,\)"),
            ("line", hs.roi.SpanROI(1, 2), r"SpanROI\(.*\) does not fit .* line"),
            ("pattern", (1, 2), "needs a single signal axis"),
            ("lines", (1, 2), "one of the modalities"),
        ],
    )
    def test_no_such_region(self, unchanged, m, region, match):
        with pytest.raises(ValueError, match=match):
            unchanged.purify(0, m, region)

    def test_signed_components(self, unchanged):
        with pytest.raises(ValueError, match='"orthomax" may be negative'):
            unchanged.unmix(unmixing="orthomax").purify(0)


class TestCopies:
    def test_deepcopy(self, h):
        other, model = h.deepcopy(), h.get_model("line").data.compute()
        other.data[:] = 0
        other.get_factors("line").data[:] = 0
        assert h.data.max() > 0 and h.get_factors("line").data.max() > 0
        h.data[:] = 0
        np.testing.assert_array_equal(h.get_model("line").data, model)
        np.testing.assert_array_equal(other.get_model("line").data, model)
        assert h.deepcopy().get_residual("line").data.mean() == pytest.approx(1, abs=0.15)
        np.testing.assert_array_equal(h.deepcopy().unmix().data, h.unmix().data)

    def test_lazy_and_back(self, unchanged):
        lazy = unchanged.as_lazy()
        assert type(lazy) is LazyHypermodalSignal
        np.testing.assert_array_equal(lazy.get_abundances().data, unchanged.get_abundances().data)
        for other in (lazy.unmix(n_components=2), lazy.purify(0)):
            assert type(other) is HypermodalSignal
            assert isinstance(other.data, np.ndarray)
        lazy.compute()
        assert type(lazy) is HypermodalSignal
        assert lazy.get_residual("line").data.shape == SCAN

    @pytest.mark.parametrize(
        "part",
        [
            lambda h: h.inav[:3],
            lambda h: h.isig[:2],
            lambda h: h.rebin(scale=(2, 2, 1)),
        ],
    )
    def test_parts_say_that_they_are_parts(self, unchanged, part):
        cut = part(unchanged)
        assert type(cut) is HypermodalSignal
        for name in ("get_faces", "unmix", "write_back", "plot_components", "plot_faces"):
            with pytest.raises(ValueError, match="Got a part or rebinned copy of shape"):
                getattr(cut, name)()
        for name, args in (("get_model", ["line"]), ("get_residual", ["line"]), ("purify", [0])):
            with pytest.raises(ValueError, match=r"shape \(8, 10, 3\)"):
                getattr(cut, name)(*args)
        with pytest.raises(ValueError, match="part"):
            cut.couple(make_line(5))
        maps = cut.get_abundances().data
        np.testing.assert_array_equal(np.moveaxis(maps, 0, -1), cut.data)
        assert cut.get_factors("line").data.shape == (3, 12)
        assert unchanged.get_model("line").data.shape == (*SCAN, 12)


class TestFiles:
    @pytest.fixture(params=["hspy", "zspy"])
    def extension(self, request):
        return request.param

    @pytest.mark.parametrize("lazy", [False, True])
    def test_everything_comes_back(self, tmp_path, extension, lazy):
        pytest.importorskip("exspy")
        line, pattern, image = make_line(), make_pattern(), make_image()
        line.set_signal_type("EELS")
        line.axes_manager.signal_axes[0].convert_to_non_uniform_axis()
        mask = np.zeros(SCAN, dtype=bool)
        mask[0, :4] = True
        h = hf.fuse(
            [line, pattern, image],
            names=["EELS", "a/b", "µ:1"],
            navigation_mask=mask,
            signal_masks={"a/b": np.eye(3, 4, dtype=bool)},
            roles={"µ:1": "support"},
            weights={"a/b": 0.5},
            **RULES,
        )
        file = tmp_path / f"fusion.{extension}"
        h.save(file)
        g = hs.load(file, lazy=lazy)
        assert type(g) is (LazyHypermodalSignal if lazy else HypermodalSignal)
        assert g.summary() == h.summary()
        assert g.modalities == ["EELS", "a/b", "µ:1"]
        np.testing.assert_array_equal(g.get_abundances().data, h.get_abundances().data)
        np.testing.assert_array_equal(g.get_faces().data, h.get_faces().data)
        assert g.get_faces().metadata.Hypermodal_faces == h.get_faces().metadata.Hypermodal_faces
        for name in h.modalities:
            one, other = g.get_factors(name), h.get_factors(name)
            assert type(one) is type(other)
            np.testing.assert_array_equal(one.data, other.data)
            for a, b in zip(one.axes_manager._axes, other.axes_manager._axes, strict=True):
                np.testing.assert_array_equal(a.axis, b.axis)
                assert (a.units, a.name, a.navigate) == (b.units, b.name, b.navigate)
            np.testing.assert_array_equal(g.get_model(name).data, h.get_model(name).data)
        np.testing.assert_array_equal(g.unmix().data, h.unmix().data)
        again = g.unmix(n_components=2, unmixing="nmf")
        assert again._result.modalities["µ:1"].role == "support"
        np.testing.assert_allclose(
            again.data, h.unmix(n_components=2, unmixing="nmf").data, atol=1e-9
        )
        np.testing.assert_allclose(g.purify(1).data, h.purify(1).data)
        assert isinstance(g.plot_components(), matplotlib.figure.Figure)
        g.plot_scree(), g.plot_faces()
        with pytest.raises(ValueError, match=r'h\.attach\("EELS", signal\)'):
            g.get_residual("EELS")
        g.attach("EELS", line)
        np.testing.assert_allclose(g.get_residual(line).data, h.get_residual("EELS").data)
        assert g.couple(make_line(5)).modalities[-1] == "line"

    def test_metadata_stay_tidy(self, unchanged, tmp_path, extension):
        file = tmp_path / f"fusion.{extension}"
        unchanged.save(file)
        assert not unchanged.metadata.has_item("Hypermodal")
        assert not hs.load(file).metadata.has_item("Hypermodal")

    def test_saved_again(self, unchanged, tmp_path, extension):
        first, second = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
        unchanged.save(first)
        hs.load(first).purify(0).save(second)
        loaded = hs.load(second)
        np.testing.assert_allclose(loaded.data, unchanged.purify(0).data, atol=1e-12)
        with pytest.raises(ValueError, match="no faces"):
            loaded.get_faces()

    def test_plain_options(self, natives, tmp_path, extension):
        """Nothing given, nothing found: empty lists and None survive."""
        h = hf.fuse(natives[:1], **{**RULES, "n_components": 1, "unmixing": "none"})
        file = tmp_path / f"fusion.{extension}"
        h.save(file)
        np.testing.assert_allclose(hs.load(file).unmix().data, h.data)

    def test_own_unmixing_object_is_not_kept(self, natives, tmp_path):
        class Corners:
            def fit(self, scores, n_components, noise):
                return np.array([[0, 40], [-40, -20], [40, -20.0]])

        hf.fuse(natives, unmixing=Corners(), **RULES).save(tmp_path / "own.hspy")
        loaded = hs.load(tmp_path / "own.hspy")
        with pytest.raises(ValueError, match="an object of your own, which files do not keep"):
            loaded.unmix()
        assert loaded.unmix(unmixing=Corners()).data.shape == (*SCAN, 3)

    @pytest.mark.parametrize(
        ("signal", "error", "match"),
        [
            (make_pattern(), ValueError, r"\(8, 10\) \+ \(12,\). Got \(8, 10\) \+ \(3, 4\)"),
            (make_line().T, ValueError, r"Got \(12,\) \+ \(8, 10\)"),
            (np.ones(3), TypeError, "Got ndarray"),
        ],
    )
    def test_attach_another(self, h, signal, error, match):
        with pytest.raises(error, match=match):
            h.attach("line", signal)
        with pytest.raises(ValueError, match="one of the modalities"):
            h.attach("lines", make_line())

    def test_native_signals_keep_the_results(self, h, natives, tmp_path, extension):
        natives[0].save(tmp_path / f"line.{extension}")
        loaded = hs.load(tmp_path / f"line.{extension}")
        model = h.get_model("line").data.compute()
        np.testing.assert_allclose(loaded.get_bss_model().data, model, rtol=1e-6)
        h.attach("line", loaded)
        np.testing.assert_array_equal(h.get_factors(loaded).data, h.get_factors("line").data)
