"""Signals that may be fused: those passed, and those of the user's session."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traits.api as t
from hyperspy.signal import BaseSignal

from hyperfuse_hs.inputs import check_scan
from hyperfuse_hs.options import ROLE_CHOICES, automatic_name, check_signals, free_name
from hyperfuse_hs.signals.hypermodal import HypermodalSignal

PACKAGE = "hyperfuse_hs"


@dataclass(frozen=True)
class Scan:
    """The scan that all signals must have.

    Parameters
    ----------
    name, shape
        Of the signal that has it first; in HyperSpy's order.
    variable
        That holds this signal.
    package
        Name of this package in the session.
    """

    name: str
    shape: tuple[int, ...]
    variable: str = "reference"
    package: str = PACKAGE


class Candidate(t.HasTraits):
    """One signal, whether to fuse it, and how."""

    signal = t.Instance(BaseSignal)
    variable = t.Str(desc="name of the variable that holds the signal")
    description = t.Str(desc="class, shape and title")
    fits = t.Bool(True, desc="whether its scan is that of the others")
    reason = t.Str(desc="why it does not fit")
    hint = t.Str(desc="code that makes it fit")
    modality = t.Str(desc="name that it has in the result, empty if it is not in it")
    chosen = t.Bool(False, desc="whether to fuse it")
    name = t.Str(desc="name of the modality")
    role = t.Enum(*ROLE_CHOICES, desc="whether its variation defines the components")
    noise = t.Str("auto", desc="kind of noise, or its variance: a number or a variable")
    weight = t.Str("auto", desc="factor on unit noise; 0 is passive")
    signal_mask = t.Str(desc="variable with the excluded channels (True = excluded)")
    errors = t.Dict(t.Str, t.Str, desc="message beside each of these")


def why_not(item: Candidate) -> str:
    """Say why a signal does not fit and what makes it fit, or nothing where it does."""
    hint = f" Try {item.hint}" if item.hint else ""
    return "" if item.fits else f"{item.reason}{hint}"


def session_variables() -> dict[str, Any]:
    """Variables of the IPython session, if there is one."""
    try:
        from IPython import get_ipython
    except ImportError:
        return {}
    shell = get_ipython()
    return {} if shell is None else shell.user_ns


def visible(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield variables that a user has named, without those that IPython adds."""
    for name, value in list(variables.items()):
        usable = name.isidentifier() and not keyword.iskeyword(name)
        if usable and not name.startswith("_") and name not in ("In", "Out"):
            yield name, value


def variable_of(value: Any, variables: Mapping[str, Any]) -> str:
    """Name of the variable that holds a value, or an empty text."""
    return next((name for name, item in visible(variables) if item is value), "")


def is_array(value: Any) -> bool:
    """Whether a value may be a mask, a variance or a map: a signal or an array."""
    return isinstance(value, BaseSignal) or (isinstance(value, np.ndarray) and value.ndim > 0)


def find_candidates(
    signals: Sequence[BaseSignal], names: Sequence[str] | None, variables: Mapping[str, Any]
) -> list[Candidate]:
    """List the signals passed, which are chosen, and then the others of the session.

    Parameters
    ----------
    signals
        Passed by the user.
    names
        One for each of them, or None.
    variables
        Of the session, by name.

    Returns
    -------
    list of Candidate
        Those that fit first. Neither results of fusions nor masks are listed.
    """
    passed = {id(signal) for signal in signals}
    others = {}
    for _, value in visible(variables):
        is_other = isinstance(value, BaseSignal) and not isinstance(value, HypermodalSignal)
        if is_other and value.data.dtype != bool and id(value) not in passed:
            others[id(value)] = value
    scan = scan_of(signals, variables)
    taken: list[str] = []
    found = []
    for number, signal in enumerate([*signals, *others.values()]):
        given = names[number] if names is not None and number < len(names) else ""
        name = given or free_name(automatic_name(signal), taken)
        taken.append(name)
        found.append(make_candidate(signal, name, variable_of(signal, variables), scan))
        found[-1].chosen = number < len(signals)
    return sorted(found, key=lambda item: not (item.fits or item.chosen))


def scan_of(signals: Sequence[BaseSignal], variables: Mapping[str, Any]) -> Scan:
    """Read the scan off the first of the signals passed that has one."""
    first = next((s for s in signals if s.axes_manager.navigation_shape), signals[0])
    axes = first.axes_manager
    return Scan(
        name=automatic_name(first),
        shape=tuple(axes.navigation_shape or axes.signal_shape),
        variable=variable_of(first, variables) or "reference",
        package=variable_of(sys.modules[PACKAGE], variables) or PACKAGE,
    )


def make_candidate(signal: BaseSignal, name: str, variable: str, scan: Scan) -> Candidate:
    """Describe a signal, and say whether it fits a scan."""
    title = signal.metadata.General.title
    shape = ", ".join(map(str, signal.axes_manager.navigation_shape))
    own = ", ".join(map(str, signal.axes_manager.signal_shape))
    description = f"{type(signal).__name__} ({shape}|{own})" + (f" {title}" if title else "")
    item = Candidate(signal=signal, variable=variable, description=description, name=name)
    try:
        check_signals([signal])
        check_scan(scan.name, scan.shape, signal, variable or name)
    except (TypeError, ValueError) as error:
        item.trait_set(fits=False, reason=str(error))
        item.hint = matching_call(variable or "signal", signal, scan)
    return item


def matching_call(variable: str, signal: BaseSignal, scan: Scan) -> str:
    """Write the call that gives a signal the scan of the others.

    Parameters
    ----------
    variable
        That holds the signal.
    signal
        With another scan.
    scan
        Of the others.

    Returns
    -------
    str
        Python code, or an empty text where no single call does it.
    """
    axes = signal.axes_manager
    own = tuple(axes.navigation_shape or axes.signal_shape)
    if signal.data.dtype.kind not in "buif" or own == scan.shape:
        return ""
    if len(own) == len(scan.shape) + 1:
        extra = [k for k in range(len(own)) if own[:k] + own[k + 1 :] == scan.shape]
        return f"{variable}.sum(axis={extra[0]})" if extra and axes.navigation_shape else ""
    if len(own) != len(scan.shape):
        return ""
    if own == scan.shape[::-1]:
        return f"{variable}.swap_axes(0, 1)" if len(own) == 2 else ""
    both = f"{scan.variable}, {variable}"
    return f"{both} = {scan.package}.register({both})"
