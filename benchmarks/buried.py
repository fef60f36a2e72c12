"""The core-shell phantom: a component that no probe position shows pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks import cases, methods, scores
from benchmarks.cases import Case, Values
from benchmarks.peers import peer_records
from benchmarks.records import FLAG, Aim, Record, Settings, Unit
from hyperfuse_hs.algorithms.metrics import spectral_angle

OXYGEN_K = ("EDS", (0.45, 0.60))
"""Modality and range [keV] of the line that the core lacks."""

LEAST = 0.05
"""Abundance from which on a component counts as present."""

ERRORS = 3.0
"""Standard errors by which the truth may lie beyond an end of the range."""


def units(settings: Settings) -> Iterator[Unit]:
    """One for each phantom; peers on the first of them."""
    size = 24 if settings.quick else 64
    for seed in settings.seeds:
        yield Unit(f"core-shell {size}", seed, partial(_measure, seed, size))
    for seed in settings.seeds[: settings.peer_seeds]:
        yield Unit(f"peers {size}", seed, partial(_peers, seed, size))


def _measure(seed: int, size: int) -> list[Record]:
    case = cases.buried_core(seed, size=size)
    count, p = methods.automatic_count(case, seed).result, len(case.components)
    fused = methods.timed_fusion(case, seed, n_components=p)
    h = fused.result
    wrong = Record(
        case.name,
        "fused",
        "n_components is not 3",
        float(count != p),
        FLAG,
        fused.seconds,
        fused.peak,
    )
    estimate = methods.estimate(h, case)
    order = scores.order_of(case, estimate.factors)
    oracles = scores.all_oracles(case)
    core = int(order[0])
    silent = float(core not in not_identified(h.summary()))
    records = [
        wrong,
        Record(case.name, "fused", "core not said to be unidentified", silent, FLAG),
        *_angles(case, "fused", estimate, oracles, order, Aim()),
    ]
    purified = methods.estimate(h.purify(core, *OXYGEN_K), case)
    records += _angles(case, "purified", purified, oracles, order, Aim(median=1.2))
    found = methods.estimate(h.purify(core), case)
    records += _angles(case, "purified to the limit", found, oracles, order, Aim())
    records += _range_records(case, h.feasible_range(core))
    return records + _interface_records(case, h, order)


def not_identified(summary: str) -> set[int]:
    """Components that the summary of a fusion says are not identified."""
    listed = re.findall(r"Not identified: component(?:\(s\))? ([\d, ]+)", summary)
    return {int(number) for text in listed for number in re.findall(r"\d+", text)}


def _angles(
    case: Case,
    method: str,
    estimate: scores.Estimate,
    oracles: dict[str, Values],
    order: Values,
    aim: Aim,
) -> list[Record]:
    ratios = scores.angle_ratios(case, estimate, oracles, order)
    records = [
        Record(case.name, method, f"core: angle / oracle, {name}", float(values[0]), aim)
        for name, values in ratios.items()
    ]
    return records + [
        Record(case.name, method, f"others: worst angle / oracle, {name}", float(values[1:].max()))
        for name, values in ratios.items()
    ]


def _range_records(case: Case, ends: dict[str, Any]) -> list[Record]:
    place, error, misfit = place_in_range(case, 0, ends)
    outside = float(not -ERRORS * error <= place <= 1 + ERRORS * error)
    method = "feasible range"
    records = [
        Record(case.name, method, "truth outside (by > 3 errors)", outside, FLAG),
        Record(case.name, method, "place of the truth, 0 to 1", place),
        Record(case.name, method, "misfit of the truth (1 = noise)", misfit),
    ]
    for name, signal in ends.items():
        if case.factors[name].shape[1] > 1:
            pair = np.asarray(signal.data).reshape(2, -1)
            angle = float(spectral_angle(*pair))
            records.append(Record(case.name, method, f"width in degrees, {name}", angle))
    return records


def place_in_range(case: Case, component: int, ends: dict[str, Any]) -> tuple[float, float, float]:
    """Where between the two ends of a range of factors the true factor lies.

    Parameters
    ----------
    case
        The truth.
    component
        Number of the true component.
    ends
        By name, signals of the two ends with the variance of their noise in the metadata.

    Returns
    -------
    place, error
        0 at the first end, 1 at the second; weighted least squares over all modalities.
    misfit
        Mean square distance of the truth from that place, over the variance.
    """
    steps, offsets, weights = [], [], []
    for name, signal in ends.items():
        pair = np.asarray(signal.data, dtype=np.float64).reshape(2, -1)
        noise = signal.metadata.get_item("Signal.Noise_properties.variance")
        variance = np.asarray(noise.data, dtype=np.float64).reshape(2, -1).max(axis=0)
        known = np.isfinite(pair).all(axis=0) & (variance > 0)
        steps.append((pair[1] - pair[0])[known])
        offsets.append((case.factors[name][component] - pair[0])[known])
        weights.append(1 / variance[known])
    step, offset, weight = map(np.concatenate, (steps, offsets, weights))
    information = float(np.sum(weight * step**2))
    place = float(np.sum(weight * step * offset)) / information
    misfit = float(np.mean(weight * (offset - place * step) ** 2))
    return place, information**-0.5, misfit


def _interface_records(case: Case, h: Any, order: Values) -> list[Record]:
    """Tell how much of the posterior lies on faces with core and shell, there and elsewhere."""
    faces = h.get_faces()
    sets = [set(map(int, text.split(","))) for text in faces.metadata.Hypermodal_faces]
    both = [{int(order[0]), int(order[1])} <= face for face in sets]
    posterior = np.asarray(faces.data).reshape(len(sets), -1)[:, case.inside]
    mass = posterior[both].sum(axis=0)
    truth = case.abundances[case.inside]
    mixed = (truth[:, 0] > LEAST) & (truth[:, 1] > LEAST)
    without = truth[:, 0] < 1e-9
    title = "posterior of core-shell faces"
    wanted = Aim(median=0.5, large_is_good=True)
    return [
        Record(case.name, "faces", f"{title}, where both are", float(mass[mixed].mean()), wanted),
        Record(case.name, "faces", f"{title}, where no core is", float(mass[without].mean())),
    ]


def _peers(seed: int, size: int) -> list[Record]:
    return peer_records(cases.buried_core(seed, size=size), seed)
