"""Work that takes a while: it says how far it is, and can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hyperfuse_hs.inputs import watching
from hyperfuse_hs.modality import Tick
from hyperfuse_hs.notices import listening

INTERVAL = 0.1
"""Least time between two reports of progress [s]."""


class CancelledRunError(Exception):
    """The user has cancelled the work."""


class Job:
    """One piece of work, here or in a thread of its own.

    Parameters
    ----------
    work
        Does it and returns what came out.
    progressed
        Called with the stage in words and the part of it that is done, 0 to 1.
    ended
        Called with what came out and None, or with None and the error.
    dispatch
        Calls a function with arguments where the toolkit wants it to be called.
    warned
        Called with every warning that is given meanwhile.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        progressed: Callable[[str, float], object],
        ended: Callable[[Any, BaseException | None], object],
        dispatch: Callable[..., object],
        warned: Callable[[str], object] | None = None,
    ) -> None:
        self.work, self.progressed, self.ended, self.dispatch = work, progressed, ended, dispatch
        self.warned = warned
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last = 0.0
        self.thread: threading.Thread | None = None

    def start(self, background: bool) -> None:
        """Do the work; in the background, return at once."""
        if background:
            self.thread = threading.Thread(target=self._do, name="hyperfuse_hs run", daemon=True)
            self.thread.start()
        else:
            self._do()

    @property
    def cancelled(self) -> bool:
        """Whether the work is to be given up."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Give the work up when the piece of data in hand is done."""
        self._stop.set()

    def _do(self) -> None:
        try:
            with watching(self._watch), listening(self._tell):
                outcome = self.work()
            self.go_on()
        except BaseException as error:
            self.dispatch(self.ended, None, error)
        else:
            self.dispatch(self.ended, outcome, None)

    def _tell(self, message: str) -> None:
        if self.warned is not None:
            self.dispatch(self.warned, message)

    @contextmanager
    def _watch(self, total: int, description: str) -> Iterator[Tick]:
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            self.go_on()
            with self._lock:
                done += count
                part = done / max(total, 1)
                now = time.monotonic()
                if now - self._last < INTERVAL and done < total:
                    return
                self._last = now
                self.dispatch(self.progressed, description, part)

        self.go_on()
        self.dispatch(self.progressed, description, 0.0)
        yield tick

    def go_on(self) -> None:
        """Raise an error if the work is to be given up."""
        if self._stop.is_set():
            raise CancelledRunError("Cancelled.")
