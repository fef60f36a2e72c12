"""The front end of traitsui: windows of Qt, in a desktop session."""

from __future__ import annotations

import logging
from typing import Any

from traits.etsconfig.api import ETSConfig

from hyperfuse_hs.gui.toolkits import on_desktop

_logger = logging.getLogger(__name__)


def show(obj: Any, display: bool = True, **kwargs: Any) -> Any:
    """Show the tool in a window, or return what the window holds, by HyperSpy's convention.

    Parameters
    ----------
    obj
        The tool.
    display
        Whether to open the window.
    **kwargs
        Of traitsui's ``edit_traits``.

    Returns
    -------
    FuserWindow or None
        Without a window, work is done while one waits.

    Raises
    ------
    NotImplementedError
        Matplotlib does not open windows of Qt; HyperSpy then shows what other toolkits there are.
    """
    if display and not on_desktop():
        raise NotImplementedError("traitsui needs windows of Qt, as %matplotlib qt opens them.")
    # Left to itself, traitsui opens a connection to the screen as soon as it is imported, and ends
    # the process where there is none.
    if not ETSConfig.toolkit:
        ETSConfig.toolkit = "qt" if on_desktop() else "null"
    if display and ETSConfig.toolkit == "null":
        text = "traitsui was loaded before matplotlib had windows: begin with %matplotlib qt."
        _logger.warning(text)
        raise NotImplementedError(text)
    from hyperfuse_hs.gui.desktop.window import FuserWindow

    window = FuserWindow(model=obj)
    if not display:
        return window
    window.open(**kwargs)
    return None
