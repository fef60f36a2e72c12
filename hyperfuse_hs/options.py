"""Signals by name, and options that are one value for all of them or one for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.result import ROLES

SHORT_NAMES = {"EELS": "EELS", "EDS": "EDS", "diffraction": "Diffraction"}
"""Part of a signal type, and the name that its modality gets."""

ROLE_CHOICES = ("auto", *ROLES)


def check_signals(signals: Sequence[Any], verb: str = "fuse") -> None:
    """Refuse what is no real signal, and the same signal twice.

    Parameters
    ----------
    signals
        What the user has given.
    verb
        What for.

    Raises
    ------
    TypeError
        Something is not a HyperSpy signal, or is complex.
    ValueError
        No signal, or the same one twice.
    """
    if not signals:
        raise ValueError(f"Expected at least one signal to {verb}. Got none.")
    for signal in signals:
        if not isinstance(signal, BaseSignal):
            raise TypeError(
                f"Expected HyperSpy signals to {verb}. Got {type(signal).__name__}. Load files "
                "with hs.load, and turn arrays into signals, e.g. hs.signals.Signal1D(array)."
            )
        dtype = signal.data.dtype
        if dtype.kind not in "buif":
            advice = (
                "Fuse its real part, modulus or phase instead, e.g. signal.amplitude."
                if dtype.kind == "c"
                else "Change it first, e.g. signal.change_dtype('float32')."
            )
            raise TypeError(
                f"Expected signals of real numbers. Got dtype {dtype} in {signal}. {advice}"
            )
    if len({id(signal) for signal in signals}) < len(signals):
        raise ValueError(
            "Expected different signals. Got the same signal twice: it would only count double. "
            "Leave it out, or change its weight with weights=."
        )


def name_signals(signals: Sequence[BaseSignal], names: Sequence[str] | None) -> list[str]:
    """Name every modality.

    Parameters
    ----------
    signals
        To fuse.
    names
        One for each, or None for names by the type of the signal.

    Returns
    -------
    list of str
        A repeated automatic name gets " 2", " 3" and so on.

    Raises
    ------
    ValueError
        Not one name for each signal, or the same name twice.
    """
    if names is None:
        result: list[str] = []
        for signal in signals:
            result.append(free_name(automatic_name(signal), result))
        return result
    given = [str(name) for name in ([names] if isinstance(names, str) else names)]
    if len(given) != len(signals) or len(set(given)) < len(given):
        raise ValueError(
            f"Expected {len(signals)} different names, one for each signal. Got {given}."
        )
    return given


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name, followed by the first number from 2 on that makes it a new one."""
    taken = set(taken)
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def automatic_name(signal: BaseSignal) -> str:
    """Short name of a signal by its type, its title or its class."""
    for part, name in SHORT_NAMES.items():
        if part in signal.metadata.Signal.signal_type:
            return name
    return signal.metadata.General.title or type(signal).__name__.removeprefix("Lazy")


class Options:
    """Reads options that are one value for all modalities or a dict by name or signal.

    Parameters
    ----------
    names, signals
        Of the modalities, in order.
    """

    def __init__(self, names: Sequence[str], signals: Sequence[BaseSignal]) -> None:
        self.names = list(names)
        self._ids = {id(s): n for n, s in zip(names, signals, strict=True)}

    def name_of(self, key: Any, option: str) -> str:
        """Name of a modality given by its name or signal.

        Raises
        ------
        ValueError
            There is no such modality.
        """
        name = self._ids.get(id(key), key)
        if not isinstance(name, str) or name not in self.names:
            raise ValueError(
                f"Expected one of {self.names} in {option}. Got {key!r}. Names can be set with "
                "names=."
            )
        return name

    def by_name(self, option: str, value: Any, default: Any) -> dict[str, Any]:
        """Give every modality its value of an option."""
        if not isinstance(value, Mapping):
            return dict.fromkeys(self.names, value)
        given = {self.name_of(key, option): item for key, item in value.items()}
        return {name: given.get(name, default) for name in self.names}

    def roles(self, roles: Any) -> dict[str, str]:
        """Roles that the user has decided, by name."""
        if not isinstance(roles, Mapping) and roles != "auto":
            raise ValueError(
                f'Expected roles="auto" or a dict such as {{{self.names[0]!r}: "lead"}}, with the '
                f"values {', '.join(ROLE_CHOICES)}. Got {roles!r}."
            )
        chosen = self.by_name("roles", roles, "auto")
        for name, role in chosen.items():
            one_of("roles", role, ROLE_CHOICES, f" for {name}")
        return {name: role for name, role in chosen.items() if role != "auto"}

    def weights(self, weights: Any) -> dict[str, float]:
        """Weights that the user has given, by name."""
        if isinstance(weights, str) and weights == "auto":
            return {}
        if not isinstance(weights, Mapping):
            raise TypeError(
                f'Expected weights="auto" or a dict such as {{{self.names[0]!r}: 2.0}}. '
                f"Got {weights!r}."
            )
        chosen = {}
        for key, value in weights.items():
            name = self.name_of(key, "weights")
            if isinstance(value, str) and value == "auto":
                continue
            if isinstance(value, bool) or not isinstance(value, Real):
                raise TypeError(f"Expected a number as weight of {name}. Got {value!r}.")
            weight = float(value)
            if not 0 <= weight < np.inf:
                raise ValueError(f"Expected a weight of at least 0 for {name}. Got {value!r}.")
            chosen[name] = weight
        return chosen


def check_lead(
    names: Iterable[str],
    roles: Mapping[str, str],
    weights: Mapping[str, float],
    unread: Iterable[str] = (),
) -> None:
    """Refuse roles and weights that leave nothing to unmix.

    Parameters
    ----------
    names
        Of all modalities.
    roles, weights
        By name, for those that the user has decided.
    unread
        Names of those that were passive in the fusion, so that nothing but factors is known.

    Raises
    ------
    ValueError
        No modality may lead, or one that leads has no weight or was not read.
    """
    for name in unread:
        if roles.get(name, "passive") in ("lead", "support") or weights.get(name, 0.0) > 0:
            with concerning("roles", name):
                raise ValueError(
                    f"{name} was passive in the fusion: its data were read for its factors only, "
                    "so it cannot take another role now. Fuse the signals again."
                )
    idle = [name for name in names if weights.get(name, 1.0) == 0]
    for name in idle:
        if roles.get(name, "passive") != "passive":
            with concerning("weights", name):
                raise ValueError(
                    f"A weight of 0 makes {name} passive. Got roles={{{name!r}: {roles[name]!r}}}. "
                    "Give it a weight above 0 or another role."
                )
    out = {*idle, *unread}
    able = [n for n in names if n not in out and roles.get(n, "auto") in ("auto", "lead")]
    if not able:
        raise ValueError(
            "Expected a modality that may lead: its variation defines the components. Got "
            f"roles={dict(roles)} and weights={dict(weights)}. Give one of them the role "
            '"lead" or "auto", and a weight above 0.'
        )


def one_of(option: str, value: Any, choices: Iterable[str], more: str = "") -> str:
    """Check a choice.

    Raises
    ------
    ValueError
        It is not one of the choices; they are listed.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"{option}{more} must be one of {listed}. Got {value!r}.")
    return value


def mask_of(mask: Any, shape: tuple[int, ...], what: str) -> NDArray[np.bool_]:
    """Read a mask, True = excluded.

    Parameters
    ----------
    mask
        Signal, array, or None for nothing excluded.
    shape
        Expected shape in numpy order.
    what
        The option, in words.

    Returns
    -------
    ndarray
        Flat.

    Raises
    ------
    ValueError
        It has another shape or excludes everything.
    """
    if mask is None:
        return np.zeros(int(np.prod(shape)), dtype=bool)
    values = np.asarray(mask.data if isinstance(mask, BaseSignal) else mask)
    if values.shape != shape:
        turned = values.shape == shape[::-1]
        raise ValueError(
            f"{what} must have shape {shape} (as the data array: rows first). Got {values.shape}. "
            + ("Transpose it: mask.T." if turned else "Make it from the signal that it is for.")
        )
    flat = values.astype(bool).ravel()
    if flat.all():
        raise ValueError(
            f"{what} excludes everything (True = excluded). Leave something to fuse, or invert "
            "it: ~mask."
        )
    return flat
