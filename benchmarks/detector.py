"""Mean patterns of a large detector on disk, of which only some directions are kept.

Next to them stand those of the same counts in blocks of channels, few enough that all directions
are: the large ones, summed over these blocks, should err no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks import cases, methods
from benchmarks.cases import Case, Values
from benchmarks.coverage import Judge
from benchmarks.records import NO_AIM, Aim, Record, Settings, Unit
from hyperfuse_hs.data import tio2_polymorphs

NAME = "Diffraction"
BLOCK = 4
"""Channels along each side of a block."""

SIZES = ((32, 256), (64, 256))
"""Positions along each side of the scan, and channels along each side of the detector."""


def units(settings: Settings) -> Iterator[Unit]:
    """Yield seeds of scans in which a modality varies in fewer and in more ways than are kept."""
    for size, detector in ((24, 128),) if settings.quick else SIZES:
        for seed in settings.seeds[: settings.large_seeds]:
            yield Unit(f"detector {size} {detector}", seed, partial(measure, seed, size, detector))


def measure(seed: int, size: int, detector: int) -> list[Record]:
    """Fuse as from disk, and in memory with blocks of the detector.

    Parameters
    ----------
    seed, size, detector
        Of the TiO2 phantom.

    Returns
    -------
    list of Record
        Coverage by the intervals, squared errors over those stated, and errors over those of the
        blocks.
    """
    phantom = tio2_polymorphs(scan=(size, size), detector=(detector, detector), random_state=seed)
    case = cases.from_phantom(f"TiO2 {size}x{size}, detector {detector}x{detector}", phantom)
    lazy = replace(case, signals={name: s.as_lazy() for name, s in case.signals.items()})
    h = methods.fuse(lazy, seed, n_components=len(case.components))
    judge = Judge(case, h, aimed=False)
    part = h._scores.modalities[NAME]
    kept = float(len(part.projection) / (part.rank + 1))
    records = [Record(case.name, "on disk", "directions kept / there", kept, NO_AIM)]
    records += [r for r in judge.records("on disk", h) if f"{NAME}, " in r.quantity]
    found, truth = judge.found.factors[NAME][judge.order], case.factors[NAME]
    stated = np.asarray(h.get_factor_errors(NAME).data).reshape(truth.shape)[judge.order]
    blocks = _in_blocks(case, detector)
    in_memory = methods.fuse(blocks, seed, n_components=len(case.components))
    small = Judge(blocks, in_memory, aimed=False)
    others = small.found.factors[NAME][small.order] - blocks.factors[NAME]
    ours = _summed(found - truth, detector)
    for number, component in enumerate(case.components):
        squares = float(np.sum((found - truth)[number] ** 2) / np.sum(stated[number] ** 2))
        label = f"{component}: squared errors / stated"
        records.append(Record(case.name, "on disk", label, squares, NO_AIM))
        ratio = float(np.linalg.norm(ours[number]) / np.linalg.norm(others[number]))
        label = f"{component}: error / that of all directions"
        records.append(Record(case.name, "on disk", label, ratio, Aim(median=1.5)))
    return records


def _in_blocks(case: Case, detector: int) -> Case:
    """Sum the counts and the truth over blocks of channels."""
    signal = case.signals[NAME]
    data = signal.data.reshape(*signal.data.shape[:2], -1)
    summed = _summed(data.astype(np.int32), detector)
    side = detector // BLOCK
    patterns = signal.isig[:side, :side]._deepcopy_with_new_data(
        summed.reshape(*data.shape[:2], side, side)
    )
    factors = {**case.factors, NAME: _summed(case.factors[NAME], detector)}
    return replace(case, signals={**case.signals, NAME: patterns}, factors=factors)


def _summed(values: Values, detector: int) -> Values:
    """Sum over blocks of the last axis, which is the detector row by row."""
    side = detector // BLOCK
    split = values.reshape(*values.shape[:-1], side, BLOCK, side, BLOCK)
    return np.asarray(split.sum(axis=(-3, -1)).reshape(*values.shape[:-1], side * side))
