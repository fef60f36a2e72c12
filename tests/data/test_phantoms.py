import logging
import tracemalloc

import dask
import hyperspy.api as hs
import numpy as np
import pytest

import hyperfuse_hs.data.phantom as phantom_module
from hyperfuse_hs.algorithms.metrics import spectral_angle
from hyperfuse_hs.data import core_shell, reference_patterns, tio2_polymorphs

SMALL = {"scan": (24, 20), "eels_channels": 128, "eds_channels": 64}
COMPONENTS = {
    tio2_polymorphs: ("anatase", "rutile", "carbon"),
    core_shell: ("core", "shell", "carbon"),
}
LINEAR = {tio2_polymorphs: ("EELS", "EDS"), core_shell: ("EELS", "EDS", "HAADF")}


def small(make, **options):
    if make is tio2_polymorphs:
        options = {"detector": (24, 20)} | options
    return make(**(SMALL | options))


@pytest.fixture(params=["flat", "thickness"])
def counts(request):
    return request.param


each_phantom = pytest.mark.parametrize("make", [tio2_polymorphs, core_shell])
each_seed = pytest.mark.parametrize("seed", range(6))


def expected(phantom, name):
    """Mean counts ``scale * abundances @ factors``, 0 in vacuum; shape (N, C)."""
    factors = phantom.factors[name].reshape(len(phantom.components), -1)
    abundances = np.nan_to_num(phantom.abundances).reshape(-1, len(factors))
    return phantom.scale.reshape(-1, 1) * (abundances @ factors)


@each_phantom
def test_counts_are_poisson_about_abundances_times_factors(make, counts):
    phantom = small(make, counts=counts, eds_dose=3000.0)
    for name in LINEAR[make]:
        mean = expected(phantom, name)
        seen = phantom.signals[name].data.reshape(mean.shape)
        assert (seen[mean == 0] == 0).all()
        seen, mean = seen[mean > 1e-3], mean[mean > 1e-3]
        deviate = (seen - mean) / np.sqrt(mean)
        assert abs(deviate.mean()) < 5 / np.sqrt(deviate.size)
        variance = (1 / mean + 2).mean() / deviate.size  # of the mean of squared deviates
        assert abs((deviate**2).mean() - 1) < 5 * np.sqrt(variance)


@each_phantom
def test_large_dose_converges_to_the_truth(make, counts):
    dose = {"eels_dose": 1e9, "eds_dose": 1e9} | ({"haadf_dose": 1e8} if make is core_shell else {})
    phantom = small(make, counts=counts, modalities=LINEAR[make], **dose)
    for name in LINEAR[make]:
        mean = expected(phantom, name)
        seen = phantom.signals[name].data.reshape(mean.shape)
        bright = mean > 1e4
        np.testing.assert_allclose(seen[bright], mean[bright], rtol=0.06)
        assert phantom.signals[name].data.dtype == np.uint32


def test_diffraction_follows_the_factors_in_the_sum_only(counts):
    phantom = small(
        tio2_polymorphs, counts=counts, modalities=["Diffraction"], diffraction_dose=1e6
    )
    mean = expected(phantom, "Diffraction")
    seen = phantom.signals["Diffraction"].data.reshape(mean.shape).astype(float)
    total, total_mean = seen.sum(axis=0), mean.sum(axis=0)
    assert np.abs((total - total_mean) / np.sqrt(total_mean)).max() < 5.5
    # Carbon alone has one pattern; a particle has its own.
    carbon = phantom.abundances[..., 2].ravel() > 0.999
    crystalline = phantom.abundances[..., 0].ravel() > 0.999
    assert np.nanmedian(spectral_angle(seen[carbon], mean[carbon])) < 3
    assert np.nanmedian(spectral_angle(seen[crystalline], mean[crystalline])) > 15


@each_phantom
def test_dose_is_the_mean_over_occupied_positions(make, counts):
    phantom = small(make, counts=counts)
    occupied = ~phantom.navigation_mask.data
    doses = {"EELS": 1e5, "EDS": 300.0 if make is tio2_polymorphs else 500.0}
    doses |= {"Diffraction": 5e3} if make is tio2_polymorphs else {"HAADF": 2e3}
    for name, signal in phantom.signals.items():
        totals = signal.data.reshape(*SMALL["scan"], -1).sum(axis=2)
        assert totals[occupied].mean() == pytest.approx(doses[name], rel=0.02)
        assert (totals[~occupied] == 0).all()
        if counts == "flat" and name != "HAADF":
            assert totals[occupied].std() == pytest.approx(np.sqrt(doses[name]), rel=0.15)


@each_phantom
def test_scale_is_one_or_follows_the_thickness(make):
    flat, thick = small(make), small(make, counts="thickness")
    occupied = ~flat.navigation_mask.data
    np.testing.assert_array_equal(flat.scale, np.where(occupied, 1.0, 0.0))
    np.testing.assert_array_equal(flat.thickness, thick.thickness)
    relative = thick.thickness / thick.thickness[occupied].mean()
    np.testing.assert_allclose(thick.scale, np.where(occupied, relative, 0.0))
    assert thick.scale[occupied].std() > 0.2
    # Flat counts hide the brightness of the components; otherwise they differ.
    sums = flat.factors["EELS"].sum(axis=1), thick.factors["EELS"].sum(axis=1)
    np.testing.assert_allclose(sums[0], 1e5)
    assert sums[1].max() > 1.5 * sums[1].min()
    assert spectral_angle(flat.factors["EELS"], thick.factors["EELS"]).max() < 1e-6


@each_phantom
@each_seed
def test_abundances_and_mask(make, seed):
    phantom = small(make, random_state=seed, modalities=["EDS"])
    assert phantom.components == COMPONENTS[make]
    vacuum = phantom.navigation_mask.data
    assert vacuum.dtype == bool
    assert np.isnan(phantom.abundances[vacuum]).all()
    occupied = phantom.abundances[~vacuum]
    assert (occupied >= 0).all()
    np.testing.assert_allclose(occupied.sum(axis=1), 1.0)
    assert (phantom.thickness[vacuum] < 0.5).all()
    assert (phantom.thickness[~vacuum] >= 0.5).all()


@each_seed
@pytest.mark.parametrize("scan", [(16, 16), (24, 20), (64, 64)])
def test_each_component_of_tio2_is_somewhere_missing_and_somewhere_pure(seed, scan):
    phantom = tio2_polymorphs(scan=scan, eds_channels=16, modalities=["EDS"], random_state=seed)
    occupied = phantom.abundances[~phantom.navigation_mask.data]
    assert (np.mean(occupied == 0, axis=0) >= 0.015).all()
    assert (np.mean(occupied > 0.9, axis=0) >= 0.005).all()


def test_large_tio2_sample_is_as_described():
    phantom = tio2_polymorphs(scan=(128, 128), eds_channels=16, modalities=["EDS"])
    vacuum = phantom.navigation_mask.data
    assert 0.03 < vacuum.mean() < 0.3
    occupied = phantom.abundances[~vacuum]
    # Four to one by number; overlaps of both polymorphs on holes, on the film and without it.
    volumes = np.nansum(phantom.abundances * phantom.thickness[..., np.newaxis], axis=(0, 1))
    assert 2.0 < volumes[0] / volumes[1] < 8.0
    faces = {tuple(face) for face in (occupied > 0).tolist()}
    assert len(faces) == 7


@each_seed
@pytest.mark.parametrize("support", [True, False])
def test_core_is_never_seen_without_its_shell(seed, support):
    phantom = core_shell(
        scan=(48, 48), eds_channels=16, modalities=["EDS"], random_state=seed, support=support
    )
    assert len(phantom.components) == (3 if support else 2)
    occupied = phantom.abundances[~phantom.navigation_mask.data]
    assert 0.5 < occupied[:, 0].max() <= 0.75
    assert (occupied[occupied[:, 0] > 0, 1] > 0).all()
    assert occupied[:, 1].max() == pytest.approx(1.0)
    assert np.any(occupied[:, 0] == 0)


@each_phantom
def test_same_seed_same_phantom(make):
    first, again, other = (small(make, random_state=seed) for seed in (3, 3, 4))
    for name in first.signals:
        np.testing.assert_array_equal(first.signals[name].data, again.signals[name].data)
        assert not np.array_equal(first.signals[name].data, other.signals[name].data)
        np.testing.assert_array_equal(first.factors[name], again.factors[name])
    np.testing.assert_array_equal(first.abundances, again.abundances)
    from_generator = small(make, random_state=np.random.default_rng(3))
    np.testing.assert_array_equal(first.signals["EDS"].data, from_generator.signals["EDS"].data)


@each_phantom
def test_counts_do_not_depend_on_the_other_modalities(make):
    everything = small(make)
    for name in everything.signals:
        alone = small(make, modalities=[name])
        assert list(alone.signals) == list(alone.factors) == [name]
        np.testing.assert_array_equal(alone.signals[name].data, everything.signals[name].data)


@each_phantom
def test_positions_are_independent_draws(make):
    # Two vacuum-free tiles with the same seed would show as equal noise.
    phantom = make(scan=(32, 32), eels_channels=32, modalities=["EELS"], counts="flat")
    mean = expected(phantom, "EELS").reshape(32, 32, -1)
    noise = phantom.signals["EELS"].data - mean
    tiles = [noise[y : y + 16, x : x + 16].ravel() for y in (0, 16) for x in (0, 16)]
    correlation = np.corrcoef(tiles)[np.triu_indices(4, 1)]
    assert np.abs(correlation).max() < 0.06


@each_phantom
def test_written_phantom_is_lazy_and_the_same(make, tmp_path):
    folder = tmp_path / "new" / "phantom"
    phantom, written = small(make), small(make, folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.zspy" for name in phantom.signals
    )
    for name, signal in phantom.signals.items():
        lazy = written.signals[name]
        assert lazy._lazy
        assert type(lazy).__name__ == f"Lazy{type(signal).__name__}"
        assert lazy.data.dtype == signal.data.dtype
        np.testing.assert_array_equal(lazy.data.compute(), signal.data)
        for axis, lazy_axis in zip(signal.axes_manager._axes, lazy.axes_manager._axes, strict=True):
            assert (axis.name, axis.units, axis.size) == (
                lazy_axis.name,
                lazy_axis.units,
                lazy_axis.size,
            )
            np.testing.assert_allclose(axis.axis, lazy_axis.axis)
        np.testing.assert_array_equal(written.factors[name], phantom.factors[name])
    assert max(written.signals["EELS"].data.chunksize[:2]) <= 16
    with pytest.raises(FileExistsError, match="must not hold a phantom yet.*EDS.zspy"):
        small(make, folder=folder, modalities=["EDS"])


def axis_of(signal, name):
    return next(axis for axis in signal.axes_manager._axes if axis.name == name)


def test_tio2_calibration_and_metadata():
    phantom = tio2_polymorphs(scan=(24, 20), detector=(32, 48))
    eels, eds, diffraction = phantom.signals.values()
    for signal in (*phantom.signals.values(), phantom.navigation_mask):
        assert signal.axes_manager.navigation_shape == (20, 24)
        for name in "yx":
            axis = axis_of(signal, name)
            assert (axis.units, axis.scale, axis.navigate) == ("nm", 1.0, True)
    for signal in phantom.signals.values():
        tem = signal.metadata.Acquisition_instrument.TEM
        assert tem.beam_energy == 200.0
        assert tem.convergence_angle == pytest.approx(1.25, abs=0.01)
        assert signal.metadata.General.title.startswith("TiO2 polymorphs")
        assert signal.data.dtype == np.uint16
    loss, x_ray = eels.axes_manager[-1], eds.axes_manager[-1]
    assert (loss.name, loss.units) == ("Energy loss", "eV")
    assert (x_ray.name, x_ray.units) == ("Energy", "keV")
    anatase, carbon = phantom.factors["EELS"][[0, 2]]
    assert 457 < loss.axis[np.argmax(np.where(loss.axis > 400, anatase, 0))] < 460
    assert 285 < loss.axis[np.argmax(carbon)] < 295
    anatase, carbon = phantom.factors["EDS"][[0, 2]]
    assert x_ray.axis[np.argmax(anatase)] == pytest.approx(4.51, abs=0.02)
    assert x_ray.axis[np.argmax(carbon)] == pytest.approx(0.277, abs=0.02)
    assert eds.metadata.Sample.xray_lines == ["C_Ka", "Cu_Ka", "O_Ka", "Ti_Ka"]
    assert eels.metadata.Acquisition_instrument.TEM.Detector.EELS.collection_angle == 30.0
    assert diffraction.axes_manager.signal_shape == (48, 32)
    for axis in diffraction.axes_manager.signal_axes:
        assert axis.units == "1/Å"
        assert axis.value2index(0.0) == axis.size // 2
    pattern = phantom.factors["Diffraction"].sum(axis=0)
    assert np.unravel_index(pattern.argmax(), pattern.shape) == (16, 24)


def test_core_shell_calibration_and_metadata():
    phantom = core_shell(scan=(24, 20))
    haadf = phantom.signals["HAADF"]
    assert type(haadf) is hs.signals.Signal2D
    assert haadf.axes_manager.navigation_dimension == 0
    assert haadf.axes_manager.signal_shape == (20, 24)
    assert [axis.units for axis in haadf.axes_manager.signal_axes] == ["nm", "nm"]
    assert phantom.factors["HAADF"].shape == (3,)
    eds = phantom.signals["EDS"]
    assert eds.metadata.Sample.xray_lines == ["C_Ka", "Cu_Ka", "Fe_Ka", "O_Ka", "Pt_La"]
    energy = eds.axes_manager[-1].axis
    core, shell, _ = phantom.factors["EDS"]
    oxygen = np.abs(energy - 0.525) < 0.08
    assert shell[oxygen].sum() > 4 * core[oxygen].sum()
    assert core[np.abs(energy - 2.05) < 0.1].sum() > 20 * shell[np.abs(energy - 2.05) < 0.1].sum()


def test_native_classes_work():
    exspy, pyxem = pytest.importorskip("exspy.signals"), pytest.importorskip("pyxem.signals")
    signals = tio2_polymorphs(scan=(16, 16)).signals
    assert type(signals["EELS"]) is exspy.EELSSpectrum
    assert type(signals["EDS"]) is exspy.EDSTEMSpectrum
    assert type(signals["Diffraction"]) is pyxem.ElectronDiffraction2D
    titanium = signals["EDS"].get_lines_intensity(["Ti_Ka"])[0]
    assert titanium.data.max() > 50
    assert signals["EDS"].get_take_off_angle() == pytest.approx(18.0)


def test_without_exspy_and_pyxem_signals_are_plain(monkeypatch, caplog):
    monkeypatch.setattr(phantom_module, "find_spec", lambda package: None)
    with caplog.at_level(logging.WARNING):
        signals = small(tio2_polymorphs).signals
    assert not caplog.records
    assert [type(s) for s in signals.values()] == [
        hs.signals.Signal1D,
        hs.signals.Signal1D,
        hs.signals.Signal2D,
    ]
    assert signals["EDS"].metadata.Sample.elements == ["C", "Cu", "O", "Ti"]


def test_reference_patterns_share_the_geometry_and_recognise_the_polymorphs():
    references = reference_patterns()
    assert list(references) == ["anatase", "rutile"]
    phantom = tio2_polymorphs(modalities=["Diffraction"])
    for reference in references.values():
        assert reference.data.sum() == pytest.approx(1.0)
        pairs = zip(
            reference.axes_manager.signal_axes,
            phantom.signals["Diffraction"].axes_manager.signal_axes,
            strict=True,
        )
        for axis, other in pairs:
            assert (axis.name, axis.units) == (other.name, other.units)
            np.testing.assert_allclose(axis.axis, other.axis)
    known = [profile(pattern.data, phantom) for pattern in references.values()]
    found = [profile(pattern, phantom) for pattern in phantom.factors["Diffraction"]]
    likeness = np.array([[np.corrcoef(f, k)[0, 1] for k in known] for f in found])
    assert likeness[0, 0] > likeness[0, 1] + 0.2
    assert likeness[1, 1] > likeness[1, 0] + 0.2
    assert likeness[2].max() < likeness[:2].max(axis=1).min()


def profile(pattern, phantom):
    """Intensity of rings outside the direct disk, without a smooth background."""
    kx, ky = (axis.axis for axis in phantom.signals["Diffraction"].axes_manager.signal_axes)
    k = np.hypot(ky[:, np.newaxis], kx)
    ring = np.floor(k / 0.03).astype(int)
    radius = 0.03 * (np.arange(ring.max() + 1) + 0.5)
    mean = np.bincount(ring.ravel(), pattern.ravel()) / np.bincount(ring.ravel())
    used = (radius > 0.2) & (radius < 0.95)
    power, x = (mean * radius)[used], radius[used]
    return power - np.polyval(np.polyfit(x, power, 2), x)


def test_memory_does_not_grow_with_the_scan(tmp_path):
    peaks = []
    with dask.config.set(scheduler="threads", num_workers=2):
        for rows in (48, 48, 192):  # the first one also loads what is needed once
            tracemalloc.start()
            tio2_polymorphs(
                scan=(rows, 32),
                detector=(96, 96),
                modalities=["Diffraction"],
                folder=tmp_path / str(len(peaks)),
            )
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    growth = peaks[2] - peaks[1]
    assert growth < 0.15 * (144 * 32) * (96 * 96 * 2)
