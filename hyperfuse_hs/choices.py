"""How to unmix: from the user's options to the choices of the model, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.options import Options, check_lead, one_of
from hyperfuse_hs.result import Choices
from hyperfuse_hs.unmixing import ABUNDANCES, SIGNED, UNMIXING

AGAIN = ("n_components", "roles", "weights", "unmixing", "abundances", "random_state")
"""Options that need no data."""


def seed_of(random_state: int | np.random.Generator | None) -> int:
    """Turn a seed, generator or None into a seed.

    Raises
    ------
    TypeError, ValueError
        It is none of them, or negative.
    """
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, bool) or not isinstance(random_state, Integral):
        raise TypeError(
            "random_state must be a whole number, a numpy.random.Generator or None. "
            f"Got {random_state!r}."
        )
    if random_state < 0:
        raise ValueError(f"random_state must be at least 0. Got {random_state}.")
    return int(random_state)


def make_choices(
    options: Options,
    n_components: Any,
    roles: Any,
    weights: Any,
    unmixing: Any,
    abundances: Any,
    seed: int,
    unread: Iterable[str] = (),
) -> Choices:
    """Check how to unmix.

    Parameters
    ----------
    options
        Reader of options.
    n_components, roles, weights, unmixing, abundances
        As in `fuse`.
    seed
        Of the random starts.
    unread
        Names of modalities that were passive in the fusion.

    Returns
    -------
    Choices
        Checked.

    Raises
    ------
    TypeError, ValueError
        An option has an unknown value or does not go with another.
    """
    with concerning("unmixing"):
        _check_unmixing(unmixing)
    with concerning("abundances"):
        one_of("abundances", abundances, ABUNDANCES)
        if isinstance(unmixing, str) and unmixing in SIGNED and abundances == "nonnegative":
            raise ValueError(
                f'unmixing="{unmixing}" gives signed components, which have no non-negative '
                'abundances. Got abundances="nonnegative". Use unmixing="nmf" for these.'
            )
    with concerning("roles"):
        chosen = options.roles(roles)
    with concerning("weights"):
        weighted = options.weights(weights)
    with concerning("roles"):
        check_lead(options.names, chosen, weighted, unread)
    with concerning("n_components"):
        count = count_of(n_components)
    return Choices(count, chosen, weighted, unmixing, abundances, seed)


def _check_unmixing(unmixing: Any) -> None:
    if isinstance(unmixing, type):
        raise TypeError(
            f"unmixing must be one of {', '.join(UNMIXING)}, or an object with a method fit. Got "
            f"the class {unmixing.__name__}. Make an object of it: {unmixing.__name__}(...)."
        )
    if not callable(getattr(unmixing, "fit", None)):
        one_of("unmixing", unmixing, UNMIXING, " (or an object with a method fit)")


def count_of(n_components: Any) -> int | None:
    """Read the number of components; None for ``"auto"``.

    Raises
    ------
    TypeError
        It is no whole number.
    ValueError
        It is less than one.
    """
    if isinstance(n_components, str) and n_components == "auto":
        return None
    if isinstance(n_components, bool) or not isinstance(n_components, Integral):
        raise TypeError(f'n_components must be a whole number or "auto". Got {n_components!r}.')
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1. Got {n_components}.")
    return int(n_components)


def choices_for(
    options: Options, before: Choices, given: Mapping[str, Any], unread: Iterable[str]
) -> Choices:
    """Change some choices and keep the others.

    Parameters
    ----------
    options
        Reader of options.
    before
        The choices so far.
    given
        Options of ``AGAIN``.
    unread
        Names of modalities that were passive in the fusion.

    Returns
    -------
    Choices
        Checked.

    Raises
    ------
    TypeError, ValueError
        An option is unknown, has an unknown value or does not go with another.
    """
    unknown = set(given) - set(AGAIN)
    if unknown:
        raise TypeError(
            f"unmix takes the options {', '.join(AGAIN)}. Got {', '.join(sorted(unknown))}. What "
            "concerns the data themselves needs a new fuse."
        )
    unmixing = given.get("unmixing", before.unmixing)
    if unmixing == "custom":
        with concerning("unmixing"):
            raise ValueError(
                "The components were found by an object of your own, which files do not keep. "
                "Give it again: unmixing=..."
            )
    count = "auto" if before.n_components is None else before.n_components
    seed = seed_of(given["random_state"]) if "random_state" in given else before.seed
    return make_choices(
        options,
        given.get("n_components", count),
        given.get("roles", before.roles),
        given.get("weights", before.weights),
        unmixing,
        given.get("abundances", before.abundances),
        seed,
        unread,
    )
