"""Kinematic diffraction patterns of nanoparticles, powders and amorphous carbon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hyperfuse_hs.algorithms.electrons import electron_wavelength
from hyperfuse_hs.data.crystal import Crystal, powder_lines, reflections, scattering_factor

# Spots weaker than this part of the strongest one of a particle are left out.
_WEAKEST_SPOT = 3e-3
# Directions of the tilted beam over half a turn; the other half is the same by symmetry.
_PRECESSION_STEPS = 8


def relativistic_factor(beam_energy: float) -> float:
    """
    Return gamma = 1 + E / mc^2, by which scattering factors grow with the beam energy (keV).

    Parameters
    ----------
    beam_energy
        In keV.
    """
    return 1.0 + beam_energy / 510.99895


@dataclass(frozen=True)
class Detector:
    """
    A pixelated detector in the diffraction plane, and the beam that reaches it.

    Parameters
    ----------
    shape
        Pixels, (rows, columns).
    k_max
        Scattering vector at the edge of the smaller side, 1/Å.
    disk_radius
        Radius of the diffraction disks: semi-convergence angle over wavelength, 1/Å.
    precession
        Angle by which the beam is tilted while it is rocked around its axis (and the pattern
        rocked back), in degrees.
    beam_energy
        In keV.
    """

    shape: tuple[int, int]
    k_max: float = 0.95
    disk_radius: float = 0.05
    precession: float = 1.0
    beam_energy: float = 200.0

    @property
    def scale(self) -> float:
        """Size of a pixel in 1/Å."""
        return 2.0 * self.k_max / min(self.shape)

    @property
    def offsets(self) -> tuple[float, float]:
        """Scattering vector (ky, kx) of the first pixel in 1/Å; the beam hits pixel n // 2."""
        return -(self.shape[0] // 2) * self.scale, -(self.shape[1] // 2) * self.scale

    @property
    def corner(self) -> float:
        """Largest scattering vector on the detector, with the disk's radius, in 1/Å."""
        return float(np.hypot(*self.offsets)) + self.disk_radius

    @property
    def probability(self) -> float:
        """Factor gamma^2 lambda^2 (Å^2) from ``|F|^2`` per volume to a scattered fraction."""
        gamma = relativistic_factor(self.beam_energy)
        return (gamma * electron_wavelength(self.beam_energy)) ** 2

    def radii(self) -> NDArray[np.float64]:
        """Length of the scattering vector of each pixel, 1/Å."""
        ky, kx = (
            o + self.scale * np.arange(n) for o, n in zip(self.offsets, self.shape, strict=True)
        )
        return np.hypot(ky[:, np.newaxis], kx)


def sphere_rocking_curve(
    excitation_error: NDArray[np.float64], diameter: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    r"""
    Bragg intensity over the excitation error, averaged over the columns of a sphere.

    A column of thickness t diffracts :math:`\sin^2(\pi s t)/(\pi s)^2`; a sphere of diameter D
    has columns with a density proportional to t. Per unit of thickness, with
    :math:`a = \pi s`,

    :math:`w(s) = \frac{3}{D^3 a^2}\left[\frac{D^2}{4} - \frac{D\sin 2aD}{4a} +
    \frac{1-\cos 2aD}{8a^2}\right]`, with :math:`w(0)=3D/4` and :math:`\int w\,ds = 1`.

    Parameters
    ----------
    excitation_error
        Distance s from the Ewald sphere, 1/Å, any shape.
    diameter
        D in Å; broadcasts against `excitation_error`.

    Returns
    -------
    ndarray
        In Å, of the broadcast shape.
    """
    # x = 2 a D; a series where the closed form would lose its digits.
    x = 2.0 * np.pi * np.abs(excitation_error) * diameter
    safe = np.where(x < 0.05, 1.0, x)
    closed = 6.0 * (safe**2 / 2 - safe * np.sin(safe) + 1.0 - np.cos(safe)) / safe**4
    return diameter * np.where(x < 0.05, 0.75 - x**2 / 24, closed)


def bragg_spots(
    crystal: Crystal,
    rotations: NDArray[np.float64],
    diameters: NDArray[np.float64],
    detector: Detector,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    r"""
    Bragg spots of spherical particles in the kinematic column approximation, with precession.

    A beam tilted by a small angle :math:`\varphi` in the azimuth :math:`\psi` changes the
    excitation error of a reflection by :math:`g_\perp \tan\varphi\cos\psi`; the intensity is the
    mean over :math:`\psi` (R. Vincent and P. A. Midgley, Ultramicroscopy 53 (1994) 271-282).

    Parameters
    ----------
    crystal
        The crystal structure of all of them.
    rotations
        Orientations, shape ``(n, 3, 3)``: crystal axes to (x, y, z), the beam along z.
    diameters
        In Å, shape ``(n,)``.
    detector
        The detector, which gives the beam energy too.

    Returns
    -------
    position : ndarray
        Shape ``(m, 2)``: (ky, kx) of each spot in 1/Å.
    intensity : ndarray
        Shape ``(m,)``: fraction of the beam scattered into the spot per Å of path.
    particle : ndarray of int
        Shape ``(m,)``: the particle that each spot is of.
    """
    _, g, factors = reflections(crystal, detector.corner)
    rotated = g @ np.swapaxes(rotations, 1, 2)
    curvature = electron_wavelength(detector.beam_energy) * np.sum(g**2, axis=1) / 2
    error = rotated[..., 2] + curvature
    tilted = np.hypot(rotated[..., 0], rotated[..., 1]) * np.tan(np.radians(detector.precession))
    azimuth = np.pi * (np.arange(_PRECESSION_STEPS) + 0.5) / _PRECESSION_STEPS
    rocking = np.zeros_like(error)
    for cosine in np.cos(azimuth):
        rocking += sphere_rocking_curve(error + tilted * cosine, diameters[:, np.newaxis])
    rocking /= _PRECESSION_STEPS
    intensity = detector.probability * np.abs(factors) ** 2 / crystal.volume**2 * rocking
    strong = intensity > _WEAKEST_SPOT * intensity.max(axis=1, keepdims=True)
    return rotated[strong][:, 1::-1], intensity[strong], np.nonzero(strong)[0]


def draw_disks(
    position: NDArray[np.float64],
    intensity: NDArray[np.float64],
    pattern: NDArray[np.intp],
    n_patterns: int,
    detector: Detector,
) -> sparse.csr_array:
    """
    Draw uniform disks with anti-aliased rims; what falls off the detector is lost.

    Parameters
    ----------
    position
        Centres (ky, kx), shape ``(m, 2)``, 1/Å.
    intensity
        Sum over each whole disk, shape ``(m,)``.
    pattern
        Pattern each disk belongs to, shape ``(m,)``.
    n_patterns
        Number of patterns.
    detector
        The detector.

    Returns
    -------
    sparse array
        Shape ``(n_patterns, pixels)``.
    """
    radius = detector.disk_radius / detector.scale
    reach = int(np.ceil(radius)) + 1
    centre = (position - np.array(detector.offsets)) / detector.scale
    nearest = np.rint(centre).astype(np.intp)
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    pixel = nearest[:, :, np.newaxis] + steps
    distance = np.linalg.norm(pixel - centre[:, :, np.newaxis], axis=1)
    cover = np.clip(radius + 0.5 - distance, 0.0, 1.0)
    value = cover * (intensity / cover.sum(axis=1))[:, np.newaxis]
    limits = np.array(detector.shape)[:, np.newaxis]
    drawn = (cover > 0) & ((pixel >= 0) & (pixel < limits)).all(axis=1)
    flat = pixel[:, 0] * detector.shape[1] + pixel[:, 1]
    rows = np.broadcast_to(pattern[:, np.newaxis], drawn.shape)
    pixels = detector.shape[0] * detector.shape[1]
    return sparse.csr_array(
        sparse.coo_array((value[drawn], (rows[drawn], flat[drawn])), shape=(n_patterns, pixels))
    )


def direct_disk(detector: Detector) -> NDArray[np.float64]:
    """
    Draw the disk of the beam through the centre; its sum is one.

    Parameters
    ----------
    detector
        The detector.

    Returns
    -------
    ndarray
        Shape of the detector.
    """
    one = np.zeros(1, dtype=np.intp)
    disk = draw_disks(np.zeros((1, 2)), np.ones(1), one, 1, detector)
    return disk.toarray().reshape(detector.shape)


def amorphous_pattern(
    density: dict[str, float],
    rings: tuple[tuple[float, float, float], ...],
    detector: Detector,
) -> NDArray[np.float64]:
    r"""
    Elastic scattering of an amorphous material: atoms times a structure function with rings.

    :math:`I(k) = \gamma^2\lambda^2 S(k) \sum_e n_e f_e(k)^2` for each element of reciprocal area.
    S(k) is one plus a Gaussian for each ring, and falls to zero well inside the first ring: a
    uniform density scatters nothing forward.

    Parameters
    ----------
    density
        Atoms of each element, 1/Å^3.
    rings
        (radius in 1/Å, height, standard deviation in 1/Å) of each ring of S(k).
    detector
        The detector.

    Returns
    -------
    ndarray
        Shape of the detector: fraction of the beam in each pixel per Å of path.
    """
    k = detector.radii()
    structure = 1.0 + sum(h * np.exp(-0.5 * ((k - r) / w) ** 2) for r, h, w in rings)
    structure = structure / (1.0 + np.exp(-(k - 0.6 * rings[0][0]) / 0.03))
    atoms = sum(n * scattering_factor(e, k) ** 2 for e, n in density.items())
    return detector.probability * detector.scale**2 * atoms * structure


def thermal_diffuse_pattern(crystal: Crystal, detector: Detector) -> NDArray[np.float64]:
    r"""
    Diffuse scattering of independent thermal vibrations (Einstein model).

    :math:`I(k) = \gamma^2\lambda^2\sum_e n_e f_e(k)^2 (1 - e^{-B k^2/2})`: what the Debye-Waller
    factor takes from the Bragg spots.

    Parameters
    ----------
    crystal
        The crystal.
    detector
        The detector.

    Returns
    -------
    ndarray
        Shape of the detector: fraction of the beam in each pixel per Å of path.
    """
    k = detector.radii()
    atoms = sum(n * scattering_factor(e, k) ** 2 for e, n in crystal.density.items())
    vibrating = 1.0 - np.exp(-crystal.debye_waller * k**2 / 2)
    return detector.probability * detector.scale**2 * atoms * vibrating


def powder_pattern(crystal: Crystal, detector: Detector) -> NDArray[np.float64]:
    """
    Debye-Scherrer pattern: Bragg disks averaged over all orientations.

    Parameters
    ----------
    crystal
        The crystal.
    detector
        The detector; rings are as wide as its disks.

    Returns
    -------
    ndarray
        Shape of the detector: fraction of the beam in each pixel per Å of path.
    """
    radius, power = powder_lines(crystal, detector.corner)
    pattern = np.zeros(detector.shape).ravel()
    k = detector.radii().ravel()
    edge = np.hypot(detector.disk_radius, detector.scale / 2)
    for ring, ring_power in zip(radius, power, strict=True):
        near = np.abs(k - ring) < edge
        # Part of the azimuth at which a disk with its centre on the ring covers the pixel.
        cosine = (k[near] ** 2 + ring**2 - edge**2) / (2 * k[near] * ring)
        pattern[near] += ring_power * np.arccos(cosine) / np.pi
    # The mean of the rocking curve over all orientations is 1 / 2g.
    density = 0.5 * detector.probability / (np.pi * edge**2)
    return density * detector.scale**2 * pattern.reshape(detector.shape)
