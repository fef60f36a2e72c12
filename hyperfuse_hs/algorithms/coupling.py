"""One subspace shared by the scores of several modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.hidden import Hidden
from hyperfuse_hs.algorithms.rank import noise_edge, unevenness
from hyperfuse_hs.algorithms.shrinkage import Shrunk, shrink
from hyperfuse_hs.algorithms.tall import crossed, precision, squared_norms, turned

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
    lead_noise
        ``(N, k)`` variance of the noise of each whitened score, about 1 on average.
    """

    basis: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    edge: float
    lead_scores: NDArray[np.float64]
    lead_values: NDArray[np.float64]
    lead_edges: NDArray[np.float64]
    lead_noise: NDArray[np.float64]


def couple(
    scores: Sequence[NDArray[np.float64]],
    leads: Sequence[bool],
    *,
    minimum_rank: int = 1,
    variances: Sequence[NDArray[np.float64] | None] | None = None,
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
    variances
        Per modality ``(N, k_m)`` variance of the noise of each score, of mean one in every column;
        None for ones. Where noise is concentrated on few positions, that of two modalities agrees
        more often by chance.

    Returns
    -------
    Coupling
        Joint basis and denoised lead scores.
    """
    n, width = len(scores[0]), sum(s.shape[1] for s in scores)
    # Few scores are double, and would make the many of other modalities double as well.
    stacked = np.hstack(list(scores), dtype=precision(n, width), casting="same_kind")
    profile = _stack_variances(scores, variances)
    edge = _reach(profile) * noise_edge(n, width)
    values, right = _values_and_axes(stacked)
    most = int(np.count_nonzero(values))
    rank = int(np.clip(np.count_nonzero(values > edge), min(minimum_rank, most), most))
    is_lead = np.repeat(list(leads), [s.shape[1] for s in scores])
    uneven = _reach(profile[:, is_lead])
    kept = right[:rank]
    basis = turned(stacked, kept.T / values[:rank])
    del stacked
    of_leads = [s for s, lead in zip(scores, leads, strict=True) if lead]
    own_scores = np.hstack([np.zeros((n, 0)), *of_leads])
    lead = turned(basis, values[:rank, None] * kept[:, is_lead])
    white = _whiten(lead, kept[:, is_lead], rank / n, uneven)
    found = int(np.count_nonzero(white.values > white.edges))
    lost, lost_values, lost_right = tall_svd(own_scores - lead)
    own = int(np.count_nonzero(lost_values > uneven * noise_edge(n, lost_values.size)))
    there = int(np.count_nonzero(lost_values > SMALLEST * values[0]))
    own = min(max(own, minimum_rank - found), there)
    leverage = squared_norms(basis) * n / max(rank, 1)
    if own > 0:
        added = np.zeros((own, width))
        added[:, is_lead] = lost_right[:own]
        kept = np.vstack([kept, added])
        lead = lead + (lost[:, :own] * lost_values[:own]) @ lost_right[:own]
        white = _whiten(lead, kept[:, is_lead], rank / n, uneven)
        # What was dropped is orthogonal to what was retained.
        basis = np.hstack([basis, lost[:, :own].astype(basis.dtype)])
    noise = _noise_of(white, kept, is_lead, profile, leverage)
    own_noise = profile[:, is_lead] * (1 - np.minimum(leverage * rank / n, 0.99))[:, None]
    restored = _restore(white, own_scores - lead, kept[:, is_lead], own_noise)
    return Coupling(
        basis,
        values,
        edge,
        white.scores + restored.mean,
        white.values,
        white.edges,
        noise + restored.variance,
    )


def _stack_variances(
    scores: Sequence[NDArray[np.float64]],
    variances: Sequence[NDArray[np.float64] | None] | None,
) -> NDArray[np.float64]:
    given = [None] * len(scores) if variances is None else variances
    return np.hstack(
        [
            np.broadcast_to(np.ones((), s.dtype), s.shape) if v is None else v
            for s, v in zip(scores, given, strict=True)
        ]
    )


def _reach(profile: NDArray[np.float64]) -> float:
    if np.all(profile == 1):
        return 1.0
    return unevenness(profile, np.eye(profile.shape[1]), profile.shape[1]).allowed.reach


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
    values, right = _values_and_axes(matrix)
    return turned(matrix, right.T / np.where(values > 0, values, np.inf)), values, right


def _values_and_axes(
    matrix: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Singular values and right singular vectors, as of `tall_svd`."""
    squares, axes = np.linalg.eigh(crossed(matrix, matrix))
    values = np.sqrt(np.maximum(squares[::-1], 0.0))
    values = np.where(values > SMALLEST * values[0], values, 0.0)
    return values, np.ascontiguousarray(axes[:, ::-1].T)


@dataclass(frozen=True, eq=False)
class _White:
    """Whitened scores ``(N, k)``, their singular values and edges, and how they were made.

    `map` makes them from the lead scores; `shares` of their noise came through the retained right
    singular vectors, the rest with the leverage.
    """

    scores: NDArray[np.float64]
    values: NDArray[np.float64]
    edges: NDArray[np.float64]
    map: NDArray[np.float64]
    shares: NDArray[np.float64]


def _whiten(
    scores: NDArray[np.float64], kept: NDArray[np.float64], leverage: float, uneven: float
) -> _White:
    """Bring the noise of lead scores to unit covariance, columns by descending singular value.

    `kept` holds the lead part of the retained right singular vectors, `leverage` the mean over
    positions of what the retained left ones let through.
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
    mapped = (axes / root) @ rotation
    turned = mapped / np.linalg.norm(mapped, axis=0)
    shares = np.clip(np.einsum("ji,jk,ki->i", turned, own, turned), 0.0, 1.0)
    edges = uneven * _lead_edges(shares, n, max(round(leverage * n), 1))
    through = shares / np.maximum(shares + leverage * (1 - shares), np.finfo(float).tiny)
    values = np.sqrt(np.maximum(squares[::-1], 0.0))
    return _White(white @ rotation, values, edges, mapped, through)


def _restore(
    white: _White,
    dropped: NDArray[np.float64],
    kept: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> Shrunk:
    """Find what was dropped of the whitened lead scores and is no noise, ``(N, k)``.

    The joint subspace does not know what is special about a few positions, such as a particle too
    small to stand out; there the scores of the lead alone are noisy, but not wrong. `noise` is the
    variance of the lead scores, `kept` the lead part of the retained right singular vectors.
    """
    mean = np.zeros(white.scores.shape)
    variance = np.zeros(white.scores.shape)
    rest = white.map - kept.T @ (kept @ white.map)
    expected = noise @ rest**2
    for k in np.flatnonzero(white.values > white.edges):
        if np.sum(rest[:, k] ** 2) > SMALLEST:
            found = shrink(dropped @ white.map[:, k], expected[:, k])
            mean[:, k], variance[:, k] = found
    return Shrunk(mean, variance)


def _noise_of(
    white: _White,
    kept: NDArray[np.float64],
    is_lead: NDArray[np.bool_],
    profile: NDArray[np.float64],
    leverage: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Variance of the noise of every whitened score ``(N, k)``.

    `leverage` is that of each position, over its mean.
    """
    paths = kept.T @ (kept[:, is_lead] @ white.map)
    squares = paths**2
    squares = squares / np.maximum(squares.sum(axis=0), np.finfo(float).tiny)
    through: NDArray[np.float64] = white.shares * turned(profile, squares)
    return through + (1 - white.shares) * leverage[:, None]


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
    return significant_count(coupled.lead_values, coupled.lead_edges)


def significant_count(values: NDArray[np.float64], edges: NDArray[np.float64]) -> int:
    """Count the values before the first that is not above its edge.

    Parameters
    ----------
    values, edges
        ``(k,)``.

    Returns
    -------
    int
        From 0 to k.
    """
    below = np.flatnonzero(values <= edges)
    return int(below[0]) if below.size else values.size


def insert_directions(coupled: Coupling, found: Hidden, place: int, count: int) -> Coupling:
    """Add directions to the whitened lead scores.

    Parameters
    ----------
    coupled
        From `couple`.
    found
        Directions with their noise.
    place
        Number of columns before them.
    count
        How many to take.

    Returns
    -------
    Coupling
        With ``k + count`` lead scores.
    """
    count = min(count, found.values.size)
    if count < 1:
        return coupled
    added = found.scores[:, :count], found.values[:count], np.full(count, found.edge)
    noise = found.noise[:, :count]
    return replace(
        coupled,
        lead_scores=np.insert(coupled.lead_scores, [place], added[0], axis=1),
        lead_values=np.insert(coupled.lead_values, place, added[1]),
        lead_edges=np.insert(coupled.lead_edges, place, added[2]),
        lead_noise=np.insert(coupled.lead_noise, [place], noise, axis=1),
    )
