"""Log-likelihood of the face mixture over all positions, in threads."""

import math
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.face_geometry import FaceGeometry, Floats, Integers, face_geometry
from hyperfuse_hs.algorithms.face_kernel import accumulate
from hyperfuse_hs.algorithms.face_tables import ExponentTables, exponent_tables
from hyperfuse_hs.algorithms.standard_scores import choose_positions

# Positions handed to the compiled kernel at once; fixed, so that sums do not depend on the
# number of processors.
CHUNK = 1024
_worker = threading.local()
Item = TypeVar("Item")
Part = TypeVar("Part")


@dataclass(frozen=True)
class Evaluation:
    """Log-likelihood at one set of endmembers and weights.

    Attributes
    ----------
    log_likelihood
        Sum over positions.
    posterior_sums
        Sum over positions of the posterior of each face, ``(F,)``.
    gradient
        By endmembers and logarithms of the exponents, ``(p q + G,)``.
    information
        Sum of the outer products of the slopes, ``(p q + G, p q + G)``.
    """

    log_likelihood: float
    posterior_sums: Floats
    gradient: Floats
    information: Floats


@dataclass(frozen=True)
class FaceProblem:
    """Positions, faces and background of one likelihood.

    Attributes
    ----------
    scores
        ``(N, q)``.
    noise
        Noise variance of each position, ``(N,)``.
    members, sizes
        Faces, see :func:`~hyperfuse_hs.algorithms.face_kernel.pad_faces`.
    log_background
        Logarithm of the density that outliers are drawn from, one for all positions or ``(N,)``.
    learn
        Whether the exponents are learnt.

    Faces of the same size share one Dirichlet exponent; ``G`` is the number of sizes above one.
    """

    scores: Floats
    noise: Floats
    members: Integers
    sizes: Integers
    log_background: float | Floats
    learn: bool = True

    @property
    def group_sizes(self) -> Integers:
        """Sizes of the faces that have an exponent, ``(G,)``."""
        return np.unique(self.sizes[self.sizes > 1])

    def subset(self, chosen: Integers) -> "FaceProblem":
        """Keep only the chosen positions."""
        background = self.log_background
        if isinstance(background, np.ndarray):
            background = background[chosen]
        return replace(
            self, scores=self.scores[chosen], noise=self.noise[chosen], log_background=background
        )

    def faces_of(
        self, endmember: int, endmembers: Floats, weights: Floats, exponents: Floats
    ) -> tuple["FaceProblem", Floats, Floats]:
        """Keep the faces of one endmember; those without it do not change where it is moved.

        Returns
        -------
        problem : FaceProblem
            Its background is the density of the other faces, and the background before.
        weights, exponents : numpy.ndarray
            Of the faces kept.
        """
        moves = np.any(self.members == endmember, axis=1)
        still = replace(self, members=self.members[~moves], sizes=self.sizes[~moves])
        kept = replace(self, members=self.members[moves], sizes=self.sizes[moves])

        def exponents_of(part: FaceProblem) -> Floats:
            return exponents[np.isin(self.group_sizes, part.group_sizes)]

        rest = still.posterior(endmembers, weights[~moves], exponents_of(still))[0]
        return replace(kept, log_background=rest), weights[moves], exponents_of(kept)

    def last_face(self) -> "FaceProblem":
        """Keep only the last face, the whole simplex."""
        return replace(self, members=self.members[-1:], sizes=self.sizes[-1:])

    def draw(self, n_chosen: int, rng: np.random.Generator) -> "FaceProblem":
        """Keep positions drawn at random, all where there are few."""
        return self.subset(choose_positions(len(self.scores), n_chosen, rng))

    def evaluate(self, endmembers: Floats, weights: Floats, exponents: Floats) -> Evaluation | None:
        """Compute log-likelihood and slopes; None where a face has no volume."""
        tables = exponent_tables(exponents, self.group_sizes)
        geometry = face_geometry(endmembers, self.members, self.sizes)
        if not np.all(np.isfinite(geometry.log_volumes)):
            return None
        n_slopes = endmembers.size + len(exponents)

        def one(start: int) -> tuple[float, Floats, Floats, Floats]:
            rows = slice(start, start + CHUNK)
            log_likelihood, posterior, slopes = self._fill(
                endmembers, weights, geometry, tables, rows, n_slopes
            )
            return (
                float(log_likelihood.sum()),
                posterior.sum(axis=0),
                slopes.sum(axis=0),
                outer_products(slopes),
            )

        parts = map_threads(one, range(0, len(self.scores), CHUNK))
        total = math.fsum(part[0] for part in parts)
        if not math.isfinite(total):
            return None
        return Evaluation(
            total,
            np.sum([part[1] for part in parts], axis=0),
            np.sum([part[2] for part in parts], axis=0),
            np.sum([part[3] for part in parts], axis=0).reshape(n_slopes, n_slopes),
        )

    def total(self, endmembers: Floats, weights: Floats, exponents: Floats) -> float:
        """Compute the sum of the log-likelihood; minus infinity where a face has no volume."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(self.posterior(endmembers, weights, exponents)[0].sum())
        return value if math.isfinite(value) else -math.inf

    def posterior(
        self, endmembers: Floats, weights: Floats, exponents: Floats
    ) -> tuple[Floats, Floats]:
        """Compute log-likelihood ``(N,)`` and posterior over faces ``(N, F)``."""
        tables = exponent_tables(exponents, self.group_sizes)
        geometry = face_geometry(endmembers, self.members, self.sizes)

        def one(start: int) -> tuple[Floats, Floats]:
            rows = slice(start, start + CHUNK)
            return self._fill(endmembers, weights, geometry, tables, rows, 0)[:2]

        parts = map_threads(one, range(0, len(self.scores), CHUNK))
        return (
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
        )

    def _fill(
        self,
        endmembers: Floats,
        weights: Floats,
        geometry: FaceGeometry,
        tables: ExponentTables,
        rows: slice,
        n_slopes: int,
    ) -> tuple[Floats, Floats, Floats]:
        scores = self.scores[rows]
        n = len(scores)
        log_likelihood = np.empty(n)
        posterior = np.empty((n, len(weights)))
        slopes = np.empty((n, n_slopes))
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        accumulate(
            scores,
            self.noise[rows],
            endmembers,
            log_weights,
            geometry,
            tables,
            np.searchsorted(self.group_sizes, self.sizes),
            np.broadcast_to(self.log_background, len(self.scores))[rows].astype(np.float64),
            log_likelihood,
            posterior,
            slopes,
        )
        return log_likelihood, posterior, slopes


def map_threads(function: Callable[[Item], Part], items: Iterable[Item]) -> list[Part]:
    """Apply a function to each item in threads; the compiled kernel runs beside Python.

    Within one of these threads, one item comes after the other: more threads than processors would
    only get in each other's way.

    Parameters
    ----------
    function
        Called with each item.
    items
        What to call it with.

    Returns
    -------
    list
        Results in order.
    """
    items = list(items)
    workers = min(len(items), os.cpu_count() or 1)
    if workers <= 1 or getattr(_worker, "busy", False):
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers, initializer=_mark) as pool:
        return list(pool.map(function, items))


def _mark() -> None:
    _worker.busy = True


@compiled(error_model="numpy")
def outer_products(slopes: Floats) -> Floats:
    """Sum the outer products of the rows, ``(n, S)`` to ``(S, S)``.

    The threads of a linear algebra library get in the way of those that the search runs in.
    """
    n_slopes = slopes.shape[1]
    total = np.zeros((n_slopes, n_slopes))
    for t in range(len(slopes)):
        for i in range(n_slopes):
            slope = slopes[t, i]
            if slope != 0.0:
                for j in range(i + 1):
                    total[i, j] += slope * slopes[t, j]
    for i in range(n_slopes):
        for j in range(i):
            total[j, i] = total[i, j]
    return total
