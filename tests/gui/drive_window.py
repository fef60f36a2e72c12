"""Open the window on a screen and use it as a person does; run by test_desktop.py.

``python drive_window.py FOLDER`` writes screenshots to the folder and ends with an error where
something is not as it should be.
"""

import sys
import time
from pathlib import Path

import hyperspy.api as hs
from IPython.core.interactiveshell import InteractiveShell
from pyface.qt import QtCore, QtGui, QtWidgets
from PySide6.QtTest import QTest

import hyperfuse_hs as hf

PATIENCE = 40


def wait(seconds):
    """Let the window do its work, and threads theirs, which QTest.qWait hardly does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QtWidgets.QApplication.processEvents()
        time.sleep(0.005)


class Driver:
    """The window, as its user finds it.

    Parameters
    ----------
    window
        Of Qt.
    folder
        Where screenshots go.
    """

    def __init__(self, window, folder):
        self.window, self.folder = window, folder
        (self.table,) = self.shown(QtWidgets.QTableView)

    def shown(self, kind):
        return [item for item in self.window.findChildren(kind) if item.isVisible()]

    def button(self, text):
        (found,) = (item for item in self.shown(QtWidgets.QPushButton) if item.text() == text)
        return found

    def click(self, text):
        QTest.mouseClick(self.button(text), QtCore.Qt.LeftButton)

    def texts(self):
        return "\n".join(item.text() for item in self.shown(QtWidgets.QLabel))

    def cell(self, row, column):
        """Go to a cell of the table of signals."""
        model = self.table.model()
        titles = [
            model.headerData(number, QtCore.Qt.Horizontal) for number in range(model.columnCount())
        ]
        index = model.index(row, titles.index(column))
        self.table.setCurrentIndex(index)
        return index

    def row(self, name):
        model = self.table.model()
        names = [model.index(row, 1).data() for row in range(model.rowCount())]
        return names.index(name)

    def tick(self, name):
        self.cell(self.row(name), "Fuse")
        QTest.keyClick(self.table, QtCore.Qt.Key_Space)

    def enter(self, name, column, text):
        """Type into a cell, with the keyboard only."""
        # A cell is edited when one comes to it.
        self.cell(self.row(name), "Fuse")
        self.cell(self.row(name), column)
        self.until(lambda: self.table.viewport().findChildren(QtWidgets.QLineEdit))
        field = self.table.viewport().findChildren(QtWidgets.QLineEdit)[-1]
        field.selectAll()
        QTest.keyClicks(field, text)
        QTest.keyClick(field, QtCore.Qt.Key_Return)

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"Waited in vain; the window says: {self.texts()}"
            wait(0.02)

    def pick(self, title):
        """Choose one of the figures."""
        boxes = self.shown(QtWidgets.QComboBox)
        (box, *_) = (item for item in boxes if item.findText("Scree") >= 0)
        box.setCurrentText(title)
        box.activated.emit(box.currentIndex())

    def picture(self):
        """What the figure shows, as data that change with it."""
        canvas = next(item for item in self.shown(QtWidgets.QWidget) if hasattr(item, "figure"))
        wait(0.1)
        # It has to be there while its bits are copied.
        image = canvas.grab().toImage()
        return bytes(image.constBits())

    def settles(self):
        """Wait until the figure has been the same for a while: errors come later."""
        end, same, before = time.monotonic() + PATIENCE, 0, b""
        while same < 15:
            assert time.monotonic() < end, "The figure changes all the time."
            now = self.picture()
            same, before = (same + 1 if now == before else 0), now

    def shoot(self, name):
        wait(0.3)
        self.window.grab().save(str(self.folder / f"window_{name}.png"))


def read_slowly(block):
    time.sleep(0.3)
    return block


def session():
    """Variables of an IPython session."""
    phantom = hf.data.tio2_polymorphs(scan=(24, 24), detector=(24, 24), eels_channels=256)
    eels, eds, diffraction = phantom.signals.values()
    for signal in (eels, eds, diffraction):
        signal.data[12, 12] = 0
    slow = diffraction.as_lazy()
    slow.data = slow.data.rechunk((4, 4, 24, 24)).map_blocks(read_slowly, dtype=slow.data.dtype)
    names = {"s_eels": eels, "s_edx": eds, "s_4d": diffraction, "s_slow": slow}
    return names | {"cropped": eds.inav[:20, :], "vacuum": phantom.navigation_mask}


def main(folder):
    """Fuse three signals of four."""
    variables = session()
    InteractiveShell.instance().user_ns.update(variables)
    eels, eds = variables["s_eels"], variables["s_edx"]
    eels.fuse(eds, interactive=True, toolkit="traitsui", navigation_mask=variables["vacuum"])
    windows = QtGui.QApplication.topLevelWidgets()
    (window,) = (item for item in windows if item.windowTitle() == "Hypermodal fusion")
    driver = Driver(window, folder)
    driver.until(window.isVisible)
    assert window.width() <= 1280 and window.height() <= 800, window.size()

    # What cannot be fused says why in its row, and in full when it is looked at.
    model = driver.table.model()
    told = model.index(driver.row("EDS 2"), model.columnCount() - 1)
    grey = told.data(QtCore.Qt.ForegroundRole)
    assert "must share one navigation shape" in told.data(), told.data()
    assert "must share one navigation shape" in told.data(QtCore.Qt.ToolTipRole)
    assert QtGui.QBrush(grey).color() == QtGui.QColor("grey"), grey
    driver.cell(driver.row("EDS 2"), "Name")
    driver.until(lambda: "must share one navigation shape" in driver.texts())
    driver.tick("Diffraction")
    driver.enter("EDS", "Weight", "heavy")
    driver.until(lambda: "Expected a number as weight of EDS. Got 'heavy'." in driver.texts())
    driver.shoot("entry")
    driver.enter("EDS", "Weight", "auto")
    driver.until(lambda: "Expected a number" not in driver.texts())

    driver.click("Run")
    driver.until(lambda: not driver.button("Run").isEnabled())
    driver.until(lambda: "components stand out of the noise" in driver.texts())
    driver.until(driver.button("Write back").isEnabled)
    assert "1 probe position(s) without any counts are excluded." in driver.texts()
    driver.settles()
    before = driver.picture()
    driver.cell(0, "Name")
    driver.shoot("component")
    numbers = driver.shown(QtWidgets.QSpinBox)
    (component,) = (item for item in numbers if (item.minimum(), item.maximum()) == (0, 2))
    QTest.keyClick(component, QtCore.Qt.Key_Up)
    driver.until(lambda: driver.picture() != before)

    # A run that is cancelled leaves everything as it was.
    factors = eels.learning_results.bss_factors
    driver.tick("Diffraction 2")
    driver.click("Run")
    wait(0.5)
    driver.click("Cancel")
    driver.until(lambda: "Cancelled. The signals are as they were." in driver.texts())
    assert eels.learning_results.bss_factors is factors
    assert variables["s_slow"].learning_results.bss_factors is None

    driver.click("Copy as code")
    driver.until(lambda: "The call is in the clipboard." in driver.texts())
    code = QtGui.QApplication.clipboard().text()
    assert code.startswith("h = s_eels.fuse(") and "s_4d" in code, code
    for title in ("All components", "Scree"):
        before = driver.picture()
        driver.pick(title)
        driver.until(lambda before=before: driver.picture() != before)
        driver.shoot(title.split()[0].lower())
    driver.pick("Residuals")
    driver.until(lambda: driver.button("Compute residuals").isEnabled())
    before = driver.picture()
    driver.click("Compute residuals")
    driver.until(lambda: driver.picture() != before)
    driver.until(driver.button("Run").isEnabled)
    driver.shoot("residuals")
    eds.learning_results.bss_factors = None
    driver.click("Write back")
    driver.until(lambda: "Written onto the learning results of EELS, EDS" in driver.texts())
    assert eds.learning_results.bss_factors.shape[1] == 3
    window.close()
    print("done")


if __name__ == "__main__":
    assert hs.preferences.GUIs.enable_traitsui_gui
    main(Path(sys.argv[1]))
