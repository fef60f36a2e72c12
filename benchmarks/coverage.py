"""How often errors and intervals hold the truth.

The truth of a factor is what the phantom says a pure position counts in the mean. Of diffraction
that is the mean pattern of the crystals that are in the scan, each counting by its amount: not that
of a powder, of which a few dozen crystals say little. Where the counts follow the thickness and the
intensity is taken from them, the truth is expressed in the same fractions of counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import cases, methods, scores
from benchmarks.cases import Case, Values
from benchmarks.records import NO_AIM, Aim, Record, Settings, Unit

LEVELS = (0.68, 0.95)
WITHIN = 0.05
"""How near the mean over the seeds should be."""

REPETITIONS = 40
"""Of the bootstrap."""

Make = partial[Case]


def units(settings: Settings) -> Iterator[Unit]:
    """Yield phantoms, doses and sizes, all seeds of one before the next."""
    size, large = (24, 24) if settings.quick else (32, 64)
    small = partial(cases.tio2, size=size)
    makers: dict[str, tuple[Make, bool, tuple[int, ...]]] = {
        "TiO2, flat": (small, True, settings.seeds),
        "TiO2, thickness": (partial(small, counts="thickness"), True, settings.seeds),
    }
    if not settings.quick:
        few = settings.seeds[: settings.large_seeds]
        larger = partial(cases.tio2, size=large)
        makers["TiO2, flat, large"] = larger, True, few
        makers["TiO2, thickness, large"] = partial(larger, counts="thickness"), True, few
        makers["TiO2, dose 1/10"] = partial(cases.tio2, size=size, dose=0.1), False, few
        makers["core-shell"] = partial(cases.buried_core, size=size), False, few
    for name, (make, aimed, seeds) in makers.items():
        for seed in seeds:
            yield Unit(name, seed, partial(_measure, make, seed, aimed=aimed))


def _measure(make: Make, seed: int, *, aimed: bool) -> list[Record]:
    case = make(seed)
    h = methods.fuse(case, seed, n_components=len(case.components))
    judge = Judge(case, h, aimed=aimed)
    boot = h.bootstrap(REPETITIONS, random_state=seed)
    return [*judge.records("analytic", h), *judge.records("bootstrap", boot)]


class Judge:
    """Compares errors and intervals with the truth of one case.

    Parameters
    ----------
    case
        Data and truth.
    h
        Fusion of it.
    aimed
        Whether the aims hold.
    """

    def __init__(self, case: Case, h: Any, *, aimed: bool) -> None:
        self.case, self.h, self.aimed = case, h, aimed
        self.found = methods.estimate(h, case)
        self.order = scores.order_of(case, self.found.factors)
        self.abundances, self.factors = _truth(case, h)

    def records(self, method: str, source: Any) -> list[Record]:
        """Coverage by a result, or by a bootstrap of it."""
        return [*self._of_factors(method, source), *self._of_abundances(method, source)]

    def _of_factors(self, method: str, source: Any) -> Iterator[Record]:
        for name, truth in self.factors.items():
            errors = self._flat(source.get_factor_errors(name))
            distance = np.abs(self.found.factors[name][self.order] - truth) / errors
            # A channel in which there can be nothing has nothing to be wrong about.
            counted = truth > 0
            ends = [
                tuple(self._flat(end) for end in source.get_factor_interval(name, level))
                for level in LEVELS
            ]
            held = [(low <= truth) & (truth <= high) for low, high in ends]
            for number, component in enumerate(self.case.components):
                where, what = counted[number], f"{name}, {component}"
                near = [distance[number][where] <= limit for limit in (1.0, 1.96)]
                yield from self._pair(method, f"{what}, errors", near, aimed=False)
                inside = [part[number][where] for part in held]
                yield from self._pair(method, f"{what}, interval", inside, aimed=self.aimed)
            together = [part[counted] for part in held]
            yield from self._pair(method, f"{name}, interval", together, aimed=self.aimed)
            near = [distance[counted] <= limit for limit in (1.0, 1.96)]
            yield from self._pair(method, f"{name}, errors", near, aimed=self.aimed)

    def _of_abundances(self, method: str, source: Any) -> Iterator[Record]:
        truth = self.abundances
        ends = [
            tuple(self._maps(end) for end in source.get_abundance_interval(level))
            for level in LEVELS
        ]
        held = [(low <= truth) & (truth <= high) for low, high in ends]
        pure = (truth == 0) | (truth == 1)
        for label, where in (("mixed", ~pure), ("absent or alone", pure)):
            inside = [part[where] for part in held]
            yield from self._pair(method, f"abundances {label}, interval", inside, aimed=False)
        yield from self._pair(method, "abundances, interval", held, aimed=self.aimed)
        errors = np.maximum(self._maps(source.get_abundance_errors()), 1e-12)
        distance = np.abs(self.found.abundances[:, self.order] - truth) / errors
        for label, where in (("mixed", ~pure), ("absent or alone", pure)):
            near = [distance[where] <= limit for limit in (1.0, 1.96)]
            yield from self._pair(method, f"abundances {label}, errors", near, aimed=False)

    def _pair(
        self, method: str, what: str, held: list[NDArray[np.bool_]], *, aimed: bool
    ) -> Iterator[Record]:
        for level, inside in zip(LEVELS, held, strict=True):
            if inside.size:
                aim = Aim(mean=level, within=WITHIN) if aimed else NO_AIM
                value = float(np.mean(inside))
                yield Record(self.case.name, method, f"{what}, {level:.0%}", value, aim)

    def _flat(self, signal: Any) -> Values:
        values = np.asarray(signal.data)
        return values.reshape(len(values), -1)[self.order]

    def _maps(self, signal: Any) -> Values:
        return self._flat(signal).T[self.case.inside]


def _truth(case: Case, h: Any) -> tuple[Values, dict[str, Values]]:
    """Abundances and factors as the result expresses them."""
    abundances, scale = case.abundances[case.inside], case.scale[case.inside]
    if not str(h.get_abundances().metadata.Signal.quantity).startswith("count"):
        return abundances, dict(case.factors)
    total = case.factors[case.lead].sum(axis=1)
    bright = abundances @ total
    mean = np.mean(scale * bright)
    scaled = {name: factors * (mean / total)[:, None] for name, factors in case.factors.items()}
    return scores.closed(abundances * total), scaled
