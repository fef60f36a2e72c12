"""What the tool is doing: one piece of work at a time, here or in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traits.api as t

from hyperfuse_hs.gui.running import Job


class Work(t.HasTraits):
    """State of the work, and how it begins, ends and is cancelled."""

    running = t.Bool(False)
    stage = t.Str(desc="what is being done")
    progress = t.Float(desc="the part of the stage that is done, 0 to 1")
    background = t.Bool(False, desc="whether work is done in a thread of its own")
    dispatch = t.Callable(desc="calls a function with arguments where the toolkit wants it called")
    notice = t.Str(desc="what the last action has done")
    warned = t.Str(desc="warnings that the last run has given, one a line")

    _job: Job | None = None
    _aside: Job | None = None

    def _dispatch_default(self) -> Callable[..., Any]:
        return _call_now

    def cancel(self) -> None:
        """Give up what is going on; signals stay as they were."""
        if self._job is not None and self.running:
            self.stage = "Cancelling"
            self._job.cancel()

    def begin(self, stage: str, work: Callable[[], Any], take: Callable[[Any], Any]) -> None:
        """Do work, and call `take` with what came out of it, or `failed` with the error."""
        if self._aside is not None:
            self._aside.cancel()

        def ended(outcome: Any, error: BaseException | None) -> None:
            if error is None:
                take(outcome)
            else:
                self.failed(error, job.cancelled)
            self.trait_set(running=False, stage="", progress=0.0)
            self.idle()

        self.trait_set(running=True, stage=stage, progress=0.0, notice="")
        job = self._job = Job(work, self._progressed, ended, self.post, self._warned)
        job.start(self.background)

    def begin_aside(self, work: Callable[[Job], Any], take: Callable[[Any], Any]) -> None:
        """Do work that nobody waits for; other work cancels it."""

        def ended(outcome: Any, error: BaseException | None) -> None:
            if error is None:
                take(outcome)
            elif not job.cancelled:
                self.failed(error, False)

        job = self._aside = Job(lambda: work(job), _ignore, ended, self.post)
        job.start(self.background)

    def failed(self, error: BaseException, cancelled: bool) -> None:
        """Show that work has come to nothing."""
        raise NotImplementedError

    def idle(self) -> None:
        """Begin what has waited for the end of other work."""

    def post(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function where the toolkit wants it called."""
        self.dispatch(function, *arguments)

    def _warned(self, message: str) -> None:
        if message not in self.warned.split("\n"):
            self.warned = "\n".join(filter(None, [self.warned, message]))

    def _progressed(self, stage: str, part: float) -> None:
        if self.running and self.stage != "Cancelling":
            self.trait_set(stage=stage, progress=part)


def _call_now(function: Callable[..., Any], *arguments: Any) -> None:
    function(*arguments)


def _ignore(stage: str, part: float) -> None:
    """Show no progress."""
