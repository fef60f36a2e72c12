"""The entries of the form, their checks, and the options of ``fuse`` that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import traits.api as t
from hyperspy.signal import BaseSignal

from hyperfuse_hs.choices import count_of, make_choices, seed_of
from hyperfuse_hs.gui import entries
from hyperfuse_hs.gui.call_text import DEFAULTS
from hyperfuse_hs.gui.candidates import (
    Candidate,
    find_candidates,
    is_array,
    session_variables,
    variable_of,
    visible,
)
from hyperfuse_hs.noise_model import NOISE_KINDS
from hyperfuse_hs.options import Options, check_signals, name_signals
from hyperfuse_hs.unmixing import ABUNDANCES, MOST_SEARCHED, UNMIXING

SEED = 0
"""Seed that the form starts with, so that a run can be repeated."""
SCALES = ("auto", "none", "total")

OWN = ("roles", "noise", "weights", "signal_masks")
"""Options with a value for each signal."""


class Form(t.HasTraits):
    """What can be fused, and how."""

    candidates = t.List(t.Instance(Candidate))
    automatic = t.Bool(True, desc="count what stands out of the noise")
    n_components = t.Int(3, desc="number of components")
    most_components = t.Int(MOST_SEARCHED)
    unmixing = t.Str(UNMIXING[0], desc="how components are found")
    unmixing_choices = t.List(t.Str, list(UNMIXING))
    scale = t.Str("auto", desc="how counts follow the thickness: a choice, or a variable")
    scale_choices = t.List(t.Str, list(SCALES))
    abundances = t.Enum(*ABUNDANCES, desc="constraint on the abundances")
    navigation_mask = t.Str(desc="variable with the excluded positions (True = excluded)")
    random_state = t.Str("0", desc="seed of the random starts, empty for a new one in every run")
    array_names = t.List(t.Str, desc="variables that may be masks, variances or maps")
    errors = t.Dict(t.Str, t.Str, desc="message beside each entry")

    problems = t.List(
        t.Tuple, comparison_mode=t.ComparisonMode.none, desc="option, modality or None, and message"
    )

    _variables: Mapping[str, Any]
    _given: dict[str, Any]

    def remember(self, variables: Mapping[str, Any] | None) -> None:
        """Take the variables of the session; None: of the IPython session, if there is one."""
        self._variables = session_variables() if variables is None else variables
        self._given = {}

    def fill(
        self,
        signals: Sequence[BaseSignal],
        options: Mapping[str, Any],
    ) -> None:
        """Make the entries say what was passed to `fuse`.

        Raises
        ------
        TypeError, ValueError
            A role, a weight, a count, a method, the names or the seed is not what `fuse` takes.
        """
        given = {
            **DEFAULTS,
            "random_state": SEED,
            **{k: v for k, v in options.items() if v is not None},
        }
        check_signals(signals)
        names = name_signals(signals, given["names"])
        reader = Options(names, signals)
        methods = given["unmixing"], given["abundances"]
        seed = seed_of(given["random_state"])
        parts = given["n_components"], given["roles"], given["weights"]
        choices = make_choices(reader, *parts, *methods, seed)
        self.candidates = find_candidates(signals, names, self._variables)
        count = count_of(given["n_components"])
        self.trait_set(automatic=count is None, n_components=count or self.n_components)
        self.most_components = max(self.most_components, self.n_components)
        self.abundances = given["abundances"]
        self.random_state = str(seed)
        self.unmixing = self.text_of(given["unmixing"], "unmixing")
        self.scale = self.text_of(given["scale"], "scale")
        self.navigation_mask = self.text_of(given["navigation_mask"], "navigation_mask")
        noise = reader.by_name("noise", given["noise"], "auto")
        masks = reader.by_name("signal_masks", given["signal_masks"] or {}, None)
        passed = {id(signal): name for signal, name in zip(signals, names, strict=True)}
        for item in self.candidates:
            name = passed.get(id(item.signal))
            if name is not None:
                item.role = choices.roles.get(name, "auto")
                item.weight = str(choices.weights.get(name, "auto"))
                item.noise = self.text_of(noise[name], f"noise of {name}")
                item.signal_mask = self.text_of(masks[name], f"signal mask of {name}")
        self.list_arrays()

    def list_arrays(self) -> None:
        """List what may be picked as mask, variance or map, and as method or scale."""
        known = self.known()
        self.array_names = sorted(name for name, value in known.items() if is_array(value))
        fits = [n for n, value in known.items() if callable(getattr(value, "fit", None))]
        self.unmixing_choices = [*UNMIXING, *(n for n in fits if not is_array(known[n]))]
        self.scale_choices = [*SCALES, *self.array_names]

    @property
    def session(self) -> Mapping[str, Any]:
        """Variables of the user's session."""
        return self._variables

    def known(self) -> dict[str, Any]:
        """Objects that entries may refer to, by name."""
        return {**dict(visible(self._variables)), **self._given}

    def text_of(self, value: Any, label: str) -> str:
        """Write a value as an entry; objects by the variable that holds them."""
        if value is None:
            return ""
        if isinstance(value, str | int | float):
            return str(value)
        held = variable_of(value, self._variables)
        if not held:
            self._given[f"{label} (given)"] = value
        return held or f"{label} (given)"

    @property
    def chosen(self) -> list[Candidate]:
        """Candidates to fuse, in order."""
        return [item for item in self.candidates if item.chosen]

    def own_entries(self, item: Candidate) -> dict[str, Any]:
        """Read the entries of one candidate.

        Raises
        ------
        TypeError, ValueError
            The mask is none.
        """
        known = self.known()
        label = f"The signal mask of {item.name}"
        weight = item.weight.strip()
        return {
            "roles": item.role,
            "weights": "auto" if weight in ("", "auto") else entries.number_of(weight),
            "noise": entries.value_of(item.noise, NOISE_KINDS, known),
            "signal_masks": entries.array_of(item.signal_mask, known, label),
        }

    def method(self) -> Any:
        """Read how to find components: a choice, or an object of the user's."""
        return entries.value_of(self.unmixing, UNMIXING, self.known())

    def check(self) -> bool:
        """Check all entries as `fuse` does, and show what is wrong beside each.

        Returns
        -------
        bool
            Whether nothing is.
        """
        chosen = self.chosen
        shared = {
            "n_components": "auto" if self.automatic else self.n_components,
            "unmixing": self.method(),
            "abundances": self.abundances,
            "scale": self.scale,
            "navigation_mask": self.navigation_mask,
            "random_state": self.random_state,
        }
        names = [item.name.strip() for item in chosen]
        away = [item for item in chosen if item.signal is None]
        if away:
            self.problems = [("signals", item.name, item.reason) for item in away]
        else:
            read = self.known(), self.own_entries
            self.problems = entries.find_problems(chosen, names, shared, *read)
        return not self.problems

    @t.observe("problems")
    def _show_problems(self, event: Any) -> None:
        """Show messages beside the entries that they are about, and no others."""
        shared: dict[str, str] = {}
        own: dict[str, dict[str, str]] = {}
        for option, name, message in self.problems:
            entry = entries.CANDIDATE_FIELDS.get(option)
            if entry is not None and name in [item.name.strip() for item in self.chosen]:
                own.setdefault(str(name), {}).setdefault(entry, message)
            else:
                shared.setdefault("candidates" if entry is not None else option, message)
        for item in self.candidates:
            item.errors = own.get(item.name.strip(), {}) if item.chosen else {}
        self.errors = shared

    def read(self) -> tuple[list[BaseSignal], dict[str, Any]]:
        """Read the form, checked, as signals and all options of `fuse`."""
        chosen = self.chosen
        names = [item.name.strip() for item in chosen]
        own = {name: self.own_entries(item) for name, item in zip(names, chosen, strict=True)}
        known = self.known()
        mask = entries.array_of(self.navigation_mask, known, "navigation_mask")
        return [item.signal for item in chosen], {
            "n_components": "auto" if self.automatic else self.n_components,
            "names": names,
            **{key: {n: entry[key] for n, entry in own.items()} for key in OWN},
            "scale": entries.value_of(self.scale, SCALES, known),
            "unmixing": self.method(),
            "abundances": self.abundances,
            "navigation_mask": mask,
            "random_state": seed_of(entries.seed_entry(self.random_state)),
        }
