"""Small parts that the front end is put together from."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as ipw

LABELLED = {"description_width": "initial"}
ERROR_COLOUR = (
    "color-mix(in srgb, var(--jp-error-color1, #d32f2f) 80%, var(--jp-ui-font-color0, black))"
)
FAINT_COLOUR = "var(--jp-ui-font-color2, inherit)"
"""Colours of Jupyter's theme, light or dark."""
FULL = "calc(100% - 4px)"
"""All there is, less the margins that every widget has."""


def bind(tool: Any, trait: str, widget: ipw.Widget, attribute: str = "value") -> ipw.Widget:
    """Keep a trait and what a widget shows the same."""
    setattr(widget, attribute, getattr(tool, trait))
    widget.observe(lambda change: setattr(tool, trait, change["new"]), attribute)
    tool.observe(lambda event: setattr(widget, attribute, event.new), trait)
    return widget


def follow(tool: Any, traits: str, function: Any) -> None:
    """Call a function now, and whenever one of the traits changes."""
    function()
    tool.observe(lambda event: function(), traits)


def width(size: str, **more: Any) -> ipw.Layout:
    """Layout of a widget that is at most as wide as its place."""
    return ipw.Layout(width=size, max_width=FULL, **more)


def row(*widgets: ipw.Widget, **layout: Any) -> ipw.HBox:
    """Put widgets next to each other, and on more lines where the place is narrow."""
    shape = {"flex_flow": "row wrap", "align_items": "center", "width": "auto", **layout}
    return ipw.HBox(list(widgets), layout=ipw.Layout(**shape))


def column(*widgets: ipw.Widget, **layout: Any) -> ipw.VBox:
    """Put widgets below each other."""
    return ipw.VBox(list(widgets), layout=ipw.Layout(**{"width": "auto", **layout}))


class Note(ipw.HTML):
    """A line of text that takes no room where there is none.

    Parameters
    ----------
    colour
        Of the text, for CSS.
    role
        For screen readers: ``"alert"`` is read at once, ``"status"`` in a pause.
    """

    def __init__(self, colour: str = "inherit", role: str = "status") -> None:
        super().__init__(layout=ipw.Layout(display="none", max_width=FULL))
        self._start = f'<span role="{role}" style="color: {colour}; white-space: pre-wrap">'
        self.text = ""

    def say(self, text: str) -> None:
        """Show a text, as it is."""
        self.text = text
        self.value = f"{self._start}{html.escape(text)}</span>" if text else ""
        self.layout.display = None if text else "none"


def error_note() -> Note:
    """Make the place of an error message."""
    return Note(ERROR_COLOUR, "alert")
