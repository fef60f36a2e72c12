"""The flagship phantom: anatase and rutile nanoparticles on a lacey carbon film."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from hyperspy.signals import BaseSignal

from hyperfuse_hs.data.checks import (
    check_choice,
    check_count,
    check_doses,
    check_folder,
    check_modalities,
    check_shape,
)
from hyperfuse_hs.data.counts import CountModel
from hyperfuse_hs.data.diffraction import Detector, powder_pattern
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
from hyperfuse_hs.data.particles import CRYSTALS, STEP, draw_layout, plan_diffraction
from hyperfuse_hs.data.phantom import Phantom, assemble, native_signal
from hyperfuse_hs.data.sample import COUNTS, ModalityPlan, Sample, spectral_plan

COMPONENTS = ("anatase", "rutile", "carbon")
MODALITIES = ("EELS", "EDS", "Diffraction")

_MATERIALS = (ANATASE_MATERIAL, RUTILE_MATERIAL, CARBON_MATERIAL)
_PARTICLES_PER_POSITION = 0.03


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
    the crystal structures (the beam precesses by 1°, as is usual to come near to this), over
    thermal diffuse scattering, and rings where there is carbon.

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
    scan = check_shape("scan", scan, 16)
    detector = check_shape("detector", detector, 16)
    check_count("eels_channels", eels_channels, 16)
    check_count("eds_channels", eds_channels, 16)
    check_doses(eels_dose=eels_dose, eds_dose=eds_dose, diffraction_dose=diffraction_dose)
    check_choice("counts", counts, COUNTS)
    check_modalities(modalities, MODALITIES)
    if n_particles is None:
        n_particles = round(_PARTICLES_PER_POSITION * scan[0] * scan[1])
    check_count("n_particles", n_particles, 2)
    files = check_folder(folder, modalities)
    entropy = int(np.random.default_rng(random_state).integers(2**63))
    layout = draw_layout(entropy, scan, n_particles)
    sample = Sample(COMPONENTS, scan, STEP, layout.paths, counts)
    planners = {
        "EELS": lambda: _plan_eels(sample, eels_channels, eels_dose),
        "EDS": lambda: _plan_eds(sample, eds_channels, eds_dose),
        "Diffraction": lambda: plan_diffraction(
            sample, layout, detector, diffraction_dose, BEAM_ENERGY
        ),
    }
    plans = [planners[name]() for name in MODALITIES if name in modalities]
    return assemble(sample, plans, files, entropy)


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
    geometry = Detector(check_shape("detector", detector, 16), beam_energy=BEAM_ENERGY)
    patterns = {}
    for crystal in CRYSTALS:
        pattern = powder_pattern(crystal, geometry)
        described = metadata(f"Powder pattern of {crystal.name}", detector=geometry)
        model = CountModel(np.ones((1, 1)), pattern.reshape(1, -1))
        plan = ModalityPlan(
            "Diffraction", model, pattern[np.newaxis], detector_axes(geometry), described
        )
        patterns[crystal.name] = native_signal(plan, pattern / pattern.sum(), [])
    return patterns


def _plan_eels(sample: Sample, channels: int, dose: float) -> ModalityPlan:
    axis = energy_axis("eV", 260.0, 670.0, channels)
    fwhm = float(np.hypot(ENERGY_RESOLUTION_EELS, axis["scale"]))
    spectra = np.array([eels_spectrum(m, axis_values(axis), fwhm=fwhm) for m in _MATERIALS])
    described = metadata("TiO2 polymorphs, EELS", spectrometer="EELS", elements=("C", "O", "Ti"))
    return spectral_plan("EELS", sample, spectra, dose, axis, described)


def _plan_eds(sample: Sample, channels: int, dose: float) -> ModalityPlan:
    axis = energy_axis("keV", 0.0, 10.24, channels)
    energy = axis_values(axis)
    spectra = np.array([eds_spectrum(m, energy, beam_energy=BEAM_ENERGY) for m in _MATERIALS])
    described = metadata(
        "TiO2 polymorphs, EDX",
        spectrometer="EDS",
        elements=("C", "Cu", "O", "Ti"),
        lines=("C_Ka", "Cu_Ka", "O_Ka", "Ti_Ka"),
    )
    return spectral_plan("EDS", sample, spectra, dose, axis, described)
