import numpy as np
import pytest

from hyperfuse_hs.data.crystal import ANATASE, RUTILE, powder_lines, reflections, scattering_factor

both = pytest.mark.parametrize("crystal", [ANATASE, RUTILE], ids=lambda crystal: crystal.name)
SPACE_GROUP = {"anatase": 141, "rutile": 136}
# Asymmetric units in the settings of diffpy: anatase with its origin on -4m2, Ti at 4a and O at 8e.
ASYMMETRIC_UNIT = {
    "anatase": {"Ti": (0.0, 0.0, 0.0), "O": (0.0, 0.0, 0.208)},
    "rutile": {"Ti": (0.0, 0.0, 0.0), "O": (0.305, 0.305, 0.0)},
}


def diffpy_structure(crystal):
    """Build the crystal from its space group and asymmetric unit, by another library."""
    structure = pytest.importorskip("diffpy.structure")
    from diffpy.structure.spacegroups import GetSpaceGroup
    from diffpy.structure.symmetryutilities import expandPosition

    group = GetSpaceGroup(SPACE_GROUP[crystal.name])
    atoms = [
        structure.Atom(element, position, Uisoequiv=0.0)
        for element, site in ASYMMETRIC_UNIT[crystal.name].items()
        for position in expandPosition(group, site)[0]
    ]
    lattice = structure.Lattice(crystal.a, crystal.a, crystal.c, 90, 90, 90)
    return structure.Structure(atoms, lattice=lattice)


@both
def test_cell_has_the_density_of_the_mineral(crystal):
    mass = sum({"Ti": 47.867, "O": 15.999}[element] for element in crystal.elements)
    density = 1.66054 * mass / crystal.volume  # g/cm^3
    known = {"anatase": 3.89, "rutile": 4.25}[crystal.name]
    assert density == pytest.approx(known, rel=0.01)
    assert crystal.density["O"] == pytest.approx(2 * crystal.density["Ti"])


@both
def test_titanium_is_in_an_octahedron_of_oxygen(crystal):
    metric = np.array([crystal.a, crystal.a, crystal.c])
    positions = np.array(crystal.positions)
    titanium = positions[np.array(crystal.elements) == "Ti"][0]
    oxygen = positions[np.array(crystal.elements) == "O"]
    shifts = np.mgrid[-1:2, -1:2, -1:2].reshape(3, -1).T
    images = (oxygen[:, np.newaxis] + shifts).reshape(-1, 3) - titanium
    distance = np.sort(np.linalg.norm(images * metric, axis=1))
    np.testing.assert_allclose(distance[:6], 1.96, atol=0.03)
    assert distance[6] > 3


@both
def test_systematic_absences(crystal):
    hkl, _, _ = reflections(crystal, 1.0)
    present = {tuple(index) for index in hkl.tolist()}
    if crystal is ANATASE:
        assert (hkl.sum(axis=1) % 2 == 0).all()
        assert {(1, 0, 1), (0, 0, 4), (2, 0, 0)} <= present
        assert not {(0, 0, 2), (1, 1, 0)} & present
    else:
        assert {(1, 1, 0), (1, 0, 1), (1, 1, 1)} <= present
        assert not {(1, 0, 0), (0, 0, 1)} & present


@both
def test_friedel_pairs_and_distances(crystal):
    hkl, g, factors = reflections(crystal, 1.0)
    amplitude = {tuple(index): abs(f) for index, f in zip(hkl.tolist(), factors, strict=True)}
    for (h, k, index), value in amplitude.items():
        assert amplitude[-h, -k, -index] == pytest.approx(value)
    np.testing.assert_allclose(
        np.linalg.norm(g, axis=1),
        np.sqrt((hkl[:, 0] ** 2 + hkl[:, 1] ** 2) / crystal.a**2 + hkl[:, 2] ** 2 / crystal.c**2),
    )


@both
def test_strongest_rings_of_the_powder(crystal):
    radius, intensity = powder_lines(crystal, 1.0)
    assert (np.diff(radius) > 0).all()
    strongest = 1 / radius[np.argsort(intensity)[::-1][:2]]
    known = {"anatase": 3.52, "rutile": 3.25}[crystal.name]  # d of 101 and of 110 in Å
    assert strongest[0] == pytest.approx(known, abs=0.01)


def test_scattering_factor_at_the_origin_is_the_sum_of_the_amplitudes():
    np.testing.assert_allclose(scattering_factor("C", np.zeros((2, 1))), 2.5092)


@both
def test_structure_factors_agree_with_diffsims(crystal):
    sim_utils = pytest.importorskip("diffsims.utils.sim_utils")
    hkl, g, factors = reflections(crystal, 1.4)
    arguments = (diffpy_structure(crystal), hkl, np.linalg.norm(g, axis=1))
    damping = {"Ti": crystal.debye_waller, "O": crystal.debye_waller}
    same = sim_utils.get_kinematical_intensities(
        *arguments, debye_waller_factors=damping, scattering_params="xtables"
    )
    np.testing.assert_allclose(np.abs(factors) ** 2, same, rtol=1e-6, atol=1e-9)
    # Another parametrisation of the same atoms, over all rings together.
    other = sim_utils.get_kinematical_intensities(
        *arguments, debye_waller_factors=damping, scattering_params="lobato"
    )
    assert np.corrcoef(np.abs(factors) ** 2, other)[0, 1] > 0.999
    assert np.sum(np.abs(factors) ** 2) == pytest.approx(np.sum(other), rel=0.05)


@both
def test_powder_lines_agree_with_diffsims(crystal):
    generators = pytest.importorskip("diffsims.generators.simulation_generator")
    crystal_map = pytest.importorskip("orix.crystal_map")
    phase = crystal_map.Phase(
        name=crystal.name,
        space_group=SPACE_GROUP[crystal.name],
        structure=diffpy_structure(crystal),
    )
    generator = generators.SimulationGenerator(200, scattering_params="xtables")
    damping = {"Ti": crystal.debye_waller, "O": crystal.debye_waller}
    profile = generator.calculate_diffraction1d(phase, 1.0, debye_waller_factors=damping)
    spacing = np.asarray(profile.reciprocal_spacing)
    radius, intensity = powder_lines(crystal, spacing.max() + 1e-3)
    # diffsims gives the sum of |F|^2; a powder ring has 1 / g more. Its weakest lines are cut.
    theirs = np.array(
        [np.sum(np.asarray(profile.intensities)[np.abs(spacing - r) < 1e-4]) for r in radius]
    )
    ours = intensity * radius
    np.testing.assert_allclose(ours / ours.max(), theirs / theirs.max(), atol=1e-4)
