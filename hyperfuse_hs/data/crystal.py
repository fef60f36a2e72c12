"""Crystal structures of the TiO2 polymorphs and their kinematic structure factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Electron scattering factors f(g) = sum_i a_i exp(-b_i g^2 / 4), a in Å, b in Å^2, valid to
# g = 12 1/Å: International Tables for Crystallography C (2006), table 4.3.2.3, after L.-M. Peng,
# G. Ren, S. L. Dudarev and M. J. Whelan, Acta Cryst. A52 (1996) 257-276.
SCATTERING_PARAMETERS = {
    "C": ((0.0489, 0.114), (0.2091, 1.0825), (0.7537, 5.4281), (1.142, 17.8811), (0.3555, 51.1341)),
    "O": (
        (0.0365, 0.0652),
        (0.1729, 0.6184),
        (0.5805, 2.9449),
        (0.8814, 9.6298),
        (0.3121, 28.2194),
    ),
    "Ti": (
        (0.2123, 0.1399),
        (0.896, 1.4568),
        (2.1765, 6.7534),
        (3.0436, 33.1168),
        (2.4439, 101.8238),
    ),
}


@dataclass(frozen=True)
class Crystal:
    """
    A tetragonal crystal with all atoms of its cell.

    Parameters
    ----------
    name
        Name of the phase.
    a, c
        Lattice parameters in Å.
    elements
        Symbol of each atom.
    positions
        Fractional coordinates, one row (x, y, z) for each atom.
    debye_waller
        Debye-Waller factor B in Å^2, the same for all atoms; amplitudes fall by
        ``exp(-B g^2 / 4)``.
    """

    name: str
    a: float
    c: float
    elements: tuple[str, ...]
    positions: tuple[tuple[float, float, float], ...]
    debye_waller: float = 0.5

    @property
    def volume(self) -> float:
        """Volume of the cell in Å^3."""
        return self.a**2 * self.c

    @property
    def density(self) -> dict[str, float]:
        """Atoms of each element in 1/Å^3."""
        return {e: self.elements.count(e) / self.volume for e in sorted(set(self.elements))}


def _anatase() -> Crystal:
    u = 0.208
    titanium = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.0, 0.5, 0.25), (0.5, 0.0, 0.75))
    oxygen = tuple((x, y, (z + sign * u) % 1.0) for x, y, z in titanium for sign in (1, -1))
    return Crystal("anatase", 3.785, 9.514, ("Ti",) * 4 + ("O",) * 8, titanium + oxygen)


def _rutile() -> Crystal:
    u = 0.305
    titanium = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
    oxygen = ((u, u, 0.0), (1 - u, 1 - u, 0.0), (0.5 + u, 0.5 - u, 0.5), (0.5 - u, 0.5 + u, 0.5))
    return Crystal("rutile", 4.594, 2.959, ("Ti",) * 2 + ("O",) * 4, titanium + oxygen)


#: Anatase, I4_1/amd, and rutile, P4_2/mnm: M. Horn, C. F. Schwerdtfeger and E. P. Meagher,
#: Z. Kristallogr. 136 (1972) 273-281; S. C. Abrahams and J. L. Bernstein, J. Chem. Phys. 55
#: (1971) 3206-3211.
ANATASE = _anatase()
RUTILE = _rutile()


def scattering_factor(element: str, g: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Electron scattering factor of an atom, in Å, without relativistic correction.

    Parameters
    ----------
    element
        Symbol, a key of ``SCATTERING_PARAMETERS``.
    g
        Length of the scattering vector in 1/Å (twice sin(theta)/lambda), any shape.

    Returns
    -------
    ndarray
        Same shape as ``g``.
    """
    a, b = np.array(SCATTERING_PARAMETERS[element]).T
    return np.exp(-np.multiply.outer(g**2, b) / 4) @ a


def reflections(
    crystal: Crystal, g_max: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.complex128]]:
    r"""
    All reflections up to a resolution, with their structure factors.

    :math:`F_{hkl} = e^{-B g^2/4} \sum_j f_j(g)\, e^{2\pi i (h x_j + k y_j + l z_j)}`

    Parameters
    ----------
    crystal
        The crystal.
    g_max
        Largest length of a reciprocal lattice vector, 1/Å.

    Returns
    -------
    hkl : ndarray of int
        Shape ``(m, 3)``; the origin and the systematic absences are left out.
    g : ndarray
        Reciprocal lattice vectors, shape ``(m, 3)``, 1/Å, along the crystal's axes.
    structure_factors : ndarray of complex
        Shape ``(m,)``, in Å.
    """
    n_a, n_c = int(g_max * crystal.a), int(g_max * crystal.c)
    hkl = np.mgrid[-n_a : n_a + 1, -n_a : n_a + 1, -n_c : n_c + 1].reshape(3, -1).T
    g = hkl / np.array([crystal.a, crystal.a, crystal.c])
    length = np.linalg.norm(g, axis=1)
    inside = (length > 0) & (length <= g_max)
    hkl, g, length = hkl[inside], g[inside], length[inside]
    amplitudes = {e: scattering_factor(e, length) for e in set(crystal.elements)}
    waves = np.exp(2j * np.pi * hkl @ np.array(crystal.positions).T)
    factors = sum(amplitudes[e] * waves[:, j] for j, e in enumerate(crystal.elements))
    factors = factors * np.exp(-crystal.debye_waller * length**2 / 4)
    present = np.abs(factors) > 1e-6 * np.abs(factors).max()
    return hkl[present], g[present], factors[present]


def powder_lines(crystal: Crystal, g_max: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""
    Debye-Scherrer rings of a powder with random orientations.

    A reflection of a randomly oriented crystal meets the (nearly flat) Ewald sphere with a
    probability proportional to 1/g, so the intensity of a whole ring is
    :math:`I = \sum |F_{hkl}|^2 / (V^2 g)` over all reflections of that g (B. K. Vainshtein,
    "Structure Analysis by Electron Diffraction", 1964).

    Parameters
    ----------
    crystal
        The crystal.
    g_max
        Largest ring radius, 1/Å.

    Returns
    -------
    radius : ndarray
        Shape ``(n,)``, ascending, 1/Å.
    intensity : ndarray
        Shape ``(n,)``: scattered power of the whole ring over the volume, in 1/Å^3. Times the
        squared wavelength and half an excitation-error integral it is a fraction per length.
    """
    _, g, factors = reflections(crystal, g_max)
    length = np.linalg.norm(g, axis=1)
    power = np.abs(factors) ** 2 / (crystal.volume**2 * length)
    rounded = length.round(6)
    radius = np.unique(rounded)
    ring_power = np.bincount(np.searchsorted(radius, rounded), weights=power)
    return radius, np.asarray(ring_power, dtype=np.float64)
