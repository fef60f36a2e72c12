"""``register`` finds what is displaced, refuses what is unrelated, and keeps counts."""

import itertools
import logging

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperfuse_hs as hf
from hyperfuse_hs.algorithms import displacement

SHAPE = (40, 44)
WINDOW = (28, 32)


def landscape(seed=0, shape=SHAPE):
    """Blobs of some size, between 0 and 1."""
    rng = np.random.default_rng(seed)
    place = np.indices(shape).reshape(len(shape), -1)
    total = np.zeros(place.shape[1])
    for _ in range(max(14, int(np.prod(shape)) // 40)):
        centre = [rng.uniform(0, size) for size in shape]
        distance = sum((x - c) ** 2 for x, c in zip(place, centre, strict=True))
        total += rng.uniform(0.3, 1) * (distance < rng.uniform(2, 4) ** 2)
    return (total / total.max()).reshape(shape)


def scan(values, start, size=WINDOW, scale=1.0, offset=0.0, units="nm"):
    """Signal whose scan is a window of an array ``(rows, columns, channels)``."""
    part = values[tuple(slice(i, i + n) for i, n in zip(start, size, strict=True))]
    signal = hs.signals.Signal1D(part.copy())
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.offset = scale, offset
        if units:
            axis.units = units
    return signal


def counts(seed=0, dose=20.0, channels=5, contrast=1.0, shape=SHAPE):
    rng = np.random.default_rng(seed + 100)
    bright = landscape(seed, shape) if contrast > 0 else 1 - landscape(seed, shape)
    return rng.poisson(dose * (0.1 + bright)[..., None] * np.ones(channels))


FIRST, SECOND, DARK = counts(dose=40), counts(dose=8), counts(contrast=-1)


def noise_free(values):
    return values.data.compute() if values._lazy else values.data


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("second", [SECOND, DARK], ids=["bright", "dark"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_counts_of_shifted_scans_are_put_on_one_grid_as_they_are(lazy, second, dtype):
    a = scan(FIRST.astype(dtype), (5, 6))
    b = scan(second.astype(dtype), (9, 3))
    if lazy:
        a, b = a.as_lazy(), b.as_lazy()
        b.data = b.data.rechunk((7, 6, 5))
    before = noise_free(a).copy(), noise_free(b).copy()
    ours, theirs = hf.register(a, b)
    assert ours._lazy == theirs._lazy == lazy
    assert ours.axes_manager.navigation_shape == (29, 24)
    assert noise_free(ours).dtype == dtype
    np.testing.assert_array_equal(noise_free(ours), FIRST[9:33, 6:35])
    np.testing.assert_array_equal(noise_free(theirs), second[9:33, 6:35])
    assert theirs.metadata.Registration.shift == pytest.approx([3, -4], abs=0.3)
    assert max(map(abs, theirs.metadata.Registration.remaining)) < 0.3
    assert theirs.metadata.Registration.start == [3, 0]
    assert theirs.axes_manager[0].offset == ours.axes_manager[0].offset == 0
    assert theirs.axes_manager[1].offset == ours.axes_manager[1].offset == 4
    for signal, data in zip((a, b), before, strict=True):
        np.testing.assert_array_equal(noise_free(signal), data)
        assert not signal.metadata.has_item("Registration")


@pytest.mark.filterwarnings("ignore:.* is cropped in whole positions")
@pytest.mark.parametrize(("dose", "off", "refused"), [(1.0, 2.0, 3), (3.0, 0.5, 0), (30.0, 0.1, 0)])
def test_the_shift_is_found_or_refused(dose, off, refused):
    """Counts of a channel where it is brightest; 5 channels in one scan, 3 in the other."""
    errors = []
    for seed in range(12):
        there = np.random.default_rng(seed).integers(0, 12, 2)
        a = scan(counts(seed, dose), (6, 6))
        b = scan(counts(seed, dose * 2, 3), there)
        try:
            _, new = hf.register(a, b)
        except ValueError:
            continue
        errors.append(np.abs(np.array(new.metadata.Registration.shift[::-1]) - 6 + there).max())
    assert len(errors) >= 12 - refused
    assert max(errors) <= off


def test_a_line_scan_is_registered():
    values = counts(3, 60, 4, shape=(160,))
    a, b = hs.signals.Signal1D(values[20:140]), hs.signals.Signal1D(values[9:129])
    ours, theirs = hf.register(a, b)
    np.testing.assert_array_equal(ours.data, theirs.data)
    assert theirs.metadata.Registration.shift == [pytest.approx(11, abs=0.05)]


@settings(max_examples=12, deadline=None)
@given(st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
def test_to_and_fro_leaves_what_both_share(shift):
    a = scan(FIRST, (6, 6))
    there, back = (hf.register(a, a.deepcopy(), shifts=s) for s in (shift, [-k for k in shift]))
    np.testing.assert_array_equal(there[1].data, back[0].data)
    np.testing.assert_array_equal(there[0].data, back[1].data)
    found = hf.register(scan(FIRST, (9, 9), (20, 20)), a)[1].metadata.Registration.shift
    assert found == pytest.approx([3, 3], abs=0.05)


def test_what_is_registered_stays_as_it_is():
    once = hf.register(scan(FIRST, (5, 6)), scan(SECOND, (9, 3)))
    for options in ({}, {"shifts": "none"}, {"interpolation": "linear", "shifts": "none"}):
        again = hf.register(*once, **options)
        for before, after in zip(once, again, strict=True):
            np.testing.assert_array_equal(before.data, after.data)
            assert before.axes_manager.navigation_extent == after.axes_manager.navigation_extent


@pytest.mark.parametrize("lazy", [False, True])
def test_a_finer_scan_is_binned_and_keeps_its_counts(lazy):
    fine, coarse = scan(FIRST, (0, 0), SHAPE, 0.5), scan(SECOND, (0, 0), SHAPE, 0.5)
    coarse = coarse.rebin(scale=(2, 2, 1)).inav[2:20, 1:18]
    if lazy:
        fine = fine.as_lazy()
        fine.data = fine.data.rechunk((9, 11, 5))
    for pair in ((coarse, fine), (fine, coarse)):
        result = dict(zip(("x", "y"), hf.register(*pair), strict=True))
        one, two = result.values()
        assert one.axes_manager.navigation_shape == two.axes_manager.navigation_shape == (18, 17)
        binned = one if pair[0] is fine else two
        expected = FIRST[2:36, 4:40].reshape(17, 2, 18, 2, 5).sum(axis=(1, 3))
        np.testing.assert_array_equal(noise_free(binned), expected)
        assert binned.metadata.Registration.rebinned == [2, 2]
        assert one.axes_manager[0].offset == pytest.approx(coarse.axes_manager[0].offset)


def test_a_finer_scan_begins_at_the_nearest_of_its_own_positions():
    fine, coarse = scan(FIRST, (3, 2), (36, 40)), scan(SECOND, (0, 0), SHAPE).rebin(scale=(2, 2, 1))
    for axis in fine.axes_manager.navigation_axes:
        axis.offset = 0.5
    ours, theirs = hf.register(coarse, fine)
    np.testing.assert_array_equal(
        theirs.data, FIRST[4:38, 2:42].reshape(17, 2, 20, 2, 5).sum(axis=(1, 3))
    )
    assert ours.axes_manager.navigation_shape == (20, 17)


def test_scans_without_units_that_are_multiples_show_the_same_area():
    fine = scan(FIRST, (0, 0), SHAPE, units=None)
    coarse = scan(SECOND, (0, 0), SHAPE, units=None).rebin(scale=(2, 2, 1))
    for axis in coarse.axes_manager.navigation_axes:
        axis.scale, axis.offset = 1.0, 0.0
    ours, theirs = hf.register(coarse, fine)
    assert ours.axes_manager.navigation_shape == theirs.axes_manager.navigation_shape == (22, 20)
    np.testing.assert_array_equal(theirs.data, fine.rebin(scale=(2, 2, 1)).data)


def test_units_are_converted_and_the_same_area_overrules_axes():
    a, b = scan(FIRST, (4, 4)), scan(SECOND, (4, 4), scale=1e-3, units="µm")
    _, theirs = hf.register(a, b, shifts="none")
    assert theirs.axes_manager[0].units == "nm" and theirs.axes_manager[0].scale == 1
    b.axes_manager[0].scale = 1.03e-3
    with pytest.raises(ValueError, match=r"whole multiple of the other\. Got EDS: 32 positions"):
        hf.register(a, b, names=["EELS", "EDS"])
    ours, theirs = hf.register(a, b, field="same")
    assert theirs.axes_manager.navigation_shape == (32, 28)


def test_images_with_each_scan_say_where_it_lies():
    flat = np.random.default_rng(0).poisson(9.0, (*SHAPE, 4))
    a, b = scan(flat, (5, 6)), scan(flat, (9, 3))
    images = [
        hs.signals.Signal2D(s.data.sum(-1)) for s in (scan(FIRST, (5, 6)), scan(DARK, (9, 3)))
    ]
    ours, theirs = hf.register(a, b, maps={a: images[0], b: images[1].data})
    np.testing.assert_array_equal(ours.data, theirs.data)
    shift = theirs.metadata.Registration.shift
    cut = hf.register(*images, shifts=shift)
    assert cut[0].axes_manager.signal_shape == (29, 24)
    np.testing.assert_array_equal(cut[0].data, FIRST[9:33, 6:35].sum(-1))
    masks = [hs.signals.Signal2D(i.data > 40) for i in images]
    assert [m.data.dtype for m in hf.register(*masks, shifts=shift)] == [bool, bool]


def test_a_function_makes_the_map_and_excluded_positions_are_not_looked_at():
    a, b = scan(FIRST, (5, 6)), scan(SECOND, (9, 3))
    charged = b.deepcopy()
    charged.data[3:9, 20:25] = 5000
    mask = charged.data[..., 0] == 5000
    found = hf.register(
        a, charged, maps=lambda s: s.isig[1:3].sum(-1), navigation_masks={charged: mask}
    )
    assert found[1].metadata.Registration.shift == pytest.approx([3, -4], abs=0.3)


@pytest.mark.parametrize("lazy", [False, True])
def test_linear_interpolation_goes_between_positions(lazy):
    ramp = np.add.outer(np.arange(30.0), 10 * np.arange(24.0))[..., None] * np.ones(3)
    a, b = (scan(ramp, (0, 0), (30, 24)) for _ in range(2))
    b.metadata.set_item("Signal.Noise_properties.variance", b.deepcopy())
    b = b.as_lazy() if lazy else b
    _, new = hf.register(a, b, shifts=(1.25, -2.5), interpolation="linear")
    ours = hf.register(a, b, shifts=(1.25, -2.5), interpolation="linear")[0]
    np.testing.assert_allclose(noise_free(new), ours.data - 2.5 + 12.5)
    assert new.metadata.Registration.remaining == [0, 0]
    variance = new.metadata.Signal.Noise_properties.variance
    np.testing.assert_allclose(
        noise_free(variance), noise_free(new) * (0.75**2 + 0.25**2) * 0.5, rtol=0.2, atol=3
    )


def test_what_is_left_of_a_shift_is_said_where_it_is_much():
    a, b = scan(FIRST, (5, 6)), scan(SECOND, (9, 3))
    with pytest.warns(UserWarning, match=r"leaves \(0\.40, 0\.00\) positions.*interpolation="):
        hf.register(a, b, shifts=(2.4, -4))


def test_unrelated_scans_are_refused():
    refused = 0
    for seed in range(20):
        a, b = scan(counts(seed), (5, 6)), scan(counts(seed + 50), (5, 6))
        with pytest.raises(ValueError, match=r"agree no better than unrelated ones.*maps="):
            hf.register(a, b)
        refused += 1
    assert refused == 20
    flat = scan(np.ones((*SHAPE, 2)), (5, 6))
    with pytest.raises(ValueError, match="no better than unrelated"):
        hf.register(a, flat)


def test_a_pattern_that_repeats_needs_a_largest_shift():
    tiles = 30 * np.tile(landscape(4, (10, 11)), (4, 4))[..., None]
    draws = [np.random.default_rng(seed).poisson(tiles) for seed in (0, 1)]
    a, b = scan(draws[0], (5, 6)), scan(draws[1], (7, 5))
    with pytest.raises(ValueError, match="equally well at several ones.*max_shift="):
        hf.register(a, b)
    _, new = hf.register(a, b, max_shift=4)
    assert new.metadata.Registration.shift == pytest.approx([1, -2], abs=0.1)


def test_a_lattice_looks_like_any_other_lattice():
    y, x = np.indices(SHAPE)
    lattice = 50 * (2 + np.cos(2 * np.pi * x / 8) + np.cos(2 * np.pi * y / 8))[..., None]
    a, b = (scan(np.random.default_rng(seed).poisson(lattice), (5, 6)) for seed in (0, 1))
    with pytest.raises(ValueError, match="or patterns that repeat"):
        hf.register(a, b)


def test_layers_leave_the_shift_along_them_uncertain():
    layers = landscape(1, (60,))[:40, None] * np.ones(SHAPE)
    values = np.random.default_rng(0).poisson(200 * layers[..., None])
    other = np.random.default_rng(1).poisson(200 * layers[..., None])
    with pytest.warns(UserWarning, match=r"uncertain along x \(±"):
        hf.register(named(scan(values, (5, 6))), named(scan(other, (7, 6))))


def named(signal):
    for axis, name in zip(signal.axes_manager.navigation_axes, "xy", strict=True):
        axis.name = name
    return signal


def test_what_was_done_is_in_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="hyperfuse_hs.registration"):
        hf.register(scan(FIRST, (5, 6)), scan(SECOND, (9, 3)), names=["A", "B"])
    assert "B registered to A" in caplog.text and "shift" in caplog.text


A, B = scan(FIRST, (5, 6)), scan(SECOND, (9, 3))
LINE = hs.signals.Signal1D(np.ones((20, 5)))
ENERGY = scan(SECOND, (9, 3), units="eV")
BARE = scan(SECOND, (9, 3), (27, 31), units=None)
FAR = scan(SECOND, (9, 3), offset=1000.0)
BACK = scan(SECOND, (9, 3), scale=-1.0)


@pytest.mark.parametrize(
    ("signals", "options", "error", "match"),
    [
        ((A,), {}, ValueError, "at least one signal to register to the reference"),
        ((A, A), {}, ValueError, "Got the same signal twice"),
        ((A, B.data), {}, TypeError, "HyperSpy signals to register. Got ndarray"),
        ((A, LINE), {}, ValueError, "same number of scan axes"),
        ((A, ENERGY), {}, ValueError, "units that convert into each other.*nm.*eV"),
        ((A, BARE), {}, ValueError, "units that convert into each other.*without units"),
        ((A, FAR), {}, ValueError, "Expected scans that overlap"),
        ((A, FAR), {"shifts": "none"}, ValueError, "Expected scans that share an area"),
        ((A, BACK), {}, ValueError, "run in the same direction"),
        ((A, B), {"field": "big"}, ValueError, "field must be one of"),
        ((A, B), {"interpolation": "cubic"}, ValueError, "interpolation must be one of"),
        ((A, B), {"shifts": "guess"}, ValueError, "shifts for .* must be one of"),
        ((A, B), {"shifts": (1, 2, 3)}, ValueError, r"2 finite number\(s\) as the shift of"),
        ((A, B), {"shifts": {"C": (1, 2)}}, ValueError, r"Expected one of .* in shifts"),
        ((A, B), {"max_shift": "far"}, ValueError, r"2 finite number\(s\) as max_shift"),
        ((A, B), {"shifts": (99, 0)}, ValueError, "Expected scans that share an area"),
        ((A, B), {"maps": 3}, TypeError, "Expected maps as a dict"),
        ((A, B), {"maps": {B: B.data}}, ValueError, "must have the shape of its scan"),
        ((A, B), {"maps": {B: B.data[..., 0] * 1j}}, TypeError, "map of real numbers"),
        ((A, B), {"navigation_masks": B.data}, TypeError, "navigation_masks as a dict"),
        ((A, B), {"navigation_masks": {B: np.ones(3, bool)}}, ValueError, "must have shape"),
    ],
)
def test_wrong_input_is_said(signals, options, error, match):
    with pytest.raises(error, match=match):
        hf.register(*signals, **options)


@pytest.mark.parametrize("sigma", [0, 2])
def test_unrelated_smooth_maps_are_seldom_taken_for_one(sigma):
    """The probability holds: of 60 pairs, about none is below 0.001, and few below 0.05."""
    from scipy.ndimage import gaussian_filter

    rng, found = np.random.default_rng(5), []
    known = np.ones((32, 32), bool)
    for _ in range(60):
        a, b = (gaussian_filter(rng.normal(size=(52, 52)), sigma)[10:42, 10:42] for _ in range(2))
        result = displacement.find_displacement(a, b, (known, known), (np.inf, np.inf))
        found.append(result.probability)
    assert np.mean(np.array(found) < 1e-3) <= 1 / 60
    assert np.mean(np.array(found) < 0.05) <= 0.15


def test_the_correlation_of_an_overlap_is_that_of_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9, 11))
    known = rng.random((2, 9, 11)) > 0.2
    r, pairs = displacement.overlap_correlation(
        displacement.Feature("intensity", a, b, known[0], known[1], (1,))
    )
    both = known[0][:7, 3:] & known[1][2:, :-3]
    expected = np.corrcoef(a[:7, 3:][both], b[2:, :-3][both])[0, 1]
    assert r[2 + 8, -3 + 10] == pytest.approx(expected)
    assert pairs[2 + 8, -3 + 10] == both.sum()


def test_fusion_after_registration_is_as_accurate_as_without_a_shift():
    phantom = hf.data.tio2_polymorphs(scan=(36, 36), detector=(16, 16), eels_channels=128)
    eels, eds, diffraction = phantom.signals.values()

    def part(signal, y, x):
        cut = signal.inav[x : x + 30, y : y + 30]
        for axis in cut.axes_manager.navigation_axes:
            axis.offset = 0.0
        return cut

    shifted = part(eels, 3, 3), part(eds, 1, 5), part(diffraction, 5, 2)
    ours = hf.register(*shifted)
    assert [s.axes_manager.navigation_shape for s in ours] == [(27, 26)] * 3
    straight = [s.inav[5:32, 5:31] for s in (eels, eds, diffraction)]
    options = {"n_components": 3, "random_state": 0, "show_progressbar": False}
    options["navigation_mask"] = phantom.navigation_mask.inav[5:32, 5:31]
    registered, expected = hf.fuse(ours, **options), hf.fuse(straight, **options)
    np.testing.assert_allclose(registered.data, expected.data, atol=1e-6)


def test_lazy_data_are_summed_block_by_block():
    seen = []

    def block(block_info=None):
        seen.append(block_info[None]["chunk-location"])
        y, x = block_info[None]["array-location"][:2]
        return FIRST[y[0] : y[1], x[0] : x[1]]

    data = da.map_blocks(
        block, chunks=((10,) * 4, (11,) * 4, (5,)), dtype=FIRST.dtype, meta=FIRST[:0, :0]
    )
    lazy = hs.signals.Signal1D(data).as_lazy()
    a = scan(FIRST, (3, 3), units=None)
    _, new = hf.register(a, lazy)
    assert len(seen) == 16
    assert new._lazy and max(new.data.chunksize) <= 11


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_what_was_found_is_saved_along(tmp_path, extension):
    _, new = hf.register(scan(FIRST, (5, 6)), scan(SECOND, (9, 3)))
    new.save(tmp_path / f"registered.{extension}")
    loaded = hs.load(tmp_path / f"registered.{extension}")
    kept, notes = (s.metadata.Registration.as_dictionary() for s in (loaded, new))
    assert kept.keys() == notes.keys() >= {"shift", "probability"}
    for key, value in notes.items():
        np.testing.assert_array_equal(kept[key], value)


def test_halfway_between_four_positions_a_quarter_of_the_variance_is_left():
    values = np.random.default_rng(0).poisson(100.0, (*SHAPE, 20))
    a, b = scan(values, (5, 6)), scan(values, (5, 6))
    _, new = hf.register(a, b, shifts=(0.5, 0.5), interpolation="linear")
    assert new.data.var() == pytest.approx(25, rel=0.05)
    right, left = new.data[:, 1:] - 100, new.data[:, :-1] - 100
    assert np.mean(right * left) / new.data.var() == pytest.approx(0.5, abs=0.03)


@pytest.mark.filterwarnings("ignore:.* is cropped in whole positions")
@pytest.mark.parametrize("start", [(0, 0), (4, 0), (0, 3)])
def test_spectra_and_image_of_a_microscope(real_data, start):
    """X-rays come out 1.5 positions from electrons that were recorded with them, in any part."""
    path = real_data("bruker_sem_eds_bse", "30x30_instructively_packed_16bit_compressed.bcf")
    image, spectra = sorted(hs.load(path), key=lambda s: -s.axes_manager.signal_dimension)
    step = spectra.axes_manager[0].scale
    part = spectra.inav[start[0] :, start[1] :]
    _, new = hf.register(part, image)
    assert np.array(new.metadata.Registration.shift) / step == pytest.approx([-1.4, 0.1], abs=0.4)
    assert new.metadata.Registration.probability < 1e-4


@pytest.mark.filterwarnings("ignore:.* is cropped in whole positions")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_interpolation_saves_a_fusion_from_half_a_position_of_misfit(seed):
    """Particles a few positions wide: the error is that of aligned scans, or far above it."""
    phantom = hf.data.tio2_polymorphs(
        scan=(98, 98),
        detector=(16, 16),
        eels_channels=256,
        eds_channels=256,
        eels_dose=3e4,
        eds_dose=100,
        diffraction_dose=2e3,
        random_state=seed,
    )
    eels, *others = phantom.signals.values()
    aligned = error_of_fusion(phantom, [binned(s, 4, 4) for s in (eels, *others)])
    shifted = [binned(eels, 4, 4), *(binned(s, 7, 1) for s in others)]
    linear = error_of_fusion(phantom, hf.register(*shifted, interpolation="linear"))
    whole = error_of_fusion(phantom, hf.register(*shifted))
    assert linear < 1.1 * aligned < 0.07
    assert whole > 2 * aligned


def binned(signal, row, column):
    part = signal.inav[column : column + 90, row : row + 90]
    part = part.rebin(scale=(2, 2, *[1] * signal.axes_manager.signal_dimension))
    for axis in part.axes_manager.navigation_axes:
        axis.offset = 0.0
    return part


def error_of_fusion(phantom, signals):
    """Root mean square of what abundances are off, outside vacuum, in the best order."""
    rows, columns = signals[0].data.shape[:2]
    column, row = (round(a.offset / a.scale) for a in signals[0].axes_manager.navigation_axes)
    inner = np.nan_to_num(phantom.abundances)[4 + 2 * row :, 4 + 2 * column :]
    truth = inner[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, 3).sum(axis=(1, 3))
    total = signals[0].data.sum(-1)
    kept = (total > 0.05 * total.max()) & (truth.sum(-1) > 0)
    h = hf.fuse(
        signals,
        n_components=3,
        navigation_mask=~kept,
        random_state=0,
        show_progressbar=False,
    )
    expected = truth[kept] / truth[kept].sum(-1, keepdims=True)
    orders = itertools.permutations(range(3))
    return min(np.sqrt(np.mean((h.data[kept][:, list(o)] - expected) ** 2)) for o in orders)
