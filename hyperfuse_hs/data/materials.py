"""The materials of the phantoms: composition, edges and lines, for EELS, EDX and HAADF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.data.crystal import ANATASE, RUTILE, Crystal
from hyperfuse_hs.data.spectra import Edge, bremsstrahlung, core_loss, power_law, x_ray_lines


@dataclass(frozen=True)
class Element:
    """
    X-ray properties of an element.

    Parameters
    ----------
    number
        Atomic number.
    mass
        In g/mol.
    k_factor
        Cliff-Lorimer factor by weight of the line with weight one: the counts of a line are
        proportional to mass per volume over it. Typical of a thin-window silicon detector at
        200 kV (D. B. Williams and C. B. Carter, "Transmission Electron Microscopy", 2009).
    lines
        Weight of each line by its energy in keV.
    """

    number: int
    mass: float
    k_factor: float
    lines: dict[float, float]


# Energies and K, L and M family weights: J. A. Bearden, Rev. Mod. Phys. 39 (1967) 78, and the
# tables of exspy. Minor L lines of Fe and Cu are left out: they cannot be told from La, and
# iron then leaves the O Ka window free.
ELEMENTS = {
    "C": Element(6, 12.011, 3.5, {0.2774: 1.0}),
    "O": Element(8, 15.999, 2.0, {0.5249: 1.0}),
    "Ti": Element(22, 47.867, 1.15, {4.5109: 1.0, 4.9318: 0.117, 0.4555: 0.08, 0.3952: 0.03}),
    "Fe": Element(26, 55.845, 1.35, {6.4039: 1.0, 7.058: 0.127, 0.7045: 0.3}),
    "Cu": Element(29, 63.546, 1.6, {8.0478: 1.0, 8.9053: 0.132, 0.9295: 0.35}),
    "Pt": Element(
        78,
        195.084,
        4.0,
        {
            9.4421: 1.0,
            11.0707: 0.41,
            11.2504: 0.22,
            12.9418: 0.08,
            8.2677: 0.06,
            2.0505: 1.4,
            2.1276: 0.83,
            1.6026: 0.02,
        },
    ),
}

# Bremsstrahlung over characteristic counts: makes a fifth of the counts of TiO2.
_BREMSSTRAHLUNG = 0.022
# Spurious Cu X-rays of the grid, over those of the place itself.
_SPURIOUS_COPPER = 0.06
# Exponent of the atomic number in high-angle scattering.
_HAADF_EXPONENT = 1.7


@dataclass(frozen=True)
class Material:
    """
    What a component is made of.

    Parameters
    ----------
    name
        Name of the component.
    density
        Atoms of each element in 1/nm^3.
    background
        Value at 300 eV, in barn/(eV nm^3), and exponent of the EELS background.
    edges
        Core-loss edges.
    """

    name: str
    density: dict[str, float]
    background: tuple[float, float]
    edges: tuple[Edge, ...]


def _per_cubic_nm(crystal: Crystal) -> dict[str, float]:
    return {element: 1e3 * n for element, n in crystal.density.items()}


def _titania(
    crystal: Crystal,
    titanium: tuple[tuple[float, float, float], ...],
    oxygen: tuple[tuple[float, float, float], ...],
) -> Material:
    """Ti L2,3 and O K of a polymorph; cross-sections and background by the formula unit."""
    density = _per_cubic_nm(crystal)
    edges = (
        Edge(density["Ti"], 1.1e4, 459.0, titanium, 0.6, 1.9),
        Edge(density["O"], 2.8e3, 536.0, oxygen, 0.55, 3.5),
    )
    return Material(crystal.name, density, (840.0 * density["Ti"], 3.0), edges)


# Cross-sections: hydrogenic, 200 keV, 10 mrad convergence, 30 mrad collection (R. F. Egerton,
# "Electron Energy-Loss Spectroscopy in the Electron Microscope", 2011), plus white lines.
# Peaks of TiO2 after R. Brydson et al., J. Phys.: Condens. Matter 1 (1989) 797-812: the second
# peak of L3 (eg) is a doublet, its lower part the stronger one in anatase, its upper part in
# rutile; O K has one broad peak near 539 eV in anatase and two in rutile.
ANATASE_MATERIAL = _titania(
    ANATASE,
    (
        (456.9, 0.02, 0.3),
        (458.1, 0.18, 0.3),
        (459.9, 0.17, 0.6),
        (460.8, 0.10, 0.7),
        (463.5, 0.20, 1.0),
        (465.5, 0.24, 1.4),
    ),
    ((530.9, 0.20, 0.8), (533.5, 0.16, 1.2), (538.8, 0.40, 4.0), (544.5, 0.26, 5.0)),
)
RUTILE_MATERIAL = _titania(
    RUTILE,
    (
        (456.8, 0.02, 0.3),
        (458.0, 0.17, 0.3),
        (459.7, 0.09, 0.6),
        (460.7, 0.19, 0.7),
        (463.4, 0.20, 1.0),
        (465.4, 0.24, 1.4),
    ),
    (
        (530.7, 0.20, 0.8),
        (533.2, 0.17, 1.2),
        (536.6, 0.06, 2.0),
        (539.8, 0.22, 2.2),
        (542.9, 0.22, 2.6),
        (546.0, 0.13, 4.0),
    ),
)
# Amorphous, 2.0 g/cm^3: pi* and broad sigma*.
CARBON_MATERIAL = Material(
    "carbon",
    {"C": 100.0},
    (3.6e3, 3.2),
    (
        Edge(
            100.0,
            8.6e3,
            288.0,
            ((285.2, 0.12, 0.8), (292.5, 0.58, 8.0), (301.0, 0.30, 14.0)),
            0.4,
            3.4,
        ),
    ),
)
# L1_0 FePt: a = 3.85 Å, c = 3.71 Å, two formula units.
CORE_MATERIAL = Material(
    "core",
    {"Fe": 36.4, "Pt": 36.4},
    (5.5e4, 2.9),
    (Edge(36.4, 3.0e3, 708.0, ((707.5, 0.66, 2.2), (720.6, 0.34, 2.6)), 0.45, 1.5),),
)
# FeO: a = 4.30 Å, four formula units.
SHELL_MATERIAL = Material(
    "shell",
    {"Fe": 50.3, "O": 50.3},
    (3.5e4, 3.0),
    (
        Edge(50.3, 3.0e3, 710.0, ((709.3, 0.73, 1.6), (722.4, 0.27, 2.2)), 0.55, 1.5),
        Edge(
            50.3,
            2.8e3,
            537.0,
            ((530.6, 0.08, 1.4), (540.2, 0.60, 4.5), (546.0, 0.20, 5.0), (560.0, 0.12, 9.0)),
            0.55,
            3.5,
        ),
    ),
)


def eels_spectrum(
    material: Material, energy: NDArray[np.float64], *, fwhm: float
) -> NDArray[np.float64]:
    """
    Single-scattering EELS spectrum of a material per length of path.

    Parameters
    ----------
    material
        The material.
    energy
        Energy loss in eV, shape ``(C,)``.
    fwhm
        Energy resolution in eV.

    Returns
    -------
    ndarray
        Shape ``(C,)``, in barn/(eV nm^3).
    """
    spectrum = power_law(energy, *material.background)
    return spectrum + sum(core_loss(energy, edge, fwhm) for edge in material.edges)


def eds_spectrum(
    material: Material, energy: NDArray[np.float64], *, beam_energy: float
) -> NDArray[np.float64]:
    """
    EDX spectrum of a material per length of path: lines, grid and bremsstrahlung.

    Parameters
    ----------
    material
        The material.
    energy
        In keV, shape ``(C,)``, uniform.
    beam_energy
        In keV.

    Returns
    -------
    ndarray
        Shape ``(C,)``, counts per keV in units that are the same for all materials.
    """
    lines: dict[float, float] = {}
    for element, density in material.density.items():
        properties = ELEMENTS[element]
        strength = density * properties.mass / properties.k_factor
        lines |= {line: strength * weight for line, weight in properties.lines.items()}
    copper = _SPURIOUS_COPPER * sum(lines.values())
    lines |= {line: copper * weight for line, weight in ELEMENTS["Cu"].lines.items()}
    continuum = sum(n * ELEMENTS[e].number ** 2 for e, n in material.density.items())
    spectrum = _BREMSSTRAHLUNG * continuum * bremsstrahlung(energy, beam_energy)
    return spectrum + x_ray_lines(energy, lines)


def haadf_brightness(material: Material) -> float:
    """
    High-angle scattering of a material per length of path.

    Parameters
    ----------
    material
        The material.

    Returns
    -------
    float
        Sum of density times ``Z ** 1.7``, 1/nm^3.
    """
    return sum(n * ELEMENTS[e].number ** _HAADF_EXPONENT for e, n in material.density.items())
