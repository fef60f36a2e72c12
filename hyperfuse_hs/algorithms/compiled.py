"""Compiled kernels, kept on disk between sessions where there is a place for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(*, borrows: bool = False, **options: Any) -> Callable[[Kernel], Kernel]:
    """Compile a function when it is first called, without holding the interpreter's lock.

    The result is kept next to the source, or in the user's cache folder, as numba decides. Where
    neither can be written (a read-only installation without a home), numba refuses to keep it:
    then it is compiled anew in every session.

    Parameters
    ----------
    borrows
        Whether the function makes and keeps no arrays. Then references are not counted: where it
        is called for every position with tuples of arrays, that would take most of the time.
    **options
        As in ``numba.njit``.

    Returns
    -------
    callable
        Decorator.
    """
    if borrows:
        options["_nrt"] = False

    def decorate(function: Kernel) -> Kernel:
        try:
            kernel: Kernel = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            kernel = numba.njit(nogil=True, **options)(function)
        return kernel

    return decorate
