r"""Climb the likelihood of the face mixture: scoring steps, annealed in the noise.

The information matrix is estimated by the outer products of the slopes of every position
(Berndt, Hall, Hall and Hausman 1974), damped as by Levenberg and Marquardt; face weights follow
by expectation maximisation. A step is kept only if the log-likelihood rises.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import Floats
from hyperfuse_hs.algorithms.face_problem import Evaluation, FaceProblem

# Exponents that a climb may reach: from spikes at the corners to a spot in the middle.
EXPONENT_RANGE = 0.12, 6.0


@dataclass(frozen=True)
class Climb:
    """Where a climb ended.

    Attributes
    ----------
    endmembers, weights, exponents
        ``(p, q)``, ``(F,)`` and ``(G,)``.
    log_likelihood
        Sum over positions; minus infinity where the start had no volume.
    converged
        Whether nothing was left to gain.
    n_iter
        Number of steps tried.
    """

    endmembers: Floats
    weights: Floats
    exponents: Floats
    log_likelihood: float
    converged: bool
    n_iter: int


def climb(
    problem: FaceProblem,
    start: Climb,
    *,
    max_iter: int = 100,
    tolerance: float = 0.01,
) -> Climb:
    """Raise the log-likelihood until less than ``tolerance`` is left to gain.

    Parameters
    ----------
    problem
        Positions and faces.
    start
        Endmembers, weights and exponents to start from.
    max_iter
        Largest number of steps.
    tolerance
        Gain of the summed log-likelihood that is not worth a step. One standard error of one
        parameter is 0.5.

    Returns
    -------
    Climb
    """
    at = start
    now = problem.evaluate(at.endmembers, at.weights, at.exponents)
    if now is None:
        return replace(start, log_likelihood=-math.inf, converged=False, n_iter=0)
    prior = 1.0 / len(at.weights)  # one position in all, so that no face is lost for good
    value = now.log_likelihood + log_prior(at)
    damping = 1e-2
    for iteration in range(1, max_iter + 1):
        step, gain = scoring_step(now, at.exponents, damping, len(problem.scores), problem.learn)
        weights = now.posterior_sums + prior
        moved = replace(
            at,
            endmembers=at.endmembers + step[: at.endmembers.size].reshape(at.endmembers.shape),
            weights=weights / weights.sum(),
            exponents=np.clip(
                at.exponents * np.exp(np.clip(step[at.endmembers.size :], -0.5, 0.5)),
                *EXPONENT_RANGE,
            ),
            n_iter=iteration,
        )
        trial = problem.evaluate(moved.endmembers, moved.weights, moved.exponents)
        rise = -math.inf
        if trial is not None:
            rise = trial.log_likelihood + log_prior(moved) - value
        if trial is not None and rise > 0:
            at, now, value = moved, trial, value + rise
            damping = max(damping * 0.2, 1e-6)
        else:
            damping = max(damping, 1e-3) * 10
        if max(rise, gain) < tolerance:
            break
    return replace(
        at,
        log_likelihood=now.log_likelihood,
        converged=max(rise, gain) < tolerance,
        n_iter=iteration,
    )


def log_prior(at: Climb) -> float:
    """Weak prior: one position spread over the faces, exponents about one."""
    faces = float(np.log(at.weights).mean())
    return faces - 0.5 * float(np.sum(np.log(at.exponents) ** 2))


def scoring_step(
    now: Evaluation, exponents: Floats, damping: float, n_positions: int, learn: bool
) -> tuple[Floats, float]:
    """Solve for the damped scoring step and the gain it promises.

    Parameters
    ----------
    now
        Slopes and information.
    exponents
        Exponents of the faces, ``(G,)``.
    damping
        Factor on the diagonal of the information.
    n_positions
        Number of positions, the scale of the smallest damping.
    learn
        Whether the exponents are to be learnt.

    Returns
    -------
    step : numpy.ndarray
        Of endmembers and logarithms of the exponents, ``(p q + G,)``.
    gain : float
        Expected rise of the log-likelihood.
    """
    gradient, information = now.gradient.copy(), now.information.copy()
    n = len(gradient) - len(exponents)
    gradient[n:] -= np.log(exponents)
    information[range(n, len(gradient)), range(n, len(gradient))] += 1.0
    if not learn:
        gradient[n:] = 0.0
        information[n:, :n] = information[:n, n:] = 0.0
    ridge = damping * np.diag(information) + 1e-12 * n_positions
    step = np.linalg.solve(information + np.diag(ridge), gradient).astype(np.float64)
    return step, 0.5 * float(step @ gradient)


def anneal(
    problem: FaceProblem,
    start: Climb,
    levels: Sequence[float],
    rng: np.random.Generator,
    *,
    max_iter: int = 100,
    tolerance: float = 0.01,
) -> Climb:
    """Climb at falling levels of extra noise.

    The scores get the noise that the model is told of. Were they left sharp, the likelihood of
    every level but the last would be that of a wrong model, with its maximum beside the truth.

    Parameters
    ----------
    problem
        Positions and faces.
    start
        Endmembers, weights and exponents to start from.
    levels
        Variances added to that of every position, the last one for the result.
    rng
        Source of the extra noise.
    max_iter, tolerance
        Of the climb at the last level, see :func:`climb`.

    Returns
    -------
    Climb
        At the last level; ``n_iter`` counts all levels.
    """
    n_iter = 0
    found = start
    for level in levels:
        last = level == levels[-1]
        blurred = replace(blur(problem, level, rng), learn=problem.learn and last)
        # Faces that died at one level may live at the next.
        weights = 0.95 * found.weights + 0.05 / len(found.weights)
        found = climb(
            blurred,
            replace(found, weights=weights),
            max_iter=max_iter if last else min(max_iter, 20),
            tolerance=tolerance if last else max(tolerance, 1.0),
        )
        n_iter += found.n_iter
    return replace(found, n_iter=n_iter)


def blur(problem: FaceProblem, level: float, rng: np.random.Generator) -> FaceProblem:
    """Add noise of variance ``level`` to the scores and to what the model is told."""
    extra = np.sqrt(level) * rng.standard_normal(problem.scores.shape)
    return replace(problem, scores=problem.scores + extra, noise=problem.noise + level)


def first_guess(problem: FaceProblem, endmembers: Floats) -> Climb:
    """Start with equal weights and uniform faces."""
    n_faces, n_groups = len(problem.sizes), len(problem.group_sizes)
    return Climb(
        endmembers, np.full(n_faces, 1.0 / n_faces), np.ones(n_groups), -math.inf, False, 0
    )


def anneal_levels(problem: FaceProblem) -> list[float]:
    """Choose the extra noise variances, from a third of the weakest signal down to none.

    Parameters
    ----------
    problem
        Positions in the standard frame.

    Returns
    -------
    list of float
        Falling by factors of ten, the last one zero.
    """
    typical = float(np.median(problem.noise))
    spread = np.linalg.svd(problem.scores - problem.scores.mean(axis=0), compute_uv=False)
    weakest = spread[-1] ** 2 / len(problem.scores) - typical
    levels = []
    level = weakest / 9.0
    while level > 2.0 * typical:
        levels.append(level)
        level /= 10.0
    return [*levels, 0.0]


def background_density(scores: Floats) -> float:
    """Log-density of outliers: one position in a thousand, uniform on twice the bounding box.

    Parameters
    ----------
    scores
        ``(N, q)``.

    Returns
    -------
    float
        Logarithm of the density, its share included.
    """
    extent = 2.0 * np.ptp(scores, axis=0)
    return float(np.log(1e-3) - np.log(extent).sum())
