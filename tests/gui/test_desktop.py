"""The window of traitsui: what it adds to the tool, without a screen and on one."""

import subprocess
import sys
from pathlib import Path

import pytest

import hyperfuse_hs as hf

pytest.importorskip("traitsui")

from hyperfuse_hs.gui.desktop import show  # noqa: E402
from hyperfuse_hs.gui.tool import Fuser  # noqa: E402


@pytest.fixture(scope="module")
def variables():
    phantom = hf.data.tio2_polymorphs(scan=(16, 16), detector=(16, 16), eels_channels=128)
    eels, eds, diffraction = phantom.signals.values()
    found = {"s_eels": eels, "s_edx": eds, "s_4d": diffraction, "small": eels.inav[:8, :8]}
    return found | {"vacuum": phantom.navigation_mask, "nothing": "text"}


@pytest.fixture
def window(variables):
    tool = Fuser([variables["s_eels"], variables["s_edx"]], variables=variables, n_components=2)
    return tool.gui(display=False, toolkit="traitsui")["traitsui"]


@pytest.fixture(scope="module")
def used(variables):
    """A window in which two signals have been fused."""
    options = {"n_components": 2, "navigation_mask": variables["vacuum"]}
    tool = Fuser([variables["s_eels"], variables["s_edx"]], variables=variables, **options)
    window = show(tool, display=False)
    window.run = True
    return window


MESSAGES = (
    *("n_components", "unmixing", "abundances", "scale", "navigation_mask", "random_state"),
    *("candidates", "run", "variable", "file"),
)
FIGURES = ("Component", "All components", "Scree", "Residuals")


def press(window, button):
    setattr(window, button, True)


def test_fuse_returns_the_window_without_showing_it(variables):
    options = {"interactive": True, "display": False, "toolkit": "traitsui"}
    widgets = variables["s_eels"].fuse(variables["s_edx"], n_components=2, **options)
    assert list(widgets) == ["traitsui"]
    assert widgets["traitsui"].model.n_components == 2


def test_every_message_of_the_tool_has_a_place(window):
    for name in MESSAGES:
        window.model.errors = {name: f"about {name}"}
        shown = {key: text for key in MESSAGES if (text := getattr(window.messages, key))}
        assert shown == window.model.errors


def test_a_wrong_entry_is_answered_beside_it(window):
    window.model.navigation_mask = "nothing"
    assert "must be a signal or an array" in window.messages.navigation_mask
    window.model.candidates[1].weight = "-1"
    assert window.about.startswith("EDS, weight: ")
    window.model.candidates[1].weight = "auto"
    assert window.about == ""


def test_a_signal_that_does_not_fit_says_why_when_it_is_looked_at(window):
    window.selected = next(item for item in window.model.candidates if not item.fits)
    assert "All signals must share one navigation shape" in window.about
    window.selected = window.model.candidates[0]
    assert window.about == ""


def test_run_and_the_figures(used):
    assert used.model.errors == {}
    assert used.model.result.modalities == ["EELS", "EDS"]
    assert used.last_component == 1
    titles = {}
    for used.shown in FIGURES:
        titles[used.shown] = [axes.get_title() for axes in used.figure.axes]
    assert titles["Component"][0].startswith("Abundance")
    assert len(titles["All components"]) > len(titles["Component"])
    assert titles["Scree"][0] == "All together"
    assert titles["Residuals"] == []
    assert "Compute residuals" in used.figure.texts[0].get_text()
    press(used, "compute_residuals")
    assert {"EELS", "EDS"} <= {axes.get_title() for axes in used.figure.axes}


def test_the_component_to_look_at_is_drawn(used):
    used.shown = "Component"
    headings = set()
    for used.model.component in (0, 1):
        headings.add(used.figure.get_suptitle())
    assert headings == {"Component 0", "Component 1"}


def test_the_number_of_components_is_followed(used):
    used.model.n_components = 3
    assert used.last_component == 2
    used.model.component = 2
    used.model.n_components = 2
    assert (used.last_component, used.model.component) == (1, 1)


def test_the_buttons_reach_the_signals(used, variables):
    eds = variables["s_edx"]
    eds.learning_results.bss_factors = None
    press(used, "write_back")
    assert eds.learning_results.bss_factors.shape == (1024, 2)
    used.model.variable = "kept"
    press(used, "keep")
    assert variables.pop("kept") is used.model.result


def test_the_file_and_what_is_wrong_with_it(used, tmp_path):
    used.model.file = str(tmp_path / "fused.hspy")
    press(used, "save")
    assert (tmp_path / "fused.hspy").is_file()
    press(used, "save")
    assert "Expected a new file" in used.messages.file


def test_without_a_screen_it_leaves_the_showing_to_others(window):
    # What HyperSpy expects of a toolkit that cannot be used now.
    with pytest.raises(NotImplementedError, match="needs windows of Qt"):
        show(window.model)


@pytest.mark.slow
def test_a_fusion_in_a_window_on_a_screen(screen, pictures):
    script = Path(__file__).with_name("drive_window.py")
    done = subprocess.run(
        [sys.executable, script, pictures], env=screen, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for name in ("entry", "component", "all", "scree", "residuals"):
        assert (pictures / f"window_{name}.png").stat().st_size > 10_000
