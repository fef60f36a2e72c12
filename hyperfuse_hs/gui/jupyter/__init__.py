"""The front end of ipywidgets: notebooks, JupyterLab and Voila."""

from hyperfuse_hs.gui.jupyter.front import show

__all__ = ["show"]
