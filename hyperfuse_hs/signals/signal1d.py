"""Spectra of any kind that carry ``fuse``."""

from hyperspy.signals import LazySignal1D, Signal1D


class HypermodalSignal1D(Signal1D):
    """A :class:`~hyperspy.api.signals.Signal1D` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_1D")`` or
    ``hs.load(filename, signal_type="hypermodal_1D")``: HyperSpy then imports :mod:`hyperfuse_hs`,
    which gives every signal its ``fuse``.
    """

    _signal_type = "hypermodal_1D"


class LazyHypermodalSignal1D(HypermodalSignal1D, LazySignal1D):
    """The lazy twin of :class:`HypermodalSignal1D`."""
