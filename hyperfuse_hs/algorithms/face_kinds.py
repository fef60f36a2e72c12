"""Positions sorted by the noise that they have, and how probable each face is at each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import FaceGeometry, Floats, Integers, face_geometry
from hyperfuse_hs.algorithms.face_kernel import accumulate
from hyperfuse_hs.algorithms.face_prior import FacePrior
from hyperfuse_hs.algorithms.face_problem import CHUNK, map_threads

PURE = 0.75
"""Abundance from which a position has the noise of its endmember, not that of a mixture."""


@dataclass(frozen=True)
class Kind:
    """Positions with noise of one covariance, whitened, and the endmembers as they see them.

    Attributes
    ----------
    rows
        Which positions, ``(n,)``.
    root
        Cholesky factor of the covariance over the stated variance, ``(q, q)``.
    points
        ``(n, q)``, whitened by it.
    noise
        Stated variance, ``(n,)``.
    endmembers
        ``(p, q)``, whitened.
    geometry
        Of the faces that they span, each once for every exponent.
    """

    rows: Integers
    root: Floats
    points: Floats
    noise: Floats
    endmembers: Floats
    geometry: FaceGeometry

    @property
    def log_det(self) -> float:
        """By how much whitening raises the logarithm of a density."""
        return float(np.log(np.diag(self.root)).sum())

    def see(self, endmembers: Floats, prior: FacePrior) -> "Kind":
        """Keep the positions, and move the endmembers to those given, not whitened."""
        seen = whiten(endmembers, self.root)
        geometry = face_geometry(seen, prior.members[prior.owner], prior.sizes[prior.owner])
        return replace(self, endmembers=seen, geometry=geometry)

    def visit(
        self,
        some: slice,
        log_shares: Floats,
        prior: FacePrior,
        log_background: float,
        n_slopes: int,
    ) -> tuple[Floats, Floats, Floats]:
        """Compute what :func:`~hyperfuse_hs.algorithms.face_kernel.accumulate` fills."""
        n = len(self.rows[some])
        log_likelihood, slopes = np.empty(n), np.empty((n, n_slopes))
        posterior = np.empty((n, len(log_shares)))
        accumulate(
            self.points[some],
            self.noise[some],
            self.endmembers,
            log_shares,
            self.geometry,
            prior.tables,
            prior.groups,
            np.full(n, log_background),
            log_likelihood,
            posterior,
            slopes,
        )
        return log_likelihood, posterior, slopes


def whiten(points: Floats, root: Floats) -> Floats:
    """Solve for points ``(n, q)`` in which noise of covariance ``root @ root.T`` is isotropic."""
    return np.ascontiguousarray(np.linalg.solve(root, points.T).T)


def sort_kinds(
    points: Floats, noise: Floats, endmembers: Floats, covariances: Floats, prior: FacePrior
) -> list[Kind]:
    """Put positions together that have noise alike: those of one endmember, or between two.

    Parameters
    ----------
    points
        ``(n, q)``.
    noise
        Stated variance, ``(n,)``.
    endmembers
        ``(p, q)``.
    covariances
        Of the noise at each endmember over the stated variance, ``(p, q, q)``.
    prior
        Faces and exponents.

    Returns
    -------
    list of Kind
    """
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
        seen = whiten(endmembers, root)
        geometry = face_geometry(seen, prior.members[prior.owner], prior.sizes[prior.owner])
        kinds.append(Kind(rows, root, whiten(points[rows], root), noise[rows], seen, geometry))
    return kinds


def tasks(kinds: Sequence[Kind]) -> list[tuple[Kind, slice]]:
    """Cut each kind into parts for the threads."""
    return [
        (kind, slice(start, start + CHUNK))
        for kind in kinds
        for start in range(0, len(kind.rows), CHUNK)
    ]


def log_of(shares: Floats) -> Floats:
    """Logarithm; minus infinity of zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(shares))


def probabilities(
    kinds: Sequence[Kind], prior: FacePrior, shares: Floats, log_background: float = -np.inf
) -> Floats:
    """Compute how probable each face and exponent is at each position, ``(n, J)``.

    Rows sum to one, or less where the background, of constant density, takes an outlier.
    """
    return _fill(kinds, prior, shares, np.arange(len(shares)), log_background)


def face_probabilities_of(kinds: Sequence[Kind], prior: FacePrior, shares: Floats) -> Floats:
    """Compute how probable each face is at each position, ``(n, F)``."""
    return _fill(kinds, prior, shares, prior.starts, -np.inf)


def _fill(
    kinds: Sequence[Kind],
    prior: FacePrior,
    shares: Floats,
    starts: Integers,
    log_background: float,
) -> Floats:
    """Sum the columns from each start to the next."""
    log_shares = log_of(shares)
    result = np.empty((sum(len(kind.rows) for kind in kinds), len(starts)))

    def one(task: tuple[Kind, slice]) -> None:
        kind, some = task
        background = log_background + kind.log_det
        posterior = kind.visit(some, log_shares, prior, background, 0)[1]
        result[kind.rows[some]] = np.add.reduceat(posterior, starts, axis=1)

    map_threads(one, tasks(kinds))
    return result
