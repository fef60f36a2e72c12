"""What is typed or picked in the form, as values for ``fuse``, and what is wrong with it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hyperfuse_hs import inputs
from hyperfuse_hs.choices import make_choices, seed_of
from hyperfuse_hs.concerns import concern_of, concerning
from hyperfuse_hs.gui.candidates import Candidate, is_array
from hyperfuse_hs.modality import unwatched
from hyperfuse_hs.options import Options, check_lead, check_signals, name_signals

Problem = tuple[str, str | None, str]
"""Option, name of the modality or None, and the message."""

CANDIDATE_FIELDS = {
    "signals": "chosen",
    "names": "name",
    "roles": "role",
    "weights": "weight",
    "noise": "noise",
    "signal_masks": "signal_mask",
}
"""Options with a value for each modality, and the entry of a candidate that holds it."""


def array_of(text: str, variables: Mapping[str, Any], option: str) -> Any:
    """Find the signal or array that a variable holds; None for an empty entry or ``"none"``.

    Raises
    ------
    ValueError
        There is no such variable.
    TypeError
        It holds something else.
    """
    text = text.strip()
    if text in ("", "none"):
        return None
    if text not in variables:
        raise ValueError(
            f"{option} must be the name of a variable that holds a signal or an array. Got "
            f"{text!r}, which is none. Leave the entry empty for nothing excluded."
        )
    if not is_array(variables[text]):
        raise TypeError(
            f"{option} must be a signal or an array. {text} is of type "
            f"{type(variables[text]).__name__}."
        )
    return variables[text]


def value_of(text: str, choices: Iterable[str], variables: Mapping[str, Any]) -> Any:
    """Read an entry: one of the choices, a number, a variable, or text that `fuse` will refuse."""
    text = text.strip()
    if text in choices:
        return text
    if text in variables:
        return variables[text]
    return number_of(text)


def number_of(text: str) -> Any:
    """Read a number; other text stays as it is."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
    return value if isinstance(value, int | float) else text.strip()


def seed_entry(text: str) -> Any:
    """Read the entry of the seed: empty for a new one in every run."""
    return None if text.strip() in ("", "None") else number_of(text)


def find_problems(
    chosen: Sequence[Candidate],
    names: Sequence[str],
    shared: Mapping[str, Any],
    variables: Mapping[str, Any],
    own: Callable[[Candidate], dict[str, Any]],
) -> list[Problem]:
    """Check every entry with the functions that `fuse` checks it with; no data are read.

    Parameters
    ----------
    chosen, names
        What is to be fused, and the names entered.
    shared
        Entries that are common to all: ``n_components``, ``unmixing``, ``abundances``, ``scale``,
        ``navigation_mask``, ``random_state``.
    variables
        By name, what entries may refer to.
    own
        Reads the entries of one candidate as ``roles``, ``weights``, ``noise``, ``signal_masks``.

    Returns
    -------
    list of Problem
        All there are, not only the first.
    """
    found: list[Problem] = []

    def check(option: str, name: str | None, call: Callable[[], Any]) -> Any:
        try:
            with concerning(option, name):
                return call()
        except (TypeError, ValueError) as error:
            which, whose = concern_of(error) or (option, name)
            found.append((which, whose or name, str(error)))
        return None

    signals = [item.signal for item in chosen]
    check("signals", None, lambda: check_signals(signals))
    repeated = next((name for name in names if names.count(name) > 1), None)
    check("names", repeated, lambda: name_signals(signals, list(names)))
    if found:
        return found
    for item, name in zip(chosen, names, strict=True):
        _check_own(item, name, own, check)
    if not found:
        reader = Options(names, signals)
        read = {name: own(item) for item, name in zip(chosen, names, strict=True)}
        roles = reader.roles({name: entry["roles"] for name, entry in read.items()})
        weights = reader.weights({name: entry["weights"] for name, entry in read.items()})
        check("roles", None, lambda: check_lead(names, roles, weights))
    _check_shared(signals, list(names), shared, variables, check)
    return found


def _check_own(
    item: Candidate,
    name: str,
    own: Callable[[Candidate], dict[str, Any]],
    check: Callable[..., Any],
) -> None:
    """Check the entries of one candidate, as if it were fused alone."""
    reader = Options([name], [item.signal])
    given = check("signal_masks", name, lambda: own(item))
    if given is None:
        return
    check("roles", name, lambda: reader.roles({name: given["roles"]}))
    check("weights", name, lambda: reader.weights({name: given["weights"]}))
    if item.signal.axes_manager.navigation_shape:
        masks = {name: given["signal_masks"]}
        for noise, mask in ((given["noise"], {}), ("none", masks)):
            check(
                "noise",
                name,
                lambda noise=noise, mask=mask: inputs.make_sources(
                    [item.signal], reader, noise, (), None, mask, unwatched
                ),
            )


def _check_shared(
    signals: Sequence[Any],
    names: list[str],
    shared: Mapping[str, Any],
    variables: Mapping[str, Any],
    check: Callable[..., Any],
) -> None:
    reader = Options(names, signals)
    seed = check("random_state", None, lambda: seed_of(seed_entry(shared["random_state"])))
    method, abundances = shared["unmixing"], shared["abundances"]
    numbers = shared["n_components"], "auto", "auto"
    check(
        "unmixing",
        None,
        lambda: make_choices(reader, *numbers, method, abundances, seed or 0),
    )
    shape = check("signals", None, lambda: inputs.scan_shape(signals, names))
    if shape is None:
        return
    text = shared["navigation_mask"]
    mask = check("navigation_mask", None, lambda: array_of(text, variables, "navigation_mask"))
    excluded = check(
        "navigation_mask", None, lambda: inputs.mask_of(mask, shape, "navigation_mask")
    )
    scale = value_of(shared["scale"], ("auto", "none", "total"), variables)
    if excluded is not None:
        check("scale", None, lambda: inputs.scale_of(scale, reader, excluded, shape))
