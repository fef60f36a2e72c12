r"""Vertices of the simplex that holds the scores: pure-position searches and maximum likelihood."""

import math
from dataclasses import dataclass

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import Floats, Integers, pad_faces
from hyperfuse_hs.algorithms.face_problem import FaceProblem
from hyperfuse_hs.algorithms.face_search import (
    anneal,
    anneal_levels,
    background_density,
    climb,
    first_guess,
)
from hyperfuse_hs.algorithms.standard_scores import check_scores, standardise

# Positions the annealing runs on; the last steps take all of them.
SEARCH_POSITIONS = 1000


@dataclass(frozen=True)
class SimplexFit:
    """Maximum-likelihood simplex.

    Attributes
    ----------
    endmembers
        Vertices, ``(p, q)``.
    exponent
        Dirichlet exponent of the abundances.
    log_likelihood
        Mean over positions of the log-density.
    start_log_likelihoods
        Log-likelihood reached from each start on the positions of the search.
    converged
        Whether the last climb ended because nothing was left to gain.
    n_iter
        Steps of the best start, over all noise levels.
    """

    endmembers: Floats
    exponent: float
    log_likelihood: float
    start_log_likelihoods: Floats
    converged: bool
    n_iter: int


def successive_projection(scores: Floats, n_components: int) -> Integers:
    """Pick the positions that span the largest simplex, greedily.

    The first is the farthest from the mean, each next one the farthest from the affine hull of
    those before (successive projection algorithm, Araújo et al. 2001, in affine form).

    Parameters
    ----------
    scores
        ``(N, q)``.
    n_components
        Number of positions to pick, at most ``min(N, q + 1)``.

    Returns
    -------
    numpy.ndarray
        Indices of the positions, ``(p,)``.

    Raises
    ------
    ValueError
        If the positions do not span ``n_components - 1`` directions.
    """
    check_scores(scores, n_components)
    rest = scores - scores.mean(axis=0)
    scale = np.abs(rest).max()
    chosen = [int(np.argmax(np.einsum("nq,nq->n", rest, rest)))]
    rest = rest - rest[chosen[0]]
    for _ in range(n_components - 1):
        norms = np.einsum("nq,nq->n", rest, rest)
        best = int(np.argmax(norms))
        length = math.sqrt(norms[best])
        if length <= 1e-12 * scale:
            raise ValueError(
                f"The probe positions span only {len(chosen) - 1} directions, {n_components} "
                f"components need {n_components - 1}. Ask for fewer components."
            )
        direction = rest[best] / length
        rest = rest - np.outer(rest @ direction, direction)
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def vertex_component_analysis(
    scores: Floats, n_components: int, *, random_state: int | np.random.Generator | None = None
) -> Floats:
    """Find pure positions as extremes along random directions.

    Each next vertex is the extreme position along a random direction orthogonal to the affine
    hull of those before (Nascimento and Bioucas-Dias, IEEE TGRS 43 (2005) 898).

    Parameters
    ----------
    scores
        ``(N, q)``, ``q = n_components - 1``.
    n_components
        Number of vertices ``p``.
    random_state
        Seed or generator of the random directions.

    Returns
    -------
    numpy.ndarray
        Vertices, ``(p, q)``: scores of probe positions.

    Raises
    ------
    ValueError
        If the positions do not span ``n_components - 1`` directions.
    """
    check_scores(scores, n_components)
    rng = np.random.default_rng(random_state)
    centred = scores - scores.mean(axis=0)
    lifted = np.column_stack([centred, np.full(len(scores), np.abs(centred).max())])
    # The first direction is orthogonal to the lifted axis, so that it is a contrast.
    span = np.eye(lifted.shape[1])[:, -1:]
    chosen: list[int] = []
    for _ in range(n_components):
        direction = rng.standard_normal((lifted.shape[1],))
        basis = np.linalg.qr(span)[0]
        for _ in range(2):  # the second time removes the rounding of the first
            direction -= basis @ (basis.T @ direction)
        project = np.abs(lifted @ direction) / np.linalg.norm(direction)
        best = int(np.argmax(project))
        if project[best] <= 1e-12 * np.abs(lifted).max():
            raise ValueError(
                f"The probe positions span only {len(chosen) - 1} directions, {n_components} "
                f"components need {n_components - 1}. Ask for fewer components."
            )
        chosen.append(best)
        span = lifted[chosen].T
    return np.array(scores[chosen], dtype=np.float64)


def minimum_volume(
    scores: Floats,
    n_components: int,
    noise: Floats,
    *,
    random_state: int | np.random.Generator | None = None,
    n_starts: int = 5,
) -> SimplexFit:
    r"""Fit the simplex that the positions most likely fill, given their noise.

    The abundances follow a symmetric Dirichlet distribution of exponent :math:`a`, which is learnt.
    With ``a = 1`` they are uniform, and the fit is of all simplices that hold the data within its
    noise the smallest,

    .. math::

        \max_{e_1\dots e_p} \frac1N\sum_t \Big[\sum_i \log\Phi(\lambda_{ti}/n_{ti})
                                            - \log\mathrm{vol}(e_1\dots e_p)\Big]

    with the barycentric coordinates :math:`\lambda_{ti}` and their noise :math:`n_{ti}`. Where
    the positions keep to the corners or to the middle, the exponent says so, and the simplex does
    not shrink or grow to make up for it. The density is that of
    :mod:`hyperfuse_hs.algorithms.face_kernel` for one face.

    Parameters
    ----------
    scores
        ``(N, q)``, ``q = n_components - 1``.
    n_components
        Number of vertices ``p``, at least 2.
    noise
        Noise variance of each position, the same in all directions, ``(N,)``.
    random_state
        Seed or generator.
    n_starts
        Number of pure-position searches to start from.

    Returns
    -------
    SimplexFit
        The fit of highest likelihood.

    Raises
    ------
    ValueError
        If shapes disagree, noise is negative, or the positions do not span the simplex.
    """
    data = standardise(scores, n_components, noise)
    rng = np.random.default_rng(random_state)
    members, sizes = pad_faces([tuple(range(n_components))])
    problem = FaceProblem(data.scores, data.noise, members, sizes, background_density(data.scores))
    part = problem.draw(SEARCH_POSITIONS, rng)
    levels = anneal_levels(part)
    fits = []
    for start in range(n_starts):
        if start == 0:
            vertices = part.scores[successive_projection(part.scores, n_components)]
        else:
            vertices = vertex_component_analysis(part.scores, n_components, random_state=rng)
        pushed = vertices.mean(axis=0) + 1.5 * (vertices - vertices.mean(axis=0))
        fits.append(
            anneal(part, first_guess(part, pushed), levels, rng, max_iter=40, tolerance=0.3)
        )
    best = max(fits, key=lambda fit: fit.log_likelihood)
    # Far from the solution a few positions tell as much as all.
    more = climb(problem.draw(4 * SEARCH_POSITIONS, rng), best, max_iter=40, tolerance=0.1)
    last = climb(problem, more, max_iter=10, tolerance=0.1)
    n = len(data.scores)
    return SimplexFit(
        data.restore(last.endmembers),
        float(last.exponents[0]),
        last.log_likelihood / n + data.log_jacobian,
        np.array([fit.log_likelihood for fit in fits]) / len(part.scores) + data.log_jacobian,
        last.converged,
        best.n_iter + more.n_iter + last.n_iter,
    )
