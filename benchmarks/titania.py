"""The TiO2 phantom: fused against each signal alone, stacked, and the oracle.

Abundance errors are over those of the sum-to-one, non-negative least squares that knows the true
EELS spectra but has EELS alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks import cases, methods, scores
from benchmarks.cases import Case
from benchmarks.peers import peer_records
from benchmarks.records import FLAG, NO_AIM, Aim, Record, Settings, Unit
from benchmarks.scores import Estimate

DOSES = (1.0, 1 / 10, 1 / 30)
MOST_COMPONENTS = 6
ABUNDANCES = Aim(median=0.40)
ANGLES = {"flat": Aim(median=1.05, each=1.5), "thickness": Aim(median=1.2)}


def flat_units(settings: Settings) -> Iterator[Unit]:
    """Yield doses and sizes with the same counts everywhere, and peers at one of them."""
    yield from _units(settings, "flat")
    for seed in settings.seeds[: settings.peer_seeds]:
        size = 24 if settings.quick else 64
        yield Unit(f"peers {size}", seed, partial(_peers, seed, size))


def thickness_units(settings: Settings) -> Iterator[Unit]:
    """Yield doses and sizes with counts proportional to the thickness."""
    yield from _units(settings, "thickness")


def _units(settings: Settings, counts: str) -> Iterator[Unit]:
    for size in (24,) if settings.quick else (64, 128):
        seeds = settings.seeds if size < 128 else settings.seeds[: settings.large_seeds]
        for dose in DOSES[: 1 if settings.quick else None]:
            for seed in seeds:
                name = f"{counts} {size} {dose:.3g}"
                yield Unit(name, seed, partial(_measure, seed, size, dose, counts))


def _measure(seed: int, size: int, dose: float, counts: str) -> list[Record]:
    case = cases.tio2(seed, size=size, dose=dose, counts=counts)
    judge = Judge(case, full_dose=dose == 1.0, angle_aim=ANGLES[counts])
    found, p = methods.automatic_count(case, seed).result, len(case.components)
    records = [
        Record(case.name, "fused", "n_components is not 3", float(found != p), FLAG),
        Record(case.name, "fused", "auto: n_components", float(found)),
    ]
    # Far too many components would take the face mixture hours; that they are wrong is said above.
    options = {} if found <= MOST_COMPONENTS else {"n_components": p}
    fused = methods.timed_fusion(case, seed, **options)
    h = fused.result
    if not options:
        records += judge.detailed("fused", h, fused.seconds, fused.peak)
    if h.data.shape[-1] != p:
        h = h.unmix(n_components=p)
    records += judge.detailed("fused, 3 given", h)
    errors = {"fused": judge.error(methods.estimate(h, case))}
    for label, other in methods.variants(h).items():
        found_there = methods.estimate(other, case)
        errors[label] = judge.error(found_there)
        records += judge.brief(label, found_there)
    for label, error in errors.items():
        if label != "fused":
            beaten = float(errors["fused"] >= error)
            records.append(Record(case.name, label, "is no worse than fused", beaten, FLAG))
    return records


class Judge:
    """Compares estimates with the truth of one case.

    Parameters
    ----------
    case
        Data and truth.
    full_dose
        Whether the aims hold.
    angle_aim
        Of the ratio of angles.
    """

    def __init__(self, case: Case, *, full_dose: bool, angle_aim: Aim) -> None:
        self.case = case
        self.aims = (ABUNDANCES, angle_aim) if full_dose else (NO_AIM, NO_AIM)
        self.oracles = scores.all_oracles(case)
        self.path_fractions = case.abundances[case.inside]
        self.truth = (
            scores.count_fractions(case, self.path_fractions)
            if case.varies
            else self.path_fractions
        )
        least = scores.oracle_abundances(case, [case.lead])
        if case.varies:
            least = scores.count_fractions(case, least)
        self.least_squares = scores.root_mean_square_error(least, self.truth)

    def error(self, estimate: Estimate) -> float:
        """Abundance error over that of least squares on EELS."""
        order = scores.order_of(self.case, estimate.factors)
        return scores.abundance_error(estimate.abundances, self.truth, order) / self.least_squares

    def detailed(
        self, method: str, h: Any, seconds: float = np.nan, peak: float = np.nan
    ) -> list[Record]:
        """Errors of the abundances, and of every factor in every modality."""
        case, estimate = self.case, methods.estimate(h, self.case)
        order = scores.order_of(case, estimate.factors)
        abundance_aim, angle_aim = self.aims
        error = self.error(estimate)
        title = "abundances (counts) / LS" if case.varies else "abundances / LS"
        records = [Record(case.name, method, title, error, abundance_aim, seconds, peak)]
        if case.varies:
            path = scores.abundance_error(estimate.abundances, self.path_fractions, order)
            over = path / self.least_squares
            silent = float("fraction" not in str(h.get_abundances().metadata).lower())
            records += [
                Record(case.name, method, "the same as fractions of path", over),
                Record(case.name, method, "abundances do not say of what", silent, FLAG),
            ]
        ratios = scores.angle_ratios(case, estimate, self.oracles, order)
        for name, values in ratios.items():
            for component, value in zip(case.components, values, strict=True):
                quantity = f"angle / oracle, {name}, {component}"
                records.append(Record(case.name, method, quantity, float(value), angle_aim))
        twins = float(scores.collapsed(case, estimate, order))
        records.append(Record(case.name, method, "duplicate component", twins, FLAG))
        return records

    def brief(self, method: str, estimate: Estimate) -> list[Record]:
        """Errors of the abundances and of the worst factor of each modality."""
        case = self.case
        order = scores.order_of(case, estimate.factors)
        records = [Record(case.name, method, "abundances / LS", self.error(estimate))]
        for name, values in scores.angle_ratios(case, estimate, self.oracles, order).items():
            quantity = f"worst angle / oracle, {name}"
            records.append(Record(case.name, method, quantity, float(values.max())))
        return records


def _peers(seed: int, size: int) -> list[Record]:
    return peer_records(cases.tio2(seed, size=size), seed)
