"""Diffraction patterns of pyxem that carry ``fuse``."""

from hyperfuse_hs.signals._optional import needs

try:
    from pyxem.signals import (
        Diffraction2D,
        ElectronDiffraction2D,
        LazyDiffraction2D,
        LazyElectronDiffraction2D,
    )
except ImportError as error:
    raise needs(
        "pyxem", ("hypermodal_diffraction", "hypermodal_electron_diffraction"), error
    ) from error


class HypermodalDiffraction2D(Diffraction2D):
    """A :class:`pyxem.signals.Diffraction2D` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_diffraction")`` or
    ``hs.load(filename, signal_type="hypermodal_diffraction")``.
    """

    _signal_type = "hypermodal_diffraction"


class LazyHypermodalDiffraction2D(HypermodalDiffraction2D, LazyDiffraction2D):
    """The lazy twin of :class:`HypermodalDiffraction2D`."""


class HypermodalElectronDiffraction2D(ElectronDiffraction2D):
    """A :class:`pyxem.signals.ElectronDiffraction2D` that carries ``fuse``.

    Assign it with ``s.set_signal_type("hypermodal_electron_diffraction")`` or
    ``hs.load(filename, signal_type="hypermodal_electron_diffraction")``.
    """

    _signal_type = "hypermodal_electron_diffraction"


class LazyHypermodalElectronDiffraction2D(
    HypermodalElectronDiffraction2D, LazyElectronDiffraction2D
):
    """The lazy twin of :class:`HypermodalElectronDiffraction2D`."""
