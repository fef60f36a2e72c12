"""Endmembers that make the positions most likely under the mixture that faces are told by.

The search for endmembers takes the noise as stated, and one way in which abundances spread over
the faces of one size. Where that is not so, its endmembers are off by some part of the noise, and
whole faces with them: the positions of one face are then taken for those of another, all with the
same certainty. A few steps more, under the noise and the shares that were learnt, take that out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import Floats
from hyperfuse_hs.algorithms.face_kinds import Kind, log_of, tasks
from hyperfuse_hs.algorithms.face_prior import FacePrior, draw_together
from hyperfuse_hs.algorithms.face_problem import Evaluation, map_threads, outer_products
from hyperfuse_hs.algorithms.face_search import scoring_step

STEPS, TOLERANCE = 10, 0.5
"""Most steps, and the gain of the summed log-likelihood that is not worth one: one standard error
of one coordinate."""


@dataclass(frozen=True)
class Refit:
    """Where the steps ended.

    Attributes
    ----------
    endmembers
        ``(p, q)``.
    shares
        ``(J,)``.
    log_likelihood
        Sum over positions.
    """

    endmembers: Floats
    shares: Floats
    log_likelihood: float


def refit_endmembers(
    kinds: Sequence[Kind],
    endmembers: Floats,
    prior: FacePrior,
    shares: Floats,
    log_background: float,
) -> Refit:
    """Raise the log-likelihood by damped scoring steps of the endmembers, shares along with them.

    Parameters
    ----------
    kinds
        Positions, with the noise that was learnt.
    endmembers
        To start from, ``(p, q)``, not whitened.
    prior
        Faces and exponents.
    shares
        To start from, ``(J,)``.
    log_background
        Logarithm of the constant density that outliers are drawn from.

    Returns
    -------
    Refit
        Never less likely than the start.
    """
    now = evaluate(kinds, prior, shares, log_background)
    found = Refit(endmembers, shares, -math.inf if now is None else now.log_likelihood)
    count = sum(len(kind.rows) for kind in kinds)
    damping, none = 1e-2, np.empty(0)
    for _ in range(STEPS):
        if now is None:
            break
        step, gain = scoring_step(now, none, damping, count, learn=False)
        moved = found.endmembers + step.reshape(endmembers.shape)
        drawn = draw_together(now.posterior_sums, prior)
        trial = evaluate([kind.see(moved, prior) for kind in kinds], prior, drawn, log_background)
        rise = -math.inf if trial is None else trial.log_likelihood - found.log_likelihood
        if trial is not None and rise > 0:
            found, now = Refit(moved, drawn, trial.log_likelihood), trial
            damping = max(damping * 0.2, 1e-6)
        else:
            damping = max(damping, 1e-3) * 10
        if max(rise, gain) < TOLERANCE:
            break
    return found


def evaluate(
    kinds: Sequence[Kind], prior: FacePrior, shares: Floats, log_background: float
) -> Evaluation | None:
    """Compute log-likelihood and slopes.

    Parameters
    ----------
    kinds
        Positions, and the endmembers as they see them.
    prior
        Faces and exponents.
    shares
        ``(J,)``.
    log_background
        Logarithm of the constant density that outliers are drawn from.

    Returns
    -------
    Evaluation or None
        Its slopes are by the endmembers before whitening; None where a face has no volume.
    """
    if not all(np.isfinite(kind.geometry.log_volumes).all() for kind in kinds):
        return None
    log_shares = log_of(shares)
    size = kinds[0].endmembers.size
    n_slopes = size + int(prior.groups.max()) + 1

    def one(task: tuple[Kind, slice]) -> Evaluation:
        kind, some = task
        log_likelihood, posterior, slopes = kind.visit(
            some, log_shares, prior, log_background + kind.log_det, n_slopes
        )
        turn = np.kron(np.eye(len(kind.endmembers)), np.linalg.inv(kind.root))
        kept = np.ascontiguousarray(slopes[:, :size])
        return Evaluation(
            float(log_likelihood.sum()) - len(log_likelihood) * kind.log_det,
            posterior.sum(axis=0),
            kept.sum(axis=0) @ turn,
            turn.T @ outer_products(kept) @ turn,
        )

    parts = map_threads(one, tasks(kinds))
    total = math.fsum(part.log_likelihood for part in parts)
    if not math.isfinite(total):
        return None
    return Evaluation(
        total,
        np.sum([part.posterior_sums for part in parts], axis=0),
        np.sum([part.gradient for part in parts], axis=0),
        np.sum([part.information for part in parts], axis=0),
    )
