"""EDS spectra of eXSpy that carry ``fuse``.

eXSpy 0.3 decides by the text ``metadata.Signal.signal_type`` whether a spectrum is from an SEM or a
TEM, and writes that text whenever a TEM spectrum is created. The three places where this matters
are overridden here, for both microscopes at once.
"""

from typing import Any

from hyperfuse_hs.signals._optional import needs

try:
    from exspy.signals import (
        EDSSEMSpectrum,
        EDSSpectrum,
        EDSTEMSpectrum,
        LazyEDSSEMSpectrum,
        LazyEDSTEMSpectrum,
    )
    from exspy.utils.eds import take_off_angle
except ImportError as error:
    raise needs("exspy", ("hypermodal_EDS_TEM", "hypermodal_EDS_SEM"), error) from error


class _OwnSignalType(EDSSpectrum):
    """What eXSpy looks up by the text of the signal type, looked up by class instead."""

    _microscope: str

    def _set_default_param(self) -> None:
        """Fill in eXSpy's default microscope parameters and keep the signal type."""
        super()._set_default_param()
        self.metadata.Signal.signal_type = self._signal_type

    def _get_line_energy(self, Xray_line: str, FWHM_MnKa: float | str | None = None) -> Any:
        """Return the energy of an X-ray line and, if asked for, its width.

        Parameters
        ----------
        Xray_line
            Line in eXSpy's notation, e.g. ``"Fe_Ka"``.
        FWHM_MnKa
            Energy resolution of the detector at Mn Ka, eV; ``"auto"`` takes it from the metadata.

        Returns
        -------
        float or tuple of float
            Energy, or energy and full width at half maximum, in units of the signal axis.
        """
        if FWHM_MnKa == "auto":
            FWHM_MnKa = self._get_instrument().Detector.EDS.energy_resolution_MnKa
        return super()._get_line_energy(Xray_line, FWHM_MnKa)

    def get_take_off_angle(self) -> float:
        """Return the angle between the surface and the way of the X-rays to the detector, degrees.

        The stage tilts, the azimuth and the elevation of the detector come from the metadata; see
        :meth:`exspy.signals.EDSTEMSpectrum.set_microscope_parameters`.
        """
        instrument = self._get_instrument()
        return take_off_angle(
            instrument.get_item("Stage.tilt_alpha", None),
            instrument.get_item("Detector.EDS.azimuth_angle", None),
            instrument.get_item("Detector.EDS.elevation_angle", None),
            instrument.get_item("Stage.tilt_beta", 0.0),
        )

    def _get_instrument(self) -> Any:
        """Return the metadata node of the microscope."""
        return self.metadata.Acquisition_instrument.get_item(self._microscope)


class HypermodalEDSTEMSpectrum(_OwnSignalType, EDSTEMSpectrum):
    """An :class:`exspy.signals.EDSTEMSpectrum` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_EDS_TEM")`` or
    ``hs.load(filename, signal_type="hypermodal_EDS_TEM")``.
    """

    _signal_type = "hypermodal_EDS_TEM"
    _microscope = "TEM"


class LazyHypermodalEDSTEMSpectrum(HypermodalEDSTEMSpectrum, LazyEDSTEMSpectrum):
    """The lazy twin of :class:`HypermodalEDSTEMSpectrum`."""


class HypermodalEDSSEMSpectrum(_OwnSignalType, EDSSEMSpectrum):
    """An :class:`exspy.signals.EDSSEMSpectrum` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_EDS_SEM")`` or
    ``hs.load(filename, signal_type="hypermodal_EDS_SEM")``.
    """

    _signal_type = "hypermodal_EDS_SEM"
    _microscope = "SEM"


class LazyHypermodalEDSSEMSpectrum(HypermodalEDSSEMSpectrum, LazyEDSSEMSpectrum):
    """The lazy twin of :class:`HypermodalEDSSEMSpectrum`."""
