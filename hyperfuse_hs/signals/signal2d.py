"""Images and patterns of any kind that carry ``fuse``."""

from hyperspy.signals import LazySignal2D, Signal2D


class HypermodalSignal2D(Signal2D):
    """A :class:`~hyperspy.api.signals.Signal2D` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_2D")`` or
    ``hs.load(filename, signal_type="hypermodal_2D")``: HyperSpy then imports :mod:`hyperfuse_hs`,
    which gives every signal its ``fuse``.
    """

    _signal_type = "hypermodal_2D"


class LazyHypermodalSignal2D(HypermodalSignal2D, LazySignal2D):
    """The lazy twin of :class:`HypermodalSignal2D`."""
