"""A published hyperspectral design: simulated dataset 1 of NMF-QMV, rebuilt.

L. Zhuang et al., IEEE TGRS 57 (2019) 9858: 4000 positions, of at most four library spectra each,
none purer than 0.8, white noise. The library is made here: smooth reflectances at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.cases import Values
from benchmarks.measure import measure
from benchmarks.records import Aim, Record, Settings, Unit
from hyperfuse_hs.algorithms.abundance import simplex_abundances
from hyperfuse_hs.algorithms.faces import face_mixture
from hyperfuse_hs.algorithms.metrics import (
    match_components,
    root_mean_square_error,
    spectral_angle,
)
from hyperfuse_hs.algorithms.simplex import (
    minimum_volume,
    successive_projection,
    vertex_component_analysis,
)

COUNTS = (4, 7, 10)
DECIBELS = (20, 30, 40, 50)
POSITIONS = 4000
BANDS = 224
MOST_ACTIVE = 4
PUREST = 0.8
LEAST_ANGLE = 10.0
"""Degrees between any two spectra of the library."""

FAILED = 5.0
"""Times the oracle's angle."""

Search = Callable[[Values, int, Values, int], Values]

SEARCHES: dict[str, Search] = {
    "face mixture": lambda z, p, v, seed: face_mixture(z, p, v, random_state=seed).endmembers,
    "minimum volume": lambda z, p, v, seed: minimum_volume(z, p, v, random_state=seed).endmembers,
    "VCA": lambda z, p, v, seed: vertex_component_analysis(z, p, random_state=seed),
    "SPA": lambda z, p, v, seed: z[successive_projection(z, p)],
}


def units(settings: Settings) -> Iterator[Unit]:
    """Every number of spectra and signal-to-noise ratio."""
    positions = 500 if settings.quick else POSITIONS
    for p in COUNTS[: 1 if settings.quick else None]:
        for decibels in DECIBELS[: 1 if settings.quick else None]:
            for seed in settings.seeds:
                name = f"{p} {decibels} {positions}"
                yield Unit(name, seed, partial(_measure, p, decibels, positions, seed))


def library(rng: np.random.Generator, count: int) -> Values:
    """Draw smooth reflectance spectra.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        How many.

    Returns
    -------
    ndarray
        ``(count, BANDS)`` between 0 and 1, with at least `LEAST_ANGLE` between any two.
    """
    band = np.linspace(0, 1, BANDS)
    chosen = np.zeros((0, BANDS))
    while len(chosen) < count:
        centres, widths = rng.uniform(-0.1, 1.1, 8), rng.uniform(0.02, 0.3, 8)
        bumps = np.exp(-0.5 * ((band[:, None] - centres) / widths) ** 2)
        spectrum = 0.3 + bumps @ rng.uniform(-0.6, 1.0, 8)
        spectrum -= min(spectrum.min(), 0.0)
        spectrum = 0.02 + 0.9 * spectrum / spectrum.max()
        if not len(chosen) or spectral_angle(chosen, spectrum).min() >= LEAST_ANGLE:
            chosen = np.vstack([chosen, spectrum])
    return chosen


def sparse_abundances(rng: np.random.Generator, n: int, p: int) -> Values:
    """Draw rows that are uniform on a face of at most `MOST_ACTIVE`, none above `PUREST`."""
    rows = np.zeros((n, p))
    for row in rows:
        while True:
            active = rng.permutation(p)[: rng.integers(2, MOST_ACTIVE + 1)]
            values = rng.dirichlet(np.ones(active.size))
            if values.max() <= PUREST:
                row[active] = values
                break
    return rows


def reduced(data: Values, p: int) -> tuple[Values, Values, Values]:
    """Project on the principal axes.

    Parameters
    ----------
    data
        ``(N, C)``.
    p
        Number of endmembers.

    Returns
    -------
    scores, axes, mean
        ``(N, p - 1)``, ``(p - 1, C)``, ``(C,)``.
    """
    mean = data.mean(axis=0)
    axes = np.linalg.eigh(np.cov(data.T))[1][:, :-p:-1].T
    return (data - mean) @ axes.T, axes, mean


def _measure(p: int, decibels: int, n: int, seed: int) -> list[Record]:
    rng = np.random.default_rng([seed, p, decibels])
    spectra, abundances = library(rng, p), sparse_abundances(rng, n, p)
    clean = abundances @ spectra
    variance = float(np.mean(clean**2) / 10 ** (decibels / 10))
    data = clean + np.sqrt(variance) * rng.standard_normal(clean.shape)
    oracle = np.linalg.lstsq(abundances, data, rcond=None)[0]
    best = float(spectral_angle(oracle, spectra).mean())
    scores, axes, mean = reduced(data, p)
    least = _abundance_error(scores, (spectra - mean) @ axes.T, abundances)
    name = f"p = {p}, {decibels} dB"
    records = [Record(name, "oracle", "angle [degrees]", best)]
    for method, search in SEARCHES.items():
        ours = method == "face mixture"
        done = measure(partial(search, scores, p, np.full(n, variance), seed))
        found = done.result @ axes + mean
        order = match_components(found, spectra)
        angle = float(spectral_angle(found[order], spectra).mean())
        error = _abundance_error(scores, done.result[order], abundances)
        aim = Aim(median=1.5, each=FAILED) if ours else Aim(each=FAILED)
        time = {"seconds": done.seconds, "peak": done.peak}
        records += [
            Record(name, method, "angle / oracle", angle / best, aim, **time),
            Record(name, method, "angle [degrees]", angle),
            Record(name, method, "abundances / oracle", error / least),
        ]
    return records


def _abundance_error(scores: Values, endmembers: Values, truth: Values) -> float:
    return root_mean_square_error(simplex_abundances(scores, endmembers), truth)
