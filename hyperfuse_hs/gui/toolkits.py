"""Which toolkits there are to show the tool with."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

import hyperspy.api as hs
import matplotlib
from hyperspy.ui_registry import UI_REGISTRY

TOOLKEY = "hyperfuse_hs.Fuser"

NONE_INSTALLED = (
    "No toolkit registered. Install hyperspy_gui_ipywidgets, hyperspy_gui_traitsui, or "
    "hyperspy_gui_anywidget GUI elements, or those of this package: "
    'pip install "hyperfuse_hs[gui]".'
)
"""HyperSpy's error, which it does not raise itself where an extension registers a toolkit."""


def installed() -> list[str]:
    """Toolkits with a front end whose package is installed."""
    return [name for name in UI_REGISTRY.get(TOOLKEY, {}) if importlib.util.find_spec(name)]


def enabled() -> list[str]:
    """Toolkits that are installed, and not switched off in HyperSpy's preferences."""
    switches = hs.preferences.GUIs
    return [name for name in installed() if getattr(switches, f"enable_{name}_gui", True)]


def choose(toolkit: str | Iterable[str] | None) -> Any:
    """Turn the argument ``toolkit`` into one for HyperSpy, which takes all toolkits as installed.

    Raises
    ------
    ImportError
        No toolkit is installed, or not the one asked for.
    """
    if not installed():
        raise ImportError(NONE_INSTALLED)
    if toolkit is None:
        # Where all are switched off, HyperSpy says so.
        return tuple(enabled()) or None
    asked = [toolkit] if isinstance(toolkit, str) else toolkit
    # HyperSpy refuses what is no list of names.
    for name in asked if isinstance(asked, list | tuple) else []:
        if name in UI_REGISTRY[TOOLKEY] and name not in installed():
            raise ImportError(
                f"The toolkit {name} needs the package {name}, which is not installed. Install "
                f'it: pip install "hyperfuse_hs[gui]". Installed: {", ".join(installed())}.'
            )
    return toolkit


def in_kernel() -> bool:
    """Whether this process is the kernel of a notebook, which shows ipywidgets."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


def on_desktop() -> bool:
    """Whether matplotlib opens windows of Qt."""
    return str(matplotlib.get_backend()).lower().startswith("qt")


def present() -> bool:
    """Whether a tool that is shown now would be seen: not so in a plain script."""
    shows = {"ipywidgets": in_kernel, "traitsui": on_desktop, "anywidget": in_kernel}
    return any(shows[name]() for name in enabled() if name in shows)
