"""EELS spectra of eXSpy that carry ``fuse``."""

from hyperfuse_hs.signals._optional import needs

try:
    from exspy.signals import EELSSpectrum, LazyEELSSpectrum
except ImportError as error:
    raise needs("exspy", ("hypermodal_EELS",), error) from error


class HypermodalEELSSpectrum(EELSSpectrum):
    """An :class:`exspy.signals.EELSSpectrum` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_EELS")`` or
    ``hs.load(filename, signal_type="hypermodal_EELS")``.
    """

    _signal_type = "hypermodal_EELS"
    # "TEM EELS" remains an alias of the native class only.
    _alias_signal_types: list[str] = []


class LazyHypermodalEELSSpectrum(HypermodalEELSSpectrum, LazyEELSSpectrum):
    """The lazy twin of :class:`HypermodalEELSSpectrum`."""
