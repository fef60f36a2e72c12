"""The matching signal classes: reached, kept, and as good as the native class they extend."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import hyperspy.api as hs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

NAVIGATION_SHAPE = (4, 6)


@dataclass(frozen=True)
class Kind:
    """One of our signal classes and the native signal it extends."""

    name: str
    signal_type: str
    native_type: str
    native_package: str
    make: Callable[[], hs.signals.BaseSignal]

    @property
    def is_image(self) -> bool:
        return self.name.endswith("2D")

    def native(self, lazy: bool = False) -> hs.signals.BaseSignal:
        if self.native_package != "hyperspy":
            pytest.importorskip(self.native_package)
        signal = self.make()
        signal.metadata.General.title = "scan"
        for axis, label in zip(signal.axes_manager.navigation_axes, "xy", strict=True):
            axis.name, axis.units, axis.scale = label, "nm", 0.5
        return signal.as_lazy() if lazy else signal

    def ours(self, lazy: bool = False) -> hs.signals.BaseSignal:
        signal = self.native(lazy)
        signal.set_signal_type(self.signal_type)
        return signal


def make_spectra() -> hs.signals.BaseSignal:
    rng = np.random.default_rng(1)
    return hs.signals.Signal1D(rng.poisson(20, (*NAVIGATION_SHAPE, 64)).astype(np.float32))


def make_images() -> hs.signals.BaseSignal:
    rng = np.random.default_rng(2)
    return hs.signals.Signal2D(rng.poisson(20, (*NAVIGATION_SHAPE, 12, 16)).astype(np.uint16))


def make_eels() -> hs.signals.BaseSignal:
    rng = np.random.default_rng(3)
    energy = 400 + 2.0 * np.arange(120)
    edge = np.where(energy > 532, 80.0, 0.0) + 1e9 * energy**-2.5
    signal = hs.signals.Signal1D(rng.poisson(edge, (*NAVIGATION_SHAPE, 120)).astype(float))
    axis = signal.axes_manager.signal_axes[0]
    axis.name, axis.units, axis.scale, axis.offset = "Energy loss", "eV", 2.0, 400.0
    signal.set_signal_type("EELS")
    signal.set_microscope_parameters(
        beam_energy=200, convergence_angle=10, collection_angle=20, toolkit="none", display=False
    )
    signal.add_elements(["O"])
    return signal


def make_eds(native_type: str) -> hs.signals.BaseSignal:
    rng = np.random.default_rng(4)
    energy = 0.05 * np.arange(240)
    lines = sum(
        height * np.exp(-(((energy - centre) / 0.08) ** 2))
        for height, centre in [(40, 6.404), (9, 7.058), (25, 9.442), (8, 2.05)]
    )
    signal = hs.signals.Signal1D(rng.poisson(lines + 1.0, (*NAVIGATION_SHAPE, 240)).astype(float))
    axis = signal.axes_manager.signal_axes[0]
    axis.name, axis.units, axis.scale = "Energy", "keV", 0.05
    signal.set_signal_type(native_type)
    signal.set_microscope_parameters(
        beam_energy=200 if native_type == "EDS_TEM" else 20,
        tilt_stage=7.0,
        azimuth_angle=30.0,
        elevation_angle=22.0,
        # Not eXSpy's default, so that a width taken from the wrong place would show.
        energy_resolution_MnKa=151.0,
    )
    signal.add_elements(["Fe", "Pt"])
    signal.add_lines(["Fe_Ka", "Pt_La"])
    return signal


def make_diffraction(native_type: str) -> hs.signals.BaseSignal:
    rng = np.random.default_rng(5)
    ky, kx = np.mgrid[-16:16, -16:16]
    pattern = 200.0 * (np.hypot(ky - 1, kx + 2) < 4) + 20.0 * (np.hypot(ky, kx - 11) < 2) + 0.5
    signal = hs.signals.Signal2D(rng.poisson(pattern, (*NAVIGATION_SHAPE, 32, 32)))
    signal.set_signal_type(native_type)
    signal.calibration(scale=0.05, units="k_A^-1", center=None)
    return signal


KINDS = [
    Kind("HypermodalSignal1D", "hypermodal_1D", "", "hyperspy", make_spectra),
    Kind("HypermodalSignal2D", "hypermodal_2D", "", "hyperspy", make_images),
    Kind("HypermodalEELSSpectrum", "hypermodal_EELS", "EELS", "exspy", make_eels),
    *(
        Kind(
            f"Hypermodal{native_type.replace('_', '')}Spectrum",
            f"hypermodal_{native_type}",
            native_type,
            "exspy",
            lambda native_type=native_type: make_eds(native_type),
        )
        for native_type in ("EDS_TEM", "EDS_SEM")
    ),
    *(
        Kind(
            name,
            f"hypermodal_{native_type}",
            native_type,
            "pyxem",
            lambda native_type=native_type: make_diffraction(native_type),
        )
        for name, native_type in [
            ("HypermodalDiffraction2D", "diffraction"),
            ("HypermodalElectronDiffraction2D", "electron_diffraction"),
        ]
    ),
]
EELS = [kind for kind in KINDS if kind.native_type == "EELS"]
EDS = [kind for kind in KINDS if kind.native_type.startswith("EDS")]
DIFFRACTION = [kind for kind in KINDS if kind.native_package == "pyxem"]

all_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
eager_and_lazy = pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])


def check_class(signal, kind: Kind, lazy: bool) -> None:
    assert type(signal).__name__ == ("Lazy" if lazy else "") + kind.name
    assert type(signal).__module__.startswith("hyperfuse_hs.signals.")
    assert signal._lazy is lazy
    assert signal.metadata.Signal.signal_type == kind.signal_type


def values(result) -> np.ndarray:
    """Return numbers to compare from a signal, a lazy signal or an array."""
    data = getattr(result, "data", result)
    return np.asarray(data.compute() if hasattr(data, "compute") else data)


def metadata_without_type(signal) -> dict:
    metadata = signal.metadata.as_dictionary()
    metadata["Signal"].pop("signal_type")
    metadata["General"].pop("FileIO", None)
    return metadata


@all_kinds
@eager_and_lazy
def test_set_signal_type_reaches_the_class_and_the_native_type_leads_back(kind, lazy):
    native = kind.native(lazy)
    signal = kind.ours(lazy)
    check_class(signal, kind, lazy)
    assert isinstance(signal, type(native))
    assert_array_equal(values(signal), values(native))
    assert metadata_without_type(signal) == metadata_without_type(native)
    signal.set_signal_type(kind.native_type)
    assert type(signal) is type(native)
    assert signal.metadata.as_dictionary() == native.metadata.as_dictionary()


@all_kinds
def test_created_directly_the_class_sets_its_signal_type(kind):
    signal = kind.ours()
    created = type(signal)(np.ones((2, 3, 8, 8)))
    check_class(created, kind, lazy=False)
    check_class(created.as_lazy(), kind, lazy=True)


@all_kinds
@eager_and_lazy
@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_load_with_signal_type_reaches_the_class(kind, lazy, extension, tmp_path):
    native = kind.native()
    path = tmp_path / f"native.{extension}"
    native.save(path)
    loaded = hs.load(path, signal_type=kind.signal_type, lazy=lazy)
    check_class(loaded, kind, lazy)
    assert_array_equal(values(loaded), native.data)
    assert metadata_without_type(loaded) == metadata_without_type(native)
    close(loaded)


@all_kinds
@eager_and_lazy
@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_save_and_load_keep_class_data_axes_and_metadata(kind, lazy, extension, tmp_path):
    signal = kind.ours(lazy)
    path = tmp_path / f"ours.{extension}"
    signal.save(path)
    for lazy_again in (False, True):
        loaded = hs.load(path, lazy=lazy_again)
        check_class(loaded, kind, lazy_again)
        assert_array_equal(values(loaded), values(signal))
        assert metadata_without_type(loaded) == metadata_without_type(signal)
        assert loaded.axes_manager.as_dictionary() == signal.axes_manager.as_dictionary()
        close(loaded)


def close(signal) -> None:
    """Release the file of a lazily loaded signal, as leaving it open is a warning."""
    if signal._lazy and hasattr(signal.tmp_parameters, "filename"):
        signal.close_file()


OPERATIONS = {
    "add a number": lambda s: s + 1,
    "subtract a signal": lambda s: s * 2.5 - s,
    "square root": lambda s: s**0.5,
    "one line of the scan": lambda s: s.inav[:, 1],
    "one position of the scan": lambda s: s.inav[1, 2],
    "part of the scan, in units": lambda s: s.inav[1.0:2.5, ::2],
    "part of the channels": lambda s: s.isig[*[slice(2, 9)] * s.axes_manager.signal_dimension],
    "deepcopy": lambda s: s.deepcopy(),
    "change of dtype": lambda s: s.change_dtype("float32") or s,
    "rebin the scan": lambda s: s.rebin(scale=(2, 2, *[1] * s.axes_manager.signal_dimension)),
    "rebin the channels": lambda s: s.rebin(scale=(1, 1, *[2] * s.axes_manager.signal_dimension)),
    "sum over the scan": lambda s: s.sum(),
    "mean over one axis": lambda s: s.mean("y"),
    "swap the scan axes": lambda s: s.swap_axes(0, 1),
    "transpose there and back": lambda s: s.T.T,
    "stack": lambda s: hs.stack([s, s]),
    "unfold and fold": lambda s: (s.unfold_navigation_space(), s.fold(), s)[-1],
    "map": lambda s: s.map(np.negative, inplace=False, show_progressbar=False),
}


@all_kinds
@eager_and_lazy
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_keep_the_class_and_give_the_native_result(kind, lazy, operation):
    signal, native = kind.ours(lazy), kind.native(lazy)
    result = OPERATIONS[operation](signal)
    expected = OPERATIONS[operation](native)
    check_class(result, kind, expected._lazy)
    assert_array_equal(values(result), values(expected))
    assert result.axes_manager.as_dictionary() == expected.axes_manager.as_dictionary()
    assert metadata_without_type(result) == metadata_without_type(expected)


@all_kinds
def test_as_lazy_and_compute_go_back_and_forth(kind):
    signal = kind.ours()
    lazy = signal.as_lazy()
    check_class(lazy, kind, lazy=True)
    lazy.compute(show_progressbar=False)
    check_class(lazy, kind, lazy=False)
    assert_array_equal(lazy.data, signal.data)


@all_kinds
def test_one_position_of_a_lazy_signal_is_of_the_eager_class(kind):
    position = kind.ours(lazy=True).get_current_signal()
    check_class(position, kind, lazy=False)


# Each class is asked for as if it were the first: the package is not imported, nothing is bound.
FRESH_PROCESS = """
import sys
import warnings
warnings.simplefilter("ignore")
import hyperspy.api as hs
for signal_type, path in zip(sys.argv[1::2], sys.argv[2::2]):
    for name in [name for name in sys.modules if name.split(".")[0] == "hyperfuse_hs"]:
        del sys.modules[name]
    if "fuse" in vars(hs.signals.BaseSignal):
        del hs.signals.BaseSignal.fuse
    signal = hs.load(path)
    assert not any(name.split(".")[0] == "hyperfuse_hs" for name in sys.modules)
    assert not hasattr(signal, "fuse")
    signal.set_signal_type(signal_type)
    assert callable(signal.fuse) and callable(signal.as_lazy().fuse)
    print(type(signal).__name__)
"""


def test_fuse_is_there_without_importing_the_package(tmp_path):
    kinds = [k for k in KINDS if k.native_package == "hyperspy" or find_spec(k.native_package)]
    arguments = []
    for is_image, signal in [(False, hs.signals.Signal1D), (True, hs.signals.Signal2D)]:
        signal(np.ones((2, 3, 8, 8))).save(tmp_path / f"{is_image}.hspy")
    for kind in kinds:
        arguments += [kind.signal_type, str(tmp_path / f"{kind.is_image}.hspy")]
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [kind.name for kind in kinds]


def both(kind: Kind, lazy: bool, name: str, /, *args, **options):
    """Return what a method gives on our class and on the native class."""
    ours, native = kind.ours(lazy), kind.native(lazy)
    before = values(ours).copy()
    results = getattr(ours, name)(*args, **options), getattr(native, name)(*args, **options)
    assert_array_equal(values(ours), before)
    assert ours.metadata.Signal.signal_type == kind.signal_type
    return results


@pytest.mark.parametrize("kind", EELS, ids=lambda kind: kind.name)
@eager_and_lazy
class TestEELS:
    def test_remove_background(self, kind, lazy):
        ours, native = both(
            kind,
            lazy,
            "remove_background",
            signal_range=(410.0, 520.0),
            background_type="PowerLaw",
            fast=True,
            show_progressbar=False,
        )
        check_class(ours, kind, native._lazy)
        assert_array_equal(values(ours), values(native))
        assert abs(values(ours)[..., :60].mean()) < 5 < values(ours)[..., 80:].mean()

    def test_create_model(self, kind, lazy):
        ours, native = both(kind, lazy, "create_model", auto_add_edges=False)
        assert type(ours) is type(native)
        assert [component.name for component in ours] == [component.name for component in native]
        for model in (ours, native):
            model[0].estimate_parameters(model.signal, 410.0, 520.0, only_current=True)
        assert ours[0].A.value == native[0].A.value > 0
        assert_allclose(ours[0].r.value, 2.5, atol=0.5)

    def test_elements_and_microscope(self, kind, lazy):
        ours = kind.ours(lazy)
        assert ours.metadata.Sample.elements == ["O"]
        assert ours.metadata.Acquisition_instrument.TEM.beam_energy == 200


@pytest.mark.parametrize("kind", EDS, ids=lambda kind: kind.name)
@eager_and_lazy
class TestEDS:
    def test_get_lines_intensity(self, kind, lazy):
        ours, native = both(kind, lazy, "get_lines_intensity")
        assert [signal.metadata.Sample.xray_lines for signal in ours] == [["Fe_Ka"], ["Pt_La"]]
        for one, other in zip(ours, native, strict=True):
            assert_array_equal(values(one), values(other))
            assert type(one) is type(other)
        assert values(ours[0]).mean() > values(ours[1]).mean() > 0

    def test_get_lines_intensity_without_background(self, kind, lazy):
        windows = both(kind, lazy, "estimate_background_windows", line_width=[3.0, 3.0])
        assert_array_equal(*windows)
        ours, native = both(kind, lazy, "get_lines_intensity", background_windows=windows[0])
        for one, other in zip(ours, native, strict=True):
            assert_allclose(values(one), values(other))

    def test_estimate_integration_windows(self, kind, lazy):
        ours, native = both(kind, lazy, "estimate_integration_windows")
        assert_array_equal(ours, native)
        # The window is twice the width of the line at 151 eV at Mn Ka, wider at Pt La.
        assert_allclose(ours[0][1] - ours[0][0], 2 * 0.154, atol=0.003)

    def test_get_take_off_angle(self, kind, lazy):
        ours, native = both(kind, lazy, "get_take_off_angle")
        assert ours == native
        assert 22.0 < ours < 30.0

    def test_line_energy_and_width(self, kind, lazy):
        assert_array_equal(*both(kind, lazy, "_get_line_energy", "Fe_Ka", FWHM_MnKa="auto"))
        assert_array_equal(*both(kind, lazy, "_get_line_energy", "Fe_Ka", FWHM_MnKa=130.0))
        assert_array_equal(*both(kind, lazy, "_get_line_energy", "Fe_Ka"))

    def test_remove_background(self, kind, lazy):
        ours, native = both(
            kind,
            lazy,
            "remove_background",
            signal_range=(3.0, 5.5),
            background_type="Offset",
            fast=True,
            show_progressbar=False,
        )
        check_class(ours, kind, native._lazy)
        assert_array_equal(values(ours), values(native))

    def test_create_model(self, kind, lazy):
        ours, native = both(kind, lazy, "create_model")
        assert type(ours) is type(native)
        assert [component.name for component in ours] == [component.name for component in native]
        for model in (ours, native):
            model.fit()
        assert_allclose(ours["Fe_Ka"].A.value, native["Fe_Ka"].A.value, rtol=1e-6)
        assert ours["Fe_Ka"].A.value > 0

    def test_missing_parameter_is_told_by_exspy(self, kind, lazy):
        signal = kind.ours(lazy)
        stage = signal.metadata.Acquisition_instrument.get_item(kind.native_type[-3:]).Stage
        del stage.tilt_alpha
        with pytest.raises(ValueError, match="tilt_alpha"):
            signal.get_take_off_angle()


@pytest.mark.parametrize("kind", DIFFRACTION, ids=lambda kind: kind.name)
@eager_and_lazy
class TestDiffraction:
    def test_calibration(self, kind, lazy):
        ours, native = kind.ours(lazy), kind.native(lazy)
        for signal in (ours, native):
            signal.calibration.center = (14, 17)
            signal.calibration.scale = 0.025
        assert type(ours.calibration) is type(native.calibration)
        assert ours.calibration.signal is ours
        assert_array_equal(ours.calibration.center, native.calibration.center)
        assert ours.axes_manager.as_dictionary() == native.axes_manager.as_dictionary()

    def test_get_azimuthal_integral2d(self, kind, lazy):
        ours, native = both(kind, lazy, "get_azimuthal_integral2d", npt=12, npt_azim=18)
        assert type(ours) is type(native)
        assert_array_equal(values(ours), values(native))
        assert np.ptp(values(ours)) > 0

    def test_get_direct_beam_position(self, kind, lazy):
        ours, native = both(kind, lazy, "get_direct_beam_position", method="blur", sigma=3)
        assert type(ours) is type(native)
        assert_array_equal(values(ours), values(native))
        # The disk is one channel below and two left of the central channel.
        assert_allclose(np.median(values(ours), axis=(0, 1)), [2, -1])
