"""Checks of the data themselves, after the first pass and before any long work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.model import Source
from hyperfuse_hs.notices import warn_user

SMALLEST, LARGEST = 1e-16, 1e16
"""Limits of the largest value of a modality: squares and their sums must fit single precision."""


def check_size(n_components: int | None, sources: Sequence[Source]) -> None:
    """Refuse more components than positions or channels.

    Raises
    ------
    ValueError
        The data cannot hold so many components.
    """
    n = sources[0].modality.n_positions
    if n < max(n_components or 1, 2):
        raise ValueError(
            f"Expected at least as many probe positions as components, and two. Got {n} "
            f"position(s) for n_components={n_components or 'auto'}. Use fewer components or a "
            "smaller navigation_mask."
        )
    channels = sum(s.modality.n_channels for s in sources if not s.passive)
    if n_components is not None and n_components > channels + 1:
        raise ValueError(
            f"n_components={n_components} is more than the data support: {channels} channel(s) "
            f"tell at most {channels + 1} components apart. Use fewer."
        )


def check_facts(source: Source, facts: Survey) -> None:
    """Refuse data that no model can be fitted to.

    Raises
    ------
    ValueError
        NaN or infinite values, negative counts, or nothing that varies.
    """
    name = source.modality.name
    check_values(source, facts)
    if facts.minimum == facts.maximum:
        with concerning("signals", name):
            raise ValueError(
                f"Expected data that vary. Got {facts.minimum:g} everywhere in {name}"
                + (" that is not masked (True = excluded)" if _is_masked(source) else "")
                + ". Leave it out."
            )


def _is_masked(source: Source) -> bool:
    modality = source.modality
    return bool(modality.excluded_positions.any() or modality.excluded_channels.any())


def check_values(source: Source, facts: Survey) -> None:
    """Refuse values that no data, or no counts, can have.

    Raises
    ------
    ValueError
        NaN or infinite values, values too large or small to compute with, or negative counts.
    """
    name = source.modality.name
    with concerning("signals", name):
        refuse_not_finite(source.modality, facts)
        _check_reach(name, max(abs(facts.minimum), abs(facts.maximum)))
    if source.noise == "poisson" and source.variance is None and facts.minimum < 0:
        with concerning("noise", name):
            raise ValueError(
                f'noise="poisson" expects counts, which are not negative. Got a minimum of '
                f'{facts.minimum:g} in {name}. Use noise={{"{name}": "gaussian"}} or "auto".'
            )


def _check_reach(name: str, largest: float) -> None:
    if largest and not SMALLEST < largest < LARGEST:
        raise ValueError(
            f"Expected values whose largest is between {SMALLEST:g} and {LARGEST:g}, to be squared "
            f"in single precision. Got {largest:g} in {name}. Change their units, e.g. "
            f"signal / {largest:.0e}."
        )


def refuse_not_finite(modality: Modality, facts: Survey) -> None:
    """Refuse NaN and infinite values, saying how many there are and where.

    Raises
    ------
    ValueError
        There are any.
    """
    if facts.first_not_finite is not None:
        where, channel = modality.location(*facts.first_not_finite)
        raise ValueError(
            f"Expected finite numbers. Got {facts.n_not_finite} NaN or infinite value(s) in "
            f"{modality.name}, the first at position {where[::-1]}, channel {channel[::-1]} (as "
            "in inav and isig). Replace them, or exclude them with navigation_mask= or "
            "signal_masks=."
        )


def leave_out_empty(
    sources: list[Source], facts: dict[str, Survey], scale: Any
) -> tuple[list[Source], Any]:
    """Exclude probe positions where no modality recorded anything, and say so."""
    # A sum of zero says nothing where there are negative values.
    empty = np.all([(f.total == 0) & (f.minimum >= 0) for f in facts.values()], axis=0)
    if not empty.any():
        return sources, scale
    first = sources[0].modality
    excluded = first.excluded_positions.copy()
    excluded[~first.excluded_positions] = empty
    warn_user(
        f"{np.count_nonzero(empty)} probe position(s) without any counts are excluded.",
        stacklevel=4,
    )
    if not isinstance(scale, str):
        scale = {n: None if v is None else v[~empty] for n, v in scale.items()}
    for fact in facts.values():
        fact.without(empty)

    def fewer(modality: Modality) -> Modality:
        return replace(modality, excluded_positions=excluded)

    return [
        replace(
            source,
            modality=fewer(source.modality),
            variance=None if source.variance is None else fewer(source.variance),
        )
        for source in sources
    ], scale
