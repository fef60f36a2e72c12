"""The tool in a window of traitsui, with Qt."""

from __future__ import annotations

from typing import Any

import traits.api as t
import traitsui.api as tui
from matplotlib.figure import Figure

from hyperfuse_hs.gui.candidates import Candidate, why_not

FIGURES = {
    "Component": "draw_component",
    "All components": "draw_all",
    "Scree": "draw_scree",
    "Residuals": "draw_residuals",
}
"""Figures that the window shows, and the methods of the tool that draw them."""
ENTRY_LABELS = {"chosen": "fuse", "signal_mask": "mask"}
RED = "QLabel { color: #c62828; }"
LEAST_WIDTH = 212
ROW_HEIGHTS = 160, 330
"""Least width of a panel, least and greatest height [pixel]; more than fits is scrolled."""


class Messages(t.HasTraits):
    """What is wrong with the entries, each message under the name of its entry."""

    n_components = t.Str
    unmixing = t.Str
    abundances = t.Str
    scale = t.Str
    navigation_mask = t.Str
    random_state = t.Str
    candidates = t.Str
    run = t.Str
    variable = t.Str
    file = t.Str


class FuserWindow(tui.Controller):
    """What the window has besides the traits of the tool, which is its ``model``."""

    run = t.Button("Run")
    cancel = t.Button("Cancel")
    refresh = t.Button("Look for signals")
    compute_residuals = t.Button("Compute residuals")
    write_back = t.Button("Write back")
    copy_code = t.Button("Copy as code")
    keep = t.Button("Keep as variable")
    save = t.Button("Save to file")

    messages = t.Instance(Messages, ())
    selected = t.Instance(Candidate)
    about = t.Str(desc="what is to be said of the signals")
    percent = t.Int
    last_component = t.Int
    shown = t.Enum(*FIGURES)
    figure = t.Instance(Figure)

    def _figure_default(self) -> Figure:
        return Figure(layout="constrained")

    def open(self, **kwargs: Any) -> Any:
        """Open the window; work is done in a thread of its own from now on."""
        from pyface.api import GUI

        self.model.trait_set(background=True, dispatch=GUI.invoke_later)
        context = {"messages": self.messages, **self.trait_context()}
        return self.edit_traits(view=make_view(self), context=context, **kwargs)

    def closed(self, info: Any, is_ok: bool) -> None:
        """Give up what is going on when the window closes."""
        self.model.close()

    # -- from the tool to the window --------------------------------------------------------------

    @t.observe("model.errors")
    def _tell(self, event: Any) -> None:
        for name in self.messages.editable_traits():
            setattr(self.messages, name, self.model.errors.get(name, ""))

    @t.observe("model.[candidates.items.[errors,fits],progress,result],selected")
    def _follow(self, event: Any) -> None:
        tool = self.model
        self.percent = round(100 * tool.progress)
        self.last_component = 0 if tool.result is None else tool.result._result.n_components - 1
        lines = [
            f"{item.name}, {ENTRY_LABELS.get(entry, entry)}: {text}"
            for item in tool.candidates
            for entry, text in item.errors.items()
        ]
        if self.selected is not None and not self.selected.fits:
            lines.append(f"{self.selected.name}: {why_not(self.selected)}")
        self.about = "\n".join(lines)

    @t.observe("shown,model.[result,component,residuals,bands]")
    def _draw(self, event: Any) -> None:
        if self.model.result is None:
            return
        self.figure.clear()
        if self.shown == "Residuals" and not self.model.residuals:
            text = 'Not computed yet: "Compute residuals" reads the data once.'
            self.figure.text(0.5, 0.5, text, ha="center")
        else:
            getattr(self.model, FIGURES[self.shown])(self.figure)
        if hasattr(self.figure.canvas, "setMinimumHeight"):
            panels = [axes.get_subplotspec() for axes in self.figure.axes]
            panels = [panel for panel in panels if panel is not None]
            rows = max([panel.rowspan.stop for panel in panels], default=1)
            columns = max([panel.colspan.stop for panel in panels], default=1)
            self.figure.canvas.setMinimumWidth(columns * LEAST_WIDTH)
            self.figure.canvas.setMinimumHeight(rows * ROW_HEIGHTS[0])
            self.figure.canvas.setMaximumHeight(rows * ROW_HEIGHTS[1])
        self.figure.canvas.draw_idle()

    # -- from the window to the tool --------------------------------------------------------------

    @t.observe("run,cancel,refresh,compute_residuals,write_back,keep,save")
    def _press(self, event: Any) -> None:
        getattr(self.model, event.name)()

    @t.observe("copy_code")
    def _copy(self, event: Any) -> None:
        from pyface.api import clipboard

        clipboard.text_data = self.model.code
        self.model.notice = "The call is in the clipboard."


# -- the view -------------------------------------------------------------------------------------


def make_view(window: FuserWindow) -> tui.View:
    """Arrange the window: entries on the left, what came out on the right."""
    entries = tui.VGroup(_signals(window), _shared(), _work(), tui.spring)
    return tui.View(
        tui.HSplit(entries, _outcome()),
        title="Hypermodal fusion",
        resizable=True,
        width=1240,
        height=740,
    )


def _signals(window: FuserWindow) -> tui.Group:
    # It needs Qt, which the window without a screen does not.
    from hyperfuse_hs.gui.desktop.table import candidate_table

    return tui.VGroup(
        tui.UItem("candidates", editor=candidate_table(window.model), height=-190),
        _message("controller.about"),
        _message("messages.candidates"),
        tui.HGroup(tui.UItem("controller.refresh", enabled_when="not running")),
        label="Signals",
        show_border=True,
    )


def _shared() -> tui.Group:
    count = tui.HGroup(
        tui.Item("automatic", label="Number of components: found"),
        tui.Item(
            "n_components",
            label="or",
            editor=tui.RangeEditor(low=1, high_name="most_components", mode="spinner"),
        ),
    )
    return tui.VGroup(
        count,
        tui.UItem("edge", style="readonly", resizable=True, visible_when="edge and not preview"),
        tui.Label("A quick guess, until the search is over.", visible_when="preview"),
        _message("messages.n_components"),
        *_entry("unmixing", "Method", _choice("object.unmixing_choices")),
        *_entry("abundances", "Abundances", None),
        *_entry("scale", "Scale", _choice("object.scale_choices")),
        *_entry("navigation_mask", "Excluded positions", _choice("object.array_names")),
        *_entry("random_state", "Seed", tui.TextEditor(auto_set=False)),
        label="All signals together",
        show_border=True,
    )


def _work() -> tui.Group:
    progress = tui.ProgressEditor(min=0, max=100, message_name="stage")
    return tui.VGroup(
        tui.HGroup(
            tui.UItem("controller.run", enabled_when="not running"),
            tui.UItem("controller.cancel", enabled_when="running"),
            tui.UItem("controller.percent", editor=progress),
        ),
        tui.Label("Entries have changed that ask for a new run.", visible_when="stale"),
        tui.UItem("warned", style="readonly", resizable=True, visible_when="warned"),
        _message("messages.run"),
    )


def _outcome() -> tui.Group:
    figures = tui.VGroup(
        tui.HGroup(
            tui.UItem("controller.shown"),
            # A slider of traitsui does not follow the arrow keys where it has few steps.
            tui.Item(
                "component",
                editor=tui.RangeEditor(
                    low=0, high_name="controller.last_component", mode="spinner"
                ),
                visible_when="controller.shown == 'Component'",
            ),
            tui.UItem(
                "controller.compute_residuals",
                visible_when="controller.shown == 'Residuals'",
                enabled_when="not running",
            ),
        ),
        tui.UItem("controller.figure", editor=tui.CustomEditor(_canvas)),
        label="Figures",
    )
    text = tui.TextEditor(read_only=True, multi_line=True)
    fixed = {"style": "custom", "editor": text}
    return tui.VGroup(
        tui.Tabbed(
            figures,
            tui.VGroup(tui.UItem("summary", **fixed), label="Summary"),
            tui.VGroup(tui.UItem("code", **fixed), label="Code"),
        ),
        tui.HGroup(
            tui.UItem("controller.write_back"),
            tui.UItem("controller.copy_code"),
            tui.UItem("controller.keep"),
            tui.UItem("variable", width=-60),
            tui.UItem("controller.save"),
            tui.UItem("file", width=-140),
            tui.Item("overwrite", label="replace"),
        ),
        _message("messages.variable"),
        _message("messages.file"),
        tui.UItem("notice", style="readonly", resizable=True, visible_when="notice"),
        enabled_when="result is not None",
    )


def _entry(name: str, label: str, editor: Any) -> tuple[tui.Item, tui.Item]:
    """Return an entry and the message below it."""
    return tui.Item(name, label=label, editor=editor, width=-200), _message(f"messages.{name}")


def _choice(name: str) -> tui.EnumEditor:
    """Return a list to pick from, in which other text may be typed."""
    return tui.EnumEditor(name=name, evaluate=str, auto_set=False)


def _message(name: str) -> tui.Item:
    """Return a message in red, where there is one."""
    return tui.UItem(name, style="readonly", resizable=True, visible_when=name, style_sheet=RED)


def _canvas(parent: Any, editor: Any) -> Any:
    """Put a figure into the window, with matplotlib's buttons above it."""
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg, NavigationToolbar2QT
    from pyface.qt import QtGui

    panel = QtGui.QWidget()
    column = QtGui.QVBoxLayout(panel)
    canvas = FigureCanvasQTAgg(editor.value)
    scroll = QtGui.QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setWidget(canvas)
    column.addWidget(NavigationToolbar2QT(canvas, panel))
    column.addWidget(scroll)
    return panel
