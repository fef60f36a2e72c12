"""Methods of the package, called as a user calls them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

import hyperfuse_hs as hf
from benchmarks.cases import Case
from benchmarks.measure import Measured, measure
from benchmarks.scores import Estimate

UNMIXING = ("minimum_volume", "vertex", "nmf")
"""What can be asked for instead of the face mixture."""


def fuse(case: Case, seed: int, **options: Any) -> Any:
    """Fuse all signals of a case with default options but for those given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hf.fuse(
            list(case.signals.values()),
            names=list(case.signals),
            navigation_mask=case.mask,
            random_state=seed,
            show_progressbar=False,
            **options,
        )


def automatic_count(case: Case, seed: int) -> Measured[int]:
    """Count the components that ``n_components="auto"`` finds.

    Unmixing takes no part in that, so the fastest will do: where far too many are found, the face
    mixture would take hours.
    """

    def count() -> int:
        return int(fuse(case, seed, unmixing="vertex").data.shape[-1])

    return measure(count)


def timed_fusion(case: Case, seed: int, **options: Any) -> Measured[Any]:
    """Fuse and measure."""
    return measure(lambda: fuse(case, seed, **options))


def estimate(h: Any, case: Case) -> Estimate:
    """Read abundances and factors of a fusion."""
    abundances = np.asarray(h.data).reshape(len(case.inside), -1)[case.inside]
    count = abundances.shape[1]
    factors = {n: np.asarray(h.get_factors(n).data).reshape(count, -1) for n in h.modalities}
    return Estimate(abundances, factors)


def variants(h: Any) -> dict[str, Any]:
    """Unmix a fusion again from each signal alone, and from all of them stacked.

    Parameters
    ----------
    h
        Fusion of several signals.

    Returns
    -------
    dict
        Name -> new result. ``"<signal> alone"``: the others only receive factors.
        ``"concatenated"``: all lead, so that the variation of each defines components.
    """
    names = h.modalities
    count = h.data.shape[-1]
    roles = {
        f"{name} alone": {n: "lead" if n == name else "passive" for n in names} for name in names
    }
    roles["concatenated"] = dict.fromkeys(names, "lead")
    return {label: h.unmix(n_components=count, roles=chosen) for label, chosen in roles.items()}


def without(case: Case, name: str) -> Case:
    """Leave a modality out."""
    signals = {n: s for n, s in case.signals.items() if n != name}
    factors = {n: f for n, f in case.factors.items() if n != name}
    return _replaced(case, signals, factors)


def with_signal(case: Case, name: str, signal: BaseSignal) -> Case:
    """Replace the data of a modality by others, whose factors nobody knows."""
    factors = {n: f for n, f in case.factors.items() if n != name}
    return _replaced(case, {**case.signals, name: signal}, factors)


def _replaced(case: Case, signals: dict, factors: dict) -> Case:
    return Case(
        case.name,
        signals,
        case.components,
        case.abundances,
        factors,
        case.scale,
        case.inside,
        case.mask,
    )
