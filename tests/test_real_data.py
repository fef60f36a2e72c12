"""Real files, from reading to saving, in memory and lazily.

The files are not part of the project; what is absent is skipped (see ``real_data`` in conftest).
"""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs as hf

SUPERX = ("superx_eds_haadf", "fei_SI_SuperX-HAADF_20frames_10x50.emd")
TIA = ("tia_diffraction_eds", "16x16-diffraction_imagel_5x5x256x256_EDS.emi")
BRUKER = ("bruker_sem_eds_bse", "30x30_instructively_packed_16bit_compressed.bcf")
MINERALS = ("espm_particles", "88_ES-LP_G8_selection2_cropped2.hspy")
SIMULATED = ("espm_particles", "espm_particles_N500_seed91.npz")
SIMULATED_TRUTH = ("espm_particles", "espm_particles_ground_truth.npz")

LAZY = pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])


def read(path, **options):
    """Load a file; what readers and HyperSpy say about old files is not tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hs.load(path, **options)


@pytest.fixture
def superx(real_data):
    """EDX above the zero peak and HAADF, frames summed by the reader."""
    pytest.importorskip("exspy")
    pytest.importorskip("sparse")
    path = real_data(*SUPERX)

    def load(lazy=False):
        haadf, eds = read(path)
        eds = eds.isig[0.3:]
        return (eds.as_lazy(), haadf.as_lazy()) if lazy else (eds, haadf)

    return load


def check_fusion(h, signals):
    """What holds for any fusion, by whichever way its parts are reached."""
    abundances = h.data
    assert np.isfinite(abundances).all()
    assert abundances.min() >= 0
    np.testing.assert_allclose(abundances.sum(axis=-1), 1, atol=1e-6)
    for name, signal in zip(h.modalities, signals, strict=True):
        factors = h.get_factors(name)
        assert np.isfinite(factors.data).all()
        assert factors.data.min() >= 0
        assert factors.metadata.Signal.signal_type == signal.metadata.Signal.signal_type
        # Least squares with abundances that sum to one keep most of the intensity.
        total = float(np.asarray(signal.data.sum(dtype=float)))
        assert float(h.get_model(name).data.sum()) == pytest.approx(total, rel=0.02)


def check_native(h, name, signal):
    """HyperSpy's own methods on the native signal agree with the fusion."""
    model = h.get_model(name).data.compute()
    native = np.asarray(signal.get_bss_model().data)
    np.testing.assert_allclose(native, model, rtol=1e-3, atol=1e-4 * model.max())
    maps, spectra = signal.get_bss_loadings().data, signal.get_bss_factors().data
    if not signal.axes_manager.navigation_dimension:
        # To HyperSpy, the scan is the signal space of an image without navigation axes.
        maps, spectra = spectra, maps
    assert maps.shape == (h.data.shape[-1], *h.data.shape[:-1])
    found = h.get_factors(name).data
    np.testing.assert_allclose(np.ravel(spectra), found.ravel(), rtol=1e-5)
    assert np.isfinite(np.asarray(signal.get_decomposition_model().data)).all()


def assert_same(one, other):
    """Two fusions of the same data, read in different ways."""
    np.testing.assert_allclose(one.data, other.data, atol=2e-3)
    for name in one.modalities:
        a, b = one.get_factors(name).data, other.get_factors(name).data
        np.testing.assert_allclose(a, b, atol=2e-3 * np.abs(a).max())


@LAZY
def test_edx_and_haadf_fuse(superx, lazy):
    eds, haadf = superx(lazy)
    h = eds.fuse(haadf, n_components=3, random_state=0, show_progressbar=False)
    assert h.modalities == ["EDS", "HAADF"]
    assert h.data.shape == (50, 10, 3)
    check_fusion(h, (eds, haadf))
    check_native(h, "EDS", eds)
    check_native(h, "HAADF", haadf)


def test_edx_and_haadf_give_the_same_eager_and_lazy(superx):
    options = {"n_components": 3, "random_state": 0, "show_progressbar": False}
    eager, lazy = superx(), superx(lazy=True)
    assert_same(eager[0].fuse(eager[1], **options), lazy[0].fuse(lazy[1], **options))


def test_haadf_may_be_given_plain_or_transposed(superx):
    options = {"n_components": 3, "random_state": 0, "show_progressbar": False}
    eds, haadf = superx()
    plain = eds.fuse(haadf, **options)
    turned = eds.fuse(haadf.transpose(signal_axes=0), **options)
    assert_same(plain, turned)


def test_frames_are_left_out_of_the_scan_by_summing(superx, real_data):
    """A stack of frames has another scan than the image; the message says so."""
    haadf, stack = read(real_data(*SUPERX), sum_frames=False, load_SI_image_stack=True)
    assert stack.axes_manager.navigation_shape == (10, 50, 20)
    haadf = haadf.sum("Time")
    with pytest.raises(ValueError, match=r"\(10, 50, 20\).*\(10, 50\)"):
        stack.fuse(haadf)


def test_edx_finds_the_layers_of_the_alloy(superx):
    """Components of the Cr/Fe/Ni alloy differ in their K lines, and follow the layers."""
    eds, _ = superx()
    h = eds.fuse(n_components=2, random_state=0, show_progressbar=False)
    spectra = h.get_factors("EDS")
    windows = [spectra.isig[line - 0.1 : line + 0.1] for line in (5.415, 6.404, 7.478)]
    heights = np.stack([window.data.sum(axis=-1) for window in windows], axis=-1)
    fractions = heights / heights.sum(axis=-1, keepdims=True)
    assert np.abs(fractions[0] - fractions[1]).max() > 0.1
    profile = h.data[..., 0].mean(axis=1)
    assert profile.std() > np.abs(h.data[..., 0] - profile[:, None]).mean()


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_edx_and_haadf_save_and_load(superx, tmp_path, extension):
    eds, haadf = superx()
    h = eds.fuse(haadf, n_components=3, random_state=0, show_progressbar=False)
    h.save(tmp_path / f"fused.{extension}")
    eds.save(tmp_path / f"eds.{extension}")
    again = hs.load(tmp_path / f"fused.{extension}")
    assert_same(h, again)
    native = hs.load(tmp_path / f"eds.{extension}")
    np.testing.assert_allclose(native.get_bss_factors().data, h.get_factors("EDS").data, rtol=1e-6)


def test_native_methods_plot_the_fusion(superx):
    eds, haadf = superx()
    # HyperSpy does not plot loadings of signals without navigation axes, so the image gets them.
    haadf = haadf.transpose(signal_axes=0)
    h = eds.fuse(haadf, n_components=3, random_state=0, show_progressbar=False)
    for signal in (eds, haadf):
        signal.plot_bss_factors()
        signal.plot_bss_loadings()
        signal.plot_scree_plot()
    h.plot_components()


@pytest.fixture
def tia(real_data):
    """EDX with 23 counts in all, and diffraction, on a scan of 5 x 5."""
    path = real_data(*TIA)
    return lambda lazy=False: read(path, lazy=lazy)


@LAZY
@pytest.mark.parametrize("n_components", [1, 2])
def test_diffraction_and_very_few_counts_of_edx_run_through(tia, lazy, n_components):
    eds, diffraction = tia(lazy)
    assert float(np.asarray(eds.data.sum())) == 23
    h = diffraction.fuse(
        eds,
        n_components=n_components,
        names=["Diffraction", "EDS"],
        random_state=0,
        show_progressbar=False,
    )
    assert h.data.shape == (5, 5, n_components)
    np.testing.assert_allclose(h.data.sum(axis=-1), 1, atol=1e-6)
    assert h.get_factors("Diffraction").data.shape == (n_components, 256, 256)
    assert h.get_factors("EDS").data.shape == (n_components, 4000)
    for name in h.modalities:
        assert np.isfinite(h.get_factors(name).data).all()
    assert np.isfinite(h.get_model("Diffraction").data.compute()).all()


def test_diffraction_and_edx_give_the_same_eager_and_lazy(tia):
    options = {"n_components": 2, "random_state": 0, "show_progressbar": False}
    names = ["Diffraction", "EDS"]
    (eds, diffraction), (lazy_eds, lazy_diffraction) = tia(), tia(lazy=True)
    one = diffraction.fuse(eds, names=names, **options)
    other = lazy_diffraction.fuse(lazy_eds, names=names, **options)
    assert_same(one, other)


@pytest.fixture
def minerals(real_data):
    pytest.importorskip("exspy")
    path = real_data(*MINERALS)
    return lambda lazy=False: read(path, lazy=lazy)


@pytest.mark.slow
@LAZY
def test_minerals_alone(minerals, lazy):
    signal = minerals(lazy)
    h = signal.fuse(n_components=3, random_state=0, show_progressbar=False)
    assert h.modalities == ["EDS"]
    check_fusion(h, (signal,))
    assert h.get_residual("EDS").data.mean() == pytest.approx(1, abs=0.2)
    if not lazy:
        check_native(h, "EDS", signal)


@pytest.mark.slow
def test_minerals_give_the_same_eager_and_lazy(minerals):
    options = {"n_components": 3, "random_state": 0, "show_progressbar": False}
    assert_same(minerals().fuse(**options), minerals(lazy=True).fuse(**options))


@pytest.mark.slow
def test_particles_agree_with_the_truth_they_were_made_from(real_data):
    """Simulated counts: the matrix and two kinds of particles, from espm's generator."""
    cube = np.load(real_data(*SIMULATED))["cube"]
    truth = np.load(real_data(*SIMULATED_TRUTH))
    phases, weights = truth["phases"], truth["weights"]
    signal = hs.signals.Signal1D(cube)
    signal.metadata.General.title = "cube"
    h = signal.fuse(n_components=3, random_state=0, show_progressbar=False)
    factors = h.get_factors("cube").data
    order = hf.metrics.match_components(factors, phases)
    angles = hf.metrics.spectral_angle(factors[order], phases)
    assert angles.max() < 15
    difference = h.data[..., order] - weights
    assert np.sqrt(np.mean(difference**2)) < 0.1


@pytest.mark.slow
@LAZY
def test_sem_edx_and_bse(real_data, lazy):
    pytest.importorskip("exspy")
    bse, eds = read(real_data(*BRUKER), lazy=lazy)
    h = eds.fuse(bse, n_components=3, random_state=0, show_progressbar=False)
    assert h.modalities == ["EDS", bse.metadata.General.title]
    check_fusion(h, (eds, bse))
    check_native(h, "EDS", eds)
