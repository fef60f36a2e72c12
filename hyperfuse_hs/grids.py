"""Where scans lie: their axes, and one sampling for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pint
from hyperspy.signal import BaseSignal

from hyperfuse_hs.extended import conversion

FIELDS = ("auto", "axes", "same")

ASTRAY = 0.5
"""How far positions may run apart across a scan where samplings differ, in common positions."""


NEAR = 0.01
"""Distance from a position at which nothing is interpolated, in positions."""


@dataclass(frozen=True)
class Grid:
    """The positions of a scan along each axis, in numpy order.

    Parameters
    ----------
    name
        Of the signal.
    shape
        Number of positions.
    scale, offset
        Distance of positions, and where the first one lies, in units of the axes.
    units, labels
        Of the axes; empty where not set.
    """

    name: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    units: tuple[str, ...]
    labels: tuple[str, ...]

    def shown(self, axis: int) -> str:
        """One axis in words."""
        return (
            f"{self.name}: {self.shape[axis]} positions, {self.scale[axis]:.4g} "
            f"{self.units[axis] or 'without units'} apart"
        )


@dataclass(frozen=True)
class Placed:
    """Where a scan lies on the grid of the reference, axis by axis in numpy order.

    Parameters
    ----------
    name, shape
        As of `Grid`.
    step
        Distance of its positions, in positions of the reference.
    origin
        Where its first position lies, in positions of the reference.
    factor
        How many of its positions make a common one.
    """

    name: str
    shape: tuple[int, ...]
    step: tuple[float, ...]
    origin: tuple[float, ...]
    factor: tuple[int, ...] = ()


def scan_axes(signal: BaseSignal) -> list[Any]:
    """Axes of the scan, in numpy order; those of an image if it has no navigation axes."""
    axes = signal.axes_manager
    return list(axes.navigation_axes or axes.signal_axes)[::-1]


def grid_of(signal: BaseSignal, name: str) -> Grid:
    """Read the axes of a scan.

    Raises
    ------
    ValueError
        One of them is not uniform.
    """
    axes = scan_axes(signal)
    for axis in axes:
        if not axis.is_uniform:
            raise ValueError(
                f"Expected scan axes with positions at equal distances. Got a non-uniform axis "
                f"{axis.name} of {name}. Convert it first: "
                "signal.axes_manager[...].convert_to_uniform_axis(), or interpolate_on_axis."
            )

    def text(value: Any) -> str:
        return value if isinstance(value, str) and value != "<undefined>" else ""

    return Grid(
        name=name,
        shape=tuple(axis.size for axis in axes),
        scale=tuple(float(axis.scale) for axis in axes),
        offset=tuple(float(axis.offset) for axis in axes),
        units=tuple(text(axis.units) for axis in axes),
        labels=tuple(text(axis.name) or f"axis {k}" for k, axis in enumerate(axes[::-1]))[::-1],
    )


def place_all(grids: Sequence[Grid], field: str) -> list[Placed]:
    """Say where all scans lie on the grid of the first, and how they get one sampling.

    Parameters
    ----------
    grids
        Of all signals, the reference first.
    field
        One of ``FIELDS``, as in `register`.

    Returns
    -------
    list of Placed
        Each with the factors that bring it to the coarsest sampling.

    Raises
    ------
    ValueError
        The scans have different dimensions, units that do not convert, opposite directions or
        samplings that are no multiples of each other.
    """
    placed = [place(grids[0], grid, field) for grid in grids]
    factors: list[list[int]] = [[] for _ in placed]
    for k in range(len(grids[0].shape)):
        coarse = max(range(len(placed)), key=lambda number: placed[number].step[k])
        for item, grid, own in zip(placed, grids, factors, strict=True):
            ratio = placed[coarse].step[k] / item.step[k]
            own.append(_factor(ratio, k, grids[coarse], grid))
    return [replace(item, factor=tuple(own)) for item, own in zip(placed, factors, strict=True)]


def place(reference: Grid, grid: Grid, field: str) -> Placed:
    """Say where a scan lies on the grid of another."""
    if len(grid.shape) != len(reference.shape):
        raise ValueError(
            f"All signals must have the same number of scan axes. Got {reference.name} with "
            f"{reference.shape[::-1]} and {grid.name} with {grid.shape[::-1]} positions. Take the "
            "same scan axes of both, e.g. with transpose or sum."
        )
    axes = [_place_axis(reference, grid, k) for k in range(len(grid.shape))]
    if field == "same" or (field == "auto" and _same_field(reference, grid)):
        axes = [
            (own := theirs / mine, (own - 1) / 2)
            for theirs, mine in zip(reference.shape, grid.shape, strict=True)
        ]
    elif any(step is None for step, _ in axes):
        k = next(k for k, (step, _) in enumerate(axes) if step is None)
        raise ValueError(
            "Expected scan axes in units that convert into each other. Got "
            f"{reference.shown(k)} and {grid.shown(k)} along {reference.labels[k]}. Calibrate "
            "them, e.g. signal.axes_manager[0].units = 'nm', or use field=\"same\" if both scans "
            "show the same area."
        )
    steps = tuple(float(step) for step, _ in axes if step is not None)
    return Placed(grid.name, grid.shape, steps, tuple(float(origin) for _, origin in axes))


def _same_field(reference: Grid, grid: Grid) -> bool:
    """Whether axes say nothing, and shapes say that both scans show the same area."""
    calibrated = [all(item.units) for item in (reference, grid)]
    if all(calibrated):
        return False
    ratios = [max(a, b) / min(a, b) for a, b in zip(reference.shape, grid.shape, strict=True)]
    whole = all(ratio == round(ratio) for ratio in ratios)
    if any(calibrated):
        return whole
    unset = reference.scale == grid.scale and reference.units == grid.units
    return unset and reference.offset == grid.offset and whole and max(ratios) > 1


def _place_axis(reference: Grid, grid: Grid, k: int) -> tuple[float | None, float]:
    """Step and origin along an axis; no step where units do not convert."""
    if bool(reference.units[k]) != bool(grid.units[k]):
        return None, 0.0
    try:
        unit = conversion(grid.units[k], reference.units[k]) if grid.units[k] else 1.0
    except (pint.PintError, ValueError, TypeError, AttributeError):
        return None, 0.0
    step = grid.scale[k] * unit / reference.scale[k]
    if not step > 0:
        raise ValueError(
            f"Expected scans that run in the same direction. Got {reference.shown(k)} and "
            f"{grid.shown(k)} along {reference.labels[k]}. Reverse one of them first, e.g. "
            "signal.inav[::-1]."
        )
    return step, (grid.offset[k] * unit - reference.offset[k]) / reference.scale[k]


def _factor(ratio: float, k: int, coarse: Grid, fine: Grid) -> int:
    """How many positions of a scan make one of the coarsest."""
    factor = round(ratio)
    # What differs only in the last digits of a calibration stays together across the scan.
    if fine.shape[k] / ratio * abs(factor / ratio - 1) <= ASTRAY:
        return factor
    raise ValueError(
        f"Expected samplings of which one is a whole multiple of the other. Got {coarse.shown(k)} "
        f'and {fine.shown(k)} along {fine.labels[k]}: a ratio of {ratio:.4g}. Use field="same" if '
        "both scans show the same area and the axes are not to be trusted, or interpolate one of "
        "them, e.g. signal.rebin(new_shape=...), which correlates its noise."
    )


def common_start(
    placed: Sequence[Placed], shifts: Sequence[Sequence[float]], between: bool = False
) -> tuple[list[tuple[float, ...]], tuple[int, ...]]:
    """Crop all scans to what they share.

    Parameters
    ----------
    placed
        The scans, the reference first.
    shifts
        Displacement of what each of them shows, in positions of the reference.
    between
        Whether values between positions are wanted, for which the next position is needed, too.

    Returns
    -------
    starts
        First position to be used of each scan, not rounded; the reference's are whole.
    shape
        Of the common field, in common positions; zero or less where nothing is shared.
    """
    starts, shape = [[0.0] * len(placed[0].shape) for _ in placed], []
    for k in range(len(placed[0].shape)):
        step = placed[0].factor[k]
        own = [
            (((step - 1) / 2 + shift[k] - p.origin[k]) / p.step[k] - (p.factor[k] - 1) / 2)
            for p, shift in zip(placed, shifts, strict=True)
        ]
        begin = [first_used(start, between) for start in own]
        end = [
            p.shape[k] - (between and start - i > NEAR)
            for p, start, i in zip(placed, own, begin, strict=True)
        ]
        first = max(int(np.ceil(-i / p.factor[k])) for i, p in zip(begin, placed, strict=True))
        last = min((e - i) // p.factor[k] for e, i, p in zip(end, begin, placed, strict=True))
        for start, value, p in zip(starts, own, placed, strict=True):
            start[k] = value + first * p.factor[k]
        shape.append(last - first)
    return [tuple(start) for start in starts], tuple(shape)


def first_used(start: float, between: bool) -> int:
    """Position at, or next below, where a scan is to begin."""
    nearest = int(np.floor(start + 0.5))
    return int(np.floor(start)) if between and abs(start - nearest) > NEAR else nearest
