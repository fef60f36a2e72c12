"""The list of signals: a row for each, with its entries and the messages beside them."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as ipw

from hyperfuse_hs.gui.candidates import Candidate
from hyperfuse_hs.gui.jupyter.parts import (
    FAINT_COLOUR,
    FULL,
    LABELLED,
    bind,
    column,
    error_note,
    follow,
    row,
    width,
)
from hyperfuse_hs.noise_model import NOISE_KINDS
from hyperfuse_hs.options import ROLE_CHOICES

OWN = ("chosen", "name", "role", "noise", "weight", "signal_mask")


def candidate_row(tool: Any, item: Candidate, number: int) -> tuple[ipw.Widget, dict[str, Any]]:
    """Make the row of a candidate.

    Parameters
    ----------
    tool
        The tool, which knows the variables.
    item
        The candidate.
    number
        Its place in the list, for the names of its widgets.

    Returns
    -------
    widget, dict
        The row; its widgets as ``chosen_0``, ``name_0``, ... and ``error_name_0``, ...
    """
    title = f"{item.variable}: {item.description}" if item.variable else item.description
    widgets: dict[str, ipw.Widget] = {
        "chosen": ipw.Checkbox(
            description=title,
            indent=False,
            disabled=not item.fits,
            layout=width("auto"),
        ),
        "name": ipw.Text(description="Name", style=LABELLED, layout=width("12rem")),
        "role": ipw.Dropdown(
            description="Role", options=ROLE_CHOICES, style=LABELLED, layout=width("9rem")
        ),
        "noise": ipw.Combobox(
            description="Noise", style=LABELLED, layout=width("11rem"), ensure_option=False
        ),
        "weight": ipw.Text(description="Weight", style=LABELLED, layout=width("9rem")),
        "signal_mask": ipw.Combobox(
            description="Mask", placeholder="none", style=LABELLED, layout=width("12rem")
        ),
    }
    tips = {name: item.trait(name).desc or "" for name in OWN}
    for name, widget in widgets.items():
        widget.tooltip = tips[name]
        bind(item, name, widget)
    notes = {name: error_note() for name in OWN}

    def arrays() -> None:
        widgets["noise"].options = [*NOISE_KINDS, *tool.array_names]
        widgets["signal_mask"].options = ["none", *tool.array_names]

    def messages() -> None:
        for name, note in notes.items():
            note.say(item.errors.get(name, ""))

    cells = [row(widgets[n], notes[n], width="auto", max_width=FULL) for n in OWN[1:]]
    entries = row(*cells, margin="0 0 0 1.5rem", width="auto")

    def hide() -> None:
        entries.layout.display = None if item.chosen else "none"

    follow(tool, "array_names", arrays)
    follow(item, "errors", messages)
    follow(item, "chosen", hide)
    parts = [widgets["chosen"], notes["chosen"], entries]
    if not item.fits:
        parts.append(_reason(item))
    named = {f"{name}_{number}": widget for name, widget in widgets.items()}
    named |= {f"error_{name}_{number}": note for name, note in notes.items()}
    whole = column(*parts, margin="0 0 0.4rem 0")
    whole.add_class("hyperfuse-signal")
    return whole, named


def _reason(item: Candidate) -> ipw.HTML:
    """Say why a candidate cannot be fused, and what would help."""
    text = html.escape(item.reason)
    if item.hint:
        text += f" This call does it: <code>{html.escape(item.hint)}</code>"
    style = f"color: {FAINT_COLOUR}; margin-left: 1.5rem; line-height: 1.3"
    return ipw.HTML(f'<div style="{style}">{text}</div>', layout=width("auto"))
