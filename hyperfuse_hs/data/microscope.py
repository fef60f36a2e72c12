"""Axes and metadata of the instruments of the phantoms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.data.diffraction import Detector, electron_wavelength

#: Beam energy in keV, and energy resolutions (full width at half maximum) in eV.
BEAM_ENERGY = 200.0
ENERGY_RESOLUTION_EELS = 0.8
ENERGY_RESOLUTION_MN_KA = 130.0

_SPECTROMETERS = {
    "EELS": {"collection_angle": 30.0},
    "EDS": {
        "azimuth_angle": 0.0,
        "elevation_angle": 18.0,
        "energy_resolution_MnKa": ENERGY_RESOLUTION_MN_KA,
        "live_time": 0.01,
    },
}


def energy_axis(units: str, start: float, stop: float, channels: int) -> dict[str, Any]:
    """
    Describe a uniform energy axis, as HyperSpy takes it.

    Parameters
    ----------
    units
        ``"eV"`` or ``"keV"``.
    start, stop
        Ends of the range in these units; `stop` is not a channel itself.
    channels
        Number of channels.
    """
    name = "Energy loss" if units == "eV" else "Energy"
    scale = (stop - start) / channels
    return {"name": name, "size": channels, "scale": scale, "offset": start, "units": units}


def axis_values(axis: dict[str, Any]) -> NDArray[np.float64]:
    """Return the value of each channel of a uniform axis."""
    return np.asarray(axis["offset"] + axis["scale"] * np.arange(axis["size"]))


def detector_axes(detector: Detector) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the axes (ky, kx) of a diffraction detector in 1/Å."""
    ky, kx = (
        {"name": name, "size": size, "scale": detector.scale, "offset": offset, "units": "1/Å"}
        for name, size, offset in zip(("ky", "kx"), detector.shape, detector.offsets, strict=True)
    )
    return ky, kx


def metadata(
    title: str,
    *,
    detector: Detector | None = None,
    spectrometer: str | None = None,
    elements: tuple[str, ...] = (),
    lines: tuple[str, ...] = (),
) -> dict[str, Any]:
    """
    Describe the acquisition in HyperSpy's metadata.

    Parameters
    ----------
    title
        Title of the signal.
    detector
        Diffraction detector; its disks give the convergence angle.
    spectrometer
        ``"EELS"`` or ``"EDS"``: the detector to describe.
    elements, lines
        Elements and X-ray lines of the sample.
    """
    detector = detector or Detector((2, 2), beam_energy=BEAM_ENERGY)
    angle = 1e3 * detector.disk_radius * electron_wavelength(detector.beam_energy)
    tem: dict[str, Any] = {
        "beam_energy": detector.beam_energy,
        "acquisition_mode": "STEM",
        "convergence_angle": angle,
        "Stage": {"tilt_alpha": 0.0, "tilt_beta": 0.0},
    }
    if spectrometer:
        tem["Detector"] = {spectrometer: dict(_SPECTROMETERS[spectrometer])}
    described: dict[str, Any] = {
        "General": {"title": title},
        "Acquisition_instrument": {"TEM": tem},
    }
    if elements:
        described["Sample"] = {"elements": list(elements)}
    if lines:
        described["Sample"]["xray_lines"] = list(lines)
    return described
