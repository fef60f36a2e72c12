r"""Probabilities of faces that are right as often as they say.

A position that shows little of a component lies on a face, or near it. How probable each is depends
on how many positions a larger face has next to its border, less than the noise away. One Dirichlet
exponent per size of face, which the search for endmembers learns, follows the bulk of the
abundances: above one, it leaves nothing next to the border, and what is there is taken for pure.
So, once endmembers are found, the abundances on each face follow a mixture of Dirichlet
distributions, some with much next to the border, some with little. Its shares are learnt by
expectation maximisation, those of each face drawn towards those of all faces of its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import (
    Face,
    FaceGeometry,
    Floats,
    Integers,
    face_geometry,
    pad_faces,
)
from hyperfuse_hs.algorithms.face_kernel import accumulate
from hyperfuse_hs.algorithms.face_problem import CHUNK, map_threads
from hyperfuse_hs.algorithms.face_tables import LARGEST, ExponentTables, exponent_tables
from hyperfuse_hs.algorithms.standard_scores import choose_positions, standardise

EXPONENTS = (0.5, 1.0, 2.0, 4.0)
"""From abundances that keep to the corners to such that keep to the middle. Below, a distribution
has nearly all of its positions nearer to the border than the noise, as the face there has."""

STRENGTH = 10.0
"""Positions that the distribution common to all faces of one size counts for on each face."""

DRAWN = 20_000
"""Positions that shares are learnt from, of scans that have more."""

STEPS, TOLERANCE = 300, 1e-4
"""Of the expectation maximisation: most of them, and change of a share that ends it."""


@dataclass(frozen=True)
class FaceShares:
    """What positions a priori do: which faces they are on, and how they spread there.

    Attributes
    ----------
    faces
        Components present on each face.
    shares
        ``(F, E)`` of the positions, by face and by Dirichlet exponent, of sum one; of a single
        endmember only the first counts.
    """

    faces: tuple[Face, ...]
    shares: Floats


@dataclass(frozen=True)
class _Spread:
    """Every face with every exponent, ``J`` in all, for the kernel."""

    owner: Integers
    column: Integers
    groups: Integers
    tables: ExponentTables
    geometry: FaceGeometry


def learn_shares(
    scores: Floats,
    endmembers: Floats,
    noise: Floats,
    faces: Sequence[Face],
    weights: Floats,
    rng: np.random.Generator,
) -> FaceShares:
    """Learn how many positions lie on each face, and how they spread there.

    Parameters
    ----------
    scores
        ``(N, q)``.
    endmembers
        ``(p, q)``, ``q = p - 1``.
    noise
        Noise variance of each position, ``(N,)``.
    faces
        Components of each face.
    weights
        First guess of the share of each face, ``(F,)``; faces of weight zero stay so.
    rng
        Draws positions where there are many.

    Returns
    -------
    FaceShares

    Raises
    ------
    ValueError
        If shapes disagree, noise is negative, or the positions do not span the simplex.
    """
    faces = tuple(faces)
    points, variance, moved = _in_standard_frame(scores, endmembers, noise)
    spread = _spread(moved, faces)
    alive = weights[spread.owner] > 0
    even = np.where(alive, 1.0 / alive.sum(), 0.0)
    chosen = choose_positions(len(points), DRAWN, rng)
    found = _probabilities(points[chosen], variance[chosen], moved, spread, even)
    sizes = np.array([len(face) for face in faces])
    shares = even
    for _ in range(STEPS):
        before = shares
        by_one = found * shares
        by_one /= by_one.sum(axis=1, keepdims=True)
        shares = _draw_together(by_one.sum(axis=0), spread, sizes, weights > 0)
        if np.abs(shares - before).max() < TOLERANCE:
            break
    table = np.zeros((len(faces), len(EXPONENTS)))
    table[spread.owner, spread.column] = shares
    return FaceShares(faces, table)


def face_posterior(scores: Floats, endmembers: Floats, noise: Floats, prior: FaceShares) -> Floats:
    """Compute the probability that each position lies on each face.

    Parameters
    ----------
    scores
        ``(N, q)``.
    endmembers
        ``(p, q)``, ``q = p - 1``.
    noise
        Noise variance of each position, ``(N,)``.
    prior
        From :func:`learn_shares`.

    Returns
    -------
    numpy.ndarray
        ``(N, F)``; rows sum to one.

    Raises
    ------
    ValueError
        If shapes disagree, noise is negative, or the positions do not span the simplex.
    """
    points, variance, moved = _in_standard_frame(scores, endmembers, noise)
    spread = _spread(moved, prior.faces)
    shares = prior.shares[spread.owner, spread.column]
    starts = np.flatnonzero(np.diff(spread.owner, prepend=-1))
    return _probabilities(points, variance, moved, spread, shares, starts)


def _in_standard_frame(
    scores: Floats, endmembers: Floats, noise: Floats
) -> tuple[Floats, Floats, Floats]:
    data = standardise(scores, len(endmembers), noise)
    moved = (endmembers - data.mean) @ data.axes.T / data.scale
    return data.scores, data.noise, np.ascontiguousarray(moved)


def _spread(endmembers: Floats, faces: Sequence[Face]) -> _Spread:
    members, sizes = pad_faces(faces)
    counts = np.where(sizes > 1, len(EXPONENTS), 1)
    owner = np.repeat(np.arange(len(faces)), counts)
    column = np.concatenate([np.arange(count) for count in counts])
    larger = np.unique(sizes[sizes > 1])
    exponents = [min(a, LARGEST / size) for size in larger for a in EXPONENTS]
    tables = exponent_tables(np.array(exponents), np.repeat(larger, len(EXPONENTS)))
    groups = np.searchsorted(larger, sizes[owner]) * len(EXPONENTS) + column
    geometry = face_geometry(endmembers, members[owner], sizes[owner])
    return _Spread(owner, column, groups, tables, geometry)


def _probabilities(
    points: Floats,
    variance: Floats,
    endmembers: Floats,
    spread: _Spread,
    shares: Floats,
    starts: Integers | None = None,
) -> Floats:
    """Fill ``(N, J)``, or sum over what begins at each of the starts, ``(N, F)``."""
    with np.errstate(divide="ignore"):
        log_shares = np.log(shares)

    def one(start: int) -> Floats:
        rows = slice(start, start + CHUNK)
        n = len(points[rows])
        posterior = np.empty((n, len(shares)))
        accumulate(
            points[rows],
            variance[rows],
            endmembers,
            log_shares,
            spread.geometry,
            spread.tables,
            spread.groups,
            -np.inf,
            np.empty(n),
            posterior,
            np.empty((n, 0)),
        )
        return posterior if starts is None else np.add.reduceat(posterior, starts, axis=1)

    return np.concatenate(map_threads(one, range(0, len(points), CHUNK)))


def _draw_together(counts: Floats, spread: _Spread, sizes: Integers, alive: np.ndarray) -> Floats:
    """Turn expected numbers of positions ``(J,)`` into shares."""
    table = np.zeros((len(sizes), len(EXPONENTS)))
    table[spread.owner, spread.column] = counts
    # One position in all over the faces, so that no face is lost for good.
    of_faces = np.where(alive, table.sum(axis=1) + 1.0 / len(sizes), 0.0)
    within = np.zeros(table.shape)
    within[:, 0] = 1.0
    for size in np.unique(sizes[sizes > 1]):
        alike = sizes == size
        common = table[alike].sum(axis=0) + 1.0 / len(EXPONENTS)
        towards = table[alike] + STRENGTH * common / common.sum()
        within[alike] = towards / towards.sum(axis=1, keepdims=True)
    shares = (of_faces / of_faces.sum())[:, None] * within
    return np.asarray(shares[spread.owner, spread.column])
