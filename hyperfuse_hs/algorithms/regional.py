"""Denoise lead scores with what supports them nearby."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.coupling import Coupling, significant_lead_rank, tall_svd
from hyperfuse_hs.algorithms.rank import noise_edge, score_noise
from hyperfuse_hs.algorithms.shrinkage import shrink
from hyperfuse_hs.algorithms.tall import squared_norms, turned

Floats = NDArray[np.float64]

REGION = 4096
"""Most probe positions of a region."""


def split_scan(shape: Sequence[int], excluded: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Split a scan into regions of neighbours.

    Parameters
    ----------
    shape
        Of the scan.
    excluded
        ``(N_all,)``, True = excluded position.

    Returns
    -------
    list of ndarray
        Indices of the positions of each region among those that are not excluded.
    """
    index = np.where(excluded, -1, np.cumsum(~excluded) - 1).reshape(shape)
    parts = [index]
    while max(part.size for part in parts) > REGION:
        longest = int(np.argmax(parts[0].shape))
        parts = [half for part in parts for half in np.array_split(part, 2, axis=longest)]
    regions = [part[part >= 0] for part in parts]
    return [region for region in regions if region.size]


@dataclass(frozen=True, eq=False)
class _Region:
    """Lead scores of one region without the noise that its support takes out of them.

    `own` ``(k, k)`` is the part of the covariance of the noise that came through, `leverage`
    ``(n,)`` how much of the rest each position kept.
    """

    lead: Floats
    own: Floats
    leverage: Floats


def refine_lead(
    coupled: Coupling,
    lead: Floats,
    variance: Floats | None,
    support: Floats,
    reach: float,
    regions: Sequence[NDArray[np.intp]],
) -> Coupling:
    """Repeat the denoising of the lead scores region by region.

    In a large scan a support modality has directions for every particle in it. The noise of all of
    them reaches every position through the joint subspace, although only those nearby tell
    anything about it. Within a region there are fewer.

    Parameters
    ----------
    coupled
        From `coupling.couple`, on all positions.
    lead, support
        ``(N, k)`` and ``(N, K)`` scores with noise of unit variance.
    variance
        ``(N, k)`` variance of the noise of each lead score; None for ones.
    reach
        How much further the noise of the support reaches than unit noise.
    regions
        Indices of the positions of each.

    Returns
    -------
    Coupling
        With other lead scores, and the noise of these, if they are less noisy.
    """
    found = significant_lead_rank(coupled)
    if found == 0 or support.shape[1] == 0 or len(regions) < 2:
        return coupled
    parts = [_denoise(lead[region], support[region], reach) for region in regions]
    n, k = lead.shape
    covariance = np.zeros((k, k))
    for part in parts:
        rest = np.eye(k) - part.own
        covariance += (len(part.lead) * part.own + part.leverage.sum() * rest) / n
    variances, axes = np.linalg.eigh(covariance)
    axes = axes / np.sqrt(np.maximum(variances, np.finfo(float).eps))
    scores = np.empty((n, k))
    for region, part in zip(regions, parts, strict=True):
        scores[region] = part.lead @ axes
    squares, turn = np.linalg.eigh(scores.T @ scores)
    values = np.sqrt(np.maximum(squares[::-1], 0.0))
    if np.prod(values[:found] / coupled.lead_values[:found]) <= 1:
        return coupled
    axes, scores = axes @ turn[:, ::-1], scores @ turn[:, ::-1]
    noise = np.empty((n, k))
    profile = np.ones((n, k)) if variance is None else variance
    for region, part in zip(regions, parts, strict=True):
        own = np.einsum("ij,ik,kj->j", axes, part.own, axes)
        rest = np.sum(axes**2, axis=0) - own
        spread = turned(profile[region], axes**2 / np.sum(axes**2, axis=0))
        noise[region] = spread * own + part.leverage[:, None] * rest
        dropped = (lead[region] - part.lead) @ axes
        missing = spread * rest * (1 - np.minimum(part.leverage, 0.99))[:, None]
        for j in np.flatnonzero(rest[:found] > 1e-7 * own[:found]):
            restored = shrink(dropped[:, j], missing[:, j])
            scores[region, j] += restored.mean
            noise[region, j] += restored.variance
    return replace(coupled, lead_scores=scores, lead_noise=noise)


def _denoise(lead: Floats, support: Floats, reach: float) -> _Region:
    n, k = lead.shape
    left, values, _ = tall_svd(support)
    count = int(np.sum(values > reach * noise_edge(n, support.shape[1])))
    spread = score_noise(values[:count], n, support.shape[1])
    left = left[:, :count] * (values[:count] / np.maximum(spread, 1.0))
    stacked = np.hstack([lead.astype(np.float64), left])
    left, values, right = tall_svd(stacked)
    rank = max(int(np.sum(values > noise_edge(n, stacked.shape[1]))), 1)
    left, kept = left[:, :rank], right[:rank, :k]
    leverage: Floats = squared_norms(left)
    return _Region((left * values[:rank]) @ kept, kept.T @ kept, leverage)
