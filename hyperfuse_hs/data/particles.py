"""Particles of the TiO2 phantom: where they lie, how they are turned, how they diffract."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hyperfuse_hs.data.counts import CountModel
from hyperfuse_hs.data.crystal import ANATASE, RUTILE
from hyperfuse_hs.data.diffraction import (
    Detector,
    amorphous_pattern,
    bragg_spots,
    direct_disk,
    draw_disks,
    thermal_diffuse_pattern,
)
from hyperfuse_hs.data.geometry import lacey_film, places_near, random_rotations, sphere_paths
from hyperfuse_hs.data.materials import CARBON_MATERIAL
from hyperfuse_hs.data.microscope import detector_axes, metadata
from hyperfuse_hs.data.sample import STREAMS, ModalityPlan, Sample

#: Crystal structure of the particles, by the number of their phase.
CRYSTALS = (ANATASE, RUTILE)
#: Distance of probe positions in nm.
STEP = 1.0

_MEAN_RADIUS = 3.3  # nm
_RADIUS_SPREAD = 0.2
_RUTILE_SHARE = 0.2
_FILM = {"hole_spacing": 22.0, "strand_width": 10.0, "thickness": 6.5}  # nm
# Inelastic mean free paths in Å at 200 kV (K. Iakoubovskii et al., Microsc. Res. Tech. 71 (2008)
# 626-631). Electrons scattered inelastically stay within the direct disk, where a beam stop lets a
# tenth of them through: counts are for the rest of the pattern.
_INELASTIC = (1150.0, 1150.0, 1600.0)
_BEAM_STOP = 0.1
# Rings of the structure function of amorphous carbon: radius 1/Å, height, deviation 1/Å.
_CARBON_RINGS = ((0.48, 1.1, 0.055), (0.85, 0.7, 0.07))
# Each component must be missing, and be nearly pure, in these parts of the occupied positions.
_LEAST_MISSING = 0.02
_LEAST_PURE = 0.01
_PURE = 0.9
_MOST_LAYOUTS = 200
_PARTICLES_AT_ONCE = 32


@dataclass(frozen=True)
class Layout:
    """
    Particles and film of a sample with N probe positions.

    Parameters
    ----------
    phase
        Number of the crystal of each particle, shape ``(n,)``.
    diameter
        In Å, shape ``(n,)``.
    rotation
        Orientation, shape ``(n, 3, 3)``.
    particle_paths
        Path through each particle in nm, sparse, shape ``(N, n)``.
    film
        Path through the film in nm, shape ``(N,)``.
    """

    phase: NDArray[np.intp]
    diameter: NDArray[np.float64]
    rotation: NDArray[np.float64]
    particle_paths: sparse.csr_array
    film: NDArray[np.float64]

    @property
    def paths(self) -> NDArray[np.float64]:
        """Path through each component in nm, shape ``(N, 3)``."""
        titania = self.particle_paths @ np.eye(2)[self.phase]
        return np.column_stack([titania, self.film])


def draw_layout(entropy: int, scan: tuple[int, int], n_particles: int) -> Layout:
    """
    Draw samples until each component is missing, and nearly pure, in enough positions.

    Parameters
    ----------
    entropy
        Seed of the phantom.
    scan
        Probe positions, (rows, columns).
    n_particles
        Number of particles, anatase and rutile four to one.

    Returns
    -------
    Layout
        The first good sample.

    Raises
    ------
    ValueError
        If there is none among the first two hundred.
    """
    for attempt in range(_MOST_LAYOUTS):
        seed = np.random.SeedSequence(entropy, spawn_key=(STREAMS["sample"], attempt))
        rng = np.random.default_rng(seed)
        film = lacey_film(rng, scan, STEP, **_FILM)
        radii = _MEAN_RADIUS * rng.lognormal(0.0, _RADIUS_SPREAD, n_particles)
        centres = places_near(rng, film, STEP, radii)
        phase = np.zeros(n_particles, dtype=np.intp)
        phase[: max(1, round(_RUTILE_SHARE * n_particles))] = 1
        layout = Layout(
            rng.permutation(phase),
            20.0 * radii,
            random_rotations(rng, n_particles),
            sphere_paths(centres, radii, scan, STEP),
            film.ravel(),
        )
        if _is_identifiable(layout.paths):
            return layout
    raise ValueError(
        "Each component must be missing somewhere and nearly pure somewhere. No such sample was "
        f"found for the scan {scan} with {n_particles} particles. Give a larger scan, or another "
        "n_particles."
    )


def _is_identifiable(paths: NDArray[np.float64]) -> bool:
    """Whether each component is missing, and nearly pure, in enough occupied positions."""
    total = paths.sum(axis=1)
    parts = paths[total > 0] / total[total > 0, np.newaxis]
    missing = np.mean(parts == 0, axis=0)
    pure = np.mean(parts > _PURE, axis=0)
    return bool(missing.min() >= _LEAST_MISSING and pure.min() >= _LEAST_PURE)


def plan_diffraction(
    sample: Sample, layout: Layout, shape: tuple[int, int], dose: float, beam_energy: float
) -> ModalityPlan:
    """
    Plan patterns of particles that each have their own orientation.

    The factor of a phase is the mean of its patterns over the scan, weighted by dose: so the sum
    of the abundances times the factors over the scan is exactly the sum of the mean counts.

    Parameters
    ----------
    sample
        The sample.
    layout
        Its particles.
    shape
        Pixels of the detector, (rows, columns).
    dose
        Mean counts of a position.
    beam_energy
        In keV.

    Returns
    -------
    ModalityPlan
        The plan.
    """
    detector = Detector(shape, beam_energy=beam_energy)
    spots = _draw_spots(layout, detector)
    smooth = _smooth_patterns(detector)
    # The film is the last of the sources, after the particles.
    phase = np.append(layout.phase, len(CRYSTALS))
    member = np.eye(len(smooth))[phase]
    brightness = smooth.sum(axis=1)[phase]
    brightness[:-1] += spots.sum(axis=1)
    film = sparse.csr_array(layout.film[:, np.newaxis])
    share = sparse.hstack([layout.particle_paths, film], format="csr")
    share = sparse.diags_array(1.0 / sample.divisor, format="csr") @ share
    total = share.sum(axis=0)
    gain = dose / brightness
    if sample.counts == "thickness":
        gain[:] = dose * np.count_nonzero(~sample.vacuum) / (total @ brightness)
    weights = share @ sparse.diags_array(gain, format="csr")
    model = CountModel(weights @ member, smooth, weights[:, :-1], spots)
    amount = (total * gain)[:, np.newaxis] * member
    factors = amount.sum(axis=0)[:, np.newaxis] * smooth + (spots.T @ amount[:-1]).T
    factors /= (total @ member)[:, np.newaxis]
    described = metadata("TiO2 polymorphs, diffraction", detector=detector)
    return ModalityPlan(
        "Diffraction", model, factors.reshape(-1, *shape), detector_axes(detector), described
    )


def _draw_spots(layout: Layout, detector: Detector) -> sparse.csr_array:
    """Bragg disks of each particle, a fraction of the beam per Å of path, ``(n, pixels)``."""
    particles = np.arange(len(layout.phase))
    # A few particles at a time: all pixels of all disks at once would need far more memory.
    groups = np.array_split(particles, max(1, len(particles) // _PARTICLES_AT_ONCE))
    return sparse.vstack([_draw_group(layout, group, detector) for group in groups], format="csr")


def _draw_group(layout: Layout, group: NDArray[np.intp], detector: Detector) -> sparse.csr_array:
    """Bragg disks of some particles, ``(len(group), pixels)``."""
    drawn = sparse.csr_array((len(group), detector.shape[0] * detector.shape[1]))
    for number, crystal in enumerate(CRYSTALS):
        members = np.flatnonzero(layout.phase[group] == number)
        if len(members):
            chosen = group[members]
            position, intensity, spot_of = bragg_spots(
                crystal, layout.rotation[chosen], layout.diameter[chosen], detector
            )
            drawn = drawn + draw_disks(position, intensity, members[spot_of], len(group), detector)
    return drawn


def _smooth_patterns(detector: Detector) -> NDArray[np.float64]:
    """Direct disk and diffuse scattering of each component per Å of path, ``(3, pixels)``."""
    diffuse = [thermal_diffuse_pattern(crystal, detector) for crystal in CRYSTALS]
    carbon_density = {e: 1e-3 * n for e, n in CARBON_MATERIAL.density.items()}
    diffuse.append(amorphous_pattern(carbon_density, _CARBON_RINGS, detector))
    disk = _BEAM_STOP * direct_disk(detector)
    patterns = [d + disk / length for d, length in zip(diffuse, _INELASTIC, strict=True)]
    return np.array(patterns).reshape(len(patterns), -1)
