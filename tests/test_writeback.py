"""HyperSpy's own methods on signals that carry the results of a fusion.

The data are exact products of few factors, so every model must give them back.
"""

import hyperspy.api as hs
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hyperfuse_hs.writeback import (
    build_results,
    compute_results,
    read_provenance,
    write_back,
    write_back_all,
)

matplotlib.use("Agg")

SCAN = (4, 5)
N = 20
SIGNAL_SHAPES = {
    "EELS": (6,),
    "EDS_TEM": (6,),
    "EDS_SEM": (6,),
    "ElectronDiffraction2D": (3, 4),
    "Signal1D": (6,),
    "Signal2D": (3, 4),
    "image": (),
    "plain image": (),
}
KINDS = list(SIGNAL_SHAPES)
PROVENANCE = {"names": ["EELS", "HAADF/DF4"], "seed": 3, "gain": 0.5, "roles": {"a/b": None}}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def make_signal(kind, data, lazy=False):
    """Return ``(nav..., sig...)`` data as a signal of one kind."""
    if kind in ("EELS", "EDS_TEM", "EDS_SEM"):
        pytest.importorskip("exspy")
        signal = hs.signals.Signal1D(data)
        signal.set_signal_type(kind)
    elif kind == "ElectronDiffraction2D":
        pyxem = pytest.importorskip("pyxem")
        signal = pyxem.signals.ElectronDiffraction2D(data)
    elif kind == "Signal1D":
        signal = hs.signals.Signal1D(data)
    elif kind == "image":
        signal = hs.signals.Signal2D(data).T if data.ndim == 2 else hs.signals.Signal1D(data).T
    else:
        signal = hs.signals.Signal2D(data)
    signal.metadata.General.title = kind
    return signal.as_lazy() if lazy else signal


def make_case(kind, k=4, p=3, lazy=False, scan=SCAN, masked=False, seed=0):
    """Return a signal, what to write to it, and its exact data as an array."""
    rng = np.random.default_rng(seed)
    shape, n = SIGNAL_SHAPES[kind], int(np.prod(scan))
    channels = int(np.prod(shape))
    abundances = rng.dirichlet(np.ones(p), size=n)
    components = rng.uniform(1, 10, (channels, p))
    unfolded = abundances @ components.T
    # Any basis of the space of the abundances gives the same data; it is padded by zeros to k.
    mixing = rng.uniform(0.5, 1, (min(k, p), p)) + np.eye(min(k, p), p)
    loadings, factors = np.zeros((n, k)), np.zeros((channels, k))
    if k >= p:
        loadings[:, :p], factors[:, :p] = abundances @ mixing.T, components @ np.linalg.inv(mixing)
    else:
        u, s, vt = np.linalg.svd(unfolded, full_matrices=False)
        r = min(k, len(s))
        loadings[:, :r], factors[:, :r] = (u * s)[:, :r], vt[:r].T
    hidden = np.zeros(n, dtype=bool)
    hidden_channels = np.zeros(channels, dtype=bool)
    if masked:
        hidden[[0, 7]] = True
        hidden_channels[channels // 2 :] = channels > 1
    results = {
        "loadings": loadings,
        "factors": factors,
        "bss_loadings": abundances,
        "bss_factors": components,
        "explained_variance": np.arange(k + 3, 0, -1.0),
        "number_significant_components": k,
        "algorithm": "coupled PCA",
        "bss_algorithm": "face mixture",
        "poissonian": True,
        "navigation_excluded": hidden if masked else None,
        "signal_excluded": hidden_channels if masked else None,
        "provenance": PROVENANCE,
    }
    signal = make_signal(kind, unfolded.reshape(scan + shape), lazy)
    expected = unfolded.copy()
    expected[hidden] = np.nan
    expected[:, hidden_channels] = np.nan
    return signal, results, expected.reshape(scan + shape)


def check_hyperspy_methods(signal, kind, expected, p=3, k=4):
    """Run HyperSpy's own methods on the learning results and compare with the data."""
    for model in (signal.get_decomposition_model(), signal.get_bss_model()):
        np.testing.assert_allclose(np.asarray(model.data), expected, rtol=1e-6)
        assert type(model) is type(signal)
    turned = kind == "plain image"
    shape = SIGNAL_SHAPES[kind]
    pairs = [
        (signal.get_bss_loadings(), signal.get_bss_factors(), p),
        (signal.get_decomposition_loadings(), signal.get_decomposition_factors(), k),
    ]
    for loadings, factors, count in pairs:
        maps, spectra = (factors, loadings) if turned else (loadings, factors)
        assert maps.data.shape == (count, *SCAN)
        assert spectra.data.shape == (count, *shape)
        assert type(factors) is type(signal)
    assert np.all(np.isfinite(signal.get_scree_plot_data().data))
    assert 0 <= int(signal.estimate_elbow_position()) < k + 3
    assert f"n_components={p}" in signal.learning_results.summary()


def check_hyperspy_plots(signal, kind, *methods):
    """Run HyperSpy's own plots, with what they need for a single number per component."""
    options = {}
    if kind == "plain image":
        options["loadings_navigator"] = "auto"
    elif kind == "image":
        options["factors_navigator"] = "auto"
        signal = signal.deepcopy()
        if signal._lazy:
            signal.compute()
    for method in methods:
        getattr(signal, method)(**options)
        assert plt.get_fignums()
        plt.close("all")


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("kind", KINDS)
class TestKinds:
    def test_hyperspy_methods_work(self, kind, lazy):
        signal, results, expected = make_case(kind, lazy=lazy)
        write_back(signal, **results)
        check_hyperspy_methods(signal, kind, expected)
        check_hyperspy_plots(signal, kind, "plot_bss_results", "plot_decomposition_results")
        signal.plot_scree_plot(vline=True)
        signal.plot_cumulative_scree_plot()

    @pytest.mark.parametrize("extension", ["hspy", "zspy"])
    def test_they_work_after_saving_and_loading(self, kind, lazy, extension, tmp_path):
        signal, results, expected = make_case(kind, lazy=lazy)
        write_back(signal, **results)
        signal.save(tmp_path / f"signal.{extension}")
        loaded = hs.load(tmp_path / f"signal.{extension}", lazy=lazy)
        assert read_provenance(loaded) == PROVENANCE
        compute_results(loaded)
        check_hyperspy_methods(loaded, kind, expected)
        # Of both formats the arrays are the same by now; the slow part once.
        if extension == "zspy":
            check_hyperspy_plots(loaded, kind, "plot_bss_results")

    def test_masked_positions_and_channels_are_missing_from_the_models(self, kind, lazy):
        signal, results, expected = make_case(kind, lazy=lazy, masked=True)
        write_back(signal, **results)
        check_hyperspy_methods(signal, kind, expected)
        check_hyperspy_plots(signal, kind, "plot_decomposition_results")
        stored = signal.learning_results
        hidden = results["navigation_excluded"].reshape(SCAN)
        if kind == "plain image":
            assert stored.navigation_mask is None
            np.testing.assert_array_equal(stored.signal_mask, hidden)
        else:
            np.testing.assert_array_equal(stored.navigation_mask, hidden)


class TestNumbersOfComponents:
    @pytest.mark.parametrize("kind", ["Signal1D", "Signal2D", "image", "plain image"])
    @pytest.mark.parametrize(("k", "p"), [(1, 1), (2, 3), (3, 3), (5, 2)])
    def test_any_number_of_components(self, kind, k, p):
        signal, results, expected = make_case(kind, k=k, p=p)
        write_back(signal, **results)
        np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)
        if k >= p:
            np.testing.assert_allclose(signal.get_decomposition_model().data, expected, rtol=1e-6)
        assert signal.learning_results.unmixing_matrix.shape == (p, k)
        # In one window HyperSpy cannot make the legend of a single curve.
        signal.plot_decomposition_factors(same_window=k > 1)
        if kind != "plain image":
            signal.plot_bss_loadings()
            assert signal.get_bss_loadings().data.size == p * N

    @pytest.mark.parametrize("scan", [(6,), (2, 3, 4)])
    @pytest.mark.parametrize("kind", ["Signal1D", "Signal2D"])
    def test_scans_of_one_and_three_dimensions(self, kind, scan):
        signal, results, expected = make_case(kind, scan=scan)
        write_back(signal, **results)
        np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)
        assert signal.get_bss_loadings().data.shape == (3, *scan)
        signal.plot_bss_results()

    def test_without_unmixing_there_are_no_bss_results(self):
        signal, results, expected = make_case("Signal1D")
        results.update(bss_loadings=None, bss_factors=None, bss_algorithm=None)
        write_back(signal, **results)
        np.testing.assert_allclose(signal.get_decomposition_model().data, expected, rtol=1e-6)
        assert "Demixing" not in signal.learning_results.summary()
        with pytest.raises(RuntimeError, match="No learning results"):
            signal.get_bss_factors()


class TestHyperSpyGoesOn:
    """HyperSpy's methods that change the results, or start from them."""

    @pytest.fixture
    def written(self):
        signal, results, expected = make_case("Signal1D", p=3, k=3)
        write_back(signal, **results)
        return signal, results, expected

    def test_reversing_a_component_keeps_the_model(self, written):
        signal, _, expected = written
        before = signal.learning_results.unmixing_matrix.copy()
        signal.reverse_bss_component(1)
        signal.reverse_decomposition_component(0)
        assert np.all(signal.get_bss_factors().data[1] < 0)
        np.testing.assert_array_equal(signal.learning_results.unmixing_matrix[1], -before[1])
        np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)
        np.testing.assert_allclose(signal.get_decomposition_model().data, expected, rtol=1e-6)

    def test_normalising_keeps_the_model(self, written):
        signal, _, expected = written
        signal.normalize_bss_components()
        signal.normalize_decomposition_components()
        np.testing.assert_allclose(signal.get_bss_factors().data.sum(axis=1), 1)
        np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)
        np.testing.assert_allclose(signal.get_decomposition_model().data, expected, rtol=1e-6)

    def test_normalising_with_excluded_channels_by_nansum(self):
        signal, results, expected = make_case("Signal1D", masked=True)
        write_back(signal, **results)
        signal.normalize_bss_components(function=np.nansum)
        np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)

    def test_crop(self, written):
        signal, _, _ = written
        signal.learning_results.crop_decomposition_dimension(2)
        assert signal.get_decomposition_factors().axes_manager.navigation_size == 2
        assert len(signal.learning_results.explained_variance) == 2

    def test_the_unmixing_matrix_leads_from_the_scores_to_the_abundances(self, written):
        signal, _, _ = written
        stored = signal.learning_results
        assert stored.on_loadings
        np.testing.assert_allclose(
            stored.loadings @ stored.unmixing_matrix.T, stored.bss_loadings, atol=1e-9
        )

    @pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if "image" not in kind])
    def test_blind_source_separation_and_clusters(self, kind, lazy):
        pytest.importorskip("sklearn")
        signal, results, expected = make_case(kind, k=3, lazy=lazy)
        write_back(signal, **results)
        assert read_provenance(signal) is not None
        signal.cluster_analysis("bss", n_clusters=3, n_init=1)
        assert signal.get_cluster_labels().data.shape == (3, *SCAN)
        signal.blind_source_separation(3, algorithm="orthomax", print_info=False)
        np.testing.assert_allclose(np.asarray(signal.get_bss_model().data), expected, rtol=1e-6)
        assert read_provenance(signal) is None

    def test_both_on_an_image(self):
        pytest.importorskip("sklearn")
        signal, results, expected = make_case("image", k=3)
        write_back(signal, **results)
        signal.cluster_analysis("bss", n_clusters=3, n_init=1)
        signal.blind_source_separation(
            3, algorithm="orthomax", on_loadings=True, diff_order=0, print_info=False
        )
        np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)

    def test_clusters_with_masked_positions(self):
        pytest.importorskip("sklearn")
        signal, results, _ = make_case("Signal1D", masked=True)
        write_back(signal, **results)
        mask = signal.learning_results.navigation_mask
        signal.cluster_analysis("bss", n_clusters=2, n_init=1, navigation_mask=mask)
        labels = signal.get_cluster_labels(merged=True).data
        np.testing.assert_array_equal(labels == -1, mask)

    def test_a_new_decomposition_ends_our_provenance(self, written):
        signal, _, _ = written
        signal.decomposition(output_dimension=2, print_info=False)
        assert read_provenance(signal) is None

    def test_saving_the_learning_results_alone(self, written, tmp_path):
        signal, _, expected = written
        signal.learning_results.save(tmp_path / "results.npz", overwrite=True)
        other = hs.signals.Signal1D(np.zeros_like(expected))
        other.learning_results.load(tmp_path / "results.npz")
        np.testing.assert_allclose(other.get_bss_model().data, expected, rtol=1e-6)
        assert read_provenance(other) == PROVENANCE


class TestNothingStale:
    def test_old_mixtures_and_clusters_are_gone(self):
        pytest.importorskip("sklearn")
        signal, results, _ = make_case("Signal1D")
        signal.decomposition(output_dimension=3, print_info=False)
        signal.blind_source_separation(3, algorithm="orthomax", print_info=False)
        signal.cluster_analysis("bss", n_clusters=2, n_init=1)
        signal.learning_results._object = object()
        results.update(bss_loadings=None, bss_factors=None, bss_algorithm=None)
        write_back(signal, **results)
        stored = vars(signal.learning_results)
        assert not [name for name in stored if name.startswith(("cluster", "_object"))]
        for name in ("bss_factors", "bss_loadings", "bss_algorithm", "unmixing_matrix"):
            assert getattr(signal.learning_results, name) is None
        assert signal.learning_results.navigation_mask is None

    def test_arrays_are_own_writeable_copies_of_floats(self):
        signal, results, _ = make_case("Signal1D")
        given = {name: value for name, value in results.items() if isinstance(value, np.ndarray)}
        for value in given.values():
            value.flags.writeable = False
        write_back(signal, **results)
        stored = signal.learning_results
        for name, value in given.items():
            own = getattr(stored, name)
            assert own.flags.writeable and own.flags.owndata
            assert own.dtype == np.float64
            assert not np.shares_memory(own, value)

    def test_the_data_is_not_touched(self):
        signal, results, expected = make_case("Signal2D", masked=True)
        before = signal.deepcopy()
        write_back(signal, **results)
        np.testing.assert_array_equal(signal.data, before.data)
        assert signal.metadata.as_dictionary() == before.metadata.as_dictionary()


class TestAllOrNone:
    def test_an_error_in_one_leaves_all_signals_as_they_were(self):
        first, first_results, _ = make_case("Signal1D")
        second, second_results, _ = make_case("Signal2D")
        first.decomposition(output_dimension=2, print_info=False)
        old = first.learning_results
        factors = old.factors.copy()
        second_results["bss_factors"] = second_results["bss_factors"][:-1]
        with pytest.raises(ValueError, match="bss_factors of Signal2D"):
            write_back_all([(first, first_results), (second, second_results)])
        assert first.learning_results is old
        np.testing.assert_array_equal(old.factors, factors)
        assert second.learning_results.factors is None

    def test_several_signals(self):
        cases = [make_case(kind) for kind in ("Signal1D", "Signal2D", "plain image")]
        write_back_all((signal, results) for signal, results, _ in cases)
        for signal, _, expected in cases:
            np.testing.assert_allclose(signal.get_bss_model().data, expected, rtol=1e-6)

    def test_the_same_signal_twice(self):
        signal, results, _ = make_case("Signal1D")
        with pytest.raises(ValueError, match="each signal once"):
            write_back_all([(signal, results), (signal, results)])
        assert signal.learning_results.factors is None


class TestWrongInput:
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("loadings", np.ones((19, 4)), r"loadings of Signal1D must have shape \(20, any\)"),
            ("factors", np.ones((6, 3)), r"factors of Signal1D must have shape \(6, 4\)"),
            ("bss_factors", np.ones((6, 2)), r"bss_factors of Signal1D .* \(6, 3\)"),
            ("bss_loadings", np.full((20, 3), np.nan), r"finite outside the mask.* 20 of its rows"),
            ("explained_variance", [1.0], r"at least 4 numbers"),
            ("explained_variance", [3, 2, 1, -1], r"none below zero"),
            ("navigation_excluded", np.zeros((4, 5), bool), r"must have shape \(20,\)"),
            ("signal_excluded", np.zeros(5, bool), r"must have shape \(6,\)"),
        ],
    )
    def test_value(self, name, value, message):
        signal, results, _ = make_case("Signal1D")
        results[name] = value
        with pytest.raises(ValueError, match=message):
            build_results(signal, **results)

    def test_one_of_the_unmixed_arrays_is_missing(self):
        signal, results, _ = make_case("Signal1D")
        results["bss_factors"] = None
        with pytest.raises(TypeError, match="both, or None for both"):
            build_results(signal, **results)

    def test_provenance_of_arrays(self):
        signal, results, _ = make_case("Signal1D")
        results["provenance"] = {"weights": np.ones(3)}
        with pytest.raises(TypeError, match="plain values"):
            build_results(signal, **results)


class TestLazyResults:
    @pytest.fixture
    def loaded(self, tmp_path):
        signal, results, _ = make_case("Signal1D")
        write_back(signal, **results)
        signal.save(tmp_path / "signal.hspy")
        return hs.load(tmp_path / "signal.hspy", lazy=True)

    def test_computed_results_are_writeable_and_the_data_stay_lazy(self, loaded):
        compute_results(loaded)
        stored = loaded.learning_results
        for name in ("factors", "loadings", "bss_factors", "bss_loadings", "unmixing_matrix"):
            assert isinstance(getattr(stored, name), np.ndarray)
            assert getattr(stored, name).flags.writeable
        assert loaded._lazy
        loaded.normalize_bss_components()
        np.testing.assert_allclose(stored.bss_factors.sum(axis=0), 1)

    def test_models_and_scree_need_no_computing(self, loaded):
        data = loaded.data.compute()
        np.testing.assert_allclose(loaded.get_bss_model().data.compute(), data, rtol=1e-6)
        np.testing.assert_allclose(loaded.get_decomposition_model().data.compute(), data, rtol=1e-6)
        loaded.plot_scree_plot()

    def test_numpy_results_are_left_alone(self):
        signal, results, _ = make_case("Signal1D")
        write_back(signal, **results)
        factors = signal.learning_results.factors
        compute_results(signal)
        assert signal.learning_results.factors is factors

    @pytest.mark.xfail(raises=TypeError, reason="HyperSpy does not plot dask learning results")
    def test_limit_plots_of_lazily_loaded_results(self, loaded):
        loaded.plot_bss_results()


class TestLimits:
    """Each fails by itself when HyperSpy lifts the limit; then say so in the module."""

    @pytest.mark.xfail(raises=AttributeError, reason="HyperSpy has no plot for a single number")
    @pytest.mark.parametrize("kind", ["image", "plain image"])
    def test_limit_default_plot(self, kind):
        signal, results, _ = make_case(kind)
        write_back(signal, **results)
        signal.plot_bss_results()

    @pytest.mark.xfail(raises=IndexError, reason="HyperSpy does not plot lazy single numbers")
    def test_limit_lazy_image(self):
        signal, results, _ = make_case("image", lazy=True)
        write_back(signal, **results)
        signal.plot_bss_results(factors_navigator="auto")

    @pytest.mark.xfail(raises=ValueError, reason="HyperSpy's shape of one number is () or (1,)")
    def test_limit_one_component_without_navigation_axes(self):
        signal, results, _ = make_case("plain image", k=1, p=1)
        write_back(signal, **results)
        signal.get_bss_loadings()

    @pytest.mark.xfail(raises=ValueError, reason="HyperSpy asks for a legend of 0 columns")
    def test_limit_one_curve(self):
        signal, results, _ = make_case("Signal1D", k=1, p=1)
        write_back(signal, **results)
        signal.plot_bss_factors()

    @pytest.mark.xfail(raises=ValueError, reason="HyperSpy's elbow needs two values")
    def test_limit_elbow_of_one_value(self):
        signal, results, _ = make_case("Signal1D", k=1, p=1)
        results["explained_variance"] = [1.0]
        write_back(signal, **results)
        signal.estimate_elbow_position()
