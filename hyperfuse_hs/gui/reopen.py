"""The tool on a result that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperfuse_hs.gui.candidates import Candidate, Scan, make_candidate, variable_of
from hyperfuse_hs.gui.tool import Fuser


def reopened(h: Any, variables: Mapping[str, Any] | None = None) -> Fuser:
    """Make the tool for a result.

    Parameters
    ----------
    h
        The result of a fusion, made in this session or loaded.
    variables
        By name, those of the user's session; None: of the IPython session, if there is one.

    Returns
    -------
    Fuser
        With the entries that led to the result, as far as it knows them: how the data were read is
        not kept in files.
    """
    tool = Fuser(variables=variables)
    asked = h._asked
    names = [] if asked is None else [n for n in asked["names"] if n in h._natives]
    known = asked is not None and len(names) == len(asked["names"])
    with tool.quietly():
        before = None
        if known:
            tool.fill([h._natives[name] for name in names], asked)
            before = tool.read()
        more = [name for name in h.modalities if not known or name not in names]
        made = [_candidate(tool, h, name) for name in more]
        chosen = [item for item in tool.candidates if item.chosen]
        others = [item for item in tool.candidates if not item.chosen]
        there = {id(item.signal) for item in made}
        tool.candidates = [*chosen, *made, *(i for i in others if id(i.signal) not in there)]
        _restore_choices(tool, h)
        tool.list_arrays()
        tool.reopen(h, before)
    return tool


def _candidate(tool: Fuser, h: Any, name: str) -> Candidate:
    """Describe a modality of the result whose data are, or are not, there."""
    signal = h._natives.get(name)
    if signal is None:
        reason = (
            f'The data of {name} are not there. Load the signal and use h.attach("{name}", signal).'
        )
        return Candidate(name=name, description=name, chosen=True, fits=False, reason=reason)
    scan = Scan(h.modalities[0], h.axes_manager.navigation_shape)
    item = make_candidate(signal, name, variable_of(signal, tool.session), scan)
    item.chosen = True
    return item


def _restore_choices(tool: Fuser, h: Any) -> None:
    """Enter how the result was unmixed."""
    choices = h._choices
    tool.automatic = choices.n_components is None
    tool.n_components = h._result.n_components
    tool.most_components = max(tool.most_components, tool.n_components)
    tool.abundances, tool.random_state = choices.abundances, str(choices.seed)
    tool.unmixing = tool.text_of(choices.unmixing, "unmixing")
    for item in tool.candidates:
        if item.chosen:
            item.role = choices.roles.get(item.name, "auto")
            item.weight = str(choices.weights.get(item.name, "auto"))
