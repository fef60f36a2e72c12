"""The front end of ipywidgets, without a display: set values, click, look at tool and signals."""

import threading

import numpy as np
import pytest
from traits.observation.api import pop_exception_handler, push_exception_handler

import hyperfuse_hs as hf
from hyperfuse_hs.gui import toolkits

from .scenes import candidate, make_session, make_tool

ipywidgets = pytest.importorskip("ipywidgets")
ARGUMENTS = {"display": False, "toolkit": "ipywidgets"}


@pytest.fixture(autouse=True)
def errors_are_raised():
    push_exception_handler(reraise_exceptions=True)
    yield
    pop_exception_handler()


def shown(tool):
    return tool.gui(**ARGUMENTS)["ipywidgets"]["wdict"]


@pytest.fixture
def tool():
    return make_tool(make_session(), "s_a", "s_b")


@pytest.fixture
def widgets(tool):
    return shown(tool)


@pytest.fixture(scope="module")
def form():
    """Return a tool and its widgets for tests that leave them as they were."""
    tool = make_tool(make_session(), "s_a", "s_b")
    return tool, shown(tool)


@pytest.fixture
def quick(widgets):
    """Return the widgets with a page open that has no figure to draw."""
    open_page(widgets, "Summary")
    return widgets


def every(widget):
    """Yield a widget and all that it holds."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every(child)


def images(widgets, page):
    titles = list(widgets["tabs"].titles)
    held = every(widgets["tabs"].children[titles.index(page)])
    return [w for w in held if isinstance(w, ipywidgets.HTML) and "<img" in w.value]


def open_page(widgets, page):
    widgets["tabs"].selected_index = list(widgets["tabs"].titles).index(page)


class TestOpening:
    def test_by_fuse(self):
        session = make_session()
        found = session["s_a"].fuse(session["s_b"], interactive=True, **ARGUMENTS)
        assert set(found) == {"ipywidgets"} and set(found["ipywidgets"]) == {"widget", "wdict"}
        assert isinstance(found["ipywidgets"]["widget"], ipywidgets.VBox)
        widgets = found["ipywidgets"]["wdict"]
        open_page(widgets, "Summary")
        widgets["run_button"].click()
        assert session["s_b"].learning_results.bss_factors is not None

    def test_by_gui_of_a_result(self):
        session = make_session()
        h = session["s_a"].fuse(
            session["s_b"],
            n_components=2,
            unmixing="vertex",
            random_state=0,
            show_progressbar=False,
        )
        widgets = h.gui(**ARGUMENTS)["ipywidgets"]["wdict"]
        assert widgets["n_components"].value == 2
        assert images(widgets, "Component")
        widgets["n_components"].value = 3
        assert len(images(widgets, "Component")) == 1
        assert widgets["component"].max == 2

    def test_with_options_as_first_entries(self):
        session = make_session()
        found = hf.fuse(
            [session["s_a"], session["s_b"]],
            n_components=4,
            roles={"b": "support"},
            unmixing="nmf",
            interactive=True,
            **ARGUMENTS,
        )
        widgets = found["ipywidgets"]["wdict"]
        assert widgets["n_components"].value == 4 and not widgets["automatic"].value
        assert widgets["role_1"].value == "support" and widgets["unmixing"].value == "nmf"

    def test_shows_itself(self, tool, capsys):
        assert tool.gui(toolkit="ipywidgets") is None
        assert "VBox(children=" in capsys.readouterr().out

    def test_in_a_notebook_alone_and_as_result_elsewhere(self, monkeypatch):
        session = make_session()
        options = {"n_components": 2, "random_state": 0, "show_progressbar": False}
        assert session["s_a"].fuse(**options).data.shape[-1] == 2
        monkeypatch.setattr(toolkits, "in_kernel", lambda: True)
        found = session["s_a"].fuse(**options, **ARGUMENTS)
        assert set(found) == {"ipywidgets"}
        assert session["s_a"].fuse(interactive=False, **options).data.shape[-1] == 2
        assert session["s_a"].fuse(session["s_b"], **options).modalities == ["a", "b"]


class TestEntries:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("automatic", True),
            ("n_components", 5),
            ("unmixing", "nmf"),
            ("abundances", "nonnegative"),
            ("scale", "thickness"),
            ("navigation_mask", "vacuum"),
            ("random_state", "8"),
            ("variable", "fused"),
            ("file", "other.hspy"),
            ("overwrite", True),
        ],
    )
    def test_shared_ones_are_those_of_the_tool(self, form, name, value):
        tool, widgets = form
        before = getattr(tool, name)
        widgets[name].value = value
        assert getattr(tool, name) == value != before
        setattr(tool, name, before)
        assert widgets[name].value == before

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("chosen", False),
            ("name", "second"),
            ("role", "support"),
            ("noise", "gaussian"),
            ("weight", "0.5"),
            ("signal_mask", "hot"),
        ],
    )
    def test_own_ones_are_those_of_the_candidate(self, form, name, value):
        tool, widgets = form
        item = candidate(tool, "s_b")
        before = getattr(item, name)
        widgets[f"{name}_1"].value = value
        assert getattr(item, name) == value != before
        setattr(item, name, before)
        assert widgets[f"{name}_1"].value == before

    def test_signals_that_do_not_fit_are_greyed_out_with_reason_and_hint(self):
        session = make_session()
        session["large"] = session["s_b"].rebin(scale=(1, 1, 1)).inav[:, :]
        session["large"].data = np.repeat(np.repeat(session["large"].data, 2, 0), 2, 1)
        session["large"].get_dimensions_from_data()
        tool = make_tool(session)
        widget = tool.gui(**ARGUMENTS)["ipywidgets"]["widget"]
        widgets = shown(tool)
        k = [item.variable for item in tool.candidates].index("large")
        assert widgets[f"chosen_{k}"].disabled and not widgets["chosen_1"].disabled
        texts = [w.value for w in every(widget) if isinstance(w, ipywidgets.HTML)]
        (reason,) = (text for text in texts if "and large (20, 24)" in text)
        assert "<code>s_a, large = hyperfuse_hs.register(s_a, large)</code>" in reason

    def test_picks_offer_the_variables_of_the_session(self, form):
        widgets = form[1]
        assert {"vacuum", "hot", "variance"} <= set(widgets["navigation_mask"].options)
        assert {"auto", "poisson", "variance"} <= set(widgets["noise_0"].options)

    def test_refresh_shows_new_signals(self, tool, widgets):
        tool.session["later"] = tool.session["s_b"] * 2
        widgets["refresh_button"].click()
        later = [w for name, w in widgets.items() if name.startswith("chosen_")]
        assert any("later" in widget.description for widget in later)


class TestErrors:
    """Every wrong entry shows its message beside the field."""

    @pytest.mark.parametrize(
        ("name", "value", "match"),
        [
            ("scale", "thick", "scale (or a map of the scan) must be one of"),
            ("navigation_mask", "hot", "navigation_mask must have shape (12, 10)"),
            ("random_state", "x", "random_state must be a whole number"),
            ("noise_1", "posson", "noise of b (or its variance) must be one of"),
            ("weight_1", "heavy", "Expected a number as weight of b"),
            ("signal_mask_1", "hot", "The signal mask of b must have shape (18,)"),
        ],
    )
    def test_message(self, form, name, value, match):
        tool, widgets = form
        note = widgets[f"error_{name}"]
        assert note.layout.display == "none"
        before = widgets[name].value
        widgets[name].value = value
        assert match in note.text and 'role="alert"' in note.value
        assert note.layout.display is None
        others = {k: w.text for k, w in widgets.items() if k.startswith("error_") and w.text}
        assert set(others) == {f"error_{name}"}
        widgets["run_button"].click()
        assert tool.result is None
        widgets[name].value = before
        assert note.text == "" and note.layout.display == "none"

    @pytest.mark.parametrize(
        ("changes", "where", "match"),
        [
            ({"unmixing": "none", "abundances": "nonnegative"}, "abundances", "signed"),
            ({"name_1": "a"}, "name_0", "2 different names"),
            ({"name_1": "a"}, "name_1", "2 different names"),
            ({"role_1": "lead", "weight_1": "0"}, "weight_1", "A weight of 0"),
            ({"role_0": "support", "role_1": "passive"}, "candidates", "may lead"),
            ({"chosen_0": False, "chosen_1": False}, "candidates", "at least one signal"),
        ],
    )
    def test_of_entries_together(self, widgets, changes, where, match):
        for name, value in changes.items():
            widgets[name].value = value
        assert match in widgets[f"error_{where}"].text

    def test_of_the_run(self, tool, quick):
        quick["n_components"].value = 20
        quick["run_button"].click()
        assert "more than the data support" in quick["error_n_components"].text

    def test_of_the_data(self):
        session = make_session()
        session["s_b"].data = np.full(session["s_b"].data.shape, 4)
        widgets = shown(make_tool(session, "s_a", "s_b"))
        widgets["run_button"].click()
        assert "Expected data that vary" in widgets["error_chosen_1"].text

    def test_of_keeping(self, quick):
        quick["run_button"].click()
        quick["variable"].value = "not a name"
        quick["keep_button"].click()
        assert "name of a variable" in quick["error_variable"].text

    def test_text_is_shown_as_it_is(self, widgets):
        widgets["scale"].value = "<b>thick</b>"
        assert "&lt;b&gt;thick" in widgets["error_scale"].value


class TestRun:
    def test_shows_the_result(self, tool, widgets):
        for name in ("write_back_button", "cancel_button", "residuals_button"):
            assert widgets[name].disabled
        widgets["run_button"].click()
        assert tool.result is not None
        assert not widgets["write_back_button"].disabled and widgets["cancel_button"].disabled
        assert widgets["edge"].text == "3 components stand out of the noise; 3 are shown."
        assert "lead" in widgets["summary"].value and "<pre" in widgets["summary"].value
        assert widgets["code"].value == tool.code
        assert widgets["component"].max == 2
        assert images(widgets, "Component")

    def test_progress_and_stage(self, tool, quick):
        seen = []
        quick["stage"].observe(lambda change: seen.append(quick["stage"].text), "value")
        parts = []
        quick["progress"].observe(lambda change: parts.append(change["new"]), "value")
        disabled = []
        quick["run_button"].observe(lambda change: disabled.append(change["new"]), "disabled")
        quick["run_button"].click()
        assert any("pass 1" in text for text in seen) and "Unmixing" in seen
        assert max(parts) == 1.0 and disabled == [True, False]

    def test_pages_draw_when_they_are_opened(self, widgets):
        widgets["run_button"].click()
        for page in ("All components", "Scree"):
            assert not images(widgets, page)
            open_page(widgets, page)
            (image,) = images(widgets, page)
            assert 'alt="' in image.value and "max-width: 100%" in image.value

    def test_component_slider_draws_another_component(self, widgets):
        widgets["run_button"].click()
        (first,) = images(widgets, "Component")
        widgets["component"].value = 1
        (second,) = images(widgets, "Component")
        assert first.value != second.value

    def test_a_change_draws_anew(self, tool, widgets):
        widgets["run_button"].click()
        (first,) = images(widgets, "Component")
        widgets["unmixing"].value = "nmf"
        (second,) = images(widgets, "Component")
        assert first.value != second.value
        assert tool.result._result.options["unmixing"] == "nmf"

    def test_residuals(self, tool, widgets):
        widgets["run_button"].click()
        open_page(widgets, "Residuals")
        assert not images(widgets, "Residuals")
        widgets["residuals_button"].click()
        assert images(widgets, "Residuals") and set(tool.residuals) == {"a", "b"}
        widgets["n_components"].value = 2
        assert not images(widgets, "Residuals")

    def test_no_figure_is_left_open(self, widgets):
        import matplotlib.pyplot as plt

        widgets["run_button"].click()
        widgets["n_components"].value = 2
        assert plt.get_fignums() == []

    def test_stale_is_said(self, quick):
        quick["run_button"].click()
        quick["navigation_mask"].value = "vacuum"
        assert quick["stale"].text == "These entries ask for a new run."
        quick["run_button"].click()
        assert quick["stale"].text == ""

    def test_cancel_reaches_the_run(self, tool, quick):
        tool.observe(lambda event: quick["cancel_button"].click(), "progress")
        quick["run_button"].click()
        assert tool.result is None and "Cancelled" in quick["notice"].text

    def test_write_back_keep_and_save(self, tool, quick, tmp_path):
        quick["run_button"].click()
        quick["n_components"].value = 2
        quick["write_back_button"].click()
        signal = candidate(tool, "s_b").signal
        assert signal.learning_results.bss_factors.shape[1] == 2
        quick["keep_button"].click()
        assert tool.session["h"] is tool.result
        quick["file"].value = str(tmp_path / "fused.hspy")
        quick["save_button"].click()
        assert (tmp_path / "fused.hspy").exists()

    def test_copy_sends_the_code_to_the_clipboard(self, tool):
        found = tool.gui(**ARGUMENTS)["ipywidgets"]
        open_page(found["wdict"], "Summary")
        found["wdict"]["run_button"].click()
        found["wdict"]["copy_code_button"].click()
        (output,) = (w for w in every(found["widget"]) if isinstance(w, ipywidgets.Output))
        (sent,) = output.outputs
        script = sent["data"]["application/javascript"]
        assert "navigator.clipboard.writeText" in script and "s_a.fuse(s_b" in script


# ipympl 0.10 gives ipywidgets 8 an argument that they do not take any more.
@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")
class TestLiveFigures:
    """With ipympl, figures are widgets of their own."""

    @pytest.fixture(autouse=True)
    def ipympl(self):
        import matplotlib.pyplot as plt

        # Importing ipympl makes it the backend.
        before = plt.get_backend()
        pytest.importorskip("ipympl")
        plt.switch_backend("module://ipympl.backend_nbagg")
        yield
        plt.close("all")
        plt.switch_backend(before)

    def canvas(self, widgets, page="Component"):
        titles = list(widgets["tabs"].titles)
        held = every(widgets["tabs"].children[titles.index(page)])
        (found,) = (w for w in held if hasattr(w, "figure"))
        return found

    def test_stay_where_they_are_when_the_component_changes(self, tool, widgets):
        widgets["run_button"].click()
        canvas = self.canvas(widgets)
        title = canvas.figure.get_suptitle()
        widgets["component"].value = 1
        assert self.canvas(widgets) is canvas
        assert (title, canvas.figure.get_suptitle()) == ("Component 0", "Component 1")

    def test_fit_beside_the_files_of_jupyterlab(self, widgets):
        widgets["run_button"].click()
        figure = self.canvas(widgets).figure
        assert 700 < figure.get_size_inches()[0] * figure.dpi <= 800

    def test_are_closed_when_they_are_replaced(self, widgets):
        import matplotlib.pyplot as plt

        widgets["run_button"].click()
        open_page(widgets, "All components")
        first = self.canvas(widgets, "All components")
        widgets["n_components"].value = 2
        assert self.canvas(widgets, "All components") is not first
        assert len(plt.get_fignums()) == 2

    def test_are_sent_as_a_whole_when_the_page_is_ready_and_when_redrawn(self, widgets):
        widgets["run_button"].click()
        canvas = self.canvas(widgets)
        assert self.frame(canvas) == "full"
        assert self.frame(canvas) == "diff"
        canvas._handle_custom_msg({"type": "initialized"}, [])
        assert self.frame(canvas) == "full"
        widgets["component"].value = 1
        assert self.frame(canvas) == "full"

    def test_answer_the_page_when_nothing_is_half_drawn(self, tool, widgets, monkeypatch):
        """JupyterLab has messages answered in a thread of their own."""
        widgets["run_button"].click()
        canvas = self.canvas(widgets)
        answered, draw = threading.Event(), tool.draw_component

        def ask():
            canvas._handle_custom_msg({"type": "draw"}, [])
            answered.set()

        def slowly(figure):
            figure.add_subplot()
            threading.Thread(target=ask, daemon=True).start()
            assert not answered.wait(0.3)
            figure.clear()
            return draw(figure)

        monkeypatch.setattr(tool, "draw_component", slowly)
        widgets["component"].value = 1
        assert answered.wait(5.0)

    def frame(self, canvas):
        """Draw as the page asks for it, and return how the picture was sent."""
        canvas.draw()
        return canvas._image_mode


class TestLooks:
    def test_every_control_has_a_description(self, form):
        widget = form[0].gui(**ARGUMENTS)["ipywidgets"]["widget"]
        control = ipywidgets.Button, ipywidgets.Text, ipywidgets.Checkbox, ipywidgets.IntSlider
        control += ipywidgets.Dropdown, ipywidgets.Combobox, ipywidgets.Textarea
        found = [w for w in every(widget) if isinstance(w, control)]
        assert len(found) > 25
        assert all(w.description for w in found)

    def test_no_colour_is_fixed(self, tool):
        """Colours come from Jupyter's theme, so that a dark one is readable."""
        import re

        tool.navigation_mask = "hot"
        widget = tool.gui(**ARGUMENTS)["ipywidgets"]["widget"]
        texts = [w.value for w in every(widget) if isinstance(w, ipywidgets.HTML) and w.value]
        colours = [c for text in texts for c in re.findall(r"color:\s*([^;\"]+)", text)]
        assert colours and all("var(--jp-" in c or c == "inherit" for c in colours)

    def test_nothing_is_wider_than_its_place(self, tool):
        widget = tool.gui(**ARGUMENTS)["ipywidgets"]["widget"]
        for item in every(widget):
            size = item.layout.width
            if size is not None and size not in ("auto", "100%"):
                assert item.layout.max_width == "calc(100% - 4px)"


@pytest.mark.filterwarnings("ignore:.*without any counts are excluded")
def test_a_warning_is_shown_below_the_buttons():
    session = make_session()
    for name in ("s_a", "s_b"):
        session[name].data[3, 4] = 0
    front = make_tool(session, "s_a", "s_b").gui(**ARGUMENTS)["ipywidgets"]
    note = front["wdict"]["warned"]
    assert note.layout.display == "none"
    open_page(front["wdict"], "Summary")
    front["wdict"]["run_button"].click()
    assert note.text == "Warning: 1 probe position(s) without any counts are excluded."
    assert note in front["widget"].children[0].children and note.layout.display is None
