"""Figures in a notebook: live ones of ipympl, images with every other backend."""

from __future__ import annotations

import base64
import html
import io
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as ipw
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

DPI = 100

BESIDE_FILES = 7.9
"""Width of a live figure that fits beside the files of JupyterLab, 1280 pixels wide [inch]."""

LEAST_PART = 0.85
"""Of the width of a figure that it can do with."""

_DRAWING = threading.RLock()
"""Held by what draws: JupyterLab has messages of the page, which ask for pictures of a live figure,
answered in a thread of their own, and would be sent one that is half drawn."""


class Picture:
    """A place for a figure.

    Parameters
    ----------
    description
        What the figure shows, for those who cannot see it.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        # Wider figures are scrolled in their place, not the page.
        self.box = ipw.Box(layout=ipw.Layout(width="auto", overflow="auto"))
        self.box.add_class("hyperfuse-picture")
        self._figure: Figure | None = None

    def draw(self, draw: Callable[[Figure | None], Figure], *, same_size: bool = False) -> None:
        """Draw anew.

        Parameters
        ----------
        draw
            Draws on the figure that it gets, or on a new one where it gets None.
        same_size
            Whether a live figure may be used again.
        """
        with _DRAWING, plt.ioff():
            if same_size and self._figure is not None:
                self._figure.clear()
                draw(self._figure)
                _send_whole(self._figure.canvas)
                return
            self.clear()
            figure = draw(None)
        canvas: Any = figure.canvas
        if isinstance(canvas, ipw.DOMWidget):
            self._figure = figure
            width, height = figure.get_size_inches()
            if LEAST_PART * width < BESIDE_FILES < width:
                figure.set_size_inches(BESIDE_FILES, height)
            canvas.header_visible = False
            _answer_in_turn(canvas)
            self.box.children = (canvas,)
        else:
            self.box.children = (ipw.HTML(self._image(figure), layout=ipw.Layout(width="auto")),)
            plt.close(figure)

    def clear(self) -> None:
        """Show nothing."""
        self.box.children = ()
        if self._figure is not None:
            plt.close(self._figure)
            self._figure = None

    def _image(self, figure: Figure) -> str:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        data = base64.b64encode(buffer.getvalue()).decode()
        shape = f"max-width: 100%; width: {figure.get_size_inches()[0] * DPI:.0f}px; height: auto"
        text = html.escape(self.description)
        return f'<img alt="{text}" style="{shape}" src="data:image/png;base64,{data}">'


def _send_whole(canvas: Any) -> None:
    """Have a live figure sent as a whole, not as what has changed since the last time.

    What was sent before the page was ready is lost there, and changes to it would show fragments.
    """
    canvas.handle_refresh(None)


def _answer_in_turn(canvas: Any) -> None:
    """Have a live figure answer messages of the page when nothing is being drawn."""
    answer = canvas._handle_message
    canvas.on_msg(answer, remove=True)

    def in_turn(widget: Any, content: dict[str, Any], buffers: Any) -> None:
        with _DRAWING:
            answer(widget, content, buffers)
            # Its place in the page is there now, with its size.
            if content.get("type") == "initialized":
                _send_whole(canvas)

    canvas.on_msg(in_turn)
