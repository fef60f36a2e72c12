"""The command line, the demonstration behind it, and how components get their names."""

import re
import subprocess
import sys

import hyperspy.api as hs
import numpy as np
import pytest
from hyperspy.signals import BaseSignal, Signal1D, Signal2D

import hyperfuse_hs as hf
from hyperfuse_hs import demo, files
from hyperfuse_hs.__main__ import main
from hyperfuse_hs.recognition import THRESHOLD, radial_profile, recognise, ring_correlations

DISK = 0.05
OLD_FORMAT = "ignore:Loading old file version"


def small_signals(scan=(9, 8), seed=0):
    """Spectra, patterns and an image of two components; scan (rows, columns)."""
    rng = np.random.default_rng(seed)
    abundances = rng.dirichlet([0.4, 0.4], scan)
    spectra = Signal1D(rng.poisson(abundances @ rng.uniform(5, 60, (2, 30))))
    spectra.axes_manager[-1].scale = 0.1
    spectra.metadata.General.title = "Spectra"
    patterns = Signal2D(rng.poisson(np.tensordot(abundances, rng.uniform(5, 60, (2, 6, 7)), 1)))
    patterns.metadata.General.title = "Patterns"
    image = Signal2D(rng.poisson(abundances @ [300.0, 900.0]).astype(float))
    image.metadata.General.title = "Image"
    return spectra, patterns, image


def dataset(signal, tmp_path):
    return files.Dataset(signal, tmp_path / "file.hspy")


def saved(folder, **signals):
    paths = []
    for name, signal in signals.items():
        signal.save(folder / f"{name}.hspy")
        paths.append(str(folder / f"{name}.hspy"))
    return paths


# -- names of crystals ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def references():
    return hf.data.reference_patterns()


def stack(patterns, like):
    signal = Signal2D(np.array(patterns))
    for axis, other in zip(
        signal.axes_manager.signal_axes, like.axes_manager.signal_axes, strict=True
    ):
        axis.scale, axis.offset = other.scale, other.offset
    return signal


def radii(pattern):
    x, y = pattern.axes_manager.signal_axes
    return np.hypot(y.axis[:, None], x.axis)


def test_crystals_are_recognised_on_a_background_whatever_the_order_and_the_dose(references):
    radius = radii(references["rutile"])
    background = np.exp(-radius / 0.3) / 300
    wide_ring = np.exp(-((radius - 0.45) ** 2) / 0.02) / 500
    anatase, rutile = (references[name].data for name in ("anatase", "rutile"))
    patterns = [wide_ring, 7 * (rutile + background), anatase + background]
    found = recognise(stack(patterns, references["rutile"]), references, DISK)
    assert [name for name, _ in found] == [None, "rutile", "anatase"]
    assert found[0][1] < THRESHOLD < 0.8 < min(found[1][1], found[2][1])


def test_a_reference_goes_to_one_component_only(references):
    anatase = references["anatase"].data
    rough = anatase + np.random.default_rng(0).uniform(0, 0.3 * anatase.max(), anatase.shape)
    found = recognise(stack([rough, anatase], references["rutile"]), references, DISK)
    assert found[1][0] == "anatase"
    assert found[0][0] != "anatase"


def test_a_pattern_without_structure_has_no_correlation(references):
    flat = stack([np.zeros((64, 64)), np.full((64, 64), np.nan)], references["rutile"])
    np.testing.assert_array_equal(ring_correlations(flat, references, DISK), 0.0)


def test_radial_profile_averages_circles_and_leaves_out_nan():
    y, x = np.mgrid[-5:6, -5:6]
    pattern = Signal2D(np.hypot(y, x))
    for axis in pattern.axes_manager.signal_axes:
        axis.offset = -5
    edges = np.array([0.0, 0.5, 1.2, 1.7, 20.0, 30.0])
    expected = radial_profile(pattern, edges)
    np.testing.assert_allclose(expected[:3], [0, 1, np.sqrt(2)])
    assert expected[-1] == 0
    pattern.data[5, 6] = np.nan
    np.testing.assert_allclose(radial_profile(pattern, edges)[:3], [0, 1, np.sqrt(2)])


# -- the demonstration ------------------------------------------------------------------------


def test_the_demonstration_names_measures_and_writes(tmp_path, capsys):
    h = demo.run(tmp_path / "tio2.hspy", scan=(48, 48))
    printed = capsys.readouterr().out
    named = dict(re.findall(r"component (\d): (Anatase|Rutile|Carbon)", printed))
    truth = dict(re.findall(r"^  (\d) = (anatase|rutile|carbon)", printed, re.MULTILINE))
    assert {number: name.lower() for number, name in named.items()} == truth
    assert len(truth) == 3
    rmse = float(re.search(r"all components: ([\d.]+)", printed)[1])
    assert 0 < rmse < 0.05
    again = hs.load(tmp_path / "tio2.hspy")
    assert again.modalities == ["EELS", "EDS", "Diffraction"]
    np.testing.assert_array_equal(again.data, h.data)
    assert (tmp_path / "tio2.png").read_bytes().startswith(b"\x89PNG")


def test_the_comparison_finds_no_error_in_the_truth(monkeypatch):
    phantom = hf.data.tio2_polymorphs(scan=(24, 24), modalities=["EELS", "EDS"])

    class Perfect:
        modalities = ("EELS", "EDS")
        data = phantom.abundances[..., ::-1]

        @staticmethod
        def get_factors(name):
            return BaseSignal(phantom.factors[name][::-1])

    text = demo.comparison(Perfect(), phantom)
    assert "  2 = anatase" in text
    assert "all components: 0.0000" in text
    assert re.findall(r" 0\.00 \(", text) == [" 0.00 ("] * 6


def test_what_is_not_recognised_gets_no_name(references):
    class Fused:
        @staticmethod
        def get_factors(name):
            anatase = references["anatase"].data
            return stack([anatase, np.ones((64, 64)), np.zeros((64, 64))], references["rutile"])

    labels = demo.name_components(Fused(), (64, 64))
    assert labels == ["Anatase", "Not recognised", "Not recognised"]


# -- which datasets belong together -----------------------------------------------------------


def test_spectra_diffraction_and_image_of_one_scan_are_taken_in_this_order(tmp_path):
    spectra, patterns, image = small_signals()
    chosen = files.select([dataset(s, tmp_path) for s in (image, patterns, spectra)])
    assert chosen.grid == (8, 9)
    assert [data.signal for data, _ in chosen.taken] == [spectra, patterns, image]
    assert chosen.left == []
    assert chosen.signals() == [spectra, patterns, image]


def test_what_does_not_fit_is_left_with_the_reason(tmp_path):
    spectra, patterns, image = small_signals()
    other_scan = small_signals(scan=(5, 4))[0]
    survey = Signal2D(np.ones((60, 50)))
    odd = [other_scan, survey, Signal1D(np.ones(30)), Signal1D(np.ones((9, 8, 30), dtype=complex))]
    odd.append(BaseSignal(np.ones((9, 8, 2))).transpose(signal_axes=1))
    odd[-1].metadata.Signal.signal_type = "hypermodal"
    chosen = files.select([dataset(s, tmp_path) for s in (*odd, spectra, patterns, image)])
    assert [data.signal for data, _ in chosen.taken] == [spectra, patterns, image]
    assert {id(data.signal): reason for data, reason in chosen.left} == {
        id(other_scan): "its scan is 4 x 5, not 8 x 9",
        id(survey): "its image is 50 x 60, not 8 x 9",
        id(odd[2]): "not recorded over a scan",
        id(odd[3]): "no real numbers, but complex128",
        id(odd[4]): "the result of a fusion",
    }


def test_frames_are_summed_where_that_makes_scans_equal(tmp_path):
    spectra, patterns, image = small_signals()
    frames = Signal1D(np.stack([spectra.data] * 3))
    image_frames = Signal2D(np.stack([image.data] * 4))
    chosen = files.select([dataset(s, tmp_path) for s in (frames, patterns, image_frames)])
    assert chosen.grid == (8, 9)
    assert [frames for _, frames in chosen.taken] == [True, False, True]
    summed, same, total = chosen.signals()
    np.testing.assert_array_equal(summed.data, 3 * spectra.data)
    assert same is patterns
    np.testing.assert_array_equal(total.data, 4 * image.data)
    assert total.axes_manager.signal_shape == (8, 9)


def test_frames_stay_where_all_have_them(tmp_path):
    frames = Signal1D(np.ones((3, 9, 8, 30)))
    chosen = files.select([dataset(frames, tmp_path)])
    assert chosen.grid == (8, 9, 3)
    assert chosen.signals() == [frames]


def test_no_scan_at_all_lists_what_was_found(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)Expected at least one dataset.*\(\|50, 60\).*scan"):
        files.select([dataset(Signal2D(np.ones((60, 50))), tmp_path)])
    with pytest.raises(ValueError, match="no dataset at all"):
        files.select([])


@pytest.mark.parametrize("lazy", [False, True])
def test_crop_keeps_the_range_in_units_of_the_axis(lazy):
    spectra, patterns, _ = small_signals()
    signal = spectra.as_lazy() if lazy else spectra
    cropped = files.crop(signal, "EDS", 1.0, 2.0)
    assert cropped.axes_manager[-1].offset == pytest.approx(1.0)
    assert cropped.axes_manager[-1].size == 10
    with pytest.raises(ValueError, match="range within 0 to 2.9.*Got 5 to 7"):
        files.crop(signal, "EDS", 5.0, 7.0)
    with pytest.raises(ValueError, match="one signal axis. Got Diffraction with 2"):
        files.crop(patterns, "Diffraction", 0, 1)


# -- the command ------------------------------------------------------------------------------


def test_files_are_fused_and_it_says_what_was_taken(tmp_path, capsys):
    spectra, patterns, image = small_signals()
    paths = saved(tmp_path, a=image, b=patterns, c=spectra, d=Signal2D(np.ones((60, 50))))
    out = tmp_path / "out.hspy"
    options = ["-n", "2", "-o", str(out), "--crop", "Spectra", "0.5", "3", "--role", "Image"]
    assert main([*paths, *options, "passive"]) == 0
    printed = capsys.readouterr().out
    assert "took  Spectra: Signal1D" in printed
    assert "left  Signal2D (|50, 60) of d.hspy: its image is 50 x 60, not 8 x 9" in printed
    h = hs.load(out)
    assert h.modalities == ["Spectra", "Patterns", "Image"]
    assert h.data.shape == (9, 8, 2)
    assert h.get_factors("Spectra").axes_manager[-1].size == 25
    assert re.search(r"Image +passive", h.summary())
    assert out.with_suffix(".png").stat().st_size > 10_000


def test_lazy_gives_the_same_as_eager(tmp_path):
    spectra, patterns, _ = small_signals()
    paths = saved(tmp_path, a=spectra, b=patterns)
    results = []
    for more in (["-o", str(tmp_path / "eager.hspy")], ["--lazy", "-o", str(tmp_path / "l.zspy")]):
        assert main([*paths, "-n", "2", *more]) == 0
        results.append(hs.load(more[-1]).data)
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)


def test_names_and_what_to_leave_out_are_as_asked(tmp_path, capsys):
    spectra, patterns, image = small_signals()
    paths = saved(tmp_path, a=spectra, b=patterns, c=image)
    out = tmp_path / "out.hspy"
    options = ["--names", "Loss", "4D", "--leave-out", "Image", "-n", "2", "-o", str(out)]
    assert main([*options, "--", *paths]) == 0
    assert hs.load(out).modalities == ["Loss", "4D"]
    assert re.search(r'left  Signal2D "Image".*: as asked', capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.hspy"], "Expected files that exist. Got missing.hspy"),
        (["DATA", "-o", "x.npz"], "Expected an output file .hspy or .zspy. Got x.npz"),
        (["DATA", "-o", "nowhere/x.hspy"], "Expected an output folder that exists. Got nowhere"),
        (["DATA", "-o", "DATA"], "Expected an output file other than the data"),
        (["DATA", "--leave-out", "Map"], r"Expected titles out of \['Spectra'\].*\['Map'\]"),
        (["DATA", "--crop", "EDS", "0", "1"], r"Expected one of \['Spectra'\] for --crop. Got"),
        (["DATA", "--crop", "Spectra", "0", "end"], "Expected a number for --crop. Got 'end'"),
        (["DATA", "--role", "EDS", "lead"], r"Expected one of \['Spectra'\] for --role. Got"),
        (["DATA", "--role", "Spectra", "boss"], "roles for Spectra must be one of .*Got 'boss'"),
        (["DATA", "--names", "a", "b"], "Expected 1 different names"),
        (["DATA", "-n", "500"], "500"),
        (["TEXT"], "format that RosettaSciIO reads. .*notes.hspy could not be read"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (path,) = saved(tmp_path, data=small_signals()[0])
    (tmp_path / "notes.hspy").write_text("no data")
    known = {"DATA": path, "TEXT": "notes.hspy"}
    assert main([known.get(argument, argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert re.search(message, captured.err)
    assert captured.err.startswith("hyperfuse_hs: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.hspy", "notes.hspy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "3"], "need a FILE"),
        (["--lazy"], "need a FILE"),
        (["x.hspy", "-n", "0"], "a whole number from 1 or \"auto\", got '0'"),
        (["x.hspy", "--wrong"], "unrecognized arguments"),
    ],
)
def test_mistakes_in_options_show_the_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "hyperfuse_hs", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--n-components" in done.stdout


# -- measured data ----------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.filterwarnings(OLD_FORMAT)
@pytest.mark.parametrize(
    ("parts", "options", "modalities", "scan"),
    [
        (
            ("superx_eds_haadf", "fei_SI_SuperX-HAADF_20frames_10x50.emd"),
            ["--crop", "EDS", "0.3", "20"],
            ["EDS", "HAADF"],
            (50, 10),
        ),
        (
            ("tia_diffraction_eds", "16x16-diffraction_imagel_5x5x256x256_EDS.emi"),
            [],
            ["Signal1D", "Signal2D"],
            (5, 5),
        ),
        (
            ("espm_particles", "88_ES-LP_G8_selection2_cropped2.hspy"),
            [],
            ["EDS"],
            (80, 80),
        ),
        (
            ("bruker_sem_eds_bse", "30x30_instructively_packed_16bit_compressed.bcf"),
            [],
            ["EDS", "AsB"],
            (30, 30),
        ),
    ],
    ids=["superx", "tia", "espm", "bruker"],
)
def test_real_files_are_fused(parts, options, modalities, scan, lazy, real_data, tmp_path):
    out = tmp_path / "out.hspy"
    arguments = [str(real_data(*parts)), "-n", "2", "-o", str(out), *options]
    assert main([*arguments, *(["--lazy"] if lazy else [])]) == 0
    h = hs.load(out)
    assert h.modalities == modalities
    assert h.data.shape == (*scan, 2)
    np.testing.assert_allclose(h.data.sum(axis=-1), 1.0)
