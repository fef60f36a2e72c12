"""The flagship phantom: anatase and rutile nanoparticles on a lacey carbon film."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hyperspy.signals import BaseSignal
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
    powder_pattern,
    thermal_diffuse_pattern,
)
from hyperfuse_hs.data.geometry import lacey_film, places_near, random_rotations, sphere_paths
from hyperfuse_hs.data.materials import (
    ANATASE_MATERIAL,
    CARBON_MATERIAL,
    RUTILE_MATERIAL,
    eds_spectrum,
    eels_spectrum,
)
from hyperfuse_hs.data.microscope import (
    BEAM_ENERGY,
    ENERGY_RESOLUTION_EELS,
    axis_values,
    detector_axes,
    energy_axis,
    metadata,
)
from hyperfuse_hs.data.phantom import (
    COUNTS,
    STREAMS,
    ModalityPlan,
    Phantom,
    Sample,
    assemble,
    check_choice,
    check_doses,
    check_modalities,
    check_sizes,
    native_signal,
    spectral_plan,
)

COMPONENTS = ("anatase", "rutile", "carbon")
MODALITIES = ("EELS", "EDS", "Diffraction")
_CRYSTALS = (ANATASE, RUTILE)
_MATERIALS = (ANATASE_MATERIAL, RUTILE_MATERIAL, CARBON_MATERIAL)

_STEP = 1.0  # nm
_MEAN_RADIUS = 4.2  # nm
_RADIUS_SPREAD = 0.2
_PARTICLES_PER_POSITION = 0.02
_RUTILE_SHARE = 0.2
_FILM = {"hole_spacing": 24.0, "strand_width": 11.0, "thickness": 8.0}  # nm
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


@dataclass(frozen=True)
class _Layout:
    """Particles (phase, diameter, orientation, path at each position) and film of a sample."""

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


def tio2_polymorphs(
    *,
    scan: tuple[int, int] = (64, 64),
    detector: tuple[int, int] = (64, 64),
    eels_channels: int = 1024,
    eds_channels: int = 1024,
    eels_dose: float = 1e5,
    eds_dose: float = 300.0,
    diffraction_dose: float = 5e3,
    counts: str = "flat",
    n_particles: int | None = None,
    modalities: Collection[str] = MODALITIES,
    folder: str | Path | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> Phantom:
    r"""
    Anatase and rutile nanoparticles, four to one, on a lacey carbon film: EELS, EDX, 4D-STEM.

    The particles are spheres with their own size, place and orientation; they overlap, and hang
    over the holes of the film, so that each component is missing somewhere. EELS tells the
    polymorphs apart by the crystal-field splitting of Ti L2,3 and O K; EDX is blind to the
    polymorph; diffraction sees a different pattern for each particle: kinematic Bragg disks from
    the crystal structures, over thermal diffuse scattering, and rings where there is carbon.

    The unscattered beam is left out, so that all counts are proportional to matter: what is in
    the direct disk has been scattered inelastically, and has passed a beam stop.

    Parameters
    ----------
    scan
        Probe positions, (rows, columns), 1 nm apart.
    detector
        Pixels of the diffraction detector, (rows, columns); it reaches to 0.95 1/Å.
    eels_channels
        Channels from 260 to 670 eV.
    eds_channels
        Channels from 0 to 10.24 keV.
    eels_dose, eds_dose, diffraction_dose
        Mean counts of a probe position that is not vacuum.
    counts
        ``"flat"``: the same dose at each position, whatever the thickness; ``"thickness"``:
        proportional to the local thickness, each component with its own brightness.
    n_particles
        Number of particles; default: about two thirds of the scan are covered.
    modalities
        Which of ``"EELS"``, ``"EDS"``, ``"Diffraction"`` to make. The counts of one do not
        depend on the others.
    folder
        Where to write the signals as ``<name>.zspy``, tile by tile in bounded memory; the
        phantom then has lazy signals that read these files, with the same counts. Default: in
        memory.
    random_state
        Seed: the same seed and parameters give the same phantom.

    Returns
    -------
    Phantom
        Signals and truth; the components are anatase, rutile and carbon.

    Raises
    ------
    ValueError
        If a size, dose or choice is not valid, or no sample with the properties above fits.

    Examples
    --------
    >>> phantom = tio2_polymorphs(scan=(24, 24), modalities=["EDS"], random_state=1)
    >>> phantom.components, phantom.abundances.shape
    (('anatase', 'rutile', 'carbon'), (24, 24, 3))
    >>> phantom.signals["EDS"].data.dtype
    dtype('uint16')
    """
    check_choice("counts", counts, COUNTS)
    check_modalities(modalities, MODALITIES)
    check_sizes(16, scan=scan, detector=detector, eels_channels=eels_channels)
    check_sizes(16, eds_channels=eds_channels)
    check_doses(eels_dose=eels_dose, eds_dose=eds_dose, diffraction_dose=diffraction_dose)
    if n_particles is None:
        n_particles = max(5, round(_PARTICLES_PER_POSITION * scan[0] * scan[1]))
    check_sizes(2, n_particles=n_particles)
    entropy = int(np.random.default_rng(random_state).integers(2**63))
    layout = _draw_layout(entropy, scan, n_particles)
    sample = Sample(COMPONENTS, scan, _STEP, layout.paths, counts)
    planners = {
        "EELS": lambda: _plan_eels(sample, eels_channels, eels_dose),
        "EDS": lambda: _plan_eds(sample, eds_channels, eds_dose),
        "Diffraction": lambda: _plan_diffraction(sample, layout, detector, diffraction_dose),
    }
    plans = [planners[name]() for name in MODALITIES if name in modalities]
    return assemble(sample, plans, folder, entropy)


def reference_patterns(*, detector: tuple[int, int] = (64, 64)) -> dict[str, BaseSignal]:
    """
    Debye-Scherrer patterns of the polymorphs, to recognise the components by.

    They hold the Bragg rings only, without direct disk and diffuse background: compare azimuthal
    means outside the direct disk.

    Parameters
    ----------
    detector
        Pixels of the diffraction detector, (rows, columns), with the geometry of
        :func:`tio2_polymorphs`.

    Returns
    -------
    dict
        ``"anatase"`` and ``"rutile"`` -> pattern with unit sum, on calibrated axes.

    Examples
    --------
    >>> sorted(reference_patterns(detector=(32, 32)))
    ['anatase', 'rutile']
    """
    check_sizes(16, detector=detector)
    geometry = Detector(detector, beam_energy=BEAM_ENERGY)
    patterns = {}
    for crystal in _CRYSTALS:
        pattern = powder_pattern(crystal, geometry)
        described = metadata(f"Powder pattern of {crystal.name}", detector=geometry)
        model = CountModel(np.ones((1, 1)), pattern.reshape(1, -1))
        plan = ModalityPlan(
            "Diffraction", model, pattern[np.newaxis], detector_axes(geometry), described
        )
        patterns[crystal.name] = native_signal(plan, pattern / pattern.sum(), [])
    return patterns


def _draw_layout(entropy: int, scan: tuple[int, int], n_particles: int) -> _Layout:
    """Draw samples until each component is missing, and nearly pure, in enough positions."""
    for attempt in range(_MOST_LAYOUTS):
        seed = np.random.SeedSequence(entropy, spawn_key=(STREAMS["sample"], attempt))
        rng = np.random.default_rng(seed)
        film = lacey_film(rng, scan, _STEP, **_FILM)
        radii = _MEAN_RADIUS * rng.lognormal(0.0, _RADIUS_SPREAD, n_particles)
        centres = places_near(rng, film, _STEP, radii)
        phase = np.zeros(n_particles, dtype=np.intp)
        phase[: max(1, round(_RUTILE_SHARE * n_particles))] = 1
        layout = _Layout(
            rng.permutation(phase),
            20.0 * radii,
            random_rotations(rng, n_particles),
            sphere_paths(centres, radii, scan, _STEP),
            film.ravel(),
        )
        if _is_identifiable(layout.paths):
            return layout
    raise ValueError(
        "Each component must be missing somewhere and nearly pure somewhere. No such sample was found "
        f"for the scan {scan} with {n_particles} particles. Give a larger scan, or another number "
        "of particles."
    )


def _is_identifiable(paths: NDArray[np.float64]) -> bool:
    """Whether each component is missing, and nearly pure, in enough occupied positions."""
    total = paths.sum(axis=1)
    parts = paths[total > 0] / total[total > 0, np.newaxis]
    missing = np.mean(parts == 0, axis=0)
    pure = np.mean(parts > _PURE, axis=0)
    return bool(missing.min() >= _LEAST_MISSING and pure.min() >= _LEAST_PURE)


def _plan_eels(sample: Sample, channels: int, dose: float) -> ModalityPlan:
    axis = energy_axis("eV", 260.0, 670.0, channels)
    fwhm = float(np.hypot(ENERGY_RESOLUTION_EELS, axis["scale"]))
    spectra = np.array([eels_spectrum(m, axis_values(axis), fwhm=fwhm) for m in _MATERIALS])
    described = metadata("TiO2 polymorphs, EELS", elements=("C", "O", "Ti"))
    return spectral_plan("EELS", sample, spectra, dose, axis, described)


def _plan_eds(sample: Sample, channels: int, dose: float) -> ModalityPlan:
    axis = energy_axis("keV", 0.0, 10.24, channels)
    energy = axis_values(axis)
    spectra = np.array([eds_spectrum(m, energy, beam_energy=BEAM_ENERGY) for m in _MATERIALS])
    described = metadata(
        "TiO2 polymorphs, EDX",
        eds=True,
        elements=("C", "Cu", "O", "Ti"),
        lines=("C_Ka", "Cu_Ka", "O_Ka", "Ti_Ka"),
    )
    return spectral_plan("EDS", sample, spectra, dose, axis, described)


def _plan_diffraction(
    sample: Sample, layout: _Layout, shape: tuple[int, int], dose: float
) -> ModalityPlan:
    """Patterns of each particle; the factor of a phase is their mean by dose in the scan."""
    detector = Detector(shape, beam_energy=BEAM_ENERGY)
    spots = _draw_spots(layout, detector)
    smooth = _smooth_patterns(detector)
    bragg = np.asarray(spots.sum(axis=1)).ravel()
    brightness = np.append(bragg + smooth.sum(axis=1)[layout.phase], smooth[2].sum())
    # Path of each particle, then of the film, relative to the path that weighs one.
    share = sparse.hstack([layout.particle_paths, sparse.csr_array(layout.film[:, np.newaxis])])
    share = sparse.csr_array(share.multiply(1.0 / sample.divisor[:, np.newaxis]))
    total = np.asarray(share.sum(axis=0)).ravel()
    if sample.counts == "flat":
        gain = dose / brightness
    else:
        n_occupied = np.count_nonzero(~sample.vacuum)
        gain = np.full_like(brightness, dose * n_occupied / (total @ brightness))
    member = np.eye(3)[np.append(layout.phase, 2)]
    weighted = share.multiply(gain[np.newaxis]).tocsr()
    particles = weighted[:, :-1]
    model = CountModel(weighted @ member, smooth, particles, spots)
    amount = (total * gain)[:, np.newaxis] * member
    mean = amount.T @ np.ones(len(member))
    factors = mean[:, np.newaxis] * smooth
    factors += (spots.T @ amount[:-1]).T
    factors /= (member.T @ total)[:, np.newaxis]
    described = metadata("TiO2 polymorphs, diffraction", detector=detector)
    return ModalityPlan(
        "Diffraction", model, factors.reshape(3, *shape), detector_axes(detector), described
    )


def _draw_spots(layout: _Layout, detector: Detector) -> sparse.csr_array:
    """Bragg disks of each particle, a fraction of the beam per Å of path, ``(n, pixels)``."""
    spots = [
        bragg_spots(_CRYSTALS[phase], rotation, diameter, detector)
        for phase, rotation, diameter in zip(
            layout.phase, layout.rotation, layout.diameter, strict=True
        )
    ]
    particle = np.repeat(np.arange(len(spots)), [len(intensity) for _, intensity in spots])
    position = np.concatenate([position for position, _ in spots])
    intensity = np.concatenate([intensity for _, intensity in spots])
    return draw_disks(position, intensity, particle, len(spots), detector)


def _smooth_patterns(detector: Detector) -> NDArray[np.float64]:
    """Direct disk and diffuse scattering of each component per Å of path, ``(3, pixels)``."""
    diffuse = [thermal_diffuse_pattern(crystal, detector) for crystal in _CRYSTALS]
    carbon_density = {e: 1e-3 * n for e, n in CARBON_MATERIAL.density.items()}
    diffuse.append(amorphous_pattern(carbon_density, _CARBON_RINGS, detector))
    disk = _BEAM_STOP * direct_disk(detector)
    patterns = [d + disk / length for d, length in zip(diffuse, _INELASTIC, strict=True)]
    return np.array(patterns).reshape(len(COMPONENTS), -1)
