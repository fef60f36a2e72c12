"""The main job: any number of signals, of any dimension, dtype and kind, with every option."""

import itertools

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs.algorithms.metrics import match_components, spectral_angle

SCAN = (8, 10)
SHAPES = {"line": (12,), "pattern": (3, 4), "image": ()}
RULES = {"n_components": 3, "random_state": 0, "show_progressbar": False}


def mixtures(scan=SCAN, p=3):
    return np.random.default_rng(9).dirichlet(np.full(p, 0.3), int(np.prod(scan)))


def truth(kind, p=3):
    """Return the factors of one kind of signal, ``(p, C)``."""
    shape = SHAPES[kind]
    rng = np.random.default_rng([len(kind), p])
    return rng.uniform(0, 1, (p, int(np.prod(shape)))) ** 3 * 200 + 5


def counts(kind="line", scan=SCAN, seed=0):
    """Return Poisson counts ``(nav..., sig...)`` of mixtures that all kinds share."""
    rng = np.random.default_rng(seed)
    return rng.poisson(mixtures(scan) @ truth(kind)).reshape(*scan, *SHAPES[kind])


def as_signal(data, kind="line", title=None):
    """Wrap data ``(nav..., sig...)``."""
    dimension = len(SHAPES.get(kind, (0,)))
    signal = hs.signals.BaseSignal(data).transpose(signal_axes=dimension)
    signal.metadata.General.title = title or kind
    return signal


def make(*kinds, scan=SCAN, dtype=float, lazy=()):
    signals = [as_signal(counts(kind, scan).astype(dtype), kind) for kind in kinds]
    return [s.as_lazy() if i in lazy else s for i, s in enumerate(signals)]


def fuse(signals, **options):
    return hf.fuse(signals, **{**RULES, **options})


def fuse_fast(signals, **options):
    """Fuse by a method that takes no time, where the method does not matter."""
    return fuse(signals, **{"unmixing": "vertex", **options})


def assert_same(one, other, tolerance=1e-5):
    """Compare abundances and factors of two fusions; permutations and labels must agree too."""
    assert one.modalities == other.modalities
    np.testing.assert_allclose(one.data, other.data, atol=tolerance)
    for name in one.modalities:
        expected = np.nan_to_num(other.get_factors(name).data)
        limit = tolerance * np.abs(expected).max()
        np.testing.assert_allclose(
            np.nan_to_num(one.get_factors(name).data), expected, atol=limit, err_msg=name
        )


class TestShapes:
    @pytest.mark.parametrize(
        "kinds",
        [
            ("line",),
            ("pattern",),
            ("line", "image"),
            ("pattern", "line"),
            ("line", "pattern", "image"),
            ("line", "pattern", "image", "line"),
        ],
        ids="+".join,
    )
    @pytest.mark.parametrize("scan", [(80,), (8, 10), (4, 4, 5)], ids=str)
    def test_recovers_the_truth(self, kinds, scan):
        h = fuse(make(*kinds, scan=scan))
        order = match_components(h._result.modalities[kinds[0]].factors, truth(kinds[0]))
        found = h.data.reshape(-1, 3)[:, order]
        assert np.sqrt(np.mean((found - mixtures(scan)) ** 2)) < 0.06
        assert h.data.shape == (*scan, 3)
        for name, kind in zip(h.modalities, kinds, strict=True):
            factors = h.get_factors(name)
            assert factors.data.shape == (3, *SHAPES[kind])
            if kind != "image":
                angles = spectral_angle(factors.data.reshape(3, -1)[order], truth(kind))
                assert angles.max() < 6

    @pytest.mark.parametrize("channels", [1, 2])
    def test_as_many_components_as_channels_allow(self, channels):
        signal = as_signal(counts()[..., :channels] * 1.0)
        h = fuse([signal], n_components=channels + 1)
        assert np.isfinite(h.data).all()
        model = signal.get_bss_model().data
        np.testing.assert_allclose(model, h.get_model("line").data.compute(), rtol=1e-6)

    def test_few_counts(self):
        data = np.random.default_rng(0).poisson(0.1, (*SCAN, 12)).astype("u1")
        line, pattern = as_signal(data, title="few"), make("pattern")[0]
        h = fuse([pattern, line])
        order = match_components(h.get_factors("pattern").data.reshape(3, -1), truth("pattern"))
        assert np.sqrt(np.mean((h.data.reshape(-1, 3)[:, order] - mixtures()) ** 2)) < 0.06
        with pytest.warns(UserWarning, match="without any counts"):
            assert np.isfinite(fuse([line]).data).any()

    @pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e12])
    def test_units_do_not_matter(self, factor):
        line, pattern = make("line", "pattern")
        scaled = as_signal(line.data * factor)
        h = fuse([scaled, pattern])
        expected = fuse([line, pattern])
        np.testing.assert_allclose(h.data, expected.data, atol=0.02)
        np.testing.assert_allclose(
            h.get_factors("line").data / factor,
            expected.get_factors("line").data,
            rtol=0.05,
            atol=2,
        )

    def test_method_of_a_signal(self):
        line, pattern = make("line", "pattern")
        assert_same(line.fuse(pattern, **RULES), fuse([line, pattern]), 0)

    def test_single_signal_without_a_list(self):
        line, _ = make("line", "pattern")
        assert_same(hf.fuse(line, **RULES), fuse([line]), 0)

    def test_generator_of_signals(self):
        assert fuse(s for s in make("line", "pattern")).modalities == ["line", "pattern"]

    @pytest.mark.parametrize("lazy", [False, True])
    def test_image_transposed_or_without_navigation_axes(self, lazy):
        line, image = make("line", "image")
        plain = hs.signals.Signal2D(counts("image") * 1.0)
        plain.metadata.General.title = "image"
        assert plain.axes_manager.navigation_dimension == 0
        plain = plain.as_lazy() if lazy else plain
        assert_same(fuse_fast([line, plain]), fuse_fast([line, image]))
        assert_same(fuse_fast([line, plain.T]), fuse_fast([line, image]))

    def test_image_first(self):
        image, line = make("image", "line")
        plain = image.transpose(navigation_axes=0)
        h = fuse([plain, line], roles={"image": "support"})
        assert h.axes_manager.navigation_shape == SCAN[::-1]
        order = match_components(h.get_factors("line").data, truth("line"))
        assert np.sqrt(np.mean((h.data.reshape(-1, 3)[:, order] - mixtures()) ** 2)) < 0.06

    def test_transposed_axes(self):
        """A signal whose array is stored in another order than its axes tell."""
        data = counts("pattern") * 1.0
        moved = hs.signals.BaseSignal(np.moveaxis(data, (2, 3), (0, 1)))
        moved = moved.transpose(signal_axes=(2, 3), navigation_axes=(0, 1))
        moved.metadata.General.title = "pattern"
        assert_same(fuse([moved]), fuse([as_signal(data, "pattern")]))

    @pytest.mark.parametrize(
        "view",
        [
            lambda data: np.asfortranarray(data),
            lambda data: np.repeat(data, 2, axis=-1)[..., ::2],
            lambda data: np.flip(np.flip(data, 0).copy(), 0),
            lambda data: np.broadcast_to(data[None], (2, *data.shape))[1],
        ],
        ids=["fortran", "every second", "negative stride", "read-only"],
    )
    def test_data_that_are_not_contiguous(self, view):
        data = counts() * 1.0
        before = data.copy()
        assert_same(fuse_fast([as_signal(view(data))]), fuse_fast([as_signal(data)]), 1e-6)
        np.testing.assert_array_equal(data, before)

    def test_calibration_of_the_scan_is_kept(self):
        line, pattern = make("line", "pattern")
        x, y = line.axes_manager.navigation_axes
        x.scale, x.units, x.name, y.offset = 0.5, "nm", "x", 3
        h = fuse_fast([line, pattern])
        axes = h.axes_manager.navigation_axes
        assert (axes[0].scale, axes[0].units, axes[0].name, axes[1].offset) == (0.5, "nm", "x", 3)
        maps = h.get_abundances().axes_manager.signal_axes
        assert (maps[0].scale, maps[0].units, maps[1].offset) == (0.5, "nm", 3)

    def test_non_uniform_axes(self):
        line, pattern = make("line", "pattern")
        energies = np.arange(12.0) ** 1.5
        line.axes_manager.signal_axes[0].convert_to_non_uniform_axis()
        line.axes_manager.signal_axes[0].axis = energies
        line.axes_manager.signal_axes[0].units = "eV"
        heights = np.arange(8.0) ** 2
        line.axes_manager.navigation_axes[1].convert_to_non_uniform_axis()
        line.axes_manager.navigation_axes[1].axis = heights
        h = fuse([line, pattern])
        for signal in (h.get_factors("line"), h.get_model("line")):
            axis = signal.axes_manager.signal_axes[0]
            np.testing.assert_array_equal(axis.axis, energies)
            assert (axis.units, axis.is_uniform) == ("eV", False)
        for axis in (
            h.axes_manager.navigation_axes[1],
            h.get_abundances().axes_manager.signal_axes[1],
            h.get_model("line").axes_manager.navigation_axes[1],
            h.get_residual("line").axes_manager.signal_axes[1],
        ):
            np.testing.assert_array_equal(axis.axis, heights)


class TestKinds:
    @pytest.mark.parametrize(
        "dtype",
        ["u1", "i1", "<u2", ">u2", "<i4", ">i4", "u8", "f2", "<f4", ">f4", ">f8", np.longdouble],
        ids=str,
    )
    @pytest.mark.parametrize("lazy", [False, True])
    def test_dtypes(self, dtype, lazy):
        data = np.minimum(counts(), 127)
        other = as_signal(data.astype(dtype))
        h = fuse_fast([other.as_lazy() if lazy else other])
        assert_same(h, fuse_fast([as_signal(data.astype(float))]))
        assert other.data.dtype == dtype

    def test_yes_or_no(self):
        data = counts() > 50
        assert_same(fuse_fast([as_signal(data)]), fuse_fast([as_signal(data * 1.0)]))

    @pytest.mark.parametrize("lazy", [(0,), (1,), (2,), (0, 2), (0, 1, 2)], ids=str)
    def test_lazy_and_eager_agree(self, lazy):
        kinds = ("line", "pattern", "image")
        expected = fuse(make(*kinds))
        signals = make(*kinds, lazy=lazy)
        assert_same(fuse(signals), expected)
        assert [s._lazy for s in signals] == [i in lazy for i in range(3)]

    @pytest.mark.parametrize("chunks", [(3, 4, 12), (8, 10, 5), (1, 10, 1), (5, 3, 7)], ids=str)
    def test_any_chunks(self, chunks):
        data = counts() * 1.0
        lazy = hs.signals.Signal1D(da.from_array(data, chunks=chunks)).as_lazy()
        lazy.metadata.General.title = "line"
        assert_same(fuse_fast([lazy, *make("pattern")]), fuse_fast(make("line", "pattern")))

    def test_data_too_large_to_hold(self, monkeypatch):
        """Lazy data that are read again in every pass give the same result."""
        expected = fuse(make("line", "pattern"))
        monkeypatch.setattr("hyperfuse_hs.modality.HOLD_BYTES", 0)
        monkeypatch.setattr("hyperfuse_hs.modality.BLOCK_BYTES", 2000)
        assert_same(fuse(make("line", "pattern", lazy=(0, 1))), expected, 1e-4)


class TestMasks:
    @pytest.mark.parametrize("lazy", [(), (0,)], ids=["eager", "lazy"])
    def test_navigation_mask_equals_deleting_positions(self, lazy):
        mask = np.zeros(SCAN, dtype=bool)
        mask[:2] = True
        masked = fuse(make("line", "pattern", lazy=lazy), navigation_mask=mask)
        cropped = fuse([s.inav[:, 2:] for s in make("line", "pattern", lazy=lazy)])
        assert np.isnan(masked.data[:2]).all()
        np.testing.assert_allclose(masked.data[2:], cropped.data, atol=1e-5)
        for name in masked.modalities:
            expected = cropped.get_factors(name).data
            np.testing.assert_allclose(masked.get_factors(name).data, expected, rtol=1e-3)

    def test_kinds_of_navigation_mask(self):
        mask = np.random.default_rng(0).random(SCAN) < 0.2
        expected = fuse_fast(make("line"), navigation_mask=mask)
        for kind in (mask.astype(int), mask.tolist(), hs.signals.Signal2D(mask)):
            assert_same_with_nan(fuse_fast(make("line"), navigation_mask=kind), expected)
        for kind in (hs.signals.Signal2D(mask).T, hs.signals.Signal2D(mask).as_lazy()):
            assert_same_with_nan(fuse_fast(make("line"), navigation_mask=kind), expected)

    @pytest.mark.parametrize("lazy", [(), (0,)], ids=["eager", "lazy"])
    def test_signal_mask_equals_deleting_channels(self, lazy):
        mask = np.zeros(12, dtype=bool)
        mask[:3] = True
        line, pattern = make("line", "pattern", lazy=lazy)
        masked = fuse([line, pattern], signal_masks={"line": mask})
        cropped = fuse([line.isig[3:], pattern])
        np.testing.assert_allclose(masked.data, cropped.data, atol=1e-5)
        factors = masked.get_factors("line").data
        assert np.isnan(factors[:, :3]).all()
        np.testing.assert_allclose(factors[:, 3:], cropped.get_factors("line").data, rtol=1e-3)

    def test_signal_mask_of_patterns(self):
        mask = np.eye(3, 4, dtype=bool)
        (pattern,) = make("pattern")
        h = fuse([pattern], signal_masks={pattern: hs.signals.Signal2D(mask)})
        assert (np.isnan(h.get_factors("pattern").data) == mask).all()
        np.testing.assert_array_equal(pattern.learning_results.signal_mask, mask)


def assert_same_with_nan(one, other):
    np.testing.assert_allclose(one.data, other.data, atol=1e-6)


class TestOptions:
    @pytest.mark.parametrize(
        ("unmixing", "abundances"),
        [
            *itertools.product(
                ["face_mixture", "minimum_volume", "vertex", "nmf"],
                ["simplex", "nonnegative", "none"],
            ),
            *itertools.product(["orthomax", "none"], ["simplex", "none"]),
        ],
    )
    def test_unmixing_and_abundances(self, unmixing, abundances):
        signed = unmixing in ("orthomax", "none")
        line, pattern = make("line", "pattern")
        h = fuse([line, pattern], unmixing=unmixing, abundances=abundances)
        if abundances == "simplex" and not signed:
            np.testing.assert_allclose(h.data.sum(axis=-1), 1, atol=1e-9)
        if abundances != "none" and not signed:
            assert h.data.min() >= 0
        error = h.get_model("line").data.compute() - line.data
        assert np.mean(error**2) < 1.3 * line.data.mean()

    @pytest.mark.parametrize("unmixing", ["face_mixture", "minimum_volume", "vertex", "nmf"])
    def test_unmixing_finds_the_components(self, unmixing):
        h = fuse(make("line", "pattern"), unmixing=unmixing)
        order = match_components(h.get_factors("line").data, truth("line"))
        found = h.data.reshape(-1, 3)[:, order]
        assert np.sqrt(np.mean((found - mixtures()) ** 2)) < 0.12

    def test_orthomax_turns_the_principal_components(self):
        principal, turned = (fuse(make("line"), unmixing=u) for u in ("none", "orthomax"))
        products = [h.get_model("line").data.compute() for h in (principal, turned)]
        np.testing.assert_allclose(*products, rtol=1e-3)
        assert not np.allclose(principal.data, turned.data, atol=1e-2)

    @pytest.mark.parametrize("with_attribute", [False, True])
    def test_own_unmixing(self, with_attribute):
        seen = {}

        class Corners:
            def fit(self, scores, n_components, noise):
                seen.update(scores=scores.shape, n=n_components, noise=noise.shape)
                self.endmembers_ = np.array([[0, 40], [-40, -20], [40, -20.0]])
                return self if with_attribute else self.endmembers_

        h = fuse(make("line", "pattern"), unmixing=Corners(), abundances="none")
        assert seen == {"scores": (80, 2), "n": 3, "noise": (80,)}
        np.testing.assert_allclose(h.data.sum(axis=-1), 1, atol=0.5)
        assert "by custom" in h.summary()
        again = h.deepcopy().unmix(abundances="simplex")
        np.testing.assert_allclose(again.data.sum(axis=-1), 1, atol=1e-9)

    @pytest.mark.parametrize("role", ["auto", "lead", "support", "passive"])
    def test_roles(self, role):
        line, pattern = make("line", "pattern")
        h = fuse([line, pattern], roles={pattern: role})
        expected = "lead" if role == "auto" else role
        assert h._result.modalities["pattern"].role == expected
        assert (h._result.modalities["pattern"].passes == 1) is (role == "passive")
        assert_same(h, fuse(make("line", "pattern"), roles={"pattern": role}), 0)

    def test_first_signal_need_not_lead(self):
        h = fuse(make("line", "pattern"), roles={"line": "passive"})
        roles = {name: part.role for name, part in h._result.modalities.items()}
        assert roles == {"line": "passive", "pattern": "lead"}

    def test_weight_zero_is_passive(self):
        zero = fuse(make("line", "pattern"), weights={"pattern": 0})
        passive = fuse(make("line", "pattern"), roles={"pattern": "passive"})
        assert_same(zero, passive, 1e-12)
        assert zero._result.modalities["pattern"].role == "passive"

    def test_weights(self):
        line, pattern = make("line", "pattern")
        plain = fuse_fast([line, pattern])
        assert_same(fuse_fast([line, pattern], weights={line: 1, "pattern": "auto"}), plain, 0)
        assert not np.allclose(fuse_fast([line, pattern], weights={pattern: 5.0}).data, plain.data)

    @pytest.mark.parametrize(
        ("noise", "kind"),
        [
            ("auto", "poisson"),
            ("poisson", "poisson"),
            ("gaussian", "gaussian"),
            ("none", "none"),
            (50.0, "variance"),
            (truth("line").mean(axis=0), "variance"),
            (counts() + 1.0, "variance"),
            (hs.signals.Signal1D(counts() + 1.0), "variance"),
            (hs.signals.Signal1D(counts() + 1.0).as_lazy(), "variance"),
            (hs.signals.Signal1D(truth("line").mean(axis=0)), "variance"),
        ],
        ids=lambda value: value if isinstance(value, str) else type(value).__name__,
    )
    def test_noise(self, noise, kind):
        h = fuse_fast(make("line", "pattern"), noise={"line": noise})
        assert [p.noise for p in h._result.modalities.values()] == [kind, "poisson"]
        order = match_components(h.get_factors("line").data, truth("line"))
        assert np.sqrt(np.mean((h.data.reshape(-1, 3)[:, order] - mixtures()) ** 2)) < 0.08

    def test_variance_of_metadata(self):
        line, pattern = make("line", "pattern")
        line.estimate_poissonian_noise_variance(expected_value=line.deepcopy() + 1)
        pattern.metadata.set_item("Signal.Noise_properties.variance", 60.0)
        auto = fuse_fast([line, pattern])
        assert [p.noise for p in auto._result.modalities.values()] == ["variance"] * 2
        given = {"line": counts() + 1.0, "pattern": 60.0}
        assert_same(auto, fuse_fast(make("line", "pattern"), noise=given))
        asked = fuse_fast([line, pattern], noise="poisson")
        assert [p.noise for p in asked._result.modalities.values()] == ["poisson"] * 2

    def test_negative_values_are_gaussian(self):
        rng = np.random.default_rng(0)
        data = (mixtures() @ (truth("line") - 60)).reshape(*SCAN, 12) + rng.normal(size=(*SCAN, 12))
        h = fuse([as_signal(data)])
        part = h._result.modalities["line"]
        assert part.noise == "gaussian"
        assert part.gain == pytest.approx(1, rel=0.2)
        assert h.get_factors("line").data.min() < -10

    def test_names(self):
        signals = make("line", "line", "line")
        signals[1].metadata.General.title = "line 2"
        signals[2].metadata.General.title = "line"
        assert fuse_fast(signals).modalities == ["line", "line 2", "line 3"]
        assert fuse_fast(signals, names=["a", "b/c", "µ"]).modalities == ["a", "b/c", "µ"]

    def test_names_without_title(self):
        signals = make("line", "pattern", "image", lazy=(1,))
        for signal in signals:
            signal.metadata.General.title = ""
        assert fuse_fast(signals).modalities == ["Signal1D", "Signal2D", "BaseSignal"]

    def test_number_of_components_is_found(self):
        assert fuse(make("line", "pattern"), n_components="auto").data.shape[-1] == 3
        assert fuse(make("line"), n_components=np.int64(2)).data.shape[-1] == 2
        assert fuse(make("line"), n_components=1).data.shape[-1] == 1

    @pytest.mark.parametrize("lazy", [(), (0, 1)], ids=["eager", "lazy"])
    def test_same_seed_same_result(self, lazy):
        one, other = (fuse(make("line", "pattern", lazy=lazy)) for _ in range(2))
        assert_same(one, other, 0)
        for seed in (np.random.default_rng(3), np.int64(3), None):
            assert np.isfinite(fuse(make("line"), random_state=seed).data).all()

    def test_generator_is_used(self):
        one, other = (
            fuse_fast(make("line"), random_state=np.random.default_rng(5)) for _ in range(2)
        )
        assert one._choices.seed == other._choices.seed
        generator = np.random.default_rng(5)
        seeds = [fuse_fast(make("line"), random_state=generator)._choices.seed for _ in range(2)]
        assert seeds[0] != seeds[1]

    def test_global_random_state_is_left_alone(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        fuse_fast(make("line"), random_state=None)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    @pytest.mark.parametrize("show", [True, False])
    def test_progressbar(self, show, capsys):
        fuse_fast(make("line"), show_progressbar=show)
        assert ("line: first look, pass 1" in capsys.readouterr().err) is show

    @pytest.mark.parametrize("show", [True, False])
    def test_progressbar_follows_the_preference(self, show, capsys, monkeypatch):
        monkeypatch.setattr(hs.preferences.General, "show_progressbar", show)
        fuse_fast(make("line"), show_progressbar=None)
        assert ("line: first look, pass 1" in capsys.readouterr().err) is show


class TestScale:
    """Counts that are proportional to a local intensity."""

    intensity = np.random.default_rng(4).uniform(0.3, 3, SCAN)

    def scaled(self, *kinds):
        rng = np.random.default_rng(6)
        signals = []
        for kind in kinds:
            mean = self.intensity.reshape(-1, 1) * (mixtures() @ truth(kind))
            signals.append(as_signal(rng.poisson(mean).reshape(*SCAN, *SHAPES[kind]) * 1.0, kind))
        return signals

    def error(self, h):
        order = match_components(h.get_factors("line").data, truth("line"))
        return np.sqrt(np.mean((h.data.reshape(-1, 3)[:, order] - mixtures()) ** 2))

    @pytest.mark.parametrize("kind", ["array", "list", "signal", "image", "lazy", "dict"])
    def test_map(self, kind):
        line, pattern = self.scaled("line", "pattern")
        signal = hs.signals.Signal2D(self.intensity)
        scale = {
            "array": self.intensity,
            "list": self.intensity.tolist(),
            "signal": signal,
            "image": signal.T,
            "lazy": signal.as_lazy(),
            "dict": {"line": self.intensity, pattern: 7 * self.intensity},
        }[kind]
        h = fuse([line, pattern], scale=scale)
        assert self.error(h) < 0.06
        relative = self.intensity / self.intensity.mean()
        np.testing.assert_allclose(h._result.modalities["line"].scale, relative.ravel())

    def test_follows_the_counts(self):
        auto = fuse(self.scaled("line", "pattern"))
        assert "proportional" in auto.summary()
        assert_same(auto, fuse(self.scaled("line", "pattern"), scale="total"), 1e-12)
        assert np.allclose(auto.data.sum(axis=-1), 1)

    def test_flat_counts_are_noticed(self):
        assert "same everywhere" in fuse_fast(make("line", "pattern")).summary()
        assert_same(fuse_fast(make("line")), fuse_fast(make("line"), scale="none"), 1e-12)

    def test_one_modality_flat(self):
        line = self.scaled("line")[0]
        (pattern,) = make("pattern")
        h = fuse([line, pattern], scale={line: self.intensity, pattern: "none"})
        assert self.error(h) < 0.06
        np.testing.assert_array_equal(h._result.modalities["pattern"].scale, 1)
        angles = spectral_angle(
            h._result.modalities["pattern"].factors,
            truth("pattern")[
                np.argsort(match_components(h.get_factors("line").data, truth("line")))
            ],
        )
        assert angles.max() < 8

    def test_masks_and_empty_positions(self):
        line, pattern = self.scaled("line", "pattern")
        line.data[0], pattern.data[0] = 0, 0
        mask = np.zeros(SCAN, dtype=bool)
        mask[1] = True
        with pytest.warns(UserWarning, match="10 probe"):
            h = fuse_fast([line, pattern], scale=self.intensity, navigation_mask=mask)
        found = h._result.modalities["line"].scale.reshape(SCAN)
        assert np.isnan(found[:2]).all()
        relative = self.intensity[2:] / self.intensity[2:].mean()
        np.testing.assert_allclose(found[2:], relative)


class TestNativeResults:
    """HyperSpy's own methods on the native signals agree with the fusion."""

    def check(self, h, signals):
        shared = np.nan_to_num(h.data)
        for name, signal in zip(h.modalities, signals, strict=True):
            scale = np.nan_to_num(h._result.modalities[name].scale).reshape(*SCAN, 1)
            factors = np.nan_to_num(h.get_factors(name).data)
            if signal.axes_manager.navigation_dimension == 0:
                maps = np.nan_to_num(signal.get_bss_factors().data)
                np.testing.assert_allclose(np.moveaxis(maps, 0, -1), scale * shared, rtol=1e-6)
            else:
                maps = np.nan_to_num(signal.get_bss_loadings().data)
                np.testing.assert_allclose(np.moveaxis(maps, 0, -1), scale * shared, rtol=1e-6)
                np.testing.assert_allclose(
                    np.nan_to_num(signal.get_bss_factors().data).reshape(factors.shape), factors
                )
            expected = np.tensordot(scale * shared, factors, axes=1)
            own = h.get_model(name).data.compute()
            np.testing.assert_allclose(np.nan_to_num(own), expected, rtol=1e-6)
            theirs = signal.get_bss_model().data
            theirs = np.asarray(theirs).reshape(expected.shape)
            np.testing.assert_allclose(np.nan_to_num(theirs), expected, rtol=1e-5, atol=1e-6)
            coupled = np.asarray(signal.get_decomposition_model().data).reshape(expected.shape)
            misfit = np.nanmean((coupled - signal.data) ** 2) / np.nanmean(signal.data)
            assert misfit < (1.5 if name != "image" else 30)

    @pytest.mark.parametrize("lazy", [(), (0, 1)], ids=["eager", "lazy"])
    def test_flat(self, lazy):
        signals = make("line", "pattern", "image", lazy=lazy)
        self.check(fuse_fast(signals), signals)

    def test_with_scale(self):
        signals = TestScale().scaled("line", "pattern", "image")
        self.check(fuse(signals, scale=TestScale.intensity), signals)

    def test_plain_image(self):
        line, image = make("line", "image")
        plain = image.transpose(navigation_axes=0)
        self.check(fuse([line, plain]), [line, plain])

    def test_after_unmix(self):
        signals = make("line", "pattern")
        h = fuse(signals).unmix(n_components=2)
        h.write_back()
        self.check(h, signals)
        assert signals[0].learning_results.bss_factors.shape == (12, 2)
