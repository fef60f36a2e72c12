"""The noise of the lead scores, and how it comes from that of the scores of each modality."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import coupling
from hyperfuse_hs.algorithms.coupling import Coupling
from hyperfuse_hs.joint import settle
from hyperfuse_hs.lead import LeadScores, lead_plane
from hyperfuse_hs.result import Choices, FusionResult, ModalityScores, Scores

FOREIGN = 0.3
"""Part of a lead score that its own modality does not account for, above which it is taken as found
in the joint subspace alone."""


@dataclass(frozen=True, eq=False)
class LeadNoise:
    """Lead scores and the noise they have.

    The joint subspace takes noise out of the scores of a position, but not out of means over
    positions that are alike. So errors of single abundances and errors of sums over positions
    are not to be had from the same variance: the first is `filtered`, the second that of
    ``raw @ mixing``.

    Parameters
    ----------
    lead
        The scores in their plane.
    basis
        ``(N, R)`` orthonormal basis of the joint subspace.
    filtered
        ``(N, K)`` variance of the noise of each lead score, rows weighted as the basis.
    raw
        ``(N, k)`` variance of the noise of the scores before they were denoised.
    mixing
        ``(k, K)`` how lead scores are made of these.
    coordinates
        ``(K, p)`` how the coordinates of the result follow from lead scores (without weight).
    unknown
        ``(K,)`` variance of lead scores (without weight) that are no more than noise: where a
        position truly is between the components found, such scores do not tell.
    """

    lead: LeadScores
    basis: NDArray[np.float64]
    filtered: NDArray[np.float64]
    raw: NDArray[np.float64]
    mixing: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    unknown: NDArray[np.float64]

    @property
    def position_variance(self) -> NDArray[np.float64]:
        """Variance of the noise of lead scores without weight, ``(N, K)``."""
        return self.filtered / self.lead.weight[:, None] ** 2 + self.unknown

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw noise of the lead scores without weight, ``(N, K)``, alike where positions are."""
        whole = (np.sqrt(self.raw) * rng.standard_normal(self.raw.shape)) @ self.mixing
        variance = self.raw @ self.mixing**2
        leverage = np.einsum("ij,ij->i", self.basis, self.basis)[:, None]
        share = (self.filtered / np.maximum(variance, 1e-300) - leverage) / (1 - leverage + 1e-12)
        kept = np.sqrt(np.clip(share, 0.0, 1.0))
        drawn = kept * whole + self.basis @ (self.basis.T @ ((1 - kept) * whole))
        return np.asarray(drawn / self.lead.weight[:, None])


def lead_noise(scores: Scores, result: FusionResult, choices: Choices) -> LeadNoise:
    """Look up the lead scores of a result again, with their noise.

    Parameters
    ----------
    scores, result, choices
        Of the fusion.

    Returns
    -------
    LeadNoise
        Found from the scores as when they were unmixed: no data are read.
    """
    chosen = replace(choices, n_components=result.n_components)
    roles, coupled, count = settle(scores, chosen)
    lead = lead_plane(coupled.lead_scores, coupled.lead_noise, scores.scale, count)
    active = [part for name, part in scores.modalities.items() if roles[name][0] != "passive"]
    leads = [part for part in active if roles[part.name][0] == "lead"]
    raw, mixing = _origin(leads, coupled, alone=len(active) == 1)
    coordinates = result.coordinates[~result.excluded]
    rows = np.hstack([lead.whitened, np.ones((len(coordinates), 1))])
    slopes = np.asarray(np.linalg.lstsq(rows, coordinates, rcond=None)[0][:-1], dtype=float)
    unknown = np.zeros(len(slopes))
    found = LeadNoise(lead, coupled.basis, coupled.lead_noise, raw, mixing, slopes, unknown)
    seen = coupling.significant_count(result.lead_values, result.lead_edges)
    unknown[seen:] = np.ptp(corners(result, found), axis=0)[seen:] ** 2
    return found


def vertices(result: FusionResult, noise: LeadNoise) -> NDArray[np.float64]:
    """Endmembers of a result in the plane of its lead scores, ``(p, p - 1)``."""
    coordinates = result.coordinates[~result.excluded]
    found = np.linalg.lstsq(coordinates, noise.lead.coordinates, rcond=None)[0]
    return np.asarray(found, dtype=np.float64)


def corners(result: FusionResult, noise: LeadNoise) -> NDArray[np.float64]:
    """Endmembers as rows of lead scores without weight, ``(p, K)``."""
    if result.options["unmixing"] == "nmf":
        return np.asarray(np.linalg.pinv(noise.coordinates), dtype=np.float64)
    return noise.lead.lift(vertices(result, noise))


def _origin(
    leads: list[ModalityScores], coupled: Coupling, *, alone: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the noise of the scores that lead scores are made of, and how they are."""
    columns, variances = [], []
    for part in leads:
        kept = slice(None if alone else max(part.rank, 1))
        even = np.ones(part.scores.shape)
        columns.append(part.scores[:, kept])
        variances.append((even if part.variance is None else part.variance)[:, kept])
    raw = np.hstack(variances)
    # Along the joint subspace, lead scores are the scores of the modalities, mixed.
    inside, target = coupled.basis.T @ np.hstack(columns), coupled.basis.T @ coupled.lead_scores
    mixing = np.asarray(np.linalg.lstsq(inside, target, rcond=1e-9)[0], dtype=np.float64)
    left = np.sum((target - inside @ mixing) ** 2, axis=0)
    foreign = np.flatnonzero(left > FOREIGN * np.sum(target**2, axis=0))
    if foreign.size:
        # What only the joint subspace shows has all its noise within it.
        leverage = np.einsum("ij,ij->i", coupled.basis, coupled.basis)[:, None]
        mixing[:, foreign] = 0.0
        mixing = np.vstack([mixing, np.eye(mixing.shape[1])[foreign]])
        own = coupled.lead_noise[:, foreign] / np.maximum(leverage, 1e-12)
        raw = np.hstack([raw, own])
    return raw, mixing
