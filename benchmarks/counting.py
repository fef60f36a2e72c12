"""How often the number of components is found, from few to many counts, with two kinds of noise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks import methods
from benchmarks.cases import MATERIALS, Case, grains, make_case, material_factors
from benchmarks.records import FLAG, Record, Settings, Unit
from hyperfuse_hs.algorithms.rank import noise_edge

COUNTS = (2, 3, 4, 5, 6)
DOSES = (0.1, 1.0, 10.0)
NOISES = {"Poisson": {}, "mixed": {"gain": 4.0, "read_noise": 20.0}}


def units(settings: Settings) -> Iterator[Unit]:
    """Every number of components, dose and noise."""
    size = 20 if settings.quick else 40
    counts = COUNTS[:2] if settings.quick else COUNTS
    doses = DOSES[1:2] if settings.quick else DOSES
    for noise in NOISES:
        for dose in doses:
            for p in counts:
                for seed in settings.seeds:
                    name = f"{noise} {dose:g} {p} {size}"
                    yield Unit(name, seed, partial(_measure, noise, dose, p, size, seed))


def _measure(noise: str, dose: float, p: int, size: int, seed: int) -> list[Record]:
    rng = np.random.default_rng([seed, p])
    factors = material_factors(MATERIALS[:p])
    case = make_case("", grains(rng, size, p), factors, rng, dose=dose, **NOISES[noise])
    counted = methods.automatic_count(case, seed)
    found = counted.result
    name = f"{noise}, dose {dose:g}"
    strength = weakest(case, noise)
    wrong = float(found != p)
    whole = "all above the edge" if strength >= 1 else "all below the edge"
    return [
        Record(name, f"p = {p}", "wrong", wrong, FLAG, counted.seconds, counted.peak),
        Record(name, f"p = {p}", "found", float(found)),
        Record(name, f"p = {p}", "weakest signal / edge of noise", strength),
        Record(name, whole, "wrong", wrong, FLAG),
        Record("all", whole, "wrong", wrong, FLAG),
    ]


def weakest(case: Case, noise: str) -> float:
    """Smallest singular value of the noiseless stack over the largest one of noise alone.

    Parameters
    ----------
    case
        Of `make_case`.
    noise
        Key of `NOISES`, for the variance of what is not counted one by one.

    Returns
    -------
    float
        Below about one, nobody can find the last component by its variance.
    """
    options = NOISES[noise]
    blocks, channels = [], 0
    for name, factors in case.factors.items():
        mean = case.abundances @ factors
        analog = name != "EDS"
        gain = options.get("gain", 1.0) if analog else 1.0
        read = options.get("read_noise", 0.0) if analog else 0.0
        variance = gain * mean.mean(axis=0) + read**2
        blocks.append(case.abundances @ (factors / np.sqrt(np.maximum(variance, 1e-9))))
        channels += factors.shape[1]
    values = np.linalg.svd(np.hstack(blocks), compute_uv=False)
    return float(values[case.abundances.shape[1] - 1] / noise_edge(len(case.abundances), channels))
