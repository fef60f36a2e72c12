"""Whether probabilities of faces are what they are said to be: reliability on phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks import cases, methods
from benchmarks.cases import Case
from benchmarks.records import NO_AIM, Aim, Record, Settings, Unit
from hyperfuse_hs import metrics

Values = NDArray[np.float64]

EDGES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
"""Of the bins of probabilities."""

WITHIN = 0.05
"""How near to the mean probability of a bin the part of it that is so should be."""


def units(settings: Settings) -> Iterator[Unit]:
    """Yield TiO2 phantoms of full and of low dose, flat and with thickness, and core-shell ones."""
    size = 24 if settings.quick else 48
    for counts, dose in (("flat", 1.0), ("thickness", 1.0), ("flat", 0.1)):
        for seed in settings.seeds:
            make = partial(cases.tio2, size=size, counts=counts, dose=dose)
            yield Unit(f"{counts} {dose}", seed, partial(measure, make, seed))
    for seed in settings.seeds:
        make = partial(cases.buried_core, size=size)
        yield Unit("core-shell", seed, partial(measure, make, seed))


def probabilities(case: Case, seed: int) -> tuple[Values, NDArray[np.bool_]]:
    """Fuse, and compare with the faces that positions are on.

    Parameters
    ----------
    case
        With the truth.
    seed
        Of the searches.

    Returns
    -------
    stated : ndarray
        ``(n, F)`` probability of each face at the positions inside.
    true : ndarray
        ``(n, F)``, True for the face of the components that are there.
    """
    h = methods.fuse(case, seed, n_components=len(case.components))
    order = metrics.match_components(h.get_factors(case.lead).data, case.factors[case.lead])
    faces = h.get_faces()
    stated = faces.data.reshape(len(faces.data), -1).T[case.inside]
    there = case.abundances[case.inside] > 0
    true = np.empty(stated.shape, dtype=bool)
    for k, text in enumerate(faces.metadata.Hypermodal_faces):
        found = {int(number) for number in text.split(",")}
        present = np.array([int(order[c]) in found for c in range(len(order))])
        true[:, k] = (there == present).all(axis=1)
    return stated, true


def measure(make: partial[Case], seed: int) -> list[Record]:
    """Part of the faces that are so, minus what was said, in bins of probability."""
    case = make(seed)
    stated, true = probabilities(case, seed)
    records = []
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        inside = (stated > low) & (stated <= high)
        if inside.sum() >= 20:
            value = float(true[inside].mean() - stated[inside].mean())
            name = f"{low:g} to {high:g}: true - stated"
            records.append(Record(case.name, "faces", name, value, Aim(mean=0.0, within=WITHIN)))
    best = stated.argmax(axis=1)
    right = float(true[np.arange(len(best)), best].mean())
    records.append(Record(case.name, "faces", "most probable face is right", right, NO_AIM))
    records.append(
        Record(case.name, "faces", "its probability", float(stated.max(axis=1).mean()), NO_AIM)
    )
    return records
