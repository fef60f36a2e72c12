"""The tool put together as widgets."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Callable
from typing import Any

import ipywidgets as ipw
from IPython.display import Javascript, display

from hyperfuse_hs.gui.jupyter.parts import (
    LABELLED,
    Note,
    bind,
    column,
    error_note,
    follow,
    row,
    width,
)
from hyperfuse_hs.gui.jupyter.pictures import Picture
from hyperfuse_hs.gui.jupyter.rows import candidate_row
from hyperfuse_hs.gui.toolkits import in_kernel
from hyperfuse_hs.unmixing import ABUNDANCES

TABS = ("Signals", "Component", "All components", "Scree", "Residuals", "Summary", "Keep")


def show(obj: Any, display: bool = True, **kwargs: Any) -> dict[str, Any] | None:
    """Show the tool, or return its widgets, by HyperSpy's convention.

    Parameters
    ----------
    obj
        The tool.
    display
        Whether to show it.
    **kwargs
        Ignored.

    Returns
    -------
    dict or None
        ``"widget"`` and, by name, all that can be used in ``"wdict"``.
    """
    front = Front(obj)
    if not display:
        return {"widget": front.widget, "wdict": front.widgets}
    _show(front.widget)
    return None


_show = display


class Front:
    """Widgets of a tool.

    Parameters
    ----------
    tool
        A `Fuser`.
    """

    def __init__(self, tool: Any) -> None:
        self.tool = tool
        self.widgets: dict[str, Any] = {}
        _work_in_background(tool)
        bar, shared, keep = self._bar(), self._shared(), self._keep()
        self.pictures = {
            "Component": Picture("Map and factors of one component, with their errors"),
            "All components": Picture("Maps and factors of all components"),
            "Scree": Picture("Singular values and the edge of the noise"),
            "Residuals": Picture("Maps of the squared residual over the noise"),
        }
        self._drawn: set[str] = set()
        pages = [self._signals(), self._component(), self._all(), self._scree()]
        pages += [self._residuals(), self._summary(), keep]
        # The tabs of ipywidgets are out of reach of the keyboard; buttons are not.
        self.tabs = ipw.Stack(pages, titles=TABS, selected_index=0, layout=width("auto"))
        pick = ipw.ToggleButtons(options=TABS, style={"button_width": "auto"})
        ipw.link((pick, "index"), (self.tabs, "selected_index"))
        self.widgets |= {"tabs": self.tabs, "pick": pick}
        self.tabs.observe(lambda change: self._draw(), "selected_index")
        tool.observe(lambda event: self._show_result(), "result")
        tool.observe(lambda event: self._redraw("Component"), "component, bands")
        tool.observe(lambda event: self._redraw("Residuals"), "residuals")
        self.widget = column(bar, shared, pick, self.tabs)
        self.widget.add_class("hyperfuse-tool")
        if tool.result is not None:
            self._show_result()

    def _error(self, name: str) -> Note:
        """Make the place of the messages about a shared entry."""
        note = error_note()
        self.widgets[f"error_{name}"] = note
        follow(self.tool, "errors", lambda: note.say(self.tool.errors.get(name, "")))
        return note

    def _button(self, name: str, label: str, action: Callable[[], Any], tip: str) -> ipw.Button:
        button = ipw.Button(description=label, tooltip=tip, layout=width("auto"))
        button.on_click(lambda _: action())
        self.widgets[f"{name}_button"] = button
        return button

    def _entry(self, name: str, widget: ipw.Widget) -> ipw.Widget:
        """Bind a widget to the trait of that name, with its message beside it."""
        widget.tooltip = self.tool.trait(name).desc or ""
        self.widgets[name] = bind(self.tool, name, widget)
        return row(widget, self._error(name), width="auto")

    # -- what is always there ---------------------------------------------------------------------

    def _bar(self) -> ipw.Widget:
        tool = self.tool
        run = self._button("run", "Run", tool.run, "Fuse the chosen signals")
        run.button_style = "primary"
        cancel = self._button("cancel", "Cancel", tool.cancel, "Stop; signals stay as they were")
        back = self._button(
            "write_back", "Write back", tool.write_back, "Write this result onto the signals"
        )
        progress = ipw.FloatProgress(min=0.0, max=1.0, layout=width("10rem"))
        bind(tool, "progress", progress)
        stage, notice, stale, warned = Note(), Note(), Note(), Note()
        self.widgets |= {"progress": progress, "stage": stage, "notice": notice, "stale": stale}
        self.widgets["warned"] = warned

        def follow_run() -> None:
            stage.say(tool.stage)
            run.disabled, cancel.disabled = tool.running, not tool.running
            back.disabled = tool.running or tool.result is None
            progress.layout.visibility = "visible" if tool.running else "hidden"

        follow(tool, "running, stage, result", follow_run)
        follow(tool, "notice", lambda: notice.say(tool.notice))
        follow(tool, "warned", lambda: warned.say(tool.warned and f"Warning: {tool.warned}"))
        asks = "These entries ask for a new run."
        follow(tool, "stale", lambda: stale.say(asks if tool.stale else ""))
        return column(
            row(run, cancel, back, progress, stage, notice, stale),
            warned,
            self._error("run"),
            self._error("candidates"),
        )

    def _shared(self) -> ipw.Widget:
        tool = self.tool
        automatic = ipw.Checkbox(description="Automatic", indent=False, layout=width("7rem"))
        count = ipw.IntSlider(
            min=1,
            max=tool.most_components,
            description="Components",
            continuous_update=False,
            style=LABELLED,
            layout=width("20rem"),
        )
        method = ipw.Dropdown(
            description="Method",
            options=tool.unmixing_choices,
            style=LABELLED,
            layout=width("14rem"),
        )
        constraint = ipw.Dropdown(
            description="Abundances", options=ABUNDANCES, style=LABELLED, layout=width("14rem")
        )
        seed = ipw.Text(
            description="Seed", continuous_update=False, style=LABELLED, layout=width("8rem")
        )
        edge = Note()
        self.widgets["edge"] = edge
        guess = "A quick guess, until the search is over."
        follow(tool, "edge, preview", lambda: edge.say(guess if tool.preview else tool.edge))
        return row(
            self._entry("automatic", automatic),
            self._entry("n_components", count),
            edge,
            self._entry("unmixing", method),
            self._entry("abundances", constraint),
            self._entry("random_state", seed),
        )

    # -- pages ------------------------------------------------------------------------------------

    def _signals(self) -> ipw.Widget:
        tool = self.tool
        scale = ipw.Combobox(description="Scale", style=LABELLED, layout=width("14rem"))
        mask = ipw.Combobox(
            description="Navigation mask",
            placeholder="none",
            style=LABELLED,
            layout=width("20rem"),
        )

        def arrays() -> None:
            scale.options = tool.scale_choices
            mask.options = ["none", *tool.array_names]

        follow(tool, "array_names, scale_choices", arrays)
        listed = column()

        def rows() -> None:
            made = [candidate_row(tool, item, k) for k, item in enumerate(tool.candidates)]
            for _, widgets in made:
                self.widgets |= widgets
            listed.children = [widget for widget, _ in made]

        follow(tool, "candidates", rows)
        tip = "List the signals that the session has by now"
        again = self._button("refresh", "Look for signals again", tool.refresh, tip)
        entries = row(self._entry("scale", scale), self._entry("navigation_mask", mask), again)
        return column(listed, entries)

    def _component(self) -> ipw.Widget:
        slider = ipw.IntSlider(
            min=0,
            max=0,
            description="Component",
            continuous_update=False,
            style=LABELLED,
            layout=width("24rem"),
        )
        self.widgets["component"] = bind(self.tool, "component", slider)
        return column(slider, self.pictures["Component"].box)

    def _all(self) -> ipw.Widget:
        return column(self.pictures["All components"].box)

    def _scree(self) -> ipw.Widget:
        return column(self.pictures["Scree"].box)

    def _residuals(self) -> ipw.Widget:
        tool = self.tool
        tip = "In one pass over each signal that is there"
        button = self._button("residuals", "Compute residuals", tool.compute_residuals, tip)

        def able() -> None:
            button.disabled = tool.running or tool.result is None

        follow(tool, "running, result", able)
        return column(row(button), self.pictures["Residuals"].box)

    def _summary(self) -> ipw.Widget:
        text = ipw.HTML(layout=width("auto", overflow="auto"))
        self.widgets["summary"] = text

        def write() -> None:
            # Jupyter breaks the lines of <pre> within words.
            style = "margin: 0; word-break: normal; overflow-wrap: anywhere"
            text.value = f"<pre style='{style}'>{html.escape(self.tool.summary)}</pre>"

        follow(self.tool, "summary", write)
        return column(text)

    def _keep(self) -> ipw.Widget:
        tool = self.tool
        code = ipw.Textarea(
            description="Code", rows=10, style=LABELLED, disabled=False, layout=width("auto")
        )
        self.widgets["code"] = code
        follow(tool, "code", lambda: setattr(code, "value", tool.code))
        output = ipw.Output()

        def copy() -> None:
            text = json.dumps(tool.code)
            output.outputs = ()
            output.append_display_data(Javascript(f"navigator.clipboard.writeText({text})"))
            tool.notice = "The code is in the clipboard, where the browser allows it."

        copy_button = self._button("copy_code", "Copy as code", copy, "The call that does all this")
        name = ipw.Text(description="Variable", style=LABELLED, layout=width("12rem"))
        keep = self._button("keep", "Put result into variable", tool.keep, "As in code")
        file = ipw.Text(description="File", style=LABELLED, layout=width("24rem"))
        replace = ipw.Checkbox(description="Replace", indent=False, layout=width("7rem"))
        save = self._button("save", "Save", tool.save, "All of the result, without the data")
        self.widgets["overwrite"] = bind(tool, "overwrite", replace)
        return column(
            code,
            row(copy_button, output),
            row(self._entry("variable", name), keep),
            row(self._entry("file", file), replace, save),
        )

    # -- the result -------------------------------------------------------------------------------

    def _show_result(self) -> None:
        slider = self.widgets["component"]
        slider.max = self.tool.result._result.n_components - 1
        self._drawn.clear()
        if self.tabs.selected_index in (None, 0):
            self.tabs.selected_index = TABS.index("Component")
        self._draw()

    def _redraw(self, page: str) -> None:
        self._drawn.discard(page)
        self._draw()

    def _draw(self) -> None:
        """Draw the figure of the page that is open, unless it is there already."""
        index = self.tabs.selected_index
        page = TABS[index] if index is not None else ""
        if self.tool.result is None or page in self._drawn or page not in self.pictures:
            return
        self._drawn.add(page)
        tool, picture = self.tool, self.pictures[page]
        if page == "Residuals" and not tool.residuals:
            picture.clear()
            return
        draw = {
            "Component": tool.draw_component,
            "All components": tool.draw_all,
            "Scree": tool.draw_scree,
            "Residuals": tool.draw_residuals,
        }[page]
        picture.draw(draw, same_size=page == "Component")


def _work_in_background(tool: Any) -> None:
    """Where a notebook runs, work in a thread and show what comes of it in the notebook's loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if in_kernel():
        tool.background = True
        tool.dispatch = loop.call_soon_threadsafe
