"""The tool behind every front end: what can be fused, how, and what came out.

It holds parameters and calls ``fuse``, ``unmix``, ``write_back`` and the figures; it computes
nothing itself. A front end shows its traits and calls its methods.

======================== ===========================================================================
``candidates``           list of `Candidate`: ``chosen``, ``name``, ``role``, ``noise``, ``weight``,
                         ``signal_mask`` to edit; ``description``, ``variable``, ``fits``,
                         ``reason``, ``hint`` and ``errors`` (by entry) to show
``automatic``            whether the number of components is found
``n_components``         the number, where it is not
``unmixing``, ``scale``, of all signals; what can be chosen is in ``unmixing_choices`` and
``abundances``,          ``scale_choices``
``navigation_mask``,
``random_state``
``array_names``          variables that may be masks, variances or maps
``errors``               message by entry: the above, ``candidates`` (all of them together), ``run``
                         (anything else), ``variable``, ``file``
``running``, ``stage``,  whether work is going on, what it is, and the part that is done (0 to 1)
``progress``
``result``               the `HypermodalSignal`, or None
``preview``              whether it is a quick guess, while a better one is searched for
``bands``                errors of its components, None until they are known
``stale``                whether the entries ask for a new run
``component``            the one to look at
``residuals``            by name, maps of ``compute_residuals``
``summary``, ``edge``    texts about the result
``code``                 the call that gives this result
``variable``, ``file``   where `keep` and `save` put the result
``notice``               what the last action has done
``warned``               warnings that the last run has given, one a line
======================== ===========================================================================

Methods: ``run``, ``cancel``, ``update`` (called by itself where ``live``), ``compute_residuals``,
``write_back``, ``keep``, ``save``, ``refresh``, ``draw_component``, ``draw_all``, ``draw_scree``,
``draw_residuals`` (each takes a figure) and ``close``. A front end that has an event loop sets
``background`` and ``dispatch``, which calls a function with arguments in that loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import traits.api as t
from hyperspy.signal import BaseSignal
from hyperspy.ui_registry import GUI_DT, add_gui_method

from hyperfuse_hs.choices import AGAIN
from hyperfuse_hs.concerns import concern_of
from hyperfuse_hs.fusion import fuse
from hyperfuse_hs.gui import entries, toolkits
from hyperfuse_hs.gui.call_text import result_text
from hyperfuse_hs.gui.candidates import find_candidates
from hyperfuse_hs.gui.form import Form
from hyperfuse_hs.gui.outcome import Outcome
from hyperfuse_hs.gui.running import CancelledRunError
from hyperfuse_hs.gui.work import Work
from hyperfuse_hs.plotting import component_errors
from hyperfuse_hs.signals.report import edge_text, standing_out
from hyperfuse_hs.unmixing import SEARCHES

_logger = logging.getLogger(__name__)

AGAIN_ENTRIES = ("automatic", "n_components", "unmixing", "abundances", "random_state")
DATA_ENTRIES = ("scale", "navigation_mask")
OWN_AGAIN_ENTRIES = ("role", "weight")
OWN_DATA_ENTRIES = ("chosen", "name", "noise", "signal_mask")
PATIENCE = 0.7
"""Time that a search may take before a quick guess is shown in the meantime [s]."""


@add_gui_method(toolkey=toolkits.TOOLKEY)
class _Shown(t.HasTraits):
    """What HyperSpy can show."""


class Fuser(Form, Outcome, Work, _Shown):
    """Parameters of a fusion, its run and its result.

    Parameters
    ----------
    signals
        Passed by the user.
    variables
        By name, those of the user's session; None: of the IPython session, if there is one.
    **options
        Of `fuse`.

    Raises
    ------
    TypeError, ValueError
        What was passed is not what `fuse` takes.
    """

    live = t.Bool(True, desc="unmix again after every change that needs no data")
    stale = t.Bool(False, desc="whether the entries ask for a new run")

    _again = False
    _search_seconds = 0.0
    _quiet = True
    _base: Any = None
    _asked: tuple[list[BaseSignal], dict[str, Any]] | None = None
    _texts_at_run: Any = None

    def __init__(
        self,
        signals: Sequence[BaseSignal] = (),
        *,
        variables: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.remember(variables)
        if signals:
            self.fill(signals, options)
        self._quiet = False
        self.check()

    def gui(self, display: bool = True, toolkit: Any = None, **kwargs: Any) -> Any:
        """Show the tool with every toolkit that is installed and enabled, see `fuse`."""
        return super().gui(display=display, toolkit=toolkits.choose(toolkit), **kwargs)

    gui.__doc__ = GUI_DT

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Change entries without anything following from it."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    @t.observe([*AGAIN_ENTRIES, *DATA_ENTRIES])
    @t.observe([f"candidates.items.{name}" for name in (*OWN_AGAIN_ENTRIES, *OWN_DATA_ENTRIES)])
    def _entry_changed(self, event: Any) -> None:
        if self._quiet:
            return
        if event.name == "n_components" and self.automatic:
            with self.quietly():
                self.automatic = False
        self.check()
        self.stale = self.result is not None and self._data_texts() != self._texts_at_run
        if self.live and event.name in (*AGAIN_ENTRIES, *OWN_AGAIN_ENTRIES):
            self.update()

    def _data_texts(self) -> Any:
        """Entries that ask for a new run when they change."""
        own = [tuple(getattr(item, name) for name in OWN_DATA_ENTRIES) for item in self.chosen]
        return own, [getattr(self, name) for name in DATA_ENTRIES]

    def refresh(self) -> None:
        """List the signals and arrays that the session has by now; entries stay as they are."""
        known = [item.signal for item in self.candidates]
        passed = [item.signal for item in self.candidates if item.chosen] or known[:1]
        found = find_candidates(passed, None, self._variables)
        new = [item for item in found if all(item.signal is not signal for signal in known)]
        with self.quietly():
            self.candidates = [*self.candidates, *new]
            self.list_arrays()
        self.check()

    # -- running ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Fuse the chosen signals, if all entries are good."""
        self.notice = ""
        if self.running or not self.check():
            return
        signals, options = self.read()
        self._texts_at_run = self._data_texts()
        self.warned = ""
        self.begin(
            "Starting",
            lambda: fuse(signals, **options, interactive=False),
            lambda h: self._fused(h, (signals, options)),
        )

    def update(self) -> None:
        """Unmix again from the cached scores; while work is going on, after it."""
        if self.running:
            self._again = True
            return
        if self._base is None or any(option in AGAIN for option, _, _ in self.problems):
            return
        base, options = self._base, self._unmix_options()
        quick = {**options, "unmixing": "vertex"} if self._takes_long(options) else None

        def work() -> Any:
            if quick is not None:
                self.post(self._show_preview, base.unmix(**quick))
            began = time.monotonic()
            h = base.unmix(**options)
            self._search_seconds = time.monotonic() - began
            return h

        self.begin("Unmixing", work, self._take)

    def _takes_long(self, options: Mapping[str, Any]) -> bool:
        """Whether to show a quick guess first: searches for more than there is are long."""
        if not self.background or options["unmixing"] not in SEARCHES:
            return False
        known, count = standing_out(self._base._result), options["n_components"]
        return self._search_seconds > PATIENCE or (count != "auto" and count > known)

    def compute_residuals(self) -> None:
        """Compute maps of the reduced residual, in a pass over each signal that is there."""
        h = self.result
        if h is None or self.running:
            return
        names = [name for name in h.modalities if name in h._natives]

        def work() -> dict[str, Any]:
            return {name: h.get_residual(name) for name in names}

        self.begin("Residuals", work, lambda maps: self.trait_set(residuals=maps))

    def cancel(self) -> None:
        """Give up what is going on; signals stay as they were."""
        self._again = False
        super().cancel()

    close = cancel

    def idle(self) -> None:
        """Unmix again if entries have changed meanwhile."""
        self.preview = False
        if self._again:
            self._again = False
            self.update()

    def failed(self, error: BaseException, cancelled: bool) -> None:
        """Show an error beside the entry that it is about."""
        if cancelled or isinstance(error, CancelledRunError | KeyboardInterrupt):
            self.notice = "Cancelled. The signals are as they were."
            return
        concern = concern_of(error)
        if concern is not None:
            self.problems = [*self.problems, (*concern, str(error))]
            return
        _logger.error("The run failed.", exc_info=error)
        self.errors = {**self.errors, "run": f"{type(error).__name__}: {error}"}

    # -- the result -------------------------------------------------------------------------------

    def _fused(self, h: Any, asked: tuple[list[BaseSignal], dict[str, Any]] | None) -> None:
        """Take a result that entries can be changed of without reading data."""
        self._base, self._asked, self.stale = h, asked, False
        for item in self.candidates:
            item.modality = item.name.strip() if item.chosen else ""
        self._take(h)

    def reopen(self, h: Any, asked: tuple[list[BaseSignal], dict[str, Any]] | None) -> None:
        """Take a result that was there before the tool; entries say already how it was made."""
        self._texts_at_run = self._data_texts()
        self._fused(h, asked)
        self.check()

    def _take(self, h: Any) -> None:
        """Show a result."""
        count = h._result.n_components
        if self.automatic:
            with self.quietly():
                self.n_components = count
        self.trait_set(residuals={}, component=min(self.component, count - 1))
        self.trait_set(summary=h.summary(), edge=edge_text(h._result), code=self._code_of(h))
        self.trait_set(preview=False, bands=None)
        self.result = h
        if self.background:
            self.begin_aside(lambda job: component_errors(h, job.go_on), self._take_bands)

    def _take_bands(self, bands: Any) -> None:
        self.bands = bands

    def _show_preview(self, h: Any) -> None:
        """Show a quick guess until the search is over."""
        count = h._result.n_components
        self.trait_set(residuals={}, component=min(self.component, count - 1), bands=None)
        self.trait_set(preview=True, result=h)

    def _unmix_options(self) -> dict[str, Any]:
        """Read the entries that ask for no new run, for the modalities of the result."""
        own = {item.modality: self.own_entries(item) for item in self.candidates if item.modality}
        seed = entries.seed_entry(self.random_state)
        return {
            "n_components": "auto" if self.automatic else self.n_components,
            "roles": {name: entry["roles"] for name, entry in own.items()},
            "weights": {name: entry["weights"] for name, entry in own.items()},
            "unmixing": self.method(),
            "abundances": self.abundances,
            "random_state": self._base._choices.seed if seed is None else seed,
        }

    def _code_of(self, h: Any) -> str:
        return result_text(h, self._base, self._asked, self._unmix_options(), self._variables)
