"""Time and memory of one call."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")

_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """What a call returned, and what it took.

    Parameters
    ----------
    result
        What it returned.
    seconds
        Wall-clock time.
    peak
        By how much the resident memory of the process grew at most, in MiB: data that were
        there before do not count. NaN on systems other than Linux.
    """

    result: Result
    seconds: float
    peak: float


def measure(call: Callable[[], Result]) -> Measured[Result]:
    """Call a function of no arguments, and tell its time and memory."""
    before = _reset_peak()
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    return Measured(result, seconds, _mebibytes("VmHWM") - before)


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MiB; NaN on systems other than Linux.

    Not that of ``resource.getrusage``, which starts from the memory of the process that started
    this one.
    """
    return _mebibytes("VmHWM")


def _reset_peak() -> float:
    """Set the peak of the resident memory to what is resident now, and return that in MiB."""
    try:
        # What earlier calls have freed, but the allocator has kept, must not hide new memory.
        ctypes.CDLL(None).malloc_trim(0)
        (_PROCESS / "clear_refs").write_text("5")
    except (OSError, AttributeError):
        return math.nan
    return _mebibytes("VmRSS")


def _mebibytes(name: str) -> float:
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return math.nan
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith(name)), math.nan)
