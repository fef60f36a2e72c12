"""Spectra over several ranges as one spectrum.

A piece is a set of channels, each the integral of a spectrum between two energies. The joined
spectrum lives on cells, the narrowest channels that cover an energy; a wider channel is the sum of
the cells beneath it. So channels of any width and offset are compared without interpolation, and
the joined spectrum is the least-squares solution

    x = (sum_k B_k^T W_k B_k)^-1 sum_k B_k^T W_k y_k,

with counts y_k, inverse variances W_k and, in ``B_k[c, j]``, the part of cell j in channel c of
piece k. On equal channels this is the mean weighted by inverse variances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.optimize import minimize_scalar
from scipy.sparse import csgraph

Floats = NDArray[np.float64]

LEAST_PART = 0.5
"""Part of a channel that narrower ones leave over for it to become a cell."""

WHOLE = 1 - 1e-6
"""Part of a channel that cells cover when they cover it."""

LEAST_VARIANCE = 1e-3
"""Variance of a channel, over the mean of its spectrum, below which it counts as that."""

LEAST_ERROR = 1e-6
"""Error of the logarithm of a ratio below which it counts as that."""

ANCHOR = 1e8
"""Weight of a gain that is known, against those of ratios."""

COLUMNS = 256
"""Columns of an inverse at once."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Spectra over one range.

    Parameters
    ----------
    edges
        ``(C, 2)`` where each channel begins and ends, ascending.
    counts
        ``(p, C)`` integrals; NaN in excluded channels, the same in all spectra.
    variance
        ``(p, C)``.
    """

    edges: Floats
    counts: Floats
    variance: Floats

    def only(self, chosen: NDArray[np.bool_]) -> Piece:
        """Keep some channels."""
        return Piece(self.edges[chosen], self.counts[:, chosen], self.variance[:, chosen])

    @property
    def known(self) -> Piece:
        """The channels that are not excluded."""
        return self.only(np.asarray(np.isfinite(self.counts).all(axis=0)))

    def times(self, gain: float) -> Piece:
        """Multiply the counts."""
        return Piece(self.edges, gain * self.counts, gain**2 * self.variance)


def channel_edges(centres: Floats) -> Floats:
    """Edges ``(C, 2)`` of channels from their centres ``(C,)``, ascending."""
    if len(centres) < 2:
        raise ValueError("Expected at least two channels. The width of a single one is not known.")
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.column_stack([np.append(first, middle), np.append(middle, last)])


def covered(edges: Floats) -> Floats:
    """Ranges ``(k, 2)`` without gaps that channels ``(C, 2)`` make up, in any order."""
    ordered = edges[np.argsort(edges[:, 0])]
    width = np.min(np.diff(ordered, axis=1), initial=np.inf)
    starts = np.append(True, ordered[1:, 0] > np.maximum.accumulate(ordered[:, 1])[:-1] + width / 8)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(ordered)) - 1
    return np.column_stack([ordered[first, 0], ordered[last, 1]])


def overlapping(edges: Floats, ranges: Floats) -> NDArray[np.bool_]:
    """Whether channels ``(C, 2)`` share more than a rim with any of the ranges ``(k, 2)``."""
    low = np.maximum(edges[:, :1], ranges[:, 0])
    high = np.minimum(edges[:, 1:], ranges[:, 1])
    rim = (1 - WHOLE) * np.diff(edges, axis=1)
    return np.asarray((high - low > rim).any(axis=1))


def common_cells(pieces: Sequence[Floats]) -> Floats:
    """Cells ``(J, 2)`` of the channels of several pieces, ascending.

    The narrowest channels come first; of wider ones, what those leave over becomes a cell if it is
    at least ``LEAST_PART`` of the channel.
    """
    cells = np.zeros((0, 2))
    for edges in sorted(pieces, key=lambda e: float(np.median(np.diff(e, axis=1)))):
        if not len(edges):
            continue
        fresh = edges.copy()
        for low, high in covered(cells) if len(cells) else ():
            inside = (fresh[:, 0] >= low) & (fresh[:, 0] < high)
            fresh[inside, 0] = high
            inside = (fresh[:, 1] > low) & (fresh[:, 1] <= high)
            fresh[inside, 1] = low
            # Of a channel around a whole range, the larger of the two sides.
            around = (fresh[:, 0] < low) & (fresh[:, 1] > high)
            left = low - fresh[:, 0] > fresh[:, 1] - high
            fresh[around & left, 1] = low
            fresh[around & ~left, 0] = high
        kept = fresh[:, 1] - fresh[:, 0] >= LEAST_PART * np.diff(edges, axis=1)[:, 0]
        cells = np.vstack([cells, fresh[kept]])
    return np.asarray(cells[np.argsort(cells[:, 0])])


def shares(edges: Floats, cells: Floats) -> sparse.csr_array:
    """Part of each cell in each channel, ``(C, J)``; both ascending, without overlaps."""
    points = np.unique(np.concatenate([edges.ravel(), cells.ravel()]))
    middle, length = (points[1:] + points[:-1]) / 2, np.diff(points)
    row = np.searchsorted(edges[:, 0], middle) - 1
    column = np.searchsorted(cells[:, 0], middle) - 1
    inside = (row >= 0) & (column >= 0)
    row, column, length, middle = row[inside], column[inside], length[inside], middle[inside]
    inside = (middle < edges[row, 1]) & (middle < cells[column, 1])
    row, column, length = row[inside], column[inside], length[inside]
    part = length / np.diff(cells, axis=1)[column, 0]
    shape = (len(edges), len(cells))
    return sparse.csr_array(sparse.coo_array((part, (row, column)), shape=shape))


def merge(pieces: Sequence[Piece]) -> tuple[Piece, list[Floats]]:
    """Join pieces that share one intensity scale.

    Parameters
    ----------
    pieces
        Of the same p spectra, in any order.

    Returns
    -------
    joined : Piece
        On the cells of all pieces; NaN in cells that are excluded wherever they are covered.
    influence : list of ndarray
        ``(p, J)`` part of the joined counts that comes from each piece; they sum to all.
    """
    known = [piece.known for piece in pieces]
    cells = common_cells([piece.edges for piece in known])
    maps = [shares(piece.edges, cells) for piece in known]
    width = np.diff(cells, axis=1)[:, 0]
    whole = [
        (b @ width) >= WHOLE * np.diff(piece.edges, axis=1)[:, 0]
        for b, piece in zip(maps, known, strict=True)
    ]
    known = [piece.only(w) for piece, w in zip(known, whole, strict=True)]
    maps = [b[w] for b, w in zip(maps, whole, strict=True)]
    p = len(pieces[0].counts)
    variance = np.empty((p, len(cells)))
    parts = [np.empty((p, len(cells))) for _ in pieces]
    for i in range(p):
        weights = [_weights(piece.variance[i]) for piece in known]
        rights = [
            b.T @ (w * piece.counts[i]) for b, w, piece in zip(maps, weights, known, strict=True)
        ]
        normal = sum(b.T @ sparse.diags_array(w) @ b for b, w in zip(maps, weights, strict=True))
        found, variance[i] = _solve(sparse.csr_array(normal), np.array(rights).T)
        for part, column in zip(parts, found.T, strict=True):
            part[i] = column
    joined = Piece(cells, np.sum(parts, axis=0), variance)
    return _with_holes(joined, parts, pieces)


def _weights(variance: Floats) -> Floats:
    floor = LEAST_VARIANCE * float(np.mean(variance)) if variance.size else 0.0
    return 1 / np.maximum(variance, floor if floor > 0 else 1.0)


def _solve(normal: sparse.csr_array, rights: Floats) -> tuple[Floats, Floats]:
    """Solve banded normal equations; also the diagonal of their inverse."""
    entries = normal.tocoo()
    reach = int(np.max(np.abs(entries.row - entries.col), initial=0))
    size = normal.shape[0]
    band = np.zeros((reach + 1, size))
    lower = entries.row >= entries.col
    row, column = entries.row[lower], entries.col[lower]
    band[row - column, column] = entries.data[lower]
    # Units of the cells' own, so that the factors are well scaled.
    unit = 1 / np.sqrt(band[0])
    for k in range(reach + 1):
        band[k, : size - k] *= unit[: size - k] * unit[k:]
    factor = linalg.cholesky_banded(band, lower=True)
    solution = linalg.cho_solve_banded((factor, True), unit[:, None] * rights)
    diagonal = np.empty(size)
    for start in range(0, size, COLUMNS):
        columns = np.arange(start, min(start + COLUMNS, size))
        unity = np.zeros((size, columns.size))
        unity[columns, np.arange(columns.size)] = 1.0
        inverse = linalg.cho_solve_banded((factor, True), unity)
        diagonal[columns] = inverse[columns, np.arange(columns.size)]
    return unit[:, None] * solution, unit**2 * diagonal


def _with_holes(
    joined: Piece, parts: list[Floats], pieces: Sequence[Piece]
) -> tuple[Piece, list[Floats]]:
    """Add the channels that are excluded and covered by no cell, as NaN."""
    holes = [np.zeros((0, 2))]
    for piece in pieces:
        edges = piece.edges[~np.isfinite(piece.counts).all(axis=0)]
        taken = np.vstack([joined.edges, *holes])
        holes.append(edges[~overlapping(edges, covered(taken))])
    empty = np.vstack(holes)
    if not len(empty):
        return joined, parts
    edges = np.vstack([joined.edges, empty])
    order = np.argsort(edges[:, 0])
    nothing = np.full((len(joined.counts), len(empty)), np.nan)
    values = [np.hstack([v, nothing])[:, order] for v in (joined.counts, joined.variance, *parts)]
    return Piece(edges[order], values[0], values[1]), values[2:]


@dataclass(frozen=True)
class Gain:
    """How much more a piece counts than another.

    Parameters
    ----------
    log
        Natural logarithm of the ratio.
    error
        Standard error of the logarithm; inf where there is no ratio.
    misfit
        Mean square of the differences that remain, over their variance.
    """

    log: float
    error: float
    misfit: float


def fit_gain(first: Piece, second: Piece) -> Gain | None:
    """Fit the ratio of two pieces where they overlap.

    Parameters
    ----------
    first, second
        Of the same spectra.

    Returns
    -------
    Gain or None
        Maximum likelihood for normal errors in both, of ``first = gain * second``, in the channels
        of the piece with the wider ones; None without overlap.
    """
    pair = [first.known, second.known]
    wide = int(
        np.argmax([np.median(np.diff(p.edges, axis=1)) if len(p.edges) else 0 for p in pair])
    )
    narrow = pair[1 - wide]
    part = shares(pair[wide].edges, narrow.edges)
    width = np.diff(pair[wide].edges, axis=1)[:, 0]
    inside = (part @ np.diff(narrow.edges, axis=1)[:, 0]) >= WHOLE * width
    if not inside.any():
        return None
    pair[wide] = pair[wide].only(inside)
    part = part[inside]
    # Parts of a channel are thinned counts, so variances add up in proportion: if anything, that
    # is too much for other noise.
    pair[1 - wide] = Piece(
        pair[wide].edges, (part @ narrow.counts.T).T, (part @ narrow.variance.T).T
    )
    a, b = (piece.counts for piece in pair)
    va, vb = (1 / np.array([_weights(v) for v in piece.variance]) for piece in pair)
    if not (np.sum(a) > 0 and np.sum(b) > 0):
        return Gain(0.0, np.inf, np.nan)

    def deviance(log: float) -> float:
        gain = np.exp(log)
        return float(np.sum((a - gain * b) ** 2 / (va + gain**2 * vb)))

    start = float(np.log(np.sum(a) / np.sum(b)))
    found = minimize_scalar(deviance, bracket=(start - 0.1, start + 0.1))
    log, step = float(found.x), 1e-3
    bend = (deviance(log + step) - 2 * deviance(log) + deviance(log - step)) / step**2
    error = float(np.sqrt(2 / bend)) if bend > 0 else np.inf
    return Gain(log, error, deviance(log) / max(a.size - 1, 1))


def settle_gains(
    count: int, ratios: dict[tuple[int, int], Gain], given: dict[int, float]
) -> tuple[Floats, Floats]:
    """Bring several pieces to the scale of the first of those that are connected by overlaps.

    Parameters
    ----------
    count
        Number of pieces, K.
    ratios
        By pair ``(i, j)``, of ``piece i = gain * piece j``.
    given
        By piece, natural logarithms of gains that are known.

    Returns
    -------
    log : ndarray
        ``(K,)`` to multiply each piece by, as natural logarithms: least squares of all pairs.
    error : ndarray
        ``(K,)`` standard errors; zero for the first of those that are connected.
    """
    pairs = {pair: ratio for pair, ratio in ratios.items() if np.isfinite(ratio.error)}
    adjacent = np.zeros((count, count))
    for pair in pairs:
        adjacent[pair] = 1.0
    _, group = csgraph.connected_components(adjacent, directed=False)
    first = [int(np.flatnonzero(group == g)[0]) for g in set(group) - {group[k] for k in given}]
    anchors = dict.fromkeys(first, 0.0) | given
    unit = np.eye(count)
    rows = [ANCHOR * unit[k] for k in anchors]
    values = [ANCHOR * log for log in anchors.values()]
    for (i, j), ratio in pairs.items():
        weight = 1 / max(ratio.error, LEAST_ERROR)
        rows.append(weight * (unit[j] - unit[i]))
        values.append(weight * ratio.log)
    inverse = np.linalg.pinv(np.array(rows), rcond=1e-14)
    errors = np.sqrt(np.sum(inverse[:, len(anchors) :] ** 2, axis=1))
    errors[list(anchors)] = 0.0
    return inverse @ np.array(values), errors
