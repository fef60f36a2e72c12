"""What a benchmark measures, how it is kept in a file, and how it is printed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Aim:
    """What a quantity should be.

    Parameters
    ----------
    median
        What the median over the seeds should not exceed; None for no aim.
    each
        What no seed should exceed: beyond it, or without a value, it counts as a failure.
    large_is_good
        Whether both are limits from below instead.
    mean, within
        What the mean over the seeds should be, and how near to that.
    """

    median: float | None = None
    each: float | None = None
    large_is_good: bool = False
    mean: float | None = None
    within: float = 0.0


NO_AIM = Aim()
FLAG = Aim(each=0.0)
"""Of a quantity that is 1 where something went wrong, and 0 where not."""


@dataclass(frozen=True)
class Record:
    """One measured value.

    Parameters
    ----------
    case, method, quantity
        What was measured, as printed.
    value
        NaN where the method gave none.
    aim
        What it should be.
    seconds, peak
        Time and growth of the resident memory in MiB of the method; NaN where not measured.
    """

    case: str
    method: str
    quantity: str
    value: float
    aim: Aim = NO_AIM
    seconds: float = math.nan
    peak: float = math.nan


@dataclass(frozen=True)
class Unit:
    """The smallest part of a benchmark that can be run, and skipped where its file has it.

    Parameters
    ----------
    name
        Of what is run, unique within the row.
    seed
        Of the data.
    run
        Returns the records.
    """

    name: str
    seed: int
    run: Callable[[], list[Record]]


@dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Parameters
    ----------
    seeds
        Of the phantoms.
    large_seeds, peer_seeds
        How many of them at large sizes, and of the peers (other packages), which are slow.
    quick
        Tiny sizes: shows that everything runs, not how accurate it is.
    data
        Folder of the real files.
    """

    seeds: tuple[int, ...]
    large_seeds: int = 20
    peer_seeds: int = 3
    quick: bool = False
    data: Path = field(default_factory=Path)


def key(row: str, unit: Unit) -> str:
    """Name of a unit in a file of results."""
    return f"{row} | {unit.name} | {unit.seed}"


def append(path: Path, name: str, records: Iterable[Record]) -> None:
    """Add the records of one unit to a file, as a line of JSON."""
    plain = [{k: None if v != v else v for k, v in asdict(r).items()} for r in records]
    with path.open("a") as file:
        file.write(json.dumps({"unit": name, "records": plain}, allow_nan=False) + "\n")


def read(path: Path) -> dict[str, list[Record]]:
    """Read the records that `append` wrote, by the name of the unit."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return {line["unit"]: [_record(r) for r in line["records"]] for line in lines}


def _record(plain: dict) -> Record:
    values = {k: math.nan if v is None else v for k, v in plain.items()}
    return Record(**{**values, "aim": Aim(**plain["aim"])})


def failed(record: Record) -> bool:
    """Whether a value is missing or beyond the limit of each seed."""
    if math.isnan(record.value):
        return True
    if record.aim.each is None:
        return False
    beyond = record.value - record.aim.each
    return beyond < 0 if record.aim.large_is_good else beyond > 0


def table(records: list[Record]) -> str:
    """Arrange records as text, a line for each case, method and quantity.

    Parameters
    ----------
    records
        Of all seeds.

    Returns
    -------
    str
        Number of values, mean, median, 10 % and 90 % quantiles, worst, failures, aims, median time
        and largest memory. A flag (1 = bad) shows only how often it was raised.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.case, record.method, record.quantity), []).append(record)
    widths = [max((len(name[i]) for name in groups), default=0) for i in range(3)]
    widths = [max(w, len(t)) for w, t in zip(widths, ("case", "method", "quantity"), strict=True)]
    head = "  ".join(
        f"{t:{w}}" for t, w in zip(("case", "method", "quantity"), widths, strict=True)
    )
    lines = [
        f"{head}{'n':>5}{'mean':>9}{'median':>9}{'10 %':>9}{'90 %':>9}{'worst':>9}{'failed':>8}  "
        f"{'aim':18}{'s':>7}{'MiB':>7}"
    ]
    for names, group in groups.items():
        label = "  ".join(f"{name:{w}}" for name, w in zip(names, widths, strict=True))
        lines.append(label + _statistics(group))
    return "\n".join(lines)


def _statistics(group: list[Record]) -> str:
    aim = group[0].aim
    values = np.array([record.value for record in group])
    known = values[~np.isnan(values)]
    failures = sum(map(failed, group))
    seconds = [r.seconds for r in group if not math.isnan(r.seconds)]
    peaks = [r.peak for r in group if not math.isnan(r.peak)]
    if aim == FLAG or not known.size:
        numbers = f"{'':45}"
    else:
        low, middle, high = np.quantile(known, (0.1, 0.5, 0.9))
        worst = known.min() if aim.large_is_good else known.max()
        if aim.mean is not None:
            worst = known[np.argmax(np.abs(known - aim.mean))]
        numbers = "".join(f"{v:9.4g}" for v in (known.mean(), middle, low, high, worst))
    time = f"{np.median(seconds):7.2f}" if seconds else f"{'':7}"
    peak = f"{max(peaks):7.0f}" if peaks else ""
    return f"{len(values):5d}{numbers}{failures:8d}  {_text(aim):18}{time}{peak}".rstrip()


def _text(aim: Aim) -> str:
    if aim == FLAG:
        return "never"
    sign = ">=" if aim.large_is_good else "<="
    parts = [] if aim.median is None else [f"{sign} {aim.median:g}"]
    parts += [] if aim.each is None else [f"each {sign} {aim.each:g}"]
    parts += [] if aim.mean is None else [f"mean {aim.mean:g} ± {aim.within:g}"]
    return ", ".join(parts)
