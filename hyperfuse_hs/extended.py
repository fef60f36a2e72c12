"""Factors of several modalities as one spectrum: which may be joined, and on what scale."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import hyperspy.api as hs
import numpy as np
import pint
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.merging import (
    Gain,
    Piece,
    channel_edges,
    covered,
    fit_gain,
    merge,
    overlapping,
    settle_gains,
)
from hyperfuse_hs.options import SHORT_NAMES
from hyperfuse_hs.regions import axis_values

Floats = NDArray[np.float64]

MISFIT = 3.0
"""Mean square of what remains between overlapping spectra, over its variance, that is too much."""

LARGEST_ERROR = 0.5
"""Relative error of a ratio beyond which an overlap says nothing of it."""

UNIFORM = 1e-4
"""Part of a channel by which an axis may depart from a uniform one."""


@dataclass(frozen=True, eq=False)
class Range:
    """Factors of one modality over its spectral range.

    Parameters
    ----------
    name
        Of the modality.
    kind
        Spectra of the same kind are alike where they overlap.
    axis
        Its signal axis, as HyperSpy's dictionary.
    factors, variance
        ``(p, C_all)``, NaN in excluded channels.
    """

    name: str
    kind: str
    axis: dict[str, Any]
    factors: Floats
    variance: Floats

    def piece(self, units: str) -> Piece:
        """Channels in other units, ascending."""
        centres = axis_values(self.axis) * conversion(self.axis.get("units"), units)
        order = np.argsort(centres)
        edges = channel_edges(centres[order])
        return Piece(edges, self.factors[:, order], self.variance[:, order])


@dataclass(frozen=True, eq=False)
class Extended:
    """Factors over all ranges.

    Parameters
    ----------
    centres
        ``(J,)`` ascending, in `units`.
    units
        Of the axis.
    factors, variance
        ``(p, J)`` per unit of the axis, and its squared standard errors.
    gains
        By name, what each modality was multiplied by.
    differences
        By pair of names that were joined where they overlap: root mean square of their differences
        there, over the standard errors; about one where they meet as well as errors say.
    apart
        Pairs that overlap but were not joined, as they are of different kinds.
    """

    centres: Floats
    units: str
    factors: Floats
    variance: Floats
    gains: dict[str, float]
    differences: dict[str, float]
    apart: list[str]

    @property
    def uniform(self) -> bool:
        """Whether the channels lie at equal distances."""
        steps = np.diff(self.centres)
        even = self.centres[0] + np.arange(self.centres.size) * np.mean(steps)
        return bool(np.max(np.abs(self.centres - even)) <= UNIFORM * np.mean(steps))


def kind_of(signal_type: str, name: str) -> str:
    """Kind of a spectrum by its signal type, or else by the name of the modality.

    What carries ``fuse`` is of the native kind.
    """
    known = (part for part in SHORT_NAMES if part in signal_type)
    of_name = (part for part, short in SHORT_NAMES.items() if name.startswith(short))
    return next(known, signal_type or next(of_name, ""))


def conversion(units: Any, wanted: str) -> float:
    """Factor from some units to others."""
    return float(hs._ureg.Quantity(1.0, units).to(wanted).magnitude) if units != wanted else 1.0


def check_ranges(names: Sequence[str], axes: Mapping[str, list[dict[str, Any]]]) -> str:
    """Refuse what cannot be put on one axis.

    Parameters
    ----------
    names
        Of the modalities to join.
    axes
        Signal axes of each, in numpy order.

    Returns
    -------
    str
        Units of the first.

    Raises
    ------
    ValueError
        Fewer than two modalities, one twice, no spectrum, or units that do not go together.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(
            f"Expected at least two different modalities to join. Got {list(names)}. The factors "
            "of a single one are h.get_factors(name)."
        )
    for name in names:
        if len(axes[name]) != 1 or int(axes[name][0].get("size", 2)) < 2:
            size = tuple(int(axis["size"]) for axis in axes[name])
            raise ValueError(
                f"Expected spectra, with one signal axis. Got {name} with signal shape {size}: "
                "images and patterns have no place on an energy axis."
            )
    first = axes[names[0]][0].get("units")
    for name in names:
        units = axes[name][0].get("units")
        if not _convertible(units, first):
            raise ValueError(
                f"Expected axes in units that can be converted, such as eV and keV. Got "
                f"{names[0]} in {_shown(first)} and {name} in {_shown(units)}. Set the units of "
                "the signal axis before the fusion: signal.axes_manager[-1].units = 'eV'."
            )
    return str(first)


def _shown(units: Any) -> str:
    return units if isinstance(units, str) and units else "no units"


def _convertible(units: Any, wanted: Any) -> bool:
    if not all(isinstance(unit, str) and unit for unit in (units, wanted)):
        return False
    try:
        conversion(units, wanted)
    except (pint.PintError, ValueError, TypeError, AttributeError):
        return bool(units == wanted)
    return True


def check_gains(gains: Any, names: Iterable[str]) -> dict[str, float]:
    """Read gains that the user gives.

    Raises
    ------
    TypeError
        They are no dict of numbers.
    ValueError
        A name is none of the modalities to join, or a number is not positive.
    """
    if gains is None:
        return {}
    names = list(names)
    if not isinstance(gains, Mapping):
        raise TypeError(f"Expected gains as a dict such as {{{names[0]!r}: 2.0}}. Got {gains!r}.")
    for name, gain in gains.items():
        if name not in names:
            raise ValueError(f"Expected gains of {names}. Got one of {name!r}.")
        if isinstance(gain, bool) or not isinstance(gain, Real):
            raise TypeError(f"Expected a number as gain of {name}. Got {gain!r}.")
        if not 0 < float(gain) < np.inf:
            raise ValueError(f"Expected a positive gain of {name}. Got {gain!r}.")
    return {name: float(gain) for name, gain in gains.items()}


def extend(ranges: Sequence[Range], units: str, gains: Mapping[str, float]) -> Extended:
    """Join the factors of several modalities.

    Parameters
    ----------
    ranges
        In order of precedence between different kinds.
    units
        Of the axis of the result.
    gains
        By name, for those that are known.

    Returns
    -------
    Extended
        Per unit of the axis, for the abundance one.

    Raises
    ------
    ValueError
        The range of a modality lies within those of other kinds that come before it.
    """
    pieces = [entry.piece(units) for entry in ranges]
    ratios = _ratios(ranges, pieces)
    known = {k: float(np.log(gains[r.name])) for k, r in enumerate(ranges) if r.name in gains}
    log, error = settle_gains(len(pieces), ratios, known)
    scaled = [piece.times(float(np.exp(g))) for piece, g in zip(pieces, log, strict=True)]
    joined: list[Piece] = []
    parts: list[Floats] = []
    rows: list[Floats] = []
    for kind in dict.fromkeys(entry.kind for entry in ranges):
        members = [k for k, entry in enumerate(ranges) if entry.kind == kind]
        taken = [covered(whole.edges) for whole in joined]
        own = [_outside(scaled[k], taken, ranges, k) for k in members]
        whole, influence = merge(own)
        joined.append(whole)
        parts.append(np.array(influence))
        rows.append(error[members])
    # A gain that is not known exactly shifts all of its spectrum in common.
    variance = np.hstack(
        [
            piece.variance + np.einsum("k,kpj->pj", spread**2, part**2)
            for piece, part, spread in zip(joined, parts, rows, strict=True)
        ]
    )
    edges = np.vstack([piece.edges for piece in joined])
    counts = np.hstack([piece.counts for piece in joined])
    order, width = np.argsort(edges[:, 0]), np.diff(edges, axis=1)[:, 0]
    return Extended(
        edges.mean(axis=1)[order],
        units,
        (counts / width)[:, order],
        (variance / width**2)[:, order],
        {entry.name: float(np.exp(g)) for entry, g in zip(ranges, log, strict=True)},
        {_pair(ranges, i, j): ratio.misfit**0.5 for (i, j), ratio in ratios.items()},
        _apart(ranges, pieces),
    )


def _pair(ranges: Sequence[Range], i: int, j: int) -> str:
    return f"{ranges[i].name} and {ranges[j].name}"


def _apart(ranges: Sequence[Range], pieces: Sequence[Piece]) -> list[str]:
    """Pairs of different kinds that overlap."""
    return [
        _pair(ranges, i, j)
        for i, j in itertools.combinations(range(len(ranges)), 2)
        if ranges[i].kind != ranges[j].kind
        and overlapping(pieces[i].edges, covered(pieces[j].edges)).any()
    ]


def _ratios(ranges: Sequence[Range], pieces: Sequence[Piece]) -> dict[tuple[int, int], Gain]:
    """Ratios of all pairs of the same kind that overlap."""
    ratios = {}
    for i, j in itertools.combinations(range(len(ranges)), 2):
        if ranges[i].kind != ranges[j].kind:
            continue
        ratio = fit_gain(pieces[i], pieces[j])
        if ratio is None:
            continue
        names = _pair(ranges, i, j)
        if not ratio.error < LARGEST_ERROR:
            warnings.warn(
                f"{names} overlap where too little was counted to compare their intensities: they "
                "are joined as they are. Give the ratio with gains=.",
                stacklevel=4,
            )
            continue
        if ratio.misfit > MISFIT:
            warnings.warn(
                f"{names} differ by {ratio.misfit**0.5:.1f} standard errors where they overlap, on "
                "average, whatever their ratio. Are their axes calibrated alike?",
                stacklevel=4,
            )
        ratios[i, j] = ratio
    return ratios


def _outside(piece: Piece, taken: Sequence[Floats], ranges: Sequence[Range], number: int) -> Piece:
    """Leave out channels that other kinds cover."""
    if not taken:
        return piece
    kept = piece.only(~overlapping(piece.edges, np.vstack(taken)))
    if not len(kept.edges):
        before = [r.name for r in ranges[:number] if r.kind != ranges[number].kind]
        name = ranges[number].name
        raise ValueError(
            f"All of the range of {name} is covered by {' and '.join(before)}, which comes first "
            "and is of another kind. Of two kinds, the one named first is shown where both are: "
            f"name {name} first."
        )
    return kept
