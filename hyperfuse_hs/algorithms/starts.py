"""Where the search for the face mixture starts, and how it leaves a local optimum."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from hyperfuse_hs.algorithms.face_geometry import Floats
from hyperfuse_hs.algorithms.face_problem import FaceProblem, map_threads
from hyperfuse_hs.algorithms.face_search import Climb, blur, climb
from hyperfuse_hs.algorithms.simplex import (
    minimum_volume,
    successive_projection,
    vertex_component_analysis,
)

# How far out starts and escapes move a vertex. A component of purity x is found at x of its
# distance, and the climb comes back from too far more easily than it goes out.
PUSH = 1.6
# Share of the positions, the most isolated ones, that every second start does without.
TRIM = 0.05
NEIGHBOURS = 5
# A component with that many pure positions is held where it is.
ANCHOR = 10.0
# How far out a component that is nowhere pure is tried, how many of them, on how many positions all
# of these, on how many the most likely ones, and how often.
PUSHES = tuple(1.1 * 1.08**i for i in range(14))
MAX_MOVED = 3
GLANCE_POSITIONS = 250
MOVE_POSITIONS = 1000
MOST_MOVES = 48
MOST_CLIMBED = 8
MAX_ROUNDS = 3
HANDED = 24  # Moves given to a thread at once.


def start_simplex(
    problem: FaceProblem, n_components: int, index: int, rng: np.random.Generator
) -> Floats:
    """Guess a simplex to start from.

    The first is the simplex of minimum volume, the second comes from successive projection, the
    others from random searches. Every fourth, from the second on, is pushed out; every second does
    without the most isolated positions, which may be outliers.

    Parameters
    ----------
    problem
        Positions in the standard frame.
    n_components
        Number of vertices ``p``.
    index
        Which one, from zero.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        ``(p, q)``.
    """
    scores = problem.scores
    if index % 2:
        scores = drop_isolated(scores, n_components)
    if index == 0:
        fit = minimum_volume(scores, n_components, problem.noise, random_state=rng, n_starts=1)
        vertices = fit.endmembers
    elif index == 1:
        vertices = scores[successive_projection(scores, n_components)]
    else:
        vertices = vertex_component_analysis(scores, n_components, random_state=rng)
    centre = vertices.mean(axis=0)
    push = PUSH if index % 4 == 1 else 1.0
    return np.asarray(centre + push * (vertices - centre))


def drop_isolated(scores: Floats, n_components: int) -> Floats:
    """Leave out the positions farthest from their neighbours, all kept where there are few."""
    n_kept = len(scores) - int(TRIM * len(scores))
    if n_kept < 10 * n_components:
        return scores
    distances = KDTree(scores).query(scores, k=NEIGHBOURS + 1)[0][:, -1]
    kept = scores[np.sort(np.argpartition(distances, n_kept - 1)[:n_kept])]
    spread = np.linalg.svd(kept - kept.mean(axis=0), compute_uv=False)
    return np.asarray(kept) if spread[-1] > 1e-8 * spread[0] else scores


def escape(
    problem: FaceProblem,
    found: Climb,
    levels: Sequence[float],
    rng: np.random.Generator,
    rounds: int = MAX_ROUNDS,
) -> Climb:
    """Move endmembers that are nowhere pure outwards, climb again, and keep what is more likely.

    A component that is nowhere pure often ends at its purest position, with its neighbours bent
    to suit, and no small step leads away. Its purest position may lie on an edge, and then it has
    to move along that edge, until the other edges meet it. Therefore it is tried all along the
    rays from each other endmember and from their mean, with the scores blurred a little.

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
    rounds
        How often at most; an end that is no better is the last.

    Returns
    -------
    Climb
        At least as likely as ``found``.
    """
    for _ in range(rounds):
        level = levels[max(len(levels) - 2, 0)]
        blurred = blur(problem, level, rng)
        moves = outward_moves(found, len(problem.scores))
        if not moves:
            return found
        evened = replace(found, weights=even(found.weights))
        quick = blurred.draw(MOVE_POSITIONS, rng)
        moves = most_likely(quick.draw(GLANCE_POSITIONS, rng), evened, moves, MOST_MOVES)
        moves = most_likely(quick, evened, moves, MOST_CLIMBED)
        trials = [replace(evened, endmembers=moved) for _, moved in moves]
        trials = race(quick, trials, 2, max_iter=8, tolerance=1.0)
        trials = [replace(trial, weights=even(trial.weights)) for trial in trials]
        (best,) = race(problem, trials, 1, max_iter=25, tolerance=0.5)
        if not best.log_likelihood > found.log_likelihood + 0.5:
            return found
        found = best
    return found


def race(
    problem: FaceProblem, starts: list[Climb], n_kept: int, *, max_iter: int, tolerance: float
) -> list[Climb]:
    """Climb from each start and keep the most likely ends, the best one first."""

    def run(start: Climb) -> Climb:
        return climb(problem, start, max_iter=max_iter, tolerance=tolerance)

    return sorted(map_threads(run, starts), key=lambda end: -end.log_likelihood)[:n_kept]


def most_likely(
    problem: FaceProblem, found: Climb, moves: list[tuple[int, Floats]], n_kept: int
) -> list[tuple[int, Floats]]:
    """Keep the moves of highest likelihood, that first; only faces that move are computed anew."""
    moving = {k for k, _ in moves}
    at = (found.endmembers, found.weights, found.exponents)
    parts = {k: problem.faces_of(k, *at) for k in moving}

    def likelihoods(some: list[tuple[int, Floats]]) -> list[float]:
        return [parts[k][0].total(moved, *parts[k][1:]) for k, moved in some]

    # One takes less time than to hand it to a thread.
    several = [moves[i : i + HANDED] for i in range(0, len(moves), HANDED)]
    found_at = np.concatenate(map_threads(likelihoods, several))
    order = np.argsort(-found_at, kind="stable")
    return [moves[i] for i in order[:n_kept]]


def outward_moves(found: Climb, n_positions: int) -> list[tuple[int, Floats]]:
    """List endmembers that are nowhere pure, and simplices with one of them moved outwards."""
    p = len(found.endmembers)
    pure = found.weights[:p] * n_positions
    moves = []
    for k in np.argsort(pure, kind="stable")[:MAX_MOVED].tolist():
        if pure[k] <= ANCHOR:
            others = np.delete(found.endmembers, k, axis=0)
            for away in (others.mean(axis=0), *others):
                for push in PUSHES:
                    moved = found.endmembers.copy()
                    moved[k] = away + push * (moved[k] - away)
                    moves.append((k, moved))
    return moves


def even(weights: Floats) -> Floats:
    """Give faces that died a chance to live again."""
    return 0.95 * weights + 0.05 / len(weights)
