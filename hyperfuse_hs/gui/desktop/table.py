"""The table of signals in the window."""

from __future__ import annotations

from typing import Any

import traits.api as t
import traitsui.api as tui
from pyface.qt import QtCore
from traitsui.qt.extra.checkbox_renderer import CheckboxRenderer

from hyperfuse_hs.gui.candidates import Candidate, why_not
from hyperfuse_hs.gui.tool import Fuser
from hyperfuse_hs.noise_model import NOISE_KINDS

WRONG_COLOUR = "#ffd6d6"


class Tick(CheckboxRenderer):
    """A box that the space bar ticks, too, and that stays as it is where a signal does not fit."""

    def editorEvent(self, event: Any, model: Any, option: Any, index: Any) -> bool:  # noqa: N802
        """Tick the box, or take the tick away."""
        item = index.data(QtCore.Qt.ItemDataRole.UserRole)
        space = (
            event.type() == QtCore.QEvent.Type.KeyPress and event.key() == QtCore.Qt.Key.Key_Space
        )
        if not (item.fits or item.chosen):
            return False
        if space:
            item.chosen = not item.chosen
            return True
        return bool(super().editorEvent(event, model, option, index))


class CandidateColumn(tui.ObjectColumn):
    """A column of the table, in which wrong entries are red and say why, and others greyed out."""

    choices = t.Callable

    def get_cell_color(self, object: Candidate) -> Any:
        """Return the colour of the background."""
        return WRONG_COLOUR if self.name in object.errors else None

    def get_text_color(self, object: Candidate) -> Any:
        """Return the colour of the text."""
        return None if object.fits else "grey"

    def get_tooltip(self, object: Candidate) -> str:
        """Return what is wrong, or what the signal is."""
        if self.name in object.errors:
            return object.errors[self.name]
        return "\n".join(filter(None, [object.description, why_not(object)]))

    def is_editable(self, object: Candidate) -> bool:
        """Return whether the entry can be changed."""
        return self.editable and object.fits

    def get_editor(self, object: Candidate) -> Any:
        """Return a list to pick from, in which other text may be typed."""
        if self.choices is None:
            return super().get_editor(object)
        return tui.EnumEditor(values=self.choices(), evaluate=str, auto_set=False)


class SignalColumn(CandidateColumn):
    """What a signal is; where it does not fit, why."""

    def get_value(self, object: Candidate) -> str:
        """Return the text of the cell."""
        return why_not(object) or object.description


def candidate_table(tool: Fuser) -> tui.TableEditor:
    """Return the table of signals."""

    def arrays() -> list[str]:
        return tool.array_names

    return tui.TableEditor(
        columns=[
            CandidateColumn(name="chosen", label="Fuse", editable=False, renderer=Tick()),
            CandidateColumn(name="name", label="Name"),
            CandidateColumn(name="role", label="Role"),
            CandidateColumn(
                name="noise",
                label="Noise",
                choices=lambda: ["auto", *NOISE_KINDS, *arrays()],
            ),
            CandidateColumn(name="weight", label="Weight"),
            CandidateColumn(name="signal_mask", label="Mask", choices=lambda: ["", *arrays()]),
            SignalColumn(name="description", label="Signal", editable=False, resize_mode="stretch"),
        ],
        selected="controller.selected",
        sortable=False,
        configurable=False,
        show_toolbar=False,
    )
