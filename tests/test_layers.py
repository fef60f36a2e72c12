"""The architecture, read from the source: who imports whom, and how long things are."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hyperfuse_hs"

# A module imports from its own layer and from those below it; the lowest layer comes first.
LAYERS = (
    {"algorithms"},
    {"concerns", "late", "notices"},
    {"cache", "cluster", "heap", "modality", "origin", "reading", "streaming"},
    {
        "projection",
        "streamed",
        "result",
        "noise_model",
        "projected_noise",
        "compress",
        "scaling",
        "unmixing",
        "express",
        "foresight",
        "varying",
        "residuals",
        "joint",
        "lead",
        "model",
    },
    {
        "fusion",
        "signals",
        "writeback",
        "registration",
        "scan_maps",
        "grids",
        "cropping",
        "options",
        "inputs",
        "checks",
        "choices",
        "purification",
        "feasibility",
        "regions",
        "lead_noise",
        "errors",
        "intervals",
        "stability",
        "resampling",
        "associations",
        "features",
        "extended",
        "prediction",
        "identification",
        "profiles",
        "references",
    },
    {"plotting", "gui"},
    {"recognition", "demo", "files", "__init__", "__main__"},
)
# The phantoms must not know the solvers they are there to test.
DATA_MAY_IMPORT = {"data", "algorithms"}
# A method of the result hands over to the layer above, inside its body.
HANDED_UP = {("signals", "plotting"), ("signals", "gui"), ("fusion", "gui")}

ARRAYS_ONLY = {"numpy", "scipy", "numba", *sys.stdlib_module_names}
NO_HYPERSPY = {
    "concerns",
    "late",
    "notices",
    "algorithms",
    "modality",
    "cache",
    "cluster",
    "origin",
    "reading",
    "streaming",
    "projection",
    "streamed",
    "result",
    "compress",
    "noise_model",
    "scaling",
    "unmixing",
    "express",
    "joint",
    "lead",
    "model",
}
HYPERSPY_WORLD = {
    "hyperspy",
    "exspy",
    "pyxem",
    "matplotlib",
    "rsciio",
    "diffpy",
    "diffsims",
    "orix",
    "traits",
}
# Optional packages and traits, and the only places that import them.
OPTIONAL = {
    "traits": ("gui",),
    "ipywidgets": ("gui",),
    "IPython": ("gui",),
    "traitsui": ("gui",),
    "pyface": ("gui",),
    "ipympl": ("gui",),
    "exspy": ("signals.eels", "signals.eds", "data"),
    "pyxem": ("signals.diffraction",),
    "diffpy": ("references",),
    "diffsims": ("data", "references"),
    "orix": ("data", "references"),
}
VAGUE_NAMES = {"utils", "util", "helpers", "misc", "common", "tools"}
MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 350


def module_name(path: Path, package: Path = PACKAGE) -> str:
    """Return the dotted name inside the package: ``signals.eels``, ``algorithms``, ``__init__``."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(module: str, tree: ast.Module, is_package: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the full dotted name of each import and whether it is made while loading the module."""
    inside_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    here = ["hyperfuse_hs", *(part for part in module.split(".") if part != "__init__")]
    folder = here if is_package or module == "__init__" else here[:-1]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            constants = [item.value for item in node.args if isinstance(item, ast.Constant)]
            names = [value for value in constants if isinstance(value, str)]
        for name in names:
            yield name, id(node) not in inside_functions


def layer(top: str) -> int:
    for rank, names in enumerate(LAYERS):
        if top in names:
            return rank
    raise AssertionError(f"{top!r} has no place in LAYERS; say where it belongs")


def own_target(name: str) -> str:
    """Return the first part below ``hyperfuse_hs``; what is no module comes from ``__init__``."""
    parts = name.split(".")
    known = {"data"}.union(*LAYERS)
    return parts[1] if len(parts) > 1 and parts[1] in known else "__init__"


def check_imports(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return one sentence for each import that points the wrong way."""
    top = module.split(".")[0]
    wrong = []
    for name, while_loading in imports(module, ast.parse(source), is_package):
        root = name.split(".")[0]
        if root == "hyperfuse_hs":
            target = own_target(name)
            if top == "data":
                allowed = target in DATA_MAY_IMPORT
            elif target == "data":
                allowed = layer(top) == len(LAYERS) - 1
            else:
                handed_up = (top, target) in HANDED_UP and not while_loading
                allowed = layer(target) <= layer(top) or handed_up
        elif top == "algorithms":
            allowed = root in ARRAYS_ONLY
        elif top in NO_HYPERSPY:
            allowed = root not in HYPERSPY_WORLD
        else:
            places = OPTIONAL.get(root, (top,))
            allowed = module in places or top in places
        if not allowed:
            wrong.append(f"{module} must not import {name}")
    return wrong


def check_learning_results(module: str, source: str) -> list[str]:
    """Return one sentence for each use of HyperSpy's result object outside ``writeback``."""
    if module == "writeback":
        return []
    used = {
        word
        for node in ast.walk(ast.parse(source))
        for word in (
            getattr(node, "attr", None),
            getattr(node, "id", None),
            getattr(node, "value", None) if isinstance(node, ast.Constant) else None,
            node.name.split(".")[-1] if isinstance(node, ast.alias) else None,
        )
        if word in ("learning_results", "LearningResults")
    }
    return [f"{module} must leave {word} to writeback" for word in sorted(used)]


def check_lengths(module: str, source: str) -> list[str]:
    """Return one sentence for each function or module that is too long."""
    wrong = []
    length = len(source.splitlines())
    if length > MAX_MODULE_LINES:
        wrong.append(f"{module} has {length} lines, at most {MAX_MODULE_LINES} are allowed")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = node.body[0] if ast.get_docstring(node) is not None else None
            doc_lines = doc.end_lineno - doc.lineno + 1 if doc else 0
            code = node.end_lineno - node.lineno + 1 - doc_lines
            if code > MAX_FUNCTION_LINES:
                wrong.append(f"{module}.{node.name} has {code} code lines")
    return wrong


MODULES = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=module_name)


@each_module
def test_imports_point_down(path):
    source = path.read_text(encoding="utf8")
    assert check_imports(module_name(path), source, path.name == "__init__.py") == []


@each_module
def test_only_writeback_knows_learning_results(path):
    assert check_learning_results(module_name(path), path.read_text(encoding="utf8")) == []


@each_module
def test_functions_and_modules_are_short(path):
    assert check_lengths(module_name(path), path.read_text(encoding="utf8")) == []


@each_module
def test_modules_have_telling_names(path):
    assert path.stem.strip("_") not in VAGUE_NAMES


def test_the_package_was_found():
    found = {module_name(path).split(".")[0] for path in MODULES}
    assert {"__init__", "algorithms", "modality", "model", "fusion", "signals"} <= found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("algorithms.noise", "import hyperspy.api as hs"),
        ("algorithms.noise", "import dask.array as da"),
        ("algorithms.noise", "def f():\n    from matplotlib import pyplot"),
        ("algorithms.noise", "from hyperfuse_hs.modality import Modality"),
        ("algorithms.noise", "from ..model import FusionModel"),
        ("algorithms.noise", "from hyperfuse_hs import __version__"),
        ("algorithms.noise", "import importlib\nimportlib.import_module('sklearn')"),
        ("modality", "import hyperspy"),
        ("modality", "from hyperfuse_hs.model import FusionModel"),
        ("modality", "from . import model"),
        ("model", "from exspy.signals import EELSSpectrum"),
        ("model", "from hyperfuse_hs.signals.hypermodal import HypermodalSignal"),
        ("model", "if True:\n    import matplotlib.pyplot as plt"),
        ("fusion", "from hyperfuse_hs.plotting import plot_components"),
        ("fusion", "import exspy"),
        ("signals.hypermodal", "from hyperfuse_hs.plotting import plot_components"),
        ("signals.hypermodal", "import pyxem"),
        ("signals.eels", "import pyxem"),
        ("signals.diffraction", "import exspy"),
        ("fusion", "from hyperfuse_hs.data import tio2_polymorphs"),
        ("data.phantoms", "from hyperfuse_hs.fusion import fuse"),
        ("plotting", "from hyperfuse_hs import fuse"),
        ("plotting", "import ipywidgets"),
        ("fusion", "def f():\n    import traits.api"),
        ("fusion", "from hyperfuse_hs.gui.tool import Fuser"),
        ("signals.figures", "from traits.api import HasTraits"),
    ],
)
def test_the_checker_catches_a_forbidden_import(module, source):
    assert len(check_imports(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("algorithms.noise", "from __future__ import annotations\nimport math\nimport numpy as np"),
        ("algorithms.noise", "from numba import njit\nfrom scipy import linalg"),
        ("algorithms.faces", "from hyperfuse_hs.algorithms.simplex import project"),
        ("algorithms.faces", "from .simplex import project"),
        ("modality", "import dask.array as da\nfrom hyperfuse_hs.algorithms import noise"),
        ("model", "from hyperfuse_hs.modality import Modality"),
        ("fusion", "import hyperspy.api as hs\nfrom hyperfuse_hs import model, writeback"),
        ("signals.hypermodal", "def f():\n    from hyperfuse_hs.plotting import plot_components"),
        ("signals.eels", "from exspy.signals import EELSSpectrum"),
        ("data.crystal", "import diffsims\nfrom hyperfuse_hs.data import spectra"),
        ("gui.tool", "import traits.api as t\nfrom hyperfuse_hs.fusion import fuse"),
        ("fusion", "def f():\n    from hyperfuse_hs.gui.tool import Fuser"),
        ("__main__", "from hyperfuse_hs import data, fuse, plotting"),
    ],
)
def test_the_checker_lets_a_proper_import_pass(module, source):
    assert check_imports(module, source) == []


def test_a_relative_import_in_a_package_starts_at_the_package():
    assert check_imports("signals", "from .eels import X", is_package=True) == []
    assert check_imports("algorithms", "from ..modality import X", is_package=True) == [
        "algorithms must not import hyperfuse_hs.modality.X"
    ]


def test_a_new_module_needs_a_place_in_the_layers():
    with pytest.raises(AssertionError, match="'shortcut' has no place in LAYERS"):
        check_imports("shortcut", "from hyperfuse_hs.model import FusionModel")


@pytest.mark.parametrize(
    "source",
    [
        "s.learning_results.factors = 1",
        "getattr(s, 'learning_results')",
        "from hyperspy.learn.mva import LearningResults",
    ],
)
def test_the_checker_catches_learning_results(source):
    assert len(check_learning_results("fusion", source)) == 1
    assert check_learning_results("writeback", source) == []


def test_the_checker_allows_learning_results_in_prose():
    assert check_learning_results("fusion", '"""Fills learning_results by writeback."""') == []


def test_the_checker_counts_code_lines_without_the_docstring():
    doc = '    """' + "text\n" * 100 + '    """\n'
    just_short_enough = "def f():\n" + doc + "    x = 1\n" * (MAX_FUNCTION_LINES - 1)
    assert check_lengths("model", just_short_enough) == []
    assert check_lengths("model", just_short_enough + "    x = 1\n") == [
        f"model.f has {MAX_FUNCTION_LINES + 1} code lines"
    ]
    assert check_lengths("model", "x = 1\n" * MAX_MODULE_LINES) == []
    assert len(check_lengths("model", "x = 1\n" * (MAX_MODULE_LINES + 1))) == 1
