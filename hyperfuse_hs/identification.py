"""Which references the factors of a modality look like, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import matching
from hyperfuse_hs.profiles import DRAWS, LEAST_CHANNELS, Subject
from hyperfuse_hs.references import Curve, Rings

Floats = NDArray[np.float64]

LEAST_SCORE = 0.4
"""Correlation from which on a component is called by the name of a reference."""

SURE = 2.0
"""Errors that a score has to be above zero for that."""

SHIFT, STRETCH = 2.0, 0.02
"""Shift of an energy axis in channels, and relative error of a camera length, to allow for."""

VARIANTS = 33
"""Shifts or stretches that are tried; more where steps would be wider than half a channel."""


@dataclass(frozen=True)
class Match:
    """How well a component fits one reference.

    Parameters
    ----------
    reference
        Its name.
    score
        Correlation of the two, without background: 1 is perfect, 0 nothing in common.
    error
        Standard error of the score.
    first
        How often this reference comes first, if the factor is drawn anew with its errors.
    adjustment
        Shift of the energy axis (in its units) or relative stretch of the camera length at which
        it fits.
    """

    reference: str
    score: float
    error: float
    first: float
    adjustment: float


class Identification:
    """References ranked for every component, from `HypermodalSignal.identify`.

    ``found[k]`` is the list of matches of component k, the best one first; ``print(found)`` shows
    all as a table.

    Parameters
    ----------
    modality
        Whose factors were compared.
    names
        Of the R references.
    scores, errors, first, adjustments
        ``(p, R)``, see `Match`.
    """

    def __init__(
        self,
        modality: str,
        names: Sequence[str],
        scores: Floats,
        errors: Floats,
        first: Floats,
        adjustments: Floats,
    ) -> None:
        self.modality, self.names = modality, list(names)
        self.scores, self.errors = scores, errors
        self.first, self.adjustments = first, adjustments

    @property
    def best(self) -> list[str | None]:
        """Name of the best reference for each component.

        None where no score is ``LEAST_SCORE`` (0.4) at least, and two errors above zero.
        """
        return [
            match.reference
            if match.score >= max(LEAST_SCORE, SURE * match.error) and np.isfinite(match.score)
            else None
            for match in (self[k][0] for k in range(len(self)))
        ]

    def __len__(self) -> int:
        """Count the components."""
        return len(self.scores)

    def __getitem__(self, component: int) -> list[Match]:
        """Return the matches of one component, the best one first."""
        rows = self.scores, self.errors, self.first, self.adjustments
        values = [row[component] for row in rows]
        order = np.argsort(-np.nan_to_num(values[0], nan=-1.0), kind="stable")
        return [Match(self.names[r], *(float(value[r]) for value in values)) for r in order]

    def __repr__(self) -> str:
        """Table of all components and references."""
        width = max(9, *map(len, self.names))
        lines = [
            f"Identification of the components in {self.modality}",
            f"component  {'reference':{width}}  score   error   first",
        ]
        for k, name in enumerate(self.best):
            for rank, match in enumerate(self[k]):
                sign = "*" if rank == 0 and name is not None else " "
                lines.append(
                    f"{k if rank == 0 else '':>9}  {match.reference:{width}} {match.score:6.3f}"
                    f" {match.error:7.2g} {match.first:7.0%} {sign}"
                )
        return "\n".join([*lines, "* best match; none: nothing that looks alike"])


def check_tolerance(tolerance: Any, subject: Subject) -> float:
    """Read the largest shift or stretch; None for the default.

    Raises
    ------
    ValueError
        It is no number, negative, or a stretch of a half or more.
    """
    if tolerance is None:
        return STRETCH if subject.rings else SHIFT * subject.step
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    most = 0.5 if subject.rings else float(subject.edges[-1, 1] - subject.edges[0, 0]) / 2
    if not number or not 0 <= float(tolerance) < most:
        what = "relative stretch" if subject.rings else "shift in units of the axis"
        raise ValueError(f"Expected tolerance as a {what} from 0 to {most:g}. Got {tolerance!r}.")
    return float(tolerance)


def identify(
    subject: Subject,
    references: Sequence[Curve | Rings],
    modality: str,
    tolerance: float,
    rng: np.random.Generator,
) -> Identification:
    """Rank references for every component.

    Parameters
    ----------
    subject
        The factors.
    references
        In the same units.
    modality
        Name, for the result.
    tolerance
        Largest shift of the axis, in its units, or relative stretch of patterns.
    rng
        Source of draws.

    Raises
    ------
    ValueError
        A reference has hardly a channel in common with the factors.
    """
    adjustments = _adjustments(subject, tolerance)
    p, count = len(subject.values), len(references)
    curves = [np.vstack([subject.values[k], subject.draw(k, rng)]) for k in range(p)]
    drawn = np.empty((p, count, DRAWS + 1))
    chosen = np.empty((p, count))
    for r, reference in enumerate(references):
        variants = _variants(subject, reference, adjustments)
        shared = np.asarray(np.isfinite(variants).all(axis=0))
        _check_shared(subject, reference.name, shared, modality)
        part = subject.only(shared)
        wanted, basis = part.prepared(variants[:, shared]), part.background()
        for k in range(p):
            found = matching.partial_correlations(
                part.prepared(curves[k][:, shared]), wanted, basis, part.weights(k)
            )
            drawn[k, r] = found.max(axis=1)
            chosen[k, r] = adjustments[found[0].argmax()]
    winners = drawn[:, :, 1:].argmax(axis=1)
    first = np.array([np.mean(winners == r, axis=1) for r in range(count)]).T
    names = [reference.name for reference in references]
    errors = drawn[:, :, 1:].std(axis=2)
    return Identification(modality, names, drawn[:, :, 0], errors, first, chosen)


def _adjustments(subject: Subject, tolerance: float) -> Floats:
    """Shifts or stretches to try, the one that changes nothing among them."""
    reach = tolerance * subject.edges[-1, 1] if subject.rings else tolerance
    half = max((VARIANTS - 1) // 2, int(np.ceil(2 * reach / subject.step))) if tolerance > 0 else 0
    return np.linspace(-tolerance, tolerance, 2 * half + 1)


def _variants(subject: Subject, reference: Curve | Rings, adjustments: Floats) -> Floats:
    """Compute the reference with every shift or stretch, ``(T, C)``."""
    if subject.rings:
        moved = [subject.edges / (1 + stretch) for stretch in adjustments]
    else:
        moved = [subject.edges - shift for shift in adjustments]
    return np.array([reference.at(edges, subject.disk) for edges in moved])


def _check_shared(subject: Subject, name: str, shared: NDArray[np.bool_], modality: str) -> None:
    least = LEAST_CHANNELS + len(subject.background())
    if np.count_nonzero(shared) < least:
        raise ValueError(
            f"Expected a reference that covers at least {least} channels of {modality}, from "
            f"{subject.edges[0, 0]:.4g} to {subject.edges[-1, 1]:.4g}. Got {name}, which covers "
            f"{np.count_nonzero(shared)} of them."
        )
