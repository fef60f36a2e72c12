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
abundance. With both, endmembers are fitted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hyperfuse_hs.algorithms.face_geometry import Face, Floats
from hyperfuse_hs.algorithms.face_kinds import (
    Kind,
    face_probabilities_of,
    probabilities,
    sort_kinds,
)
from hyperfuse_hs.algorithms.face_prior import FacePrior, learn_shares, make_prior
from hyperfuse_hs.algorithms.face_refit import refit_endmembers
from hyperfuse_hs.algorithms.face_search import background_density
from hyperfuse_hs.algorithms.standard_scores import choose_positions, standardise

NOISE_STRENGTH = 20.0
"""Positions that the noise as stated counts for at each endmember."""

DRAWN = 10_000
"""Positions that are learnt from, of scans that have more."""

ROUNDS = 2
"""How often endmembers are fitted, and noise learnt after."""

COARSE, FINE = 1e-4, 1e-6
"""Change of a share that ends learning, before endmembers are fitted again and after."""

NEGLIGIBLE = 1e-9
"""Probability of a face and exponent, were all as frequent, that is not learnt from."""


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
    endmembers
        ``(p, q)`` that the probabilities are of: those given, fitted again.
    """

    posterior: Floats
    shares: Floats
    covariances: Floats
    endmembers: Floats


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
    alive = weights > 0
    if np.count_nonzero(alive) == 1:
        return _alone(len(scores), endmembers, make_prior(tuple(faces), alive))
    data = standardise(scores, len(endmembers), noise)
    corners = (endmembers - data.mean) @ data.axes.T / data.scale
    prior = make_prior(tuple(faces), alive)
    chosen = choose_positions(len(scores), DRAWN, rng)
    learnt = _Learnt(corners, np.tile(np.eye(corners.shape[1]), (len(corners), 1, 1)), prior.even)
    learnt = _learn(data.scores[chosen], data.noise[chosen], learnt, prior)
    kinds = sort_kinds(data.scores, data.noise, learnt.endmembers, learnt.covariances, prior)
    return FaceProbabilities(
        face_probabilities_of(kinds, prior, learnt.shares),
        prior.table(learnt.shares),
        learnt.covariances,
        data.restore(learnt.endmembers),
    )


def _alone(n_positions: int, endmembers: Floats, prior: FacePrior) -> FaceProbabilities:
    """Where a single face is left there is nothing to learn."""
    return FaceProbabilities(
        np.tile(prior.alive.astype(float), (n_positions, 1)),
        prior.table(prior.even),
        np.tile(np.eye(endmembers.shape[1]), (len(endmembers), 1, 1)),
        endmembers,
    )


@dataclass(frozen=True)
class _Learnt:
    """What the probabilities follow from."""

    endmembers: Floats
    covariances: Floats
    shares: Floats


def _learn(points: Floats, noise: Floats, start: _Learnt, prior: FacePrior) -> _Learnt:
    """Learn shares, noise and endmembers in turn."""
    corners, covariances, shares = start.endmembers, start.covariances, start.shares
    log_background = background_density(points)
    for turn in range(ROUNDS + 1):
        kinds = sort_kinds(points, noise, corners, covariances, prior)
        if turn == 0:
            shares = _learn_from(kinds, prior, shares, COARSE)
        else:
            fit = refit_endmembers(kinds, corners, prior, shares, log_background)
            corners, shares = fit.endmembers, fit.shares
            kinds = [kind.see(corners, prior) for kind in kinds]
        # An outlier would be all the noise of the endmember that it is nearest to.
        found = probabilities(kinds, prior, shares, log_background)
        pure = _find_pure(found, prior)
        covariances = _learn_noise(points, noise, corners, pure)
    kinds = sort_kinds(points, noise, corners, covariances, prior)
    return _Learnt(corners, covariances, _learn_from(kinds, prior, shares, FINE))


def _learn_from(kinds: Sequence[Kind], prior: FacePrior, start: Floats, tolerance: float) -> Floats:
    """Learn shares ``(J,)``."""
    found = probabilities(kinds, prior, prior.even)
    kept = sparse.csr_array(np.where(found > NEGLIGIBLE, found, 0.0))
    return learn_shares(kept, prior, start, tolerance)


def _find_pure(found: Floats, prior: FacePrior) -> Floats:
    """Probability that a position shows a single endmember, ``(n, p)``."""
    alone = np.flatnonzero(prior.sizes[prior.owner] == 1)
    pure = np.zeros((len(found), prior.members.max() + 1))
    pure[:, prior.members[prior.owner[alone], 0]] = found[:, alone]
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
