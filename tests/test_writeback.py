"""HyperSpy's own methods on signals that carry the results of a fusion.

The data are exact products of few factors, so every model must give them back.
"""

import contextlib
import json

import hyperspy.api as hs
import matplotlib
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
plt = pytest.importorskip("matplotlib.pyplot")

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
        loadings, factors = (u * s)[:, :k], vt[:k].T
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


def plot_options(kind, what="factors"):
    """Return what HyperSpy needs to plot a single number per component (see the module)."""
    if kind == "plain image":
        return {"loadings_navigator": "auto"}
    return {"factors_navigator": "auto"} if kind == "image" else {}


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
    options = plot_options(kind)
    signal.plot_decomposition_results(**options)
    signal.plot_bss_results(**options)
    signal.plot_scree_plot(vline=True)
    signal.plot_cumulative_scree_plot()
    assert f"n_components={p}" in signal.learning_results.summary()
    plt.close("all")


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("kind", KINDS)
class TestKinds:
    def test_hyperspy_methods_work(self, kind, lazy):
        signal, results, expected = make_case(kind, lazy=lazy)
        write_back(signal, **results)
        check_hyperspy_methods(signal, kind, expected)

    @pytest.mark.parametrize("extension", ["hspy", "zspy"])
    def test_they_work_after_saving_and_loading(self, kind, lazy, extension, tmp_path):
        signal, results, expected = make_case(kind, lazy=lazy)
        write_back(signal, **results)
        signal.save(tmp_path / f"signal.{extension}")
        for lazily in (False, True):
            loaded = hs.load(tmp_path / f"signal.{extension}", lazy=lazily)
            assert read_provenance(loaded) == PROVENANCE
            compute_results(loaded)
            check_hyperspy_methods(loaded, kind, expected)

    def test_masked_positions_and_channels_are_missing_from_the_models(self, kind, lazy):
        signal, results, expected = make_case(kind, lazy=lazy, masked=True)
        write_back(signal, **results)
        check_hyperspy_methods(signal, kind, expected)
        stored = signal.learning_results
        hidden = results["navigation_excluded"].reshape(SCAN)
        if kind == "plain image":
            assert stored.navigation_mask is None
            np.testing.assert_array_equal(stored.signal_mask, hidden)
        else:
            np.testing.assert_array_equal(stored.navigation_mask, hidden)
