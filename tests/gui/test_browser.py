"""The tool in a real notebook: JupyterLab and Voilà, in Chromium."""

import json
import re

import pytest

pytestmark = pytest.mark.slow

SESSION = """
import time
import hyperspy.api as hs
import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(scan=(24, 24), detector=(24, 24), eels_channels=256)
s_eels, s_edx, s_4d = phantom.signals.values()
vacuum = phantom.navigation_mask
cropped = s_edx.inav[:20, :]

def read_slowly(block):
    time.sleep(0.3)
    return block

s_slow = s_4d.as_lazy()
s_slow.data = s_slow.data.rechunk((4, 4, 24, 24)).map_blocks(read_slowly, dtype=s_4d.data.dtype)
"""
OPEN = "s_eels.fuse(s_edx, interactive=True, navigation_mask=vacuum)"
# As long as the machine may take for numba to compile, the first time.
PATIENCE = 60_000

# Elements whose content is wider than they are, apart from those that scroll it.
OVERFLOWING = """
(root) => {
    const right = root.getBoundingClientRect().right + 1;
    const scrolls = item => {
        for (; item !== root; item = item.parentElement)
            if (["auto", "scroll"].includes(getComputedStyle(item).overflowX)) return true;
        return false;
    };
    const wide = [...root.querySelectorAll("*")]
        .filter(item => item.checkVisibility() && item.getBoundingClientRect().width > 1)
        .filter(item => item.getBoundingClientRect().right > right && !scrolls(item.parentElement));
    const whole = document.documentElement;
    if (whole.scrollWidth > whole.clientWidth) wide.push(whole);
    if (root.scrollWidth > root.clientWidth) wide.push(root);
    return wide.map(item => `${item.tagName}.${item.className} ${item.scrollWidth}`);
}
"""

# Texts with less contrast to what is behind them than WCAG 2.1 asks for (1.4.3, level AA), apart
# from those that are disabled.
FAINT = """
(root) => {
    const read = text => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
        const brush = canvas.getContext("2d");
        brush.fillStyle = text;
        brush.fillRect(0, 0, 1, 1);
        return [...brush.getImageData(0, 0, 1, 1).data];
    };
    const light = colour => {
        const [r, g, b] = colour.map(c => c / 255).map(
            c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = item => {
        for (; item; item = item.parentElement) {
            const colour = read(getComputedStyle(item).backgroundColor);
            if (colour[3] > 250) return colour;
        }
        return [255, 255, 255, 255];
    };
    const faint = [];
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const fields = [...root.querySelectorAll("input, select, textarea")];
    const shown = [...fields];
    while (texts.nextNode())
        if (texts.currentNode.data.trim()) shown.push(texts.currentNode.parentElement);
    for (const item of shown) {
        const off = item.closest("[disabled], .jupyter-matplotlib") ||
            item.parentElement.querySelector(":scope > [disabled]");
        if (off || !item.checkVisibility({visibilityProperty: true})) continue;
        const [front, back] = [read(getComputedStyle(item).color), behind(item)].map(light);
        const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (contrast < 4.5)
            faint.push(`${item.value || item.textContent}: ${contrast.toFixed(1)}`);
    }
    return faint;
}
"""


# How many colours a figure shows, greys left out: maps have many, axes without them have none.
COLOURS = """
item => {
    const canvas = document.createElement("canvas");
    canvas.width = item.naturalWidth || item.width;
    canvas.height = item.naturalHeight || item.height;
    const context = canvas.getContext("2d");
    context.drawImage(item, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const found = new Set();
    for (let i = 0; i < data.length; i += 4) {
        const [r, g, b] = data.subarray(i, i + 3);
        if (Math.max(r, g, b) - Math.min(r, g, b) > 60) found.add((r << 16) | (g << 8) | b);
    }
    return found.size;
}
"""


class Notebook:
    """A notebook in the browser, and the tool in it as its user finds it.

    Parameters
    ----------
    page
        Of the browser, which shows the notebook.
    """

    def __init__(self, page):
        self.page = page
        self.tool = page.locator(".hyperfuse-tool").last
        self.button("Run").wait_for(timeout=PATIENCE)

    def button(self, text):
        return self.tool.get_by_role("button", name=text, exact=True)

    def row(self, variable):
        """Part of the list that is about one signal."""
        return self.tool.locator(".hyperfuse-signal").filter(has_text=f"{variable}: ")

    def tick(self, variable):
        """Tick, or not any more, that a signal is to be fused."""
        self.row(variable).get_by_role("checkbox").click()

    def enter(self, text, label, variable=None):
        """Type into an entry, and go on to the next."""
        place = self.tool if variable is None else self.row(variable)
        entry = place.get_by_label(label, exact=True)
        entry.fill(text)
        entry.press("Tab")

    def open_tab(self, title):
        self.button(title).click()

    def says(self, text, role="alert"):
        """Wait for a visible message with that text."""
        shown = self.tool.get_by_role(role).filter(has_text=text, visible=True)
        shown.first.wait_for(timeout=PATIENCE)

    def says_nothing_wrong(self):
        self.page.wait_for_function(
            """() => [...document.querySelectorAll('.hyperfuse-tool [role="alert"]')]
                .every(message => !message.checkVisibility())"""
        )

    def is_idle(self):
        run = self.tool.locator("button:enabled").filter(has_text=re.compile("^Run$"))
        run.wait_for(timeout=PATIENCE)

    def run(self):
        self.button("Run").click()
        self.picture().wait_for(timeout=PATIENCE)
        self.is_idle()

    def picture(self):
        """The figure that is shown: an image, or a canvas of ipympl."""
        return self.tool.locator(
            ".hyperfuse-picture img:visible, .hyperfuse-picture canvas:visible"
        ).first

    def pixels(self):
        """What the figure shows, as data that change with it."""
        return self.picture().evaluate(
            "item => item.tagName === 'IMG' ? item.src : item.toDataURL()"
        )

    def settles(self):
        """Wait until the figure has been the same for a while, errors drawn, and is whole."""
        same, before = 0, ""
        for _ in range(PATIENCE // 200):
            self.page.wait_for_timeout(200)
            now = self.pixels()
            same, before = (same + 1 if now == before else 0), now
            if same == 10:
                break
        else:
            raise AssertionError("The figure changes all the time.")
        assert self.picture().evaluate(COLOURS) > 50

    def changes(self, before):
        """Wait until the figure shows something else."""
        for _ in range(PATIENCE // 200):
            self.page.wait_for_timeout(200)
            if self.pixels() != before:
                return
        raise AssertionError("The figure is what it was before.")

    def check_looks(self):
        """Nothing sticks out or is hard to read, and nothing has failed."""
        assert self.tool.evaluate(OVERFLOWING) == []
        assert self.tool.evaluate(FAINT) == []
        assert self.page.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0
        assert "Traceback" not in self.page.inner_text("body")


@pytest.fixture
def open_notebook(notebooks, page):
    """Return a function that runs the cells of a new notebook and shows them."""

    def opened(server, *cells):
        name = f"{len(list(notebooks.iterdir()))}.ipynb"
        made = [
            {
                "cell_type": "code",
                "id": str(number),
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
        (notebooks / name).write_text(json.dumps(whole | {"cells": made}))
        page.goto(server(name))
        if "/lab/" in page.url:
            page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=PATIENCE)
            run_all(page)
        return Notebook(page)

    return opened


def run_all(page):
    """Run all cells, as soon as there is a kernel that takes them."""
    first = page.locator(".jp-Notebook .jp-Cell .jp-InputPrompt").first
    for _ in range(20):
        choose(page, "Run", "Run All Cells")
        page.wait_for_timeout(3000)
        if re.search(r"[*\d]", first.inner_text()):
            return
    raise AssertionError("The kernel does not take cells.")


def choose(page, menu, *items):
    """Choose from the menu of JupyterLab."""
    page.locator(".lm-MenuBar-itemLabel").get_by_text(menu, exact=True).click()
    for item in items:
        entry = page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True)
        entry.hover()
        last = entry
    last.click()


@pytest.mark.parametrize("backend", ["widget", "inline"])
@pytest.mark.parametrize("server", ["lab", "voila"])
def test_a_fusion_from_the_first_look_to_the_result(
    server, backend, request, open_notebook, pictures
):
    serve = request.getfixturevalue(server)
    notebook = open_notebook(serve, f"%matplotlib {backend}", SESSION, OPEN)
    page = notebook.page
    shot = lambda name: page.screenshot(path=pictures / f"{server}_{backend}_{name}.png")  # noqa: E731

    # What can be fused, and what cannot.
    assert notebook.row("s_eels").get_by_role("checkbox").is_checked()
    assert not notebook.row("s_4d").get_by_role("checkbox").is_checked()
    assert notebook.row("cropped").get_by_role("checkbox").is_disabled()
    assert "must share one navigation shape" in notebook.row("cropped").inner_text()
    notebook.tick("s_4d")
    notebook.enter("heavy", "Weight", "s_edx")
    notebook.says("Expected a number as weight of EDS. Got 'heavy'.")
    notebook.check_looks()
    shot("entry")
    notebook.enter("auto", "Weight", "s_edx")
    notebook.says_nothing_wrong()

    notebook.run()
    notebook.settles()
    notebook.check_looks()
    shot("component")
    before = notebook.pixels()
    notebook.tool.get_by_role("slider").filter(visible=True).last.press("ArrowRight")
    notebook.changes(before)
    notebook.settles()

    # Another number of components is unmixed at once.
    before = notebook.pixels()
    notebook.tool.get_by_role("slider").filter(visible=True).first.press("ArrowLeft")
    notebook.says("2 are shown", role="status")
    notebook.changes(before)
    notebook.settles()

    # A run that is cancelled leaves everything as it was.
    notebook.open_tab("Signals")
    notebook.tick("s_slow")
    notebook.button("Run").click()
    notebook.button("Cancel").click()
    notebook.says("Cancelled. The signals are as they were.", role="status")
    shot("cancelled")
    for title in ("All components", "Scree", "Summary", "Keep"):
        notebook.open_tab(title)
        if title in ("All components", "Scree"):
            notebook.picture().wait_for(timeout=PATIENCE)
        if title == "All components":
            notebook.settles()
        page.wait_for_timeout(500)
        notebook.check_looks()
        shot(title.split()[0].lower())

    # What came out reaches the signals, the clipboard, and the data are compared with it.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.button("Copy as code").click()
    notebook.says("The code is in the clipboard", role="status")
    for _ in range(PATIENCE // 200):
        copied = page.evaluate("navigator.clipboard.readText()")
        if copied:
            break
        page.wait_for_timeout(200)
    assert "s_eels.fuse(" in copied and "n_components=2" in copied
    notebook.button("Write back").click()
    notebook.says("Written onto the learning results of EELS, EDS, Diffraction.", role="status")
    notebook.open_tab("Residuals")
    notebook.button("Compute residuals").click()
    notebook.picture().wait_for(timeout=PATIENCE)
    notebook.is_idle()
    notebook.settles()
    notebook.check_looks()
    shot("residuals")


def test_the_dark_theme_is_readable(lab, open_notebook, pictures):
    notebook = open_notebook(lab, "%matplotlib inline", SESSION, OPEN)
    page = notebook.page
    choose(page, "Settings", "Theme", "JupyterLab Dark")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    notebook.enter("nothing", "Navigation mask")
    notebook.says("must be the name of a variable that holds a signal or an array")
    notebook.check_looks()
    page.screenshot(path=pictures / "lab_dark_entry.png")
    notebook.enter("vacuum", "Navigation mask")
    notebook.says_nothing_wrong()
    notebook.run()
    notebook.settles()
    notebook.check_looks()
    page.screenshot(path=pictures / "lab_dark_component.png")


@pytest.mark.parametrize("server", ["lab", "voila"])
def test_the_keyboard_does_it_all(server, request, open_notebook):
    serve = request.getfixturevalue(server)
    notebook = open_notebook(serve, "%matplotlib inline", SESSION, OPEN)
    keyboard = notebook.page.keyboard
    notebook.button("Run").focus()

    def go_to(element, key="Tab"):
        for _ in range(60):
            if element.evaluate("item => item === document.activeElement"):
                return
            keyboard.press(key)
        raise AssertionError(f"{key} does not lead to {element}.")

    go_to(notebook.row("s_4d").get_by_role("checkbox"))
    keyboard.press("Space")
    name = notebook.row("s_4d").get_by_label("Name", exact=True)
    go_to(name)
    keyboard.press("Control+a")
    keyboard.type("EELS")
    keyboard.press("Tab")
    notebook.says("different names, one for each signal")
    go_to(name, "Shift+Tab")
    keyboard.press("Control+a")
    keyboard.type("Patterns")
    keyboard.press("Tab")
    notebook.says_nothing_wrong()
    go_to(notebook.button("Run"), "Shift+Tab")
    keyboard.press("Enter")
    notebook.picture().wait_for(timeout=PATIENCE)
    notebook.is_idle()
    before = notebook.pixels()
    go_to(notebook.tool.get_by_role("slider").filter(visible=True).last)
    keyboard.press("ArrowRight")
    notebook.changes(before)
    before = notebook.pixels()
    go_to(notebook.button("All components"), "Shift+Tab")
    keyboard.press("Space")
    notebook.changes(before)
