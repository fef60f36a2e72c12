"""The call that does what the form does, as text that can be pasted and run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from hyperfuse_hs.gui.candidates import variable_of
from hyperfuse_hs.options import name_signals
from hyperfuse_hs.unmixing import ABUNDANCES, UNMIXING

DEFAULTS: dict[str, Any] = {
    "n_components": "auto",
    "names": None,
    "roles": "auto",
    "noise": "auto",
    "weights": "auto",
    "scale": "auto",
    "unmixing": UNMIXING[0],
    "abundances": ABUNDANCES[0],
    "navigation_mask": None,
    "signal_masks": None,
}
"""What `fuse` does where an option is not given."""

LINE = 88
"""Longest line of code."""


class Names:
    """Names of objects in code: the variables that hold them, or names that the reader fills in.

    Parameters
    ----------
    variables
        Of the user's session.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._made: dict[int, str] = {}
        self.remarks: list[str] = []

    def of(self, value: Any, fallback: str) -> str:
        """Name of an object; where no variable holds it, a new name made of `fallback`."""
        held = variable_of(value, self._variables)
        if held or id(value) in self._made:
            return held or self._made[id(value)]
        stem = re.sub(r"\W+", "_", fallback).strip("_").lower() or "signal"
        stem = f"s_{stem}" if stem[0].isdigit() else stem
        taken = {*self._variables, *self._made.values()}
        numbered = [stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 3))]
        name = next(name for name in numbered if name not in taken)
        self._made[id(value)] = name
        self.remarks.append(f"# {name}: {_describe(value)}, which no variable holds")
        return name


def _describe(value: Any) -> str:
    if isinstance(value, BaseSignal):
        return f"{type(value).__name__} {value.metadata.General.title!r}"
    return f"{type(value).__name__}"


def result_text(
    h: Any,
    base: Any,
    asked: tuple[Sequence[BaseSignal], Mapping[str, Any]] | None,
    options: Mapping[str, Any],
    variables: Mapping[str, Any],
) -> str:
    """Write the code that gives a result again.

    Parameters
    ----------
    h
        The result.
    base
        The result that it was unmixed from.
    asked
        Signals and all options of the `fuse` behind it; None where they are not known.
    options
        Of `unmix`, all of them, as they are now.
    variables
        Of the session.

    Returns
    -------
    str
        Python code that assigns the result to ``h``: one call of `fuse` where that gives the same
        as unmixing again.
    """
    names = Names(variables)
    if asked is None:
        arguments = keywords(_set(options), names)
        code = (
            f"h = {names.of(base, 'h')}.unmix({_listed('h = h.unmix(', arguments)})\nh.write_back()"
        )
        code += _purify_text(h, names)
        return "\n".join([*names.remarks, code])
    signals, before = asked
    now = {**before, **options}
    same_reads = _passive(before) == _passive(now)
    if same_reads and before["random_state"] == options["random_state"]:
        code = _fuse_text(signals, now, names)
    else:
        again = keywords(_set(options), names)
        code = _fuse_text(signals, before, names)
        code += f"\nh = h.unmix({_listed('h = h.unmix(', again)})\nh.write_back()"
    for name in h.modalities:
        if name not in before["names"]:
            held = names.of(h._natives[name], name) if name in h._natives else "..."
            code += f"\nh.couple({held}, name={_text(name)})"
    code += _purify_text(h, names)
    return "\n".join([*names.remarks, code])


def _fuse_text(signals: Sequence[BaseSignal], options: Mapping[str, Any], names: Names) -> str:
    first, *others = [
        names.of(signal, name) for signal, name in zip(signals, options["names"], strict=True)
    ]
    arguments = others + keywords(without_defaults(signals, options), names)
    if not others:
        arguments.append("interactive=False")
    return f"h = {first}.fuse({_listed(f'h = {first}.fuse(', arguments)})"


def _purify_text(h: Any, names: Names) -> str:
    """Write the calls that have purified components, each after a line break."""
    purified = h._result.options.get("purified")
    if purified is not None and not h._purifications:
        return (
            f"\n# Component {purified} has then been purified; files do not keep by which feature:"
            f"\n# h = h.purify({purified}, ...)"
        )
    calls = []
    for component, name, region in h._purifications:
        if isinstance(region, tuple | list):
            place = f"({', '.join(_literal(end, 'region', names) for end in region)})"
        else:
            place = _literal(region, "region", names)
        own = [] if name is None else [_text(name), place]
        calls.append(f"\nh = h.purify({', '.join([repr(int(component)), *own])})")
    return "".join(calls)


def _passive(options: Mapping[str, Any]) -> set[str]:
    """Names of what is not read before the last pass."""
    idle = {name for name, weight in options["weights"].items() if weight == 0}
    return idle | {name for name, role in options["roles"].items() if role == "passive"}


def without_defaults(signals: Sequence[BaseSignal], options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of the options of `fuse` what it does anyway; the seed stays."""
    short = _set(options)
    if options["names"] == name_signals(signals, None):
        del short["names"]
    return short


def _set(options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is automatic, of options by name the names for which it is."""
    short: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping) and key != "scale":
            value = {name: item for name, item in value.items() if not _is_default(key, item)}
            if value:
                short[key] = value
        elif not _is_default(key, value):
            short[key] = value
    return short


def _is_default(option: str, value: Any) -> bool:
    """Whether `fuse` would do the same without this value."""
    if option == "random_state":
        return False
    default = DEFAULTS[option]
    return value is None or (isinstance(value, str) and value == default)


def keywords(options: Mapping[str, Any], names: Names) -> list[str]:
    """Write options as keyword arguments."""
    return [f"{key}={_literal(value, key, names)}" for key, value in options.items()]


def _literal(value: Any, option: str, names: Names) -> str:
    """Write a value: plain ones as they are, objects by their names."""
    if isinstance(value, Mapping):
        items = (f"{_text(k)}: {_literal(v, f'{k} {option}', names)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item, option, names) for item in value) + "]"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, int | float):
        return repr(value)
    return names.of(value, option)


def _text(value: str) -> str:
    """Write text in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def _listed(start: str, arguments: Sequence[str]) -> str:
    """Join arguments, one a line where they are too many for one."""
    line = ", ".join(arguments)
    if len(start) + len(line) < LINE:
        return line
    return "\n    " + ",\n    ".join(arguments) + ",\n"
