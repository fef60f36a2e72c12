"""Hypermodal data fusion for HyperSpy: joint decomposition of all signals of one scan.

Importing the package gives every HyperSpy signal the method ``fuse``.
"""

import warnings

from hyperspy.signal import BaseSignal

from hyperfuse_hs import cache, data
from hyperfuse_hs.algorithms import metrics
from hyperfuse_hs.fusion import fuse, fuse_method
from hyperfuse_hs.registration import register

__version__ = "0.1.0"

__all__ = ["__version__", "cache", "data", "fuse", "metrics", "register"]


def _bind() -> None:
    """Give HyperSpy's signals the method ``fuse``, unless another package has done so."""
    present = BaseSignal.__dict__.get("fuse")
    if present is None or getattr(present, "__module__", None) == fuse_method.__module__:
        BaseSignal.fuse = fuse_method
    else:
        warnings.warn(
            f"Signals already have a method fuse, from {present.__module__}: it is left alone. "
            "Use hyperfuse_hs.fuse([signal, ...]) instead.",
            UserWarning,
            stacklevel=3,
        )


_bind()
