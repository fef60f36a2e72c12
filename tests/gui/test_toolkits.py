"""HyperSpy's conventions: toolkeys, preferences, and toolkits that are not there."""

import importlib
import subprocess
import sys
from pathlib import Path

import hyperspy.api as hs
import pytest
import yaml
from hyperspy.ui_registry import UI_REGISTRY

import hyperfuse_hs
from hyperfuse_hs.gui import toolkits

from .scenes import make_session, make_tool

GUI = yaml.safe_load(
    Path(hyperfuse_hs.__file__).with_name("hyperspy_extension.yaml").read_text(encoding="utf8")
)["GUI"]
FRONTS = [(name, spec) for name, keys in GUI["widgets"].items() for spec in keys.values()]


@pytest.fixture
def tool():
    return make_tool(make_session(), "s_a", "s_b")


def test_hyperspy_knows_the_toolkey_and_every_front_end():
    assert GUI["toolkeys"] == [toolkits.TOOLKEY]
    assert set(UI_REGISTRY[toolkits.TOOLKEY]) == set(GUI["widgets"])


@pytest.mark.parametrize(("toolkit", "spec"), FRONTS)
def test_every_front_end_is_there(toolkit, spec):
    pytest.importorskip(toolkit)
    module = importlib.import_module(spec["module"])
    assert callable(getattr(module, spec["function"]))


def test_the_tool_has_the_documentation_of_hyperspy(tool):
    assert "Display or return interactive GUI element" in tool.gui.__doc__


def test_an_unknown_toolkit_is_refused_by_hyperspy(tool):
    with pytest.raises(ValueError, match="gtk is not a registered toolkit"):
        tool.gui(toolkit="gtk")
    with pytest.raises(ValueError, match="must be a string, an iterable of strings or None"):
        tool.gui(toolkit=3)


def test_switches_in_the_preferences_are_honoured(tool, monkeypatch):
    switches = hs.preferences.GUIs
    every = toolkits.installed()
    assert toolkits.enabled() == every
    for name in ("ipywidgets", "traitsui", "anywidget"):
        monkeypatch.setattr(switches, f"enable_{name}_gui", False)
        assert name not in toolkits.enabled()
    with pytest.raises(ValueError, match="installed but disabled in `preferences`"):
        tool.gui(display=False)
    if "ipywidgets" in every:
        assert set(tool.gui(display=False, toolkit="ipywidgets")) == {"ipywidgets"}


def test_a_disabled_toolkit_does_not_open_by_itself(monkeypatch):
    monkeypatch.setattr(toolkits, "in_kernel", lambda: True)
    monkeypatch.setattr(toolkits, "on_desktop", lambda: True)
    assert toolkits.present() is bool(toolkits.installed())
    for name in toolkits.installed():
        monkeypatch.setattr(hs.preferences.GUIs, f"enable_{name}_gui", False)
    assert not toolkits.present()


def test_no_toolkit_gives_hyperspys_usual_error(tool, monkeypatch):
    monkeypatch.setattr(toolkits, "installed", list)
    usual = r"No toolkit registered. Install hyperspy_gui_ipywidgets, hyperspy_gui_traitsui, or"
    with pytest.raises(ImportError, match=usual):
        tool.gui()
    with pytest.raises(ImportError, match=usual):
        hyperfuse_hs.fuse([make_session()["s_a"]], interactive=True)


def test_a_toolkit_that_is_not_installed_says_what_to_install(tool, monkeypatch):
    monkeypatch.setattr(toolkits, "installed", lambda: ["another"])
    with pytest.raises(ImportError, match=r"needs the package ipywidgets.*Installed: another"):
        tool.gui(toolkit="ipywidgets")


@pytest.mark.parametrize(
    ("backend", "opens"), [("agg", False), ("QtAgg", True), ("wxagg", False), ("inline", False)]
)
def test_windows_open_where_matplotlib_opens_some(backend, opens, monkeypatch):
    monkeypatch.setattr(toolkits.matplotlib, "get_backend", lambda: backend)
    assert toolkits.on_desktop() is opens


def test_this_is_no_notebook():
    assert not toolkits.in_kernel()


def test_importing_the_package_imports_no_toolkit():
    code = (
        "import sys, hyperfuse_hs\n"
        "names = ('ipywidgets', 'traitsui', 'IPython', 'hyperfuse_hs.gui.tool')\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
