"""HyperSpy with our entry point installed: nothing breaks, nothing slows, everything is found."""

import importlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import hyperspy.api as hs
import pytest
import yaml

import hyperfuse_hs as hf

REPOSITORY = Path(__file__).parents[1]
MODULE_ROOT = Path(hf.__file__).parent
SIGNALS = yaml.safe_load((MODULE_ROOT / "hyperspy_extension.yaml").read_text())["signals"]
DIMENSIONS = {entry["signal_type"]: entry["signal_dimension"] for entry in SIGNALS.values()}
OPTIONAL_PACKAGE = {
    "hyperfuse_hs.signals.eels": "exspy",
    "hyperfuse_hs.signals.eds": "exspy",
    "hyperfuse_hs.signals.diffraction": "pyxem",
}
GUI_TOOLKITS = ("hyperspy_gui_ipywidgets", "hyperspy_gui_traitsui", "ipywidgets", "traitsui")

# Hides packages from a fresh process as if they were not installed: no module, no entry point.
WITHOUT = """
import importlib.metadata, sys, warnings
warnings.simplefilter("ignore")
absent = {absent!r}
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent)
all_entry_points = importlib.metadata.entry_points
# Without a choice (numba, when it compiles) all groups come at once; none of ours is chosen there.
importlib.metadata.entry_points = lambda **chosen: [
    point for point in all_entry_points(**chosen) if point.name not in absent
] if chosen else all_entry_points()
"""


def fresh_process(code: str, folder: Path, absent: tuple[str, ...] = ()) -> str:
    """Run code in a new process, away from the source folder, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(absent=absent) + code],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_hyperspy_does_not_import_us_and_our_own_fuse_is_no_foreign_one(tmp_path):
    code = """
import hyperspy.api as hs
signal = hs.signals.Signal1D([[1.0, 2.0], [3.0, 4.0]])
signal.as_lazy().sum().compute()
print("hyperfuse_hs" in sys.modules, hasattr(signal, "fuse"))
import hyperfuse_hs
print("hyperfuse_hs" in sys.modules, hasattr(signal, "fuse"))
import importlib
with warnings.catch_warnings():
    warnings.simplefilter("error")
    importlib.reload(hyperfuse_hs)
print("quiet")
"""
    assert fresh_process(code, tmp_path).splitlines() == ["False False", "True True", "quiet"]


# One process per set of absent packages: fuses, then asks for every class of an absent package.
FUSE_AND_ASK = """
import hyperspy.api as hs, numpy as np
rng = np.random.default_rng(0)
abundances = rng.dirichlet([0.5, 0.5], (8, 8))
spectra = hs.signals.Signal1D(rng.poisson(abundances @ rng.uniform(5, 50, (2, 20))))
patterns = np.tensordot(abundances, rng.uniform(5, 50, (2, 6, 6)), 1)
images = hs.signals.Signal2D(rng.poisson(patterns))
spectra.set_signal_type("hypermodal_1D")
h = spectra.fuse(images, n_components=2, random_state=0)
print(h.data.shape, sorted(name for name in absent if name in sys.modules))
for signal_type, dimension in {asked!r}:
    kind = getattr(hs.signals, f"Signal{{dimension}}D")
    try:
        kind([[1.0, 2.0], [3.0, 4.0]]).set_signal_type(signal_type)
    except ImportError as error:
        print(error)
    else:
        print("no error")
"""
NEEDED = {
    entry["signal_type"]: OPTIONAL_PACKAGE[entry["module"]]
    for entry in SIGNALS.values()
    if entry["module"] in OPTIONAL_PACKAGE
}


@pytest.mark.parametrize(
    "absent",
    [("exspy",), ("pyxem", "diffsims", "orix"), GUI_TOOLKITS, ("exspy", "pyxem", *GUI_TOOLKITS)],
    ids=["exspy", "pyxem", "GUI toolkits", "all of them"],
)
def test_fuse_works_without_and_a_class_says_what_to_install(absent, tmp_path):
    asked = [(kind, DIMENSIONS[kind]) for kind, package in NEEDED.items() if package in absent]
    code = FUSE_AND_ASK.format(asked=asked)
    lines = fresh_process(code, tmp_path, absent).splitlines()[-1 - len(asked) :]
    assert lines[0] == "(8, 8, 2) []"
    for (signal_type, _), message in zip(asked, lines[1:], strict=True):
        package = NEEDED[signal_type]
        assert repr(signal_type) in message
        assert f"the package {package}, which could not be imported (No module named" in message
        assert f'pip install "hyperfuse_hs[{package}]"' in message


def test_our_entry_point_makes_hyperspy_import_nothing_more(tmp_path):
    code = """
import hyperspy.api as hs
hs.signals.Signal1D([1.0, 2.0]).set_signal_type("")
print(sorted(sys.modules))
"""
    with_us, without_us = (fresh_process(code, tmp_path, gone) for gone in [(), ("hyperfuse_hs",)])
    assert with_us == without_us


@pytest.mark.slow
def test_our_entry_point_does_not_slow_hyperspy(tmp_path):
    code = """
import time
start = time.process_time()
import hyperspy.api as hs
hs.signals.Signal1D([1.0, 2.0]).set_signal_type("")
print(time.process_time() - start)
"""
    seconds = {(): [], ("hyperfuse_hs",): []}
    for _ in range(5):
        for absent, times in seconds.items():
            times.append(float(fresh_process(code, tmp_path, absent)))
    # Reading our YAML is below 2 %; importing the package alone would more than double the time.
    assert min(seconds[()]) < 1.25 * min(seconds["hyperfuse_hs",])


def test_the_yaml_lies_where_hyperspy_looks():
    (entry_point,) = (
        point
        for point in importlib.metadata.entry_points(group="hyperspy.extensions")
        if point.name == "hyperfuse_hs"
    )
    origin = Path(importlib.util.find_spec(entry_point.name).origin)
    assert origin.name == "__init__.py"
    assert (origin.parent / "hyperspy_extension.yaml").is_file()


def test_the_top_level_yaml_is_a_link_to_the_one_in_the_package():
    link = REPOSITORY / "hyperspy_extension.yaml"
    assert link.is_symlink()
    assert link.readlink() == Path("hyperfuse_hs/hyperspy_extension.yaml")
    assert link.is_file()


@pytest.mark.parametrize("name", SIGNALS)
def test_every_registered_class_is_what_the_yaml_says(name):
    entry = SIGNALS[name]
    if entry["module"] in OPTIONAL_PACKAGE:
        pytest.importorskip(OPTIONAL_PACKAGE[entry["module"]])
    registered = getattr(importlib.import_module(entry["module"]), name)
    assert registered.__module__ == entry["module"]
    assert registered._signal_type == entry["signal_type"]
    assert registered._alias_signal_types == []
    assert registered._lazy is entry["lazy"]
    assert registered._signal_dimension == entry["signal_dimension"]
    assert entry["dtype"] == "real"


@pytest.mark.parametrize("name", [name for name, entry in SIGNALS.items() if not entry["lazy"]])
def test_every_registered_class_has_its_lazy_twin(name):
    twin = SIGNALS[f"Lazy{name}"]
    assert twin == {**SIGNALS[name], "lazy": True}
    if twin["module"] in OPTIONAL_PACKAGE:
        pytest.importorskip(OPTIONAL_PACKAGE[twin["module"]])
    module = importlib.import_module(twin["module"])
    assert issubclass(getattr(module, f"Lazy{name}"), getattr(module, name))
    assert issubclass(getattr(module, f"Lazy{name}"), hs.signals.LazySignal)


def test_lazy_and_eager_classes_come_in_pairs():
    lazy = {name.removeprefix("Lazy") for name, entry in SIGNALS.items() if entry["lazy"]}
    assert lazy == {name for name, entry in SIGNALS.items() if not entry["lazy"]}


def test_no_class_name_or_signal_type_is_taken_by_another_extension():
    for point in importlib.metadata.entry_points(group="hyperspy.extensions"):
        if point.name != "hyperfuse_hs":
            origin = Path(importlib.util.find_spec(point.name).origin)
            text = origin.with_name("hyperspy_extension.yaml").read_text()
            others = yaml.safe_load(text).get("signals", {})
            assert not SIGNALS.keys() & others.keys()
            assert not DIMENSIONS.keys() & {entry["signal_type"] for entry in others.values()}


def test_print_known_signal_types_shows_ours(capsys):
    hs.print_known_signal_types()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "|" in line]
    # The table breaks long words over several lines; joined, a column reads without breaks.
    types, _, classes, _ = (
        "".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)
    )
    for name, entry in SIGNALS.items():
        if not entry["lazy"]:
            assert entry["signal_type"] in types
            assert name in classes


def test_import_binds_fuse_to_every_signal():
    signals = [hs.signals.BaseSignal([1]), hs.signals.Signal1D([1]), hs.signals.Signal2D([[1]])]
    for signal in [*signals, *(signal.as_lazy() for signal in signals)]:
        assert signal.fuse.__func__ is hs.signals.BaseSignal.fuse
        assert "fuse" not in vars(type(signal)) or type(signal) is hs.signals.BaseSignal


def test_import_leaves_a_foreign_fuse_alone(tmp_path):
    code = """
import hyperspy.api as hs
def foreign(self): return "foreign"
hs.signals.BaseSignal.fuse = foreign
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import hyperfuse_hs as hf
told = [w for w in caught if w.category is UserWarning and "fuse" in str(w.message)]
print(len(told), hs.signals.Signal1D([1]).fuse(), hs.signals.BaseSignal.fuse is foreign)
import numpy as np
rng = np.random.default_rng(0)
signals = [hs.signals.Signal1D(rng.poisson(20.0, (6, 6, size)) + 1.0) for size in (12, 15)]
print(hf.fuse(signals, n_components=1, random_state=0).data.shape)
"""
    lines = fresh_process(code, tmp_path).splitlines()
    assert lines[0] == "1 foreign True"
    assert lines[-1] == "(6, 6, 1)"


def test_the_version_is_the_installed_one():
    assert hf.__version__ == importlib.metadata.version("hyperfuse_hs")


def test_types_are_shipped():
    assert (MODULE_ROOT / "py.typed").is_file()


def test_the_built_distributions_hold_what_hyperspy_and_users_need(tmp_path):
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        in_wheel = archive.read("hyperfuse_hs/hyperspy_extension.yaml")
    (metadata,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert in_wheel == (MODULE_ROOT / "hyperspy_extension.yaml").read_bytes()
    assert "hyperfuse_hs/py.typed" in names
    assert f"{metadata}/licenses/LICENSE" in names
    assert {name.split("/")[0] for name in names} == {"hyperfuse_hs", metadata}
    modules = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "hyperfuse_hs").rglob("*.py")}
    assert {path.as_posix() for path in modules} <= set(names)

    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"hyperspy_extension.yaml", "pyproject.toml", "LICENSE", "README.md"} <= inside


@pytest.mark.parametrize("variable", ["DEMO", "TESTS"])
def test_ci_runs_the_commands_of_the_readme_word_for_word(variable):
    lines = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    (assignment,) = (line for line in lines if line.startswith(f"{variable}="))
    command = assignment.removeprefix(f"{variable}=").strip("'")
    readme = (REPOSITORY / "README.md").read_text().splitlines()
    assert command in [line.removeprefix("$ ").strip() for line in readme]
    assert f'as_user "${variable}"' in "\n".join(lines)
