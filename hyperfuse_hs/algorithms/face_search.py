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


@dataclass(frozen=True)
class Climb:
    """Where a climb ended.

    Attributes
    ----------
    endmembers, weights
        ``(p, q)`` and ``(F,)``.
    log_likelihood
        Sum over positions; minus infinity where the start had no volume.
    converged
        Whether nothing was left to gain.
    n_iter
        Number of steps tried.
    """

    endmembers: Floats
    weights: Floats
    log_likelihood: float
    converged: bool
    n_iter: int


def climb(
    problem: FaceProblem,
    endmembers: Floats,
    weights: Floats,
    *,
    max_iter: int = 100,
    tolerance: float = 0.01,
) -> Climb:
    """Raise the log-likelihood until less than ``tolerance`` is left to gain.

    Parameters
    ----------
    problem
        Positions and faces.
    endmembers, weights
        Start, ``(p, q)`` and ``(F,)``.
    max_iter
        Largest number of steps.
    tolerance
        Gain of the summed log-likelihood that is not worth a step. One standard error of one
        parameter is 0.5.

    Returns
    -------
    Climb
    """
    now = problem.evaluate(endmembers, weights)
    if now is None:
        return Climb(endmembers, weights, -math.inf, False, 0)
    prior = 1.0 / len(weights)  # one position in all, so that no face is lost for good
    value = now.log_likelihood + prior * float(np.log(weights).sum())
    damping = 1e-2
    for iteration in range(1, max_iter + 1):
        step, gain = scoring_step(now, damping, len(problem.scores))
        next_weights = now.posterior_sums + prior
        next_weights /= next_weights.sum()
        moved = endmembers + step.reshape(endmembers.shape)
        trial = problem.evaluate(moved, next_weights)
        rise = -math.inf
        if trial is not None:
            rise = trial.log_likelihood + prior * float(np.log(next_weights).sum()) - value
        if trial is not None and rise > 0:
            endmembers, weights, now, value = moved, next_weights, trial, value + rise
            damping = max(damping * 0.2, 1e-6)
        else:
            damping = max(damping, 1e-3) * 10
        if max(rise, gain) < tolerance:
            return Climb(endmembers, weights, now.log_likelihood, True, iteration)
    return Climb(endmembers, weights, now.log_likelihood, False, max_iter)


def scoring_step(now: Evaluation, damping: float, n_positions: int) -> tuple[Floats, float]:
    """Solve for the damped scoring step and the gain it promises.

    Parameters
    ----------
    now
        Slopes and information.
    damping
        Factor on the diagonal of the information.
    n_positions
        Number of positions, the scale of the smallest damping.

    Returns
    -------
    step : numpy.ndarray
        ``(p q,)``.
    gain : float
        Expected rise of the log-likelihood.
    """
    ridge = damping * np.diag(now.information) + 1e-12 * n_positions
    step = np.linalg.solve(now.information + np.diag(ridge), now.gradient).astype(np.float64)
    return step, 0.5 * float(step @ now.gradient)


def anneal(
    problem: FaceProblem,
    endmembers: Floats,
    weights: Floats,
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
    endmembers, weights
        Start, ``(p, q)`` and ``(F,)``.
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
    found = Climb(endmembers, weights, -math.inf, False, 0)
    for level in levels:
        last = level == levels[-1]
        extra = np.sqrt(level) * rng.standard_normal(problem.scores.shape)
        blurred = replace(problem, scores=problem.scores + extra, noise=problem.noise + level)
        # Faces that died at one level may live at the next.
        weights = 0.95 * found.weights + 0.05 / len(weights)
        found = climb(
            blurred,
            found.endmembers,
            weights,
            max_iter=max_iter if last else min(max_iter, 30),
            tolerance=tolerance if last else 1.0,
        )
        n_iter += found.n_iter
    return replace(found, n_iter=n_iter)


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
