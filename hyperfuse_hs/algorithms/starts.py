"""Where the search for the face mixture starts, and how it leaves a local optimum."""

from dataclasses import replace

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import Floats
from hyperfuse_hs.algorithms.face_problem import FaceProblem
from hyperfuse_hs.algorithms.face_search import Climb, anneal
from hyperfuse_hs.algorithms.simplex import (
    minimum_volume,
    successive_projection,
    vertex_component_analysis,
)

# How far out starts and escapes move a vertex. A component of purity x is found at x of its
# distance, and the climb comes back from too far more easily than it goes out.
PUSH = 1.6


def start_simplices(
    problem: FaceProblem, n_components: int, n_starts: int, rng: np.random.Generator
) -> list[Floats]:
    """Guess simplices to start from.

    The first is the simplex of minimum volume, the second comes from successive projection, the
    others from random searches; all but every second random one are pushed out.

    Parameters
    ----------
    problem
        Positions in the standard frame.
    n_components
        Number of vertices ``p``.
    n_starts
        Number of simplices.
    rng
        Source of randomness.

    Returns
    -------
    list of numpy.ndarray
        ``n_starts`` arrays ``(p, q)``.
    """
    starts = []
    for index in range(n_starts):
        push = PUSH if index % 2 else 1.0
        if index == 0:
            fit = minimum_volume(
                problem.scores, n_components, problem.noise, random_state=rng, n_starts=1
            )
            vertices = fit.endmembers
        elif index == 1:
            vertices = problem.scores[successive_projection(problem.scores, n_components)]
        else:
            vertices = vertex_component_analysis(problem.scores, n_components, random_state=rng)
        centre = vertices.mean(axis=0)
        starts.append(centre + push * (vertices - centre))
    return starts


def escape(
    problem: FaceProblem, found: Climb, levels: list[float], rng: np.random.Generator
) -> Climb:
    """Push each endmember out in turn, climb again, and keep what is more likely.

    A component that is nowhere pure often ends at its purest position, with its neighbours bent
    to suit, and no small step leads away.

    Parameters
    ----------
    problem
        Positions and faces.
    found
        Local optimum.
    levels
        Extra noise variances, see :func:`~hyperfuse_hs.algorithms.face_search.anneal`.
    rng
        Source of the extra noise.

    Returns
    -------
    Climb
        At least as likely as ``found``.
    """
    for k in range(len(found.endmembers)):
        moved = found.endmembers.copy()
        others = np.delete(moved, k, axis=0).mean(axis=0)
        moved[k] = others + PUSH * (moved[k] - others)
        trial = anneal(
            problem, replace(found, endmembers=moved), levels, rng, max_iter=40, tolerance=0.3
        )
        if trial.log_likelihood > found.log_likelihood:
            found = trial
    return found
