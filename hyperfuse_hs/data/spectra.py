"""Models of EELS and EDX spectra: count densities per length of path, without noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import voigt_profile

# Standard deviation over full width at half maximum of a Gaussian.
_SIGMA_OF_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))
# In eV; the tails of anything wider would reach far below the edge.
_WIDEST_LORENTZIAN = 1.5


@dataclass(frozen=True)
class Edge:
    """
    A core-loss edge.

    Parameters
    ----------
    density
        Atoms in 1/nm^3.
    cross_section
        Of one atom, in barn, over the 50 eV above the onset.
    onset
        Of the continuum, in eV.
    peaks
        (energy in eV, relative area, full width at half maximum in eV) of each near-edge peak.
        The width is that of the final state's lifetime, a Lorentzian, up to 1.5 eV; the rest is
        that of a band, a Gaussian.
    peak_share
        Part of the cross-section that is in the peaks.
    exponent
        Of the continuum, which falls as ``E ** -exponent``.
    """

    density: float
    cross_section: float
    onset: float
    peaks: tuple[tuple[float, float, float], ...]
    peak_share: float
    exponent: float


def power_law(energy: NDArray[np.float64], at_300: float, exponent: float) -> NDArray[np.float64]:
    """
    Background of an EELS spectrum.

    Parameters
    ----------
    energy
        Energy loss in eV, shape ``(C,)``.
    at_300
        Value at 300 eV: cross-section times density, in barn/(eV nm^3).
    exponent
        The background falls as ``E ** -exponent``.

    Returns
    -------
    ndarray
        Shape ``(C,)``, in barn/(eV nm^3).
    """
    return at_300 * (energy / 300.0) ** -exponent


def core_loss(energy: NDArray[np.float64], edge: Edge, fwhm: float) -> NDArray[np.float64]:
    """
    Continuum and near-edge peaks of one edge, as a spectrometer sees them.

    Parameters
    ----------
    energy
        Energy loss in eV, shape ``(C,)``.
    edge
        The edge.
    fwhm
        Gaussian energy resolution in eV.

    Returns
    -------
    ndarray
        Shape ``(C,)``, in barn/(eV nm^3).
    """
    centre, area, width = np.array(edge.peaks).T
    lifetime = np.minimum(width, _WIDEST_LORENTZIAN)
    sigma = _SIGMA_OF_FWHM * np.sqrt(fwhm**2 + width**2 - lifetime**2)
    peaks = voigt_profile(energy[:, np.newaxis] - centre, sigma, lifetime / 2) @ (area / area.sum())
    # A step of the lifetime and resolution of a continuum state, about 1 eV wide.
    step = 0.5 + np.arctan((energy - edge.onset) / (0.5 * fwhm + 0.3)) / np.pi
    step = step * (energy > edge.onset - 15.0)
    order = 1.0 - edge.exponent
    integral = edge.onset / order * ((1.0 + 50.0 / edge.onset) ** order - 1.0)
    continuum = step * (energy / edge.onset) ** -edge.exponent / integral
    shape = edge.peak_share * peaks + (1.0 - edge.peak_share) * continuum
    return edge.density * edge.cross_section * shape


def detector_fwhm(energy: NDArray[np.float64], at_mn_ka: float = 130.0) -> NDArray[np.float64]:
    """
    Energy resolution of a silicon X-ray detector.

    ``FWHM^2 = FWHM(Mn Ka)^2 + 2.5 eV (E - 5898.7 eV)``: C. E. Fiori and D. E. Newbury, Scanning
    Electron Microscopy 1 (1978) 401-422, which HyperSpy's EDS signals use too.

    Parameters
    ----------
    energy
        Line energies in keV, any shape.
    at_mn_ka
        Full width at half maximum at Mn Ka in eV.

    Returns
    -------
    ndarray
        Full width at half maximum in keV, same shape.
    """
    return 1e-3 * np.sqrt(at_mn_ka**2 + 2.5 * (1e3 * energy - 5898.7))


def x_ray_lines(energy: NDArray[np.float64], lines: dict[float, float]) -> NDArray[np.float64]:
    """
    Characteristic lines with the resolution of the detector.

    Parameters
    ----------
    energy
        Energy in keV, shape ``(C,)``.
    lines
        Area of each line by its energy in keV.

    Returns
    -------
    ndarray
        Shape ``(C,)``, areas per keV.
    """
    centre = np.array(list(lines))
    sigma = detector_fwhm(centre) * _SIGMA_OF_FWHM
    offset = (energy[:, np.newaxis] - centre) / sigma
    return np.exp(-0.5 * offset**2) / (sigma * np.sqrt(2 * np.pi)) @ np.array(list(lines.values()))


def bremsstrahlung(energy: NDArray[np.float64], beam_energy: float) -> NDArray[np.float64]:
    """
    Continuum X-rays after Kramers, cut off at low energy by the window of the detector.

    Parameters
    ----------
    energy
        Energy in keV, shape ``(C,)``.
    beam_energy
        In keV.

    Returns
    -------
    ndarray
        Shape ``(C,)``, with unit area per keV over the given channels if they are uniform.
    """
    safe = np.maximum(energy, 1e-3)
    window = np.exp(-((0.35 / safe) ** 2))
    density = np.maximum(beam_energy / safe - 1.0, 0.0) * window
    return density / (density.sum() * (energy[1] - energy[0]))
