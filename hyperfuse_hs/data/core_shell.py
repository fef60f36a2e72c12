"""A phantom with a buried component: FePt cores that are never seen without their oxide shell."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.data.checks import (
    check_choice,
    check_count,
    check_doses,
    check_folder,
    check_modalities,
    check_shape,
)
from hyperfuse_hs.data.counts import CountModel
from hyperfuse_hs.data.geometry import lacey_film, places_near, sphere_paths
from hyperfuse_hs.data.materials import (
    CARBON_MATERIAL,
    CORE_MATERIAL,
    SHELL_MATERIAL,
    Material,
    eds_spectrum,
    eels_spectrum,
    haadf_brightness,
)
from hyperfuse_hs.data.microscope import (
    BEAM_ENERGY,
    ENERGY_RESOLUTION_EELS,
    axis_values,
    energy_axis,
    metadata,
)
from hyperfuse_hs.data.phantom import Phantom, assemble
from hyperfuse_hs.data.sample import COUNTS, STREAMS, ModalityPlan, Sample, spectral_plan

MODALITIES = ("EELS", "EDS", "HAADF")

_STEP = 0.5  # nm
_MEAN_RADIUS = 3.2  # nm
_RADIUS_SPREAD = 0.15
_PARTICLES_PER_POSITION = 0.005
# Radius of the core over that of the particle: its path is at most this part of the whole.
_CORE_RATIO = (0.55, 0.75)


def core_shell(
    *,
    scan: tuple[int, int] = (64, 64),
    eels_channels: int = 1024,
    eds_channels: int = 1024,
    eels_dose: float = 1e5,
    eds_dose: float = 500.0,
    haadf_dose: float = 2e3,
    counts: str = "flat",
    support: bool = True,
    n_particles: int | None = None,
    modalities: Collection[str] = MODALITIES,
    folder: str | Path | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> Phantom:
    """
    FePt cores in FeO shells, on a lacey carbon film: EELS, EDX and HAADF.

    The core makes at most three quarters of any path, so no probe position shows it pure, and the
    positions alone do not determine it. The shell has O K lines (532 eV, 0.525 keV) which the
    core lacks.

    Parameters
    ----------
    scan
        Probe positions, (rows, columns), 0.5 nm apart.
    eels_channels
        Channels from 260 to 880 eV.
    eds_channels
        Channels from 0 to 15.36 keV.
    eels_dose, eds_dose, haadf_dose
        Mean counts of a probe position that is not vacuum.
    counts
        ``"flat"``: the same EELS and EDX dose at each position; HAADF keeps its contrast by
        atomic number. ``"thickness"``: all proportional to the local thickness, each component
        with its own brightness.
    support
        Whether there is a carbon film, as a third component; without it the particles float.
    n_particles
        Number of particles; default: about a third of the scan is covered.
    modalities
        Which of ``"EELS"``, ``"EDS"``, ``"HAADF"`` to make. The counts of one do not depend on
        the others.
    folder
        Where to write the signals as ``<name>.zspy``, tile by tile in bounded memory; the
        phantom then has lazy signals that read these files, with the same counts. Default: in
        memory.
    random_state
        Seed: the same seed and parameters give the same phantom.

    Returns
    -------
    Phantom
        Signals and truth; the components are core, shell and, with a support, carbon. HAADF is an
        image without navigation axes, and its factors have shape ``(p,)``.

    Raises
    ------
    ValueError
        If a size, dose or choice is not valid.

    Examples
    --------
    >>> phantom = core_shell(scan=(24, 24), modalities=["HAADF"], random_state=1)
    >>> phantom.signals["HAADF"]
    <Signal2D, title: Core-shell particles, HAADF, dimensions: (|24, 24)>
    >>> bool(np.nanmax(phantom.abundances[..., 0]) <= 0.75)
    True
    """
    scan = check_shape("scan", scan, 16)
    check_count("eels_channels", eels_channels, 16)
    check_count("eds_channels", eds_channels, 16)
    check_doses(eels_dose=eels_dose, eds_dose=eds_dose, haadf_dose=haadf_dose)
    check_choice("counts", counts, COUNTS)
    check_modalities(modalities, MODALITIES)
    if n_particles is None:
        n_particles = max(3, round(_PARTICLES_PER_POSITION * scan[0] * scan[1]))
    check_count("n_particles", n_particles, 1)
    files = check_folder(folder, modalities)
    entropy = int(np.random.default_rng(random_state).integers(2**63))
    materials = (CORE_MATERIAL, SHELL_MATERIAL) + ((CARBON_MATERIAL,) if support else ())
    paths = _draw_paths(entropy, scan, n_particles, support)
    sample = Sample(tuple(m.name for m in materials), scan, _STEP, paths, counts)
    planners = {
        "EELS": lambda: _plan_eels(sample, materials, eels_channels, eels_dose),
        "EDS": lambda: _plan_eds(sample, materials, eds_channels, eds_dose),
        "HAADF": lambda: _plan_haadf(sample, materials, haadf_dose),
    }
    plans = [planners[name]() for name in MODALITIES if name in modalities]
    return assemble(sample, plans, files, entropy)


def _draw_paths(
    entropy: int, scan: tuple[int, int], n_particles: int, support: bool
) -> NDArray[np.float64]:
    """Path through core, shell and, with a support, film, in nm, shape ``(N, p)``."""
    seed = np.random.SeedSequence(entropy, spawn_key=(STREAMS["sample"],))
    rng = np.random.default_rng(seed)
    radii = _MEAN_RADIUS * rng.lognormal(0.0, _RADIUS_SPREAD, n_particles)
    ratios = rng.uniform(*_CORE_RATIO, n_particles)
    if support:
        film = lacey_film(rng, scan, _STEP, hole_spacing=12.0, strand_width=6.0, thickness=4.0)
    else:
        film = np.ones(scan)
    centres = places_near(rng, film, _STEP, radii)
    whole = sphere_paths(centres, radii, scan, _STEP).sum(axis=1)
    core = sphere_paths(centres, ratios * radii, scan, _STEP).sum(axis=1)
    layers = [core, whole - core] + ([film.ravel()] if support else [])
    return np.column_stack(layers)


def _plan_eels(
    sample: Sample, materials: tuple[Material, ...], channels: int, dose: float
) -> ModalityPlan:
    axis = energy_axis("eV", 260.0, 880.0, channels)
    fwhm = float(np.hypot(ENERGY_RESOLUTION_EELS, axis["scale"]))
    spectra = np.array([eels_spectrum(m, axis_values(axis), fwhm=fwhm) for m in materials])
    elements = tuple(sorted({e for m in materials for e in m.density} - {"Pt"}))
    described = metadata("Core-shell particles, EELS", spectrometer="EELS", elements=elements)
    return spectral_plan("EELS", sample, spectra, dose, axis, described)


def _plan_eds(
    sample: Sample, materials: tuple[Material, ...], channels: int, dose: float
) -> ModalityPlan:
    axis = energy_axis("keV", 0.0, 15.36, channels)
    energy = axis_values(axis)
    spectra = np.array([eds_spectrum(m, energy, beam_energy=BEAM_ENERGY) for m in materials])
    elements = tuple(sorted({e for m in materials for e in m.density} | {"Cu"}))
    lines = tuple(f"{e}_{'La' if e == 'Pt' else 'Ka'}" for e in elements)
    described = metadata(
        "Core-shell particles, EDX", spectrometer="EDS", elements=elements, lines=lines
    )
    return spectral_plan("EDS", sample, spectra, dose, axis, described)


def _plan_haadf(sample: Sample, materials: tuple[Material, ...], dose: float) -> ModalityPlan:
    """One number at each position; equal totals would leave no image, so contrast is kept."""
    brightness = np.array([haadf_brightness(m) for m in materials])
    mean = sample.weights[~sample.vacuum].mean(axis=0) @ brightness
    factors = dose * brightness / mean
    model = CountModel(sample.weights, factors[:, np.newaxis])
    return ModalityPlan("HAADF", model, factors, (), metadata("Core-shell particles, HAADF"))
