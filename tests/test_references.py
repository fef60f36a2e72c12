"""References of all kinds, brought to one form."""

import hyperspy.api as hs
import numpy as np
import pytest

from hyperfuse_hs import references
from hyperfuse_hs.data.crystal import ANATASE, RUTILE, powder_lines


def profile(units="1/Å", scale=0.1, title="profile"):
    signal = hs.signals.Signal1D(np.arange(1.0, 11.0))
    axis = signal.axes_manager[0]
    axis.scale, axis.units, axis.offset = scale, units, scale / 2
    signal.metadata.General.title = title
    return signal


@pytest.fixture
def structures(real_data):
    return [real_data("tio2_structures", f"{name}_P1.cif") for name in ("anatase", "rutile")]


def test_powder_rings_of_structures_are_those_of_the_phantoms(structures):
    pytest.importorskip("diffsims")
    for path, crystal in zip(structures, (ANATASE, RUTILE), strict=True):
        radii, powers = references.powder_rings("x", path, 1.0)
        known, expected = powder_lines(crystal, 1.0)
        strong = expected > 0.05 * expected.max()
        nearest = np.abs(radii - known[strong][:, None]).argmin(axis=1)
        np.testing.assert_allclose(radii[nearest], known[strong], rtol=2e-3)
        ratio = powers[nearest] / expected[strong]
        # Without thermal vibrations, outer rings are stronger: exp(-B g^2 / 2), B = 0.5 Å^2.
        vibration = np.exp(-crystal.debye_waller * known[strong] ** 2 / 2)
        relative = ratio * vibration / np.median(ratio * vibration)
        np.testing.assert_allclose(relative, 1, atol=0.15)


def test_structures_of_diffpy_and_phases_of_orix_are_alike(structures):
    pytest.importorskip("diffsims")
    from diffpy.structure import loadStructure
    from orix.crystal_map import Phase

    structure = loadStructure(str(structures[0]))
    phase = Phase(structure=loadStructure(str(structures[0])), space_group=1)
    first = references.powder_rings("x", structures[0], 0.8)
    for item in (structure, phase, str(structures[0])):
        np.testing.assert_allclose(references.powder_rings("x", item, 0.8), first)


def test_units_are_converted(structures):
    curve = references.pattern("x", profile("1/nm", 1.0), "1/Å", 1.0)
    np.testing.assert_allclose(curve.edges, np.arange(11) / 10)
    same = references.pattern("x", profile("$\\AA^{-1}$"), "1/Å", 1.0)
    np.testing.assert_allclose(same.edges, np.arange(11) / 10)
    pytest.importorskip("diffsims")
    rings = references.pattern("x", structures[0], "1/nm", 9.0)
    expected = references.pattern("x", structures[0], "1/Å", 0.9)
    np.testing.assert_allclose(rings.radii, 10 * expected.radii)


def test_a_pattern_becomes_its_radial_profile():
    k = np.linspace(-1, 1, 41)
    pattern = hs.signals.Signal2D(np.hypot(k[:, None], k))
    for axis in pattern.axes_manager.signal_axes:
        axis.offset, axis.scale, axis.units = -1, 0.05, "1/Å"
    curve = references.pattern("x", pattern, "1/Å", 1.0)
    middle = (curve.edges[1:] + curve.edges[:-1]) / 2
    assert middle[-1] < 1
    np.testing.assert_allclose(curve.density, middle, atol=0.025)


def test_channels_that_are_nan_are_left_out():
    signal = profile()
    signal.data[:3] = np.nan
    assert references.spectrum("x", signal, "1/Å").edges[0] == pytest.approx(0.3)


def test_names_are_titles_and_file_names():
    assert list(references.named([profile(), "folder/rutile.cif"])) == ["profile", "rutile"]
    assert list(references.named({"a": profile()})) == ["a"]


def test_messages(structures, tmp_path):
    with pytest.raises(TypeError, match="a dict by name, or a list.*Got Signal1D"):
        references.named(profile())
    with pytest.raises(ValueError, match="at least one reference"):
        references.named([])
    with pytest.raises(ValueError, match="different names.*Give a dict"):
        references.named([profile(), profile()])
    with pytest.raises(TypeError, match="a spectrum as reference x. Got str"):
        references.spectrum("x", "x.cif", "eV")
    with pytest.raises(ValueError, match="one signal axis. Got signal shape"):
        references.spectrum("x", hs.signals.Signal2D(np.ones((3, 4))), "eV")
    with pytest.raises(ValueError, match="one spectrum or pattern as reference x.*inav"):
        references.spectrum("x", hs.signals.Signal1D(np.ones((3, 4))), "eV")
    with pytest.raises(ValueError, match="reference x .*Got 1/Å and eV. Calibrate"):
        references.spectrum("x", profile(), "eV")
    with pytest.raises(ValueError, match="Expected values in reference x"):
        references.spectrum("x", profile() * np.nan, "1/Å")
    with pytest.raises(TypeError, match="real numbers in reference x"):
        references.spectrum("x", profile() * 1j, "1/Å")
    away = hs.signals.Signal2D(np.ones((5, 5)))
    for axis in away.axes_manager.signal_axes:
        axis.offset, axis.units = 3.0, "1/Å"
    with pytest.raises(ValueError, match="reference x with the beam at zero"):
        references.pattern("x", away, "1/Å", 1.0)
    pytest.importorskip("diffsims")
    with pytest.raises(ValueError, match="CIF file as reference x. Got 'no.cif': no file"):
        references.pattern("x", "no.cif", "1/Å", 1.0)
    with pytest.raises(TypeError, match="diffpy Structure or an orix Phase.*Got int"):
        references.pattern("x", 3, "1/Å", 1.0)
    with pytest.raises(ValueError, match="Got 1/Å and px"):
        references.pattern("x", structures[0], "px", 1.0)
