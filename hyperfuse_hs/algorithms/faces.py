r"""Face mixture: endmembers, and which of them are present at each probe position.

Real maps are not uniform mixtures. Most positions are pure, lie on an interface of two
components, or mix three; few mix all. The face mixture says so: a position lies on one face of the
simplex, the faces have weights that are learnt, and the noise is known. On a face the abundances
follow a symmetric Dirichlet distribution; its exponent is learnt for each size of face, because
interfaces that are sharp, blurred or tilted fill an edge in different ways. The endmembers that
make the scores most likely are found by damped scoring steps while extra noise is lowered
(annealing), from several starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import Face, Floats, list_faces, pad_faces
from hyperfuse_hs.algorithms.face_problem import FaceProblem, map_threads
from hyperfuse_hs.algorithms.face_search import (
    Climb,
    anneal,
    anneal_levels,
    background_density,
    climb,
    first_guess,
)
from hyperfuse_hs.algorithms.standard_scores import standardise
from hyperfuse_hs.algorithms.starts import MAX_ROUNDS, escape, even, start_simplex

# Positions that the search runs on, times the number of components (four at least).
SEARCH_SHARE = 250
# Loss of log-likelihood per position from which the whole simplex alone is not looked at further.
HOPELESS = 0.2


@dataclass(frozen=True)
class FaceMixture:
    """Fitted face mixture.

    Attributes
    ----------
    endmembers
        ``(p, q)``.
    faces
        Components present on each face.
    weights
        Share of the positions on each face, ``(F,)``, sums to one.
    exponents
        Dirichlet exponent of the abundances on each face, ``(F,)``, the same for faces of one
        size: one where they are uniform, below where they keep to the corners, above where they
        keep to the middle.
    log_likelihood
        Mean over positions of the log-density.
    start_log_likelihoods
        Log-likelihood reached from each start on the positions of the search, ``(n_starts,)``.
    facet_support
        Expected number of positions from which each component is absent, ``(p,)``. Where it is
        close to zero, the data do not say how much of that component the others hold.
    converged
        Whether the last climb ended because nothing was left to gain.
    n_iter
        Steps of the best start, over all noise levels.
    """

    endmembers: Floats
    faces: tuple[Face, ...]
    weights: Floats
    exponents: Floats
    log_likelihood: float
    start_log_likelihoods: Floats
    facet_support: Floats
    converged: bool
    n_iter: int


def face_mixture(
    scores: Floats,
    n_components: int,
    noise: Floats,
    *,
    random_state: int | np.random.Generator | None = None,
    n_starts: int = 5,
    max_escapes: int = MAX_ROUNDS,
    max_face_size: int | None = None,
) -> FaceMixture:
    r"""Fit endmembers to positions that lie on faces of their simplex.

    Maximises :math:`\frac1N\sum_t\log\sum_F \pi_F\, p(z_t|F)` over endmembers, weights
    and exponents, with
    the density of :mod:`hyperfuse_hs.algorithms.face_kernel` and a thin uniform background that
    takes outliers.

    Parameters
    ----------
    scores
        Coordinates in the affine hull of the simplex, ``(N, q)``, ``q = n_components - 1``.
    n_components
        Number of endmembers ``p``, at least 2.
    noise
        Noise variance of each position, the same in all directions, ``(N,)``.
    random_state
        Seed or generator.
    n_starts
        Number of starts; the highest likelihood wins.
    max_escapes
        How often to try to get from there to a better optimum; most of the time goes there.
    max_face_size
        Largest number of components of a face, besides the whole simplex; None for 3, or 2 where
        there are more than 10 components, since the faces would be too many.

    Returns
    -------
    FaceMixture

    Raises
    ------
    ValueError
        If shapes disagree, noise is negative, or the positions do not span the simplex.
    """
    data = standardise(scores, n_components, noise)
    rng = np.random.default_rng(random_state)
    if max_face_size is None:
        max_face_size = 3 if n_components <= 10 else 2
    faces = list_faces(n_components, max_face_size)
    members, sizes = pad_faces(faces)
    problem = FaceProblem(data.scores, data.noise, members, sizes, background_density(data.scores))
    few = replace(problem.draw(SEARCH_SHARE * max(n_components, 4), rng), learn=False)
    levels = anneal_levels(few)

    def explore(numbered: tuple[int, np.random.Generator]) -> tuple[Floats, Climb]:
        index, own = numbered
        start = start_simplex(few, n_components, index, own)
        guess = first_guess(few, start)
        return start, anneal(few, guess, levels, own, max_iter=25, tolerance=0.5)

    starts, fits = zip(*map_threads(explore, enumerate(rng.spawn(n_starts))), strict=True)
    best = max(fits, key=lambda fit: fit.log_likelihood)
    best = escape(few, best, levels, rng, max_escapes)
    last = refine(problem, best, starts[0], rng)
    posterior = problem.posterior(last.endmembers, last.weights, last.exponents)[1]
    weights = last.weights / last.weights.sum()
    return FaceMixture(
        endmembers=data.restore(last.endmembers),
        faces=faces,
        weights=weights,
        exponents=spread_exponents(problem, last.exponents),
        log_likelihood=last.log_likelihood / len(data.scores) + data.log_jacobian,
        start_log_likelihoods=np.array([fit.log_likelihood for fit in fits]) / len(few.scores)
        + data.log_jacobian,
        facet_support=count_absent(posterior, faces, n_components),
        converged=last.converged,
        n_iter=best.n_iter + last.n_iter,
    )


def refine(problem: FaceProblem, best: Climb, whole: Floats, rng: np.random.Generator) -> Climb:
    """Climb on more and more positions, all of them in the end.

    The mixture may be more than the data ask for: where abundances are spread over the whole
    simplex, the other faces fit accidents. The whole simplex alone is kept if the mixture does
    not pay for its parameters (Bayesian information criterion, Schwarz 1978).

    Parameters
    ----------
    problem
        All positions.
    best
        Result of the search.
    whole
        Endmembers to start the whole simplex alone from, ``(p, q)``.
    rng
        Draws the positions.

    Returns
    -------
    Climb
    """
    more = problem.draw(4 * SEARCH_SHARE * max(len(whole), 4), rng)
    alone = more.last_face()

    def attempt(start: Climb) -> Climb:
        return climb(alone, start, max_iter=12, tolerance=0.05)

    mixed = climb(more, replace(best, weights=even(best.weights)), max_iter=60, tolerance=0.05)
    starts = [first_guess(alone, endmembers) for endmembers in (best.endmembers, whole)]
    simple = max(map_threads(attempt, starts), key=lambda end: end.log_likelihood)
    if simple.log_likelihood > mixed.log_likelihood - HOPELESS * len(more.scores):
        simple = climb(alone, simple, max_iter=60, tolerance=0.05)
    n_faces = int(np.count_nonzero(mixed.weights * len(more.scores) > 1.0))
    price = 0.5 * np.log(len(more.scores)) * (n_faces - 1 + len(mixed.exponents) - 1)
    prefer_simple = simple.log_likelihood > mixed.log_likelihood - price
    chosen, last = (problem.last_face(), simple) if prefer_simple else (problem, mixed)
    if len(more.scores) < len(problem.scores):
        last = climb(chosen, last, max_iter=15, tolerance=0.05)
    if prefer_simple:
        weights = np.zeros(len(problem.sizes))
        weights[-1] = 1.0
        exponents = np.ones(len(problem.group_sizes))
        exponents[-1] = last.exponents[0]
        last = replace(last, weights=weights, exponents=exponents)
    return last


def count_absent(posterior: Floats, faces: Sequence[Face], n_components: int) -> Floats:
    """Count the positions on faces without each component.

    Parameters
    ----------
    posterior
        ``(N, F)``.
    faces
        Components of each face.
    n_components
        Number of components ``p``.

    Returns
    -------
    numpy.ndarray
        Expected number of positions, ``(p,)``.
    """
    absent = np.array([[k not in face for face in faces] for k in range(n_components)])
    return np.asarray(absent @ posterior.sum(axis=0))


def spread_exponents(problem: FaceProblem, exponents: Floats) -> Floats:
    """Give each face the exponent of its size, one to single endmembers."""
    groups = np.searchsorted(problem.group_sizes, problem.sizes)
    return np.where(problem.sizes > 1, exponents[groups], 1.0)
