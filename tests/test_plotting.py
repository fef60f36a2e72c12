"""Figures of a stand-in that has the members of a HypermodalSignal that the figures use."""

from types import SimpleNamespace

import hyperspy.api as hs
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import plotting
from hyperfuse_hs.plotting import plot_components, plot_faces, plot_scree
from hyperfuse_hs.plotting.panels import draw_colour_bar

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def spectra(p, channels=200):
    """Return falling curves with one line each."""
    energy = np.linspace(0, 1, channels)
    centres = np.linspace(0.2, 0.8, p)[:, np.newaxis]
    return 2000 * (energy + 0.3) ** -2 + 4000 * np.exp(-(((energy - centres) / 0.01) ** 2))


def patterns(p, size=48):
    """Return disks on a square lattice, of another period and angle for each component."""
    k = np.arange(size) - size // 2
    rings = []
    for number in range(p):
        angle, period = 0.3 * number, 9 + 2 * number
        u = (k * np.cos(angle) + k[:, np.newaxis] * np.sin(angle)) / period
        v = (-k * np.sin(angle) + k[:, np.newaxis] * np.cos(angle)) / period
        near = np.hypot(u - np.round(u), v - np.round(v)) * period < 2
        rings.append(near * 1e4 * np.exp(-(np.hypot(k, k[:, np.newaxis]) ** 2) / 100))
    return np.array(rings) + 1.0


def factor_signals(p, size=48):
    """Return the factors of four modalities: two spectra, a pattern and a single number."""
    eels = hs.signals.Signal1D(spectra(p))
    eels.axes_manager[-1].trait_set(name="Energy loss", units="eV", offset=440, scale=0.6)
    eels.metadata.set_item("Signal.quantity", "Electrons (Counts)")
    eds = hs.signals.Signal1D(spectra(p)[:, ::-1] * 1e-3)
    eds.axes_manager[-1].trait_set(name="Energy", units="keV", scale=0.05)
    diffraction = hs.signals.Signal2D(patterns(p, size))
    for axis in diffraction.axes_manager.signal_axes:
        axis.trait_set(name="k" + "xy"[axis is diffraction.axes_manager[-1]], units="1/nm")
        axis.trait_set(scale=0.4, offset=-0.4 * (size // 2))
    haadf = hs.signals.BaseSignal(np.linspace(3e3, 4.56e4, p)).T
    return {"EELS": eels, "EDS": eds, "Diffraction": diffraction, "HAADF": haadf}


def make_fusion(p=3, scan=(24, 32), units="nm", masked=True, seed=0):
    """Return a stand-in for a fusion of `p` components over a scan."""
    rng = np.random.default_rng(seed)
    positions = np.indices(scan).reshape(len(scan), -1).T / np.array(scan)
    seeds = rng.uniform(0, 1, (p, len(scan)))
    distance = np.linalg.norm(positions[:, np.newaxis] - seeds, axis=2)
    abundances = np.maximum(0, 0.45 - distance + distance.min(axis=1, keepdims=True)) ** 2
    abundances /= abundances.sum(axis=1, keepdims=True)
    excluded = np.zeros(len(abundances), dtype=bool)
    excluded[: len(excluded) // 20] = masked
    abundances[excluded] = np.nan
    faces = tuple((k,) for k in range(p)) + tuple((i, j) for i in range(p) for j in range(i))
    faces = tuple(tuple(sorted(face)) for face in faces) + ((tuple(range(p)),) if p > 2 else ())
    posterior = np.array([abundances[:, face].prod(axis=1) * 3.0 ** len(face) for face in faces]).T
    posterior /= posterior.sum(axis=1, keepdims=True)

    axes = hs.signals.BaseSignal(np.zeros(scan)).T.axes_manager
    for axis in axes.navigation_axes:
        axis.trait_set(scale=0.2, units=units, name="position") if units else None
    maps = hs.signals.BaseSignal(abundances.T.reshape(p, *scan)).transpose(signal_axes=len(scan))
    factors = factor_signals(p)
    roles = {"EELS": "lead", "EDS": "lead", "Diffraction": "support", "HAADF": "passive"}
    ranks = {"EELS": p, "EDS": max(p - 1, 1), "Diffraction": 40, "HAADF": 0}
    modalities = {}
    for name, rank in ranks.items():
        values = np.concatenate([np.geomspace(900, 70, rank), np.linspace(59, 40, 20)])
        modalities[name] = SimpleNamespace(
            role=roles[name],
            rank=rank,
            edge=60.0 if rank else np.nan,
            singular_values=values if rank else np.empty(0),
        )
    result = SimpleNamespace(
        n_components=p,
        navigation_shape=scan,
        excluded=excluded,
        face_sets=faces,
        face_posterior=posterior,
        modalities=modalities,
        singular_values=np.concatenate([np.geomspace(2000, 80, 42), np.linspace(69, 50, 20)]),
        edge=70.0,
        lead_values=np.concatenate([np.geomspace(2000, 80, p), [50.0, 1e-9]]),
        lead_edges=np.full(p + 2, 60.0),
    )
    scores = SimpleNamespace(
        basis=np.empty((int((~excluded).sum()), 0)),
        modalities={name: SimpleNamespace(channels=200.0) for name in ranks},
    )
    errors = {name: signal * 0.05 for name, signal in factors.items()}
    return SimpleNamespace(
        modalities=tuple(factors),
        get_factor_errors=errors.__getitem__,
        get_factor_interval=lambda m: (factors[m] - errors[m] * 2, factors[m] + errors[m] * 2),
        _scores=scores,
        axes_manager=axes,
        get_abundances=lambda: maps,
        get_factors=factors.__getitem__,
        _result=result,
    )


def boxes(figure):
    """Return what each panel takes, texts and all, in pixels."""
    figure.draw_without_rendering()
    return {axes: axes.get_tightbbox() for axes in figure.axes}


def assert_nothing_overlaps(figure):
    found = list(boxes(figure).values())
    for index, one in enumerate(found):
        assert one.x0 >= -1 and one.y0 >= -1
        assert one.x1 <= figure.bbox.x1 + 1 and one.y1 <= figure.bbox.y1 + 1
        for other in found[:index]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(width, height) < 1, (one, other)


def panels_of(figure, rows):
    """Return the panels as a grid."""
    return np.array(figure.axes).reshape(rows, -1)


class TestComponents:
    def test_one_row_per_component_and_one_column_per_modality(self):
        h = make_fusion(3)
        grid = panels_of(plot_components(h), 3)
        titles = [axes.get_title() for axes in grid[0]]
        assert grid.shape == (3, 5)
        assert titles[0] == "Abundance"
        assert titles[1:3] == ["EELS\nlead", "EDS\nlead"]
        assert titles[3:] == ["Diffraction\nsupport (√ scale)", "HAADF\npassive"]
        assert [axes.texts[0].get_text() for axes in grid[:, 0]] == [
            "Component 0",
            "Component 1",
            "Component 2",
        ]

    def test_panels_show_the_numbers(self):
        h = make_fusion(3)
        grid = panels_of(plot_components(h), 3)
        maps, factors = h.get_abundances().data, h.get_factors
        for number, (abundance, eels, _, pattern, haadf) in enumerate(grid):
            image = abundance.images[0]
            np.testing.assert_array_equal(image.get_array().filled(np.nan), maps[number])
            assert image.get_clim() == (0, 1)
            np.testing.assert_array_equal(eels.lines[0].get_ydata(), factors("EELS").data[number])
            np.testing.assert_array_equal(
                pattern.images[0].get_array(), factors("Diffraction").data[number]
            )
            assert haadf.patches[0].get_width() == factors("HAADF").data[number]

    def test_axes_are_calibrated(self):
        grid = panels_of(plot_components(make_fusion(2)), 2)
        eels, eds, pattern, haadf = grid[-1, 1:]
        assert eels.get_xlabel() == "Energy loss (eV)"
        assert eels.get_ylabel() == "Electrons (Counts)"
        assert eels.get_xlim() == pytest.approx((440, 440 + 0.6 * 199))
        assert (eds.get_xlabel(), eds.get_ylabel()) == ("Energy (keV)", "Counts")
        assert pattern.get_xlabel() == "kx (1/nm)"
        assert pattern.images[0].get_extent() == pytest.approx([-9.8, 9.4, 9.4, -9.8])
        ticks = pattern.get_xticks()
        np.testing.assert_allclose(ticks, -ticks[::-1], atol=1e-12)
        assert haadf.get_xlabel() == "Counts"

    @pytest.mark.parametrize(("units", "text"), [("nm", "2 nm"), ("Å", "2 Å")])
    def test_scale_bar(self, units, text):
        # 32 positions of 0.2 make 6.4; 40 % of that, rounded down to 1, 2 or 5 times 10^n, is 2.
        first = plot_components(make_fusion(2, units=units)).axes[0]
        (box,) = [artist for artist in first.artists if hasattr(artist, "get_child")]
        bar, label = box.get_child().get_children()
        assert label.get_text() == text
        assert bar.get_children()[0].get_width() == pytest.approx(2 / 0.2)

    def test_no_scale_bar_without_units(self):
        figure = plot_components(make_fusion(2, units=None))
        assert not [artist for artist in figure.axes[0].artists if hasattr(artist, "get_child")]

    @pytest.mark.parametrize("p", [1, 2, 5, 8])
    def test_nothing_overlaps(self, p):
        assert_nothing_overlaps(plot_components(make_fusion(p, scan=(12, 16))))

    @pytest.mark.parametrize("scan", [(40,), (1, 40), (3, 90), (8, 40), (40, 8), (2, 6, 30)])
    def test_nothing_overlaps_for_other_scans_and_long_labels(self, scan):
        labels = ["anatase nanoparticles", "amorphous carbon support film", "vacuum"]
        assert_nothing_overlaps(plot_components(make_fusion(3, scan=scan), labels=labels))

    def test_scan_along_a_line(self):
        h = make_fusion(2, scan=(30,))
        first = plot_components(h).axes[0]
        np.testing.assert_array_equal(first.lines[0].get_ydata(), h.get_abundances().data[0])
        assert first.lines[0].get_xdata()[1] == pytest.approx(0.2)

    @pytest.mark.parametrize("scan", [(1, 30), (30, 1)])
    def test_a_single_row_or_column_is_drawn_as_a_line(self, scan):
        h = make_fusion(2, scan=scan)
        figure = plot_components(h)
        line = figure.axes[0].lines[0]
        np.testing.assert_array_equal(line.get_ydata(), h.get_abundances().data[0].ravel())
        assert line.get_xdata()[1] == pytest.approx(0.2)
        assert_nothing_overlaps(figure)
        first = plot_faces(h).axes[0]
        assert first.get_xlabel() == "position (nm)" and first.images[0].get_array().shape[0] == 1

    @pytest.mark.parametrize("scan", [(2, 300), (300, 2)])
    def test_maps_of_a_few_rows_are_high_enough_to_be_seen(self, scan):
        h = make_fusion(2, scan=scan)
        figure = plot_components(h)
        figure.draw_without_rendering()
        box = figure.axes[0].get_window_extent()
        assert 0.1 < box.height / box.width < 10
        h.axes_manager.navigation_axes[1].scale = 0.6  # Stretched all the same.
        assert plot_components(h).axes[0].get_aspect() == figure.axes[0].get_aspect()

    def test_mean_over_the_leading_axis_without_what_is_excluded(self):
        h = make_fusion(2, scan=(3, 8, 9))
        first = plot_components(h).axes[0]
        assert first.get_title() == "Abundance\n(mean over leading axis)"
        expected = np.nanmean(h.get_abundances().data[0], axis=0)
        np.testing.assert_allclose(first.images[0].get_array(), expected)

    def test_pixels_that_are_not_square(self):
        h = make_fusion(2)
        h.axes_manager.navigation_axes[1].scale = 0.6
        assert plot_components(h).axes[0].get_aspect() == pytest.approx(3)

    def test_excluded_channels_and_axes_without_names(self):
        h = make_fusion(2)
        eels = hs.signals.Signal1D(h.get_factors("EELS").data)
        eels.data[:, 50:] = np.nan
        h.get_factors = {"EELS": eels}.__getitem__
        axes = plot_components(h, names=["EELS"]).axes[-1]
        assert axes.get_xlabel() == "Channel"
        assert np.isfinite(axes.get_ylim()).all()

    def test_weak_reflections_show_beside_the_direct_beam(self):
        h = make_fusion(2)
        pattern = np.ones((2, 48, 48))
        pattern[:, 24, 24] = 1e6
        pattern[0, 5:10, 5:10] = 100
        pattern[1] *= -1
        h.get_factors = {"Diffraction": hs.signals.Signal2D(pattern)}.__getitem__
        first, second = panels_of(plot_components(h, names=["Diffraction"]), 2)[:, 1]
        norm = first.images[0].norm
        assert norm(100) == pytest.approx(1)
        assert norm(25.75) == pytest.approx(0.5)
        assert second.images[0].get_clim() == (-1e6, -1)

    def test_a_pattern_of_one_value(self):
        h = make_fusion(2)
        h.get_factors = {"Diffraction": hs.signals.Signal2D(np.zeros((2, 8, 8)))}.__getitem__
        h.get_factor_errors = h.get_factors
        plot_components(h, names=["Diffraction"]).draw_without_rendering()

    def test_errors_are_bands_bars_and_a_number(self):
        h = make_fusion(2)
        grid = panels_of(plot_components(h, names=["EELS", "Diffraction", "HAADF"]), 2)
        factor = h.get_factors("EELS").data[1]
        (band,) = grid[1, 1].collections
        edges = band.get_paths()[0].vertices[:, 1]
        assert edges.min() == pytest.approx(0.9 * factor.min())
        assert edges.max() == pytest.approx(1.1 * factor.max())
        assert [text.get_text() for text in grid[0, 2].texts] == ["± 5 %"]
        (bar,) = grid[1, 3].containers[1].lines[2]
        value = h.get_factors("HAADF").data[1]
        np.testing.assert_allclose(bar.get_paths()[0].vertices[:, 0], [0.9 * value, 1.1 * value])

    def test_errors_of_a_bootstrap_or_none(self):
        h = make_fusion(2)
        other = make_fusion(2)
        twice = {name: h.get_factor_errors(name) * 2 for name in h.modalities}
        other.get_factor_errors = twice.__getitem__
        grid = panels_of(plot_components(h, names=["Diffraction"], errors=other), 2)
        assert [text.get_text() for text in grid[0, 1].texts] == ["± 10 %"]
        grid = panels_of(plot_components(h, names=["EELS", "Diffraction"], errors=False), 2)
        assert not grid[0, 1].collections and not grid[0, 2].texts

    def test_errors_that_are_none(self):
        with pytest.raises(TypeError, match=r"True, False or what h.bootstrap\(\).* Got int"):
            plot_components(make_fusion(2), errors=3)

    def test_chosen_modalities_labels_and_figure(self):
        figure = plt.figure(layout="constrained")
        h = make_fusion(2)
        result = plot_components(h, names=["HAADF", "EDS"], labels=["core", "shell"], figure=figure)
        assert result is figure
        grid = panels_of(figure, 2)
        assert [axes.get_title() for axes in grid[0, 1:]] == ["HAADF\npassive", "EDS\nlead"]
        assert [axes.texts[0].get_text() for axes in grid[:, 0]] == ["core", "shell"]

    def test_unknown_modality(self):
        with pytest.raises(ValueError, match=r"Expected names out of .*'EELS'.* Got \['XRD'\]"):
            plot_components(make_fusion(2), names=["XRD"])

    @pytest.mark.parametrize("labels", [["one"], "ab"])
    def test_wrong_labels(self, labels):
        with pytest.raises(ValueError, match="list of 2 labels, one per component"):
            plot_components(make_fusion(2), labels=labels)


class TestScree:
    def test_values_edges_and_number_of_components(self):
        h = make_fusion(3)
        figure = plot_scree(h)
        titles = [axes.get_title() for axes in figure.axes]
        assert titles[:3] == ["All together", "Leads, denoised by all", "EELS: lead, rank 3"]
        assert titles[3:] == ["EDS: lead, rank 2", "Diffraction: support, rank 40"]
        panels = [figure.axes[0], *figure.axes[2:]]
        for axes, source in zip(panels, [h._result, *h._result.modalities.values()], strict=False):
            signal, noise, edge = axes.lines[:3]
            shown = np.concatenate([signal.get_ydata(), noise.get_ydata()])
            np.testing.assert_array_equal(shown, source.singular_values)
            assert np.all(signal.get_ydata() > source.edge)
            assert edge.get_ydata()[0] == source.edge
            assert axes.get_yscale() == "log"
            (band,) = axes.patches
            assert band.get_y() < source.edge
            assert band.get_y() + band.get_height() == pytest.approx(source.edge)
        texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert texts == ["noise edge", "its uncertainty"]

    def test_the_leads_show_the_number_of_components(self):
        h = make_fusion(3)
        axes = plot_scree(h).axes[1]
        signal, noise, edge, count = axes.lines
        np.testing.assert_array_equal(signal.get_ydata(), h._result.lead_values[:3])
        # A direction in which nothing is left does not stretch the axis.
        np.testing.assert_array_equal(noise.get_ydata(), [50.0])
        assert set(edge.get_ydata()) == {60.0}
        assert count.get_xdata()[0] == 3.5
        (text,) = axes.get_legend().get_texts()
        assert text.get_text() == "3 components"

    def test_chosen_modalities(self):
        figure = plot_scree(make_fusion(1), names=["EDS", "HAADF"])
        titles = [axes.get_title() for axes in figure.axes]
        assert titles == ["All together", "Leads, denoised by all", "EDS: lead, rank 1"]

    def test_nothing_overlaps_in_two_rows(self):
        h = make_fusion(3)
        h._result.modalities["HAADF"] = h._result.modalities["EDS"]
        figure = plot_scree(h)
        assert len(figure.axes) == 6
        assert_nothing_overlaps(figure)

    def test_unknown_modality(self):
        with pytest.raises(ValueError, match="Expected names out of"):
            plot_scree(make_fusion(2), names=["XRD"])


class TestFaces:
    def legend(self, figure):
        return [text.get_text() for text in figure.legends[0].get_texts()]

    def test_most_probable_face_and_its_probability(self):
        h = make_fusion(3)
        first, second = plot_faces(h).axes[:2]
        posterior = h._result.face_posterior.reshape(24, 32, -1)
        np.testing.assert_allclose(
            second.images[0].get_array().filled(np.nan), posterior.max(axis=2)
        )
        shown = first.images[0].get_array()
        np.testing.assert_array_equal(shown.mask, np.isnan(posterior[..., 0]))
        best = np.nan_to_num(posterior).argmax(axis=2)
        for face in np.unique(best[~shown.mask]):
            assert len(np.unique(shown[best == face].compressed())) == 1

    def test_names_and_shares(self):
        h = make_fusion(2, scan=(1, 4), masked=False)
        h._result.face_posterior = np.eye(3)[[0, 1, 1, 2]]
        assert self.legend(plot_faces(h)) == ["pure 0 (25%)", "pure 1 (50%)", "interface 0/1 (25%)"]
        assert self.legend(plot_faces(h, labels=["A", "B"]))[-1] == "interface A/B (25%)"

    def test_pure_faces_have_the_colours_of_their_components(self):
        h = make_fusion(3)
        rows = panels_of(plot_components(h, names=["EELS"]), 3)
        figure = plot_faces(h)
        for patch, text in zip(figure.legends[0].get_patches(), self.legend(figure), strict=True):
            if text.startswith("pure"):
                line = rows[int(text.split()[1]), 1].lines[0]
                assert matplotlib.colors.same_color(patch.get_facecolor(), line.get_color())

    def test_rare_faces_share_a_colour_where_there_are_too_many(self):
        h = make_fusion(8, scan=(6, 6), masked=False)
        count = len(h._result.face_sets)
        h._result.face_posterior = np.eye(count)[:36]
        figure = plot_faces(h)
        texts = self.legend(figure)
        assert len(texts) == 13
        assert texts[-1] == "other faces (67%)"
        colours = {patch.get_facecolor() for patch in figure.legends[0].get_patches()}
        assert len(colours) == 13

    def test_excluded_positions_count_for_nothing(self):
        h = make_fusion(2, scan=(1, 4), masked=False)
        h._result.face_posterior = np.eye(3)[[0, 1, 1, 2]]
        h._result.excluded = np.array([True, False, False, False])
        assert self.legend(plot_faces(h)) == ["pure 1 (67%)", "interface 0/1 (33%)", "excluded"]

    def test_scan_along_a_line(self):
        first = plot_faces(make_fusion(2, scan=(30,))).axes[0]
        assert first.get_xlabel() == "position (nm)"
        assert first.images[0].get_extent() == pytest.approx([-0.1, 5.9, 0, 1])

    def test_mean_over_the_leading_axis(self):
        h = make_fusion(2, scan=(3, 8, 9), masked=False)
        second = plot_faces(h).axes[1]
        expected = h._result.face_posterior.reshape(3, 8, 9, -1).mean(axis=0).max(axis=2)
        np.testing.assert_allclose(second.images[0].get_array(), expected)

    @pytest.mark.parametrize("p", [2, 3, 8])
    def test_nothing_overlaps(self, p):
        assert_nothing_overlaps(plot_faces(make_fusion(p)))

    def test_without_faces(self):
        h = make_fusion(2)
        h._result.face_posterior = None
        with pytest.raises(ValueError, match="face mixture, which alone gives faces"):
            plot_faces(h)


@pytest.fixture(scope="module")
def fused():
    """A curve, a pattern and a number, with component 0 nowhere without component 1."""
    rng = np.random.default_rng(0)
    mixed = rng.dirichlet(np.full(3, 0.3), 120)
    mixed[:, 1] += 0.5 * mixed[:, 0]
    mixed[:, 0] *= 0.5
    mixed[np.arange(0, 120, 3), 0] = 0
    mixed /= mixed.sum(axis=1, keepdims=True)
    signals = []
    for kind, shape in ((hs.signals.Signal1D, (40,)), (hs.signals.Signal2D, (6, 8))):
        factors = rng.uniform(0, 1, (3, int(np.prod(shape)))) ** 3 * 300 + 5
        signals.append(kind(rng.poisson(mixed @ factors).reshape(10, 12, *shape) * 1.0))
        for axis in signals[-1].axes_manager.signal_axes:
            axis.name, axis.units, axis.scale = "Energy", "eV", 0.5
    image = rng.poisson(mixed @ [900, 400, 100]).reshape(10, 12)
    signals.append(hs.signals.Signal2D(image * 1.0))
    rules = {"n_components": 3, "random_state": 0, "show_progressbar": False}
    return hf.fuse(signals, names=["curve", "pattern", "number"], **rules)


class TestFeasibleRange:
    @pytest.mark.parametrize("component", [0, 1, 2])
    def test_both_ends_of_every_modality(self, fused, component):
        figure = plotting.plot_feasible_range(fused, component)
        ends = fused.feasible_range(component)
        standing = ends["curve"].metadata.Feasible_range.standing
        assert figure.get_suptitle() == f"Component {component}: {standing}"
        assert len(figure.axes) == 5
        curve, *patterns, _, number = figure.axes
        curves = [line.get_ydata() for line in curve.get_lines()[:2]]
        np.testing.assert_array_equal(curves, ends["curve"].data)
        assert curve.get_xlabel() == "Energy (eV)"
        assert [text.get_text() for text in curve.get_legend().texts] == ["as found", "other end"]
        shown = [axes.images[0].get_array() for axes in patterns]
        np.testing.assert_array_equal(shown, ends["pattern"].data)
        assert all(axes.get_xlabel() == "Energy (eV)" for axes in patterns)
        assert [text.get_text() for text in number.get_yticklabels()] == ["as found", "other end"]

    def test_bands_are_two_standard_errors(self, fused):
        axes = plotting.plot_feasible_range(fused, 0, names=["curve"]).axes[0]
        signal = fused.feasible_range(0)["curve"]
        error = np.sqrt(signal.get_noise_variance().data)
        for band, curve, spread in zip(axes.collections[1:], signal.data, error, strict=True):
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.max() == pytest.approx((curve + 2 * spread).max())
            assert heights.min() == pytest.approx((curve - 2 * spread).min())

    def test_nothing_overlaps(self, fused):
        assert_nothing_overlaps(plotting.plot_feasible_range(fused, 0))

    def test_given_figure_and_method(self, fused):
        figure = plt.figure(layout="constrained")
        assert fused.plot_feasible_range(1, figure=figure, names=["number"]) is figure
        assert len(figure.axes) == 1

    def test_unknown_modality_or_component(self, fused):
        with pytest.raises(ValueError, match="names out of .*'curve'"):
            plotting.plot_feasible_range(fused, 0, names=["x"])
        with pytest.raises(ValueError, match="component from 0 to 2"):
            fused.plot_feasible_range(3)


@pytest.mark.parametrize(("shape", "wider"), [((50, 10), True), ((20, 30), False)])
def test_bars_below_narrow_images_have_room_for_their_numbers(shape, wider):
    figure, axes = plt.subplots()
    draw_colour_bar(axes.imshow(np.arange(np.prod(shape)).reshape(shape)), (0, -0.1, 1, 0.05))
    figure.canvas.draw()
    (bar,) = axes.child_axes
    image, drawn = axes.get_window_extent(), bar.get_window_extent()
    assert (drawn.width > 2 * image.width) == wider
    assert drawn.x0 + drawn.x1 == pytest.approx(image.x0 + image.x1)
    numbers = [t.get_window_extent() for t in bar.get_xticklabels() if t.get_text()]
    inside = [n for n in numbers if drawn.x0 - 1 <= (n.x0 + n.x1) / 2 <= drawn.x1 + 1]
    assert len(inside) >= 2
    assert all(a.x1 < b.x0 for a, b in zip(inside, inside[1:], strict=False))
