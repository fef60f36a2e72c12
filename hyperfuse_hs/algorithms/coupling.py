"""One subspace shared by the scores of several modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.rank import noise_edge, uneven_edge

SMALLEST = 1e-7
"""Singular value, relative to the largest, below which rounding has the say."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """Joint subspace of several modalities.

    Parameters
    ----------
    basis
        ``(N, R)`` orthonormal left singular vectors above the noise.
    singular_values
        ``(K,)`` all joint ones, in units of the noise.
    edge
        Largest singular value that noise alone would give.
    lead_scores
        ``(N, k)`` denoised scores of the lead modalities, whitened: unit noise in every column.
    lead_values
        ``(k,)`` singular values of the lead scores in units of their noise, descending.
    lead_edges
        ``(k,)`` largest value that noise alone would give in each of these directions.
    """

    basis: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    edge: float
    lead_scores: NDArray[np.float64]
    lead_values: NDArray[np.float64]
    lead_edges: NDArray[np.float64]


def couple(
    scores: Sequence[NDArray[np.float64]],
    leads: Sequence[bool],
    *,
    minimum_rank: int = 1,
    rows: NDArray[np.float64] | None = None,
) -> Coupling:
    """Find the joint subspace and denoise the lead modalities with it.

    The stacked scores have unit noise, so their singular values above the edge of Marchenko and
    Pastur are what the modalities share or know alone; the rest, such as a second and noisier
    copy of a map that another modality sees sharply, is dropped. To first order the error that
    remains in the rows is the noise projected on the retained right singular vectors plus the
    leverage of the position; the lead scores are whitened with this covariance.

    What is dropped of the lead must look like noise: directions of it that do not, and as many as
    are missing of the wanted rank, are kept as the lead alone knows them.

    Parameters
    ----------
    scores
        Per modality ``(N, k_m)``, noise of unit variance in every column (times the weight).
    leads
        Per modality, whether it leads.
    minimum_rank
        Keep at least this many directions of the lead.
    rows
        ``(N,)`` variance of the noise of each position, of mean one; None for ones. Where noise
        is concentrated on few positions, that of two modalities agrees more often by chance.

    Returns
    -------
    Coupling
        Joint basis and denoised lead scores.
    """
    stacked = np.hstack(list(scores))
    n, width = stacked.shape
    left, values, right = tall_svd(stacked)
    uneven = 1.0 if rows is None else uneven_edge(rows, width)
    edge = uneven * noise_edge(n, width)
    most = int(np.count_nonzero(values))
    rank = int(np.clip(np.count_nonzero(values > edge), min(minimum_rank, most), most))
    is_lead = np.repeat(list(leads), [s.shape[1] for s in scores])
    basis, kept = left[:, :rank], right[:rank, is_lead]
    lead = (basis * values[:rank]) @ kept
    whitened, lead_values, edges = _whiten(lead, kept, rank / n, uneven)
    found = int(np.count_nonzero(lead_values > edges))
    lost, lost_values, lost_right = tall_svd(stacked[:, is_lead] - lead)
    own = int(np.count_nonzero(lost_values > uneven * noise_edge(n, lost_values.size)))
    there = int(np.count_nonzero(lost_values > SMALLEST * values[0]))
    own = min(max(own, minimum_rank - found), there)
    if own > 0:
        kept = np.vstack([kept, lost_right[:own]])
        lead = lead + (lost[:, :own] * lost_values[:own]) @ lost_right[:own]
        whitened, lead_values, edges = _whiten(lead, kept, rank / n, uneven)
        # What was dropped is orthogonal to what was retained.
        basis = np.hstack([basis, lost[:, :own]])
    return Coupling(basis, values, edge, whitened, lead_values, edges)


def _lead_edges(shares: NDArray[np.float64], n: int, rank: int) -> NDArray[np.float64]:
    """Noise edge of each whitened lead direction.

    Noise that came through the retained right singular vectors (its part of the variance is
    `shares`) varies freely over the n positions; what came with the leverage has only `rank`
    degrees of freedom, and so a larger spread of its norm. Both are joined by Satterthwaite's
    rule (Biometrics Bulletin 2, 110 (1946)).
    """
    freedom = 1.0 / np.maximum(shares**2 / n + (1.0 - shares) ** 2 / rank, 1.0 / n)
    edges = [noise_edge(f, shares.size) / np.sqrt(f) for f in freedom]
    result: NDArray[np.float64] = np.sqrt(n) * np.array(edges)
    return result


def tall_svd(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Singular value decomposition of a matrix with few columns, by its Gram matrix.

    Parameters
    ----------
    matrix
        ``(N, K)``, K of a few hundred at most.

    Returns
    -------
    left, values, right
        ``(N, K)``, ``(K,)`` descending, ``(K, K)``. Values below ``SMALLEST`` of the largest, and
        their left vectors, are zero.
    """
    squares, axes = np.linalg.eigh(matrix.T @ matrix)
    values = np.sqrt(np.maximum(squares[::-1], 0.0))
    values = np.where(values > SMALLEST * values[0], values, 0.0)
    axes = axes[:, ::-1]
    left = (matrix @ axes) / np.where(values > 0, values, np.inf)
    return left, values, np.ascontiguousarray(axes.T)


def _whiten(
    scores: NDArray[np.float64], kept: NDArray[np.float64], leverage: float, uneven: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Bring the noise of lead scores to unit covariance, columns by descending singular value.

    `kept` holds the lead part of the retained right singular vectors, `leverage` the mean over
    positions of what the retained left ones let through. Returns the whitened scores, their
    singular values and the noise edge of each.
    """
    n = len(scores)
    own = kept.T @ kept
    level, turn = np.linalg.eigh(own)
    own = (turn * np.clip(level, 0.0, 1.0)) @ turn.T
    variances, axes = np.linalg.eigh(own + leverage * (np.eye(len(own)) - own))
    root = np.sqrt(np.maximum(variances, np.finfo(float).eps))
    white = (scores @ axes) / root
    squares, rotation = np.linalg.eigh(white.T @ white)
    rotation = rotation[:, ::-1]
    turned = (axes / root) @ rotation
    turned = turned / np.linalg.norm(turned, axis=0)
    shares = np.clip(np.einsum("ji,jk,ki->i", turned, own, turned), 0.0, 1.0)
    edges = uneven * _lead_edges(shares, n, max(round(leverage * n), 1))
    return white @ rotation, np.sqrt(np.maximum(squares[::-1], 0.0)), edges


def significant_lead_rank(coupled: Coupling) -> int:
    """Count the directions of whitened lead scores that stand out of their noise.

    Parameters
    ----------
    coupled
        From `couple`.

    Returns
    -------
    int
        Number of leading values above their edges.
    """
    below = np.flatnonzero(coupled.lead_values <= coupled.lead_edges)
    return int(below[0]) if below.size else coupled.lead_values.size
