"""The documentation names everything that is public, and the texts keep to what exists."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

import hyperfuse_hs as hf
from hyperfuse_hs import plotting, writeback
from hyperfuse_hs.__main__ import make_parser
from hyperfuse_hs.choices import ABUNDANCES, UNMIXING
from hyperfuse_hs.noise_model import NOISE_KINDS
from hyperfuse_hs.result import ROLES
from hyperfuse_hs.signals.hypermodal import HypermodalSignal

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf8")
GUIDE = (REPOSITORY / "docs" / "guide.rst").read_text(encoding="utf8")
API = (REPOSITORY / "docs" / "api.rst").read_text(encoding="utf8")
CLASSES = yaml.safe_load((REPOSITORY / "hyperspy_extension.yaml").read_text())["signals"]


def own_functions(module):
    return [
        name
        for name, item in vars(module).items()
        if inspect.isfunction(item) and item.__module__ == module.__name__ and name[0] != "_"
    ]


def own_members():
    classes = [c for c in HypermodalSignal.__mro__ if c.__module__.startswith("hyperfuse_hs")]
    return {name for c in classes for name in vars(c) if not name.startswith("_")}


PUBLIC = {
    *(name for name in hf.__all__ if name not in ("cache", "data", "metrics")),
    *(f"cache.{name}" for name in hf.cache.__all__),
    *(f"data.{name}" for name in hf.data.__all__),
    *(f"metrics.{name}" for name in own_functions(hf.metrics)),
    *(f"plotting.{name}" for name in plotting.__all__),
    *writeback.__all__,
    *(f"HypermodalSignal.{name}" for name in own_members()),
    *(name for name, entry in CLASSES.items() if not entry["lazy"]),
    *(entry["signal_type"] for entry in CLASSES.values()),
}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_reference_has_every_public_name(name):
    assert re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", API.replace("hyperfuse_hs.", ""))


def test_the_reference_has_no_name_that_does_not_exist():
    listed = re.findall(r"^   ((?:cache|data|metrics|plotting|HypermodalSignal)\.\w+)$", API, re.M)
    assert len(listed) > 20
    assert set(listed) <= PUBLIC


@pytest.mark.parametrize("option", list(inspect.signature(hf.fuse).parameters)[1:])
def test_readme_and_guide_explain_every_option_of_fuse(option):
    if option != "show_progressbar":
        assert f"`{option}`" in README
        assert option in GUIDE or option in ("names", "random_state")


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "guide"])
@pytest.mark.parametrize("choices", [ABUNDANCES, UNMIXING, NOISE_KINDS, ROLES])
def test_every_choice_is_explained(choices, text):
    for choice in choices:
        assert f'"{choice}"' in text or f"``{choice}``" in text, choice


def test_options_of_the_command_line_in_the_texts_exist():
    known = {name for action in make_parser()._actions for name in action.option_strings}
    for text in (README, GUIDE):
        for line in re.findall(r"python -m hyperfuse_hs (.*)", text):
            assert set(re.findall(r"(?<!\S)--?[a-z-]+", line.split("``")[0])) <= known


def test_the_picture_of_the_readme_is_there_and_small():
    (picture,) = re.findall(r"\]\((\S+\.png)\)", README)
    size = (REPOSITORY / picture).stat().st_size
    assert 10_000 < size < 400_000


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)\S+?)\)", README))
def test_links_of_the_readme_lead_somewhere(target):
    assert (REPOSITORY / target).exists()


def test_code_of_the_readme_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = "tio2_polymorphs(scan=(24, 24), detector=(24, 24), eels_channels=256)"
    assert "tio2_polymorphs()" in code
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("tio2_polymorphs()", small), "README.md", "exec"), {})
    assert (tmp_path / "fused.hspy").exists()
