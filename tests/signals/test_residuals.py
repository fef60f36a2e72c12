"""Residuals: one where the model holds, more where it does not, in one pass over any data."""

import warnings

import dask.array as da
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import modality as modality_module

RULES = {"random_state": 0, "show_progressbar": False}


def fuse(phantom, signals=None, n_components=3, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hf.fuse(
            list((signals or phantom.signals).values()),
            n_components=n_components,
            navigation_mask=phantom.navigation_mask,
            **{**RULES, **options},
        )


def make(**options):
    size = {"scan": (24, 24), "detector": (16, 16), "eels_channels": 128, "eds_channels": 256}
    return hf.data.tio2_polymorphs(**{**size, "random_state": 3, **options})


@pytest.fixture(scope="module")
def phantom():
    return make()


@pytest.fixture(scope="module")
def fused(phantom):
    return fuse(phantom)


def test_one_where_the_model_holds(phantom, fused):
    for name in ("EELS", "EDS"):
        positions, channels = fused.get_residual(name).data, fused.get_channel_residual(name).data
        assert np.nanmean(positions) == pytest.approx(1, abs=0.03), name
        assert np.nanmean(channels) == pytest.approx(1, abs=0.03), name
        # Spread by no more than the noise of squares of normal (here counted) deviates.
        seen = phantom.signals[name].data[~phantom.navigation_mask.data].mean(axis=0) > 0.05
        assert np.std(channels[seen]) < 3 * np.sqrt(2 / 500), name


@pytest.mark.parametrize("counts", ["flat", "thickness"])
@pytest.mark.parametrize("dose", [30.0, 10.0, 3.0])
def test_one_of_few_counts(dose, counts):
    """With 60 counts a channel in the whole scan, with 20, and with 6."""
    phantom = make(eds_dose=dose, counts=counts)
    h = fuse(phantom)
    positions, channels = h.get_residual("EDS").data, h.get_channel_residual("EDS").data
    assert np.nanmean(channels) == pytest.approx(1, abs=0.05)
    # Single counts at single positions: the mean over the scan is not known better than this.
    known = positions[~np.isnan(positions)]
    error = np.std(known) / np.sqrt(known.size)
    assert np.mean(known) == pytest.approx(1, abs=0.05 if counts == "flat" else 0.05 + error)
    recorded = phantom.signals["EDS"].data[~phantom.navigation_mask.data].any(axis=0)
    np.testing.assert_array_equal(np.isnan(channels), ~recorded)


@pytest.mark.parametrize("counts", ["flat", "thickness"])
@pytest.mark.parametrize("factor", [1 / 30, 1.0, 10.0])
def test_one_at_any_dose(factor, counts):
    doses = {"eels_dose": 1e5, "eds_dose": 300.0, "diffraction_dose": 5e3}
    h = fuse(make(counts=counts, **{name: factor * dose for name, dose in doses.items()}))
    for name in ("EELS", "EDS"):
        assert np.nanmean(h.get_residual(name).data) == pytest.approx(1, abs=0.05), name
        assert np.nanmean(h.get_channel_residual(name).data) == pytest.approx(1, abs=0.05), name


@pytest.mark.parametrize("counts", ["flat", "thickness"])
@pytest.mark.parametrize("kind", ["gaussian", "mixed"])
def test_one_whatever_the_noise(kind, counts):
    phantom = make(counts=counts)
    rng, signals = np.random.default_rng(0), {"EELS": phantom.signals["EELS"].deepcopy()}
    signal = signals["EELS"]
    signal.change_dtype("float64")
    mean = signal.data[~phantom.navigation_mask.data].mean()
    if kind == "gaussian":
        intensity = 1.0 if phantom.scale is None else np.nan_to_num(np.asarray(phantom.scale))
        clean = np.nan_to_num(phantom.abundances) @ phantom.factors["EELS"].data
        signal.data = np.reshape(intensity, np.shape(intensity) + (1,)) * clean
    spread = np.sqrt(mean) * (1.0 if kind == "gaussian" else 0.5)
    signal.data = signal.data + spread * rng.standard_normal(signal.data.shape)
    h = fuse(phantom, signals, noise="gaussian" if kind == "gaussian" else "auto")
    found = h._result.modalities["EELS"]
    assert found.noise == kind
    if kind == "gaussian":
        # Divided rows have less noise: its size, and the rank, must not be misled by that.
        assert found.gain == pytest.approx(spread**2, rel=0.02)
        assert found.rank == 3
    assert np.nanmean(h.get_residual("EELS").data) == pytest.approx(1, abs=0.05)
    assert np.nanmean(h.get_channel_residual("EELS").data) == pytest.approx(1, abs=0.05)


def test_where_counts_follow_the_thickness():
    phantom = make(counts="thickness")
    h = fuse(phantom)
    for name in ("EELS", "EDS"):
        assert np.nanmean(h.get_residual(name).data) == pytest.approx(1, abs=0.05), name


def test_more_where_a_component_is_missing(phantom, fused):
    fewer = fuse(phantom, n_components=2)
    energy = phantom.signals["EELS"].axes_manager[-1].axis
    lines = (energy > 455) & (energy < 470)
    found = fewer.get_channel_residual("EELS").data
    assert found[lines].max() > 1 + 4 * np.sqrt(2 / 543)
    assert found[energy < 440].mean() == pytest.approx(1, abs=0.05)
    rutile = np.nan_to_num(phantom.abundances[..., 1]) > 0.9
    lacking, whole = (h.get_residual("EELS").data[rutile].mean() for h in (fewer, fused))
    assert lacking > whole + 0.05


def test_patterns_of_crystals_are_not_those_of_the_components(fused):
    assert np.nanmean(fused.get_residual("Diffraction").data) > 1.2
    assert np.nanmax(fused.get_channel_residual("Diffraction").data) > 2


def test_channels_have_the_native_class(phantom, fused):
    for name, signal in phantom.signals.items():
        found = fused.get_channel_residual(name)
        assert type(found) is type(signal)
        assert found.data.shape == signal.data.shape[2:]
        assert found.axes_manager[-1].units == signal.axes_manager[-1].units


CHUNKS = {"boxes": (8, 8, -1, -1), "slices of the detector": (24, 24, 4, 8)}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_on_disk_in_one_pass(phantom, monkeypatch, chunks):
    mask = np.zeros((16, 16), dtype=bool)
    mask[7:9, 7:9] = True
    h = fuse(phantom, signal_masks={"Diffraction": mask})
    memory = h.get_residual("Diffraction"), h.get_channel_residual("Diffraction")
    monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**14)
    reads = []

    def count(block):
        reads.append(block.size)
        return block

    data = phantom.signals["Diffraction"].data
    lazy = phantom.signals["Diffraction"].as_lazy()
    lazy.data = da.from_array(data, chunks=chunks).map_blocks(count, dtype=data.dtype)
    h.attach("Diffraction", lazy)
    for get, expected in zip((h.get_residual, h.get_channel_residual), memory, strict=True):
        reads.clear()
        np.testing.assert_allclose(get("Diffraction").data, expected.data, rtol=1e-5)
        assert sum(n for n in reads if n > 1) == data.size
    np.testing.assert_array_equal(np.isnan(memory[1].data), mask)


def test_data_that_are_not_there(fused):
    h = fused.deepcopy()
    h._natives.pop("EDS")
    with pytest.raises(ValueError, match=r'h.attach\("EDS", signal\)'):
        h.get_channel_residual("EDS")


class TestFigure:
    def test_maps_and_channels_of_one_pass(self, phantom, fused, monkeypatch):
        seen = []
        original = type(fused)._residuals

        def count(self, name, *options):
            seen.append(name)
            return original(self, name, *options)

        monkeypatch.setattr(type(fused), "_residuals", count)
        figure = fused.plot_residuals()
        figure.canvas.draw()
        assert seen == list(phantom.signals)
        panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None]
        grid = [axes for axes in panels if axes.get_subplotspec().get_gridspec().ncols == 3]
        assert len(grid) == 6
        below = grid[3]
        drawn = below.get_lines()[-1].get_ydata()
        np.testing.assert_allclose(drawn, fused.get_channel_residual("EELS").data)
        assert below.get_xlabel() == "Energy loss (eV)"
        # Noise alone stays in its band as often as stated.
        inside = np.abs(drawn - 1) < 1.96 * np.sqrt(2 / (~phantom.navigation_mask.data).sum())
        assert 0.88 < inside.mean() < 0.995

    def test_a_line_and_a_single_number(self, phantom):
        line = {name: signal.inav[:, 5] for name, signal in phantom.signals.items()}
        line["HAADF"] = line["Diffraction"].sum(axis=(-1, -2)).T
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            h = hf.fuse(list(line.values()), names=list(line), n_components=2, **RULES)
        figure = h.plot_residuals()
        figure.canvas.draw()
        value = h.get_channel_residual("HAADF").data.item()
        assert f"{value:.3g}" in [text.get_text() for axes in figure.axes for text in axes.texts]


class TestProgressBars:
    def later(self, h, phantom, **options):
        h.unmix(n_components=2).get_residual("EDS", **options)
        h.deepcopy().get_channel_residual("EDS", **options)
        h.deepcopy().couple(phantom.signals["EELS"].deepcopy(), name="again", **options)
        h.predict("EDS", from_="EELS", **options)

    def test_later_passes_do_as_fuse_was_told(self, phantom, fused, capsys):
        self.later(fused, phantom)
        assert "pass" not in capsys.readouterr().err

    def test_each_may_be_told_otherwise(self, phantom, fused, capsys):
        self.later(fused, phantom, show_progressbar=True)
        shown = capsys.readouterr().err
        assert "EDS: residual" in shown
        assert "again: projection" in shown
        assert "EELS: prediction" in shown


def test_no_such_component_to_purify(fused):
    with pytest.raises(ValueError, match=r"from 0 to 2: there are 3. Got 7"):
        fused.purify(7)


def test_nothing_to_purify_from(phantom):
    with pytest.raises(ValueError, match="fusion of 2 components at least. Got one of 1"):
        fuse(phantom, n_components=1).purify(0)
