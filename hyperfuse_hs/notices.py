"""Warnings for the user that a form can show, besides Python's own display of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


def warn_user(message: str, *, stacklevel: int = 2) -> None:
    """Warn, and tell whoever listens in this thread; Python shows a warning only the first time.

    Parameters
    ----------
    message
        In the user's words.
    stacklevel
        As in ``warnings.warn``, counted from the caller.
    """
    listener = _listener.get()
    if listener is not None:
        listener(message)
    warnings.warn(message, UserWarning, stacklevel=stacklevel + 1)


@contextmanager
def listening(listener: Callable[[str], object]) -> Iterator[None]:
    """Call a function with every warning that is given meanwhile.

    Parameters
    ----------
    listener
        Called with the message.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
