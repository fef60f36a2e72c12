"""Servers, a browser and a screen for the tests of the graphical interface.

Where Chromium, Jupyter, Qt or a virtual screen are not installed, tests that need them are skipped
with that reason; with ``HYPERFUSE_REQUIRE_GUI=1`` they fail instead.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

# Chromium in a container, as root, that calls nobody.
CHROMIUM_OPTIONS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
START_SECONDS = 90


def missing(reason):
    """Skip the test, or fail where the graphical interface has to be tested."""
    if os.environ.get("HYPERFUSE_REQUIRE_GUI") == "1":
        pytest.fail(f"{reason}, but HYPERFUSE_REQUIRE_GUI=1 asks for these tests", pytrace=False)
    pytest.skip(reason)


def require_modules(*names):
    """Skip the test (see `missing`) unless these can be imported."""
    for name in names:
        if find_spec(name) is None:
            missing(f"the Python package {name} is not installed")


def require_program(*names):
    """Return the path of the first of these programs that is there, or skip (see `missing`)."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(f"the program {names[0]} is not installed")
    return found


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Return the environment of a process that knows no settings of the person who tests."""
    folder = tmp_path_factory.mktemp("home")
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    places = {
        "HOME": "",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "XDG_CONFIG_HOME": "xdg",
    }
    # The kernel chooses its own backend for figures.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    return environment | {name: str(folder / place) for name, place in places.items()}


@contextmanager
def serving(command, url, environment, log):
    """Run a server until the block ends; it has answered at `url` when the block begins."""
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            wait_for(server, url, log)
            yield
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for(server, url, log):
    """Wait until something answers at `url`; say what the server wrote if nothing does."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"No answer from {url}:\n{log.read_text()[-3000:]}", pytrace=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def notebooks(tmp_path_factory):
    """Return the folder whose notebooks the servers show."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="session")
def lab(notebooks, home, tmp_path_factory):
    """Serve the notebooks by JupyterLab; return what makes an address from a notebook's name."""
    require_modules("jupyterlab", "ipykernel", "ipympl")
    port, token = free_port(), secrets.token_hex(16)
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={notebooks}", "--LabApp.news_url=None"]
    with serving(command, f"{root}/api", home, tmp_path_factory.mktemp("lab") / "log"):
        yield lambda name: f"{root}/lab/tree/{name}?reset&token={token}"


@pytest.fixture(scope="session")
def voila(notebooks, home, tmp_path_factory):
    """Serve the notebooks by Voilà; return what makes an address from a notebook's name."""
    require_modules("voila", "ipykernel", "ipympl")
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "voila", str(notebooks), "--no-browser"]
    command += ["--Voila.ip=127.0.0.1", f"--port={port}"]
    with serving(command, root, home, tmp_path_factory.mktemp("voila") / "log"):
        yield lambda name: f"{root}/voila/render/{name}"


@pytest.fixture(scope="session")
def browser():
    """Return a Chromium without a window."""
    require_modules("playwright")
    program = require_program("chromium", "chromium-browser", "google-chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """Return an empty page of 1280 x 800 pixels."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def screen():
    """Return the environment of a process that has a screen and Qt."""
    require_modules("PySide6", "traitsui")
    program = require_program("Xvfb")
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", "1280x800x24"]
    command += ["-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as answer:
        display = answer.readline().strip()
    if not display:
        missing("Xvfb does not start")
    yield {
        **os.environ,
        "DISPLAY": f":{display}",
        "QT_QPA_PLATFORM": "xcb",
        "QT_API": "pyside6",
        "MPLBACKEND": "QtAgg",
    }
    server.terminate()
    server.wait()


@pytest.fixture
def pictures(tmp_path):
    """Return the folder for screenshots: ``HYPERFUSE_SCREENSHOTS``, or one that is thrown away."""
    folder = Path(os.environ.get("HYPERFUSE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
