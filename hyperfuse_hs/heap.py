"""Memory that the C library keeps although nobody holds it any more."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

__all__ = ["give_back"]


def give_back() -> None:
    """Have the C library return what is free, which is up to a third of all memory.

    Where arrays of a few MB have come and gone it keeps their place. As is advised for the workers
    of dask; only the library of GNU has this call.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
