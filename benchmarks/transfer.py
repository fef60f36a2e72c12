"""Held out: half of a scan, predicted from one signal there and the fusion of the other half.

Errors are those of the predicted mean, over those of true abundances times the same factors: 1
says that nothing is lost by taking abundances from one signal alone. Other estimators have the same
data.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hyperfuse_hs as hf
from benchmarks.cases import Case, tio2
from benchmarks.records import NO_AIM, Aim, Record, Settings, Unit
from hyperfuse_hs.algorithms.abundance import nonnegative_least_squares

Values = NDArray[np.float64]

PAIRS = (("EDS", "EELS"), ("Diffraction", "EELS"), ("EELS", "EDS"))
"""What is predicted, and from what."""

CALIBRATED = Aim(mean=1.0, within=0.25)
ORACLE = Aim(median=1.05)


def units(settings: Settings) -> Iterator[Unit]:
    """Yield seeds with the same counts everywhere, and with counts that follow the thickness."""
    for counts in ("flat", "thickness"):
        for seed in settings.seeds:
            size = 24 if settings.quick else 64
            yield Unit(f"{counts} {size}", seed, partial(measure, seed, size, counts))


def measure(seed: int, size: int, counts: str) -> list[Record]:
    """Compare predictions of the right half of a scan with the truth.

    Parameters
    ----------
    seed, size, counts
        Of the TiO2 phantom.

    Returns
    -------
    list of Record
        Errors, and mean squared deviates.
    """
    case = tio2(seed, size=size, counts=counts)
    right = np.zeros((size, size), dtype=bool)
    right[:, size // 2 :] = True
    known, other = case.inside & ~right.ravel(), case.inside & right.ravel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = hf.fuse(
            list(case.signals.values()),
            names=list(case.signals),
            n_components=len(case.components),
            navigation_mask=~known.reshape(size, size),
            # So that abundances are of the thickness, as those of the truth.
            scale="none" if counts == "flat" else case.scale.reshape(size, size),
            random_state=seed,
            show_progressbar=False,
        )
    order = hf.metrics.match_components(h.get_factors("EELS").data, case.factors["EELS"])
    records = []
    for name, source in PAIRS:
        truth = case.scale[other, None] * (case.abundances[other] @ case.factors[name])
        factors = _factors(h, name)[order]
        least = np.mean((case.scale[other, None] * case.abundances[other] @ factors - truth) ** 2)
        for method, (mean, variance) in _predictions(h, case, name, source, known, other).items():
            squares = (mean - truth) ** 2
            ratio = float(np.sqrt(np.mean(squares) / least))
            ours, exact = variance is not None, source == "EELS"
            aim = ORACLE if ours and exact and name == "Diffraction" else NO_AIM
            label = f"{name} from {source}"
            records.append(Record(case.name, method, f"{label}: error / oracle", ratio, aim))
            if variance is not None:
                said = float(np.mean(squares) / np.mean(variance))
                quantity = f"{label}: squares / said"
                records.append(Record(case.name, method, quantity, said, CALIBRATED))
    return records


def _predictions(
    h: Any,
    case: Case,
    name: str,
    source: str,
    known: NDArray[np.bool_],
    other: NDArray[np.bool_],
) -> dict[str, tuple[Values, Values | None]]:
    """Predict one signal in several ways, with the variance where there is one."""
    data, target = (
        np.asarray(case.signals[n].data, dtype=float).reshape(len(known), -1)
        for n in (source, name)
    )
    found = h.predict(name, from_=source)
    mean, variance = (
        np.asarray(s.data).reshape(len(known), -1)[other]
        for s in (found, found.get_noise_variance())
    )
    weight = 1 / np.maximum(data[known].mean(axis=0), 10 / np.count_nonzero(known))
    own = _factors(h, source)
    fitted = nonnegative_least_squares((own * weight) @ own.T, (own * weight) @ data[other].T).T
    # As many directions of the source as there are components, or as stand out of its noise.
    rank = max(1, min(h._result.modalities[source].rank, len(own)))
    root = np.sqrt(weight)
    right = np.linalg.svd(data[known] * root, full_matrices=False)[2][:rank].T
    slopes = np.linalg.lstsq((data[known] * root) @ right, target[known], rcond=None)[0]
    return {
        "predict": (mean, variance),
        "least squares, not negative": (fitted @ _factors(h, name), None),
        "linear regression": ((data[other] * root) @ right @ slopes, None),
    }


def _factors(h: Any, name: str) -> Values:
    factors = np.asarray(h.get_factors(name).data)
    return factors.reshape(len(factors), -1)
