r"""Probabilities of faces that are right as often as they say.

A position that shows little of a component lies on a face, or near it. How probable each is depends
on how many positions a larger face has next to its border, less than the noise away. One Dirichlet
exponent per size of face, which the search for endmembers learns, follows the bulk of the
abundances: above one, it leaves nothing next to the border, and what is there is taken for pure.
So, once endmembers are found, the abundances on each face follow a mixture of Dirichlet
distributions, some with much next to the border, some with little. Its shares are learnt by
expectation maximisation, those of each face drawn towards those of all faces of its size.

Noise that is stated too large or too small, other in one direction than in another, and errors of
endmembers that are of its size shift the border. Positions of a single endmember show what noise
they have, so its covariance is learnt there, and mixed elsewhere as Poisson noise mixes: by
abundance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

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

NOISE_STRENGTH = 20.0
"""Positions that the noise as stated counts for at each endmember."""

DRAWN = 10_000
"""Positions that shares and noise are learnt from, of scans that have more."""

ROUNDS = 2
"""How often shares are learnt, and noise between."""

STEPS, TOLERANCE = 100, 1e-6
"""Of the expectation maximisation: most triples of steps, and change of a share that ends it."""

NEGLIGIBLE = 1e-9
"""Probability of a face and exponent, were all as frequent, that is not learnt from."""

LEAST_STRETCH = 1.1
"""Of steps that are worth it; one is a plain step."""

PURE = 0.75
"""Abundance from which a position has the noise of its endmember, not that of a mixture."""


@dataclass(frozen=True)
class FaceProbabilities:
    """Which face each position lies on.

    Attributes
    ----------
    posterior
        ``(N, F)`` probability that each position lies on each face; rows sum to one.
    shares
        ``(F, E)`` of the positions, by face and by Dirichlet exponent, of sum one; of a single
        endmember only the first counts.
    covariances
        ``(p, q, q)`` of the noise at each endmember over the stated variance, along the principal
        axes of the scores.
    """

    posterior: Floats
    shares: Floats
    covariances: Floats


@dataclass(frozen=True)
class _Prior:
    """Every face with every exponent, ``J`` in all."""

    faces: tuple[Face, ...]
    members: Integers
    sizes: Integers
    owner: Integers
    column: Integers
    groups: Integers
    tables: ExponentTables
    alive: np.ndarray

    @property
    def starts(self) -> Integers:
        """Where each face begins, ``(F,)``."""
        return np.flatnonzero(np.diff(self.owner, prepend=-1))


@dataclass(frozen=True)
class _Kind:
    """Positions with noise of one covariance, whitened, and the endmembers as they see them."""

    rows: Integers
    points: Floats
    noise: Floats
    endmembers: Floats
    geometry: FaceGeometry


def face_probabilities(
    scores: Floats,
    endmembers: Floats,
    noise: Floats,
    faces: Sequence[Face],
    weights: Floats,
    rng: np.random.Generator,
) -> FaceProbabilities:
    """Compute how probable it is that each position lies on each face.

    Parameters
    ----------
    scores
        ``(N, q)``.
    endmembers
        ``(p, q)``, ``q = p - 1``.
    noise
        Noise variance of each position as stated, ``(N,)``.
    faces
        Components of each face.
    weights
        First guess of the share of each face, ``(F,)``; faces of weight zero stay so.
    rng
        Draws positions to learn from where there are many.

    Returns
    -------
    FaceProbabilities

    Raises
    ------
    ValueError
        If shapes disagree, noise is negative, or the positions do not span the simplex.
    """
    data = standardise(scores, len(endmembers), noise)
    corners = (endmembers - data.mean) @ data.axes.T / data.scale
    prior = _make_prior(tuple(faces), weights > 0)
    chosen = choose_positions(len(scores), DRAWN, rng)
    few, variance = data.scores[chosen], data.noise[chosen]
    covariances = np.tile(np.eye(corners.shape[1]), (len(corners), 1, 1))
    even = prior.alive[prior.owner] / np.count_nonzero(prior.alive[prior.owner])
    for turn in range(ROUNDS):
        kinds = _sort(few, variance, corners, covariances, prior)
        found = _probabilities(kinds, prior, even, sum_faces=False)
        found = sparse.csr_array(np.where(found > NEGLIGIBLE, found, 0.0))
        shares = _learn_shares(found, prior)
        if turn < ROUNDS - 1:
            covariances = _learn_noise(few, variance, corners, _find_pure(found, shares, prior))
    table = np.zeros((len(prior.faces), len(EXPONENTS)))
    table[prior.owner, prior.column] = shares
    kinds = _sort(data.scores, data.noise, corners, covariances, prior)
    return FaceProbabilities(
        _probabilities(kinds, prior, shares, sum_faces=True), table, covariances
    )


def _make_prior(faces: tuple[Face, ...], alive: np.ndarray) -> _Prior:
    members, sizes = pad_faces(faces)
    counts = np.where(sizes > 1, len(EXPONENTS), 1)
    owner = np.repeat(np.arange(len(faces)), counts)
    column = np.concatenate([np.arange(count) for count in counts])
    larger = np.unique(sizes[sizes > 1])
    exponents = [min(a, LARGEST / size) for size in larger for a in EXPONENTS]
    tables = exponent_tables(np.array(exponents), np.repeat(larger, len(EXPONENTS)))
    groups = np.searchsorted(larger, sizes[owner]) * len(EXPONENTS) + column
    return _Prior(faces, members, sizes, owner, column, groups, tables, alive)


def _sort(
    points: Floats, noise: Floats, endmembers: Floats, covariances: Floats, prior: _Prior
) -> list[_Kind]:
    """Put positions together that have noise alike: those of one endmember, or between two."""
    lifted = np.hstack([endmembers, np.ones((len(endmembers), 1))])
    abundances = np.linalg.solve(lifted.T, np.hstack([points, np.ones((len(points), 1))]).T).T
    abundances = np.maximum(abundances, 0.0)
    first, second = np.argsort(-abundances, axis=1)[:, :2].T
    pure = abundances[np.arange(len(points)), first] > PURE * abundances.sum(axis=1)
    second = np.where(pure, first, second)
    pairs = np.stack([np.minimum(first, second), np.maximum(first, second)])
    kinds = []
    for pair in np.unique(pairs, axis=1).T:
        rows = np.flatnonzero((pairs == pair[:, None]).all(axis=0))
        root = np.linalg.cholesky(covariances[pair].mean(axis=0))
        seen = np.ascontiguousarray(np.linalg.solve(root, endmembers.T).T)
        kinds.append(
            _Kind(
                rows,
                np.ascontiguousarray(np.linalg.solve(root, points[rows].T).T),
                noise[rows],
                seen,
                face_geometry(seen, prior.members[prior.owner], prior.sizes[prior.owner]),
            )
        )
    return kinds


def _probabilities(
    kinds: Sequence[_Kind], prior: _Prior, shares: Floats, *, sum_faces: bool
) -> Floats:
    """Fill ``(n, J)``, or summed over exponents ``(n, F)``."""
    with np.errstate(divide="ignore"):
        log_shares = np.log(shares)
    count = sum(len(kind.rows) for kind in kinds)
    result = np.empty((count, len(prior.faces) if sum_faces else len(shares)))

    def fill(task: tuple[_Kind, int]) -> None:
        kind, start = task
        some = slice(start, start + CHUNK)
        n = len(kind.rows[some])
        posterior = np.empty((n, len(shares)))
        accumulate(
            kind.points[some],
            kind.noise[some],
            kind.endmembers,
            log_shares,
            kind.geometry,
            prior.tables,
            prior.groups,
            -np.inf,
            np.empty(n),
            posterior,
            np.empty((n, 0)),
        )
        summed = np.add.reduceat(posterior, prior.starts, axis=1) if sum_faces else posterior
        result[kind.rows[some]] = summed

    map_threads(fill, [(kind, at) for kind in kinds for at in range(0, len(kind.rows), CHUNK)])
    return result


def _learn_shares(found: sparse.csr_array, prior: _Prior) -> Floats:
    """Maximise the posterior of the shares ``(J,)``.

    Expectation maximisation leaves a border slowly where the data say little, so its steps are
    lengthened (squared extrapolation, Varadhan & Roland, Scand. J. Stat. 35, 335 (2008)).
    """
    turned = found.T.tocsr()

    def step(shares: Floats) -> Floats:
        return _draw_together(shares * (turned @ (1.0 / (found @ shares))), prior)

    alive = prior.alive[prior.owner]
    shares = alive / np.count_nonzero(alive)
    for _ in range(STEPS):
        once = step(shares)
        twice = step(once)
        change, bend = once - shares, twice - 2.0 * once + shares
        stretch = np.linalg.norm(change) / max(float(np.linalg.norm(bend)), 1e-300)
        last, shares = shares, twice
        while stretch > LEAST_STRETCH:
            far = last + 2.0 * stretch * change + stretch**2 * bend
            if np.all(far[alive] > 0):
                shares = step(far / far.sum())
                break
            stretch = 0.5 * (stretch + 1.0)
        if np.abs(once - last).max() < TOLERANCE:
            break
    return shares


def _draw_together(counts: Floats, prior: _Prior) -> Floats:
    """Turn expected numbers of positions ``(J,)`` into shares."""
    sizes = prior.sizes
    table = np.zeros((len(sizes), len(EXPONENTS)))
    table[prior.owner, prior.column] = counts
    # One position in all over the faces, so that no face is lost for good.
    of_faces = np.where(prior.alive, table.sum(axis=1) + 1.0 / len(sizes), 0.0)
    within = np.zeros(table.shape)
    within[:, 0] = 1.0
    for size in np.unique(sizes[sizes > 1]):
        alike = sizes == size
        common = table[alike].sum(axis=0) + 1.0 / len(EXPONENTS)
        towards = table[alike] + STRENGTH * common / common.sum()
        within[alike] = towards / towards.sum(axis=1, keepdims=True)
    shares = (of_faces / of_faces.sum())[:, None] * within
    return np.asarray(shares[prior.owner, prior.column])


def _find_pure(found: sparse.csr_array, shares: Floats, prior: _Prior) -> Floats:
    """Probability that a position shows a single endmember, ``(n, p)``."""
    alone = np.flatnonzero(prior.sizes[prior.owner] == 1)
    pure = np.zeros((found.shape[0], prior.members.max() + 1))
    single = found.tocsc()[:, alone].toarray() * shares[alone]
    pure[:, prior.members[prior.owner[alone], 0]] = single / (found @ shares)[:, None]
    return pure


def _learn_noise(points: Floats, noise: Floats, endmembers: Floats, pure: Floats) -> Floats:
    """Covariance of the noise at each endmember ``(p, q, q)``, over the stated variance.

    `pure` is the probability that a position shows only that one, ``(n, p)``.
    """
    stated = NOISE_STRENGTH * np.eye(endmembers.shape[1])
    totals = []
    for corner, share in zip(endmembers, pure.T, strict=True):
        rest = (points - corner) * np.sqrt(share / noise)[:, None]
        totals.append((rest.T @ rest + stated) / (share.sum() + NOISE_STRENGTH))
    return np.array(totals)
