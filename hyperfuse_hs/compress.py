"""From one modality to its low-rank scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import lowrank, rank
from hyperfuse_hs.algorithms.lowrank import LowRank
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.algorithms.tall import precision, turned
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import COUNTED, NoiseModel, balanced
from hyperfuse_hs.projection import back_project, project

WHOLE_BYTES = 2**27
"""Whitened data up to this size are held as one float32 matrix [bytes]."""

LARGEST_WHOLE = 2**29
"""The same for data with more channels than the next number; larger ones are streamed [bytes]."""

GRAM_CHANNELS = 4096
"""Other data with up to this many channels are compressed by their Gram matrix."""

MAX_RANK = 1024
"""Most singular triplets kept of a modality."""

MAX_SCORES = 2**23
"""Most scores kept of a modality, positions times triplets, but for the next number."""

MIN_RANK = 64
"""Number of triplets that are kept, if they stand out, of however many positions."""

LEAST_EXPECTED = 0.02
"""Least mean variance of the noise of a position that is predicted, over that of all."""

PROFILE_RANK = 32
"""Most components that the noise of counts is predicted from."""

NOISE_FREE = 1e-4
"""Singular value, relative to the largest, that counts as zero in data said to be noise-free."""


def survey(modality: Modality) -> Survey:
    """Run once over data in memory."""
    result = Survey(modality.n_positions, modality.n_channels)
    for rows, block in modality.blocks("first look"):
        result.update(rows, block)
    return result


def fits_whole(modality: Modality) -> bool:
    """Whether the whitened data may be held as one float32 matrix."""
    size = 4 * modality.n_positions * modality.n_channels
    limit = WHOLE_BYTES if modality.n_channels <= GRAM_CHANNELS else LARGEST_WHOLE
    return size <= limit


def compress(
    modality: Modality,
    facts: Survey,
    model: NoiseModel,
    row_scale: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> LowRank:
    """Find the leading singular triplets of the whitened data.

    Parameters
    ----------
    modality
        The data.
    facts
        What the first pass found.
    model
        Noise of each channel.
    row_scale
        ``(N,)`` variance to divide the rows by, or None for ones.
    rng
        Source of the start vectors.

    Returns
    -------
    LowRank
        In units of the noise.
    """
    if row_scale is not None:
        model = _balanced(modality, facts, model, row_scale)
    weight = 1 / np.sqrt(model.divisor)
    way = _compress_whole if fits_whole(modality) else _compress_by_gram
    scores, basis, energy, rows = way(modality, model, weight, row_scale, rng)
    return finish(scores, basis, energy, rows, model, row_scale)


def finish(
    scores: NDArray[np.float64],
    basis: NDArray[np.float32],
    energy: float,
    rows: NDArray[np.float64] | None,
    model: NoiseModel,
    row_scale: NDArray[np.float64] | None,
) -> LowRank:
    """Tell signal from noise in whitened data that were multiplied by their leading directions.

    Parameters
    ----------
    scores, basis
        ``(N, k)`` and ``(C, k)``: whitened data times an orthonormal basis, and this basis.
    energy
        Sum of squares of the whitened data.
    rows
        ``(N,)`` variance of the whitened noise of each position; None: the same everywhere.
    model
        Noise of each channel.
    row_scale
        ``(N,)`` variance that the rows were divided by, or None for ones.

    Returns
    -------
    LowRank
        In units of the noise.
    """
    scores, basis, values = lowrank.rotate_to_singular(scores, basis)
    size = len(scores)
    uneven = _uneven_rows(rows, model)
    count, gain = _rank(values, energy, size, model, uneven)
    variance = None
    if rows is not None:
        left, right = _noise_profile(scores, basis, model, row_scale, count)
        uneven = rank.unevenness(*_as_counted(left, right, rows, model), model.channels)
        uneven = uneven.allowed if model.kind in COUNTED else uneven
        count, gain = _rank(values, energy, size, model, uneven)
        mixing = right.T @ basis.astype(np.float64) ** 2
        variance = turned(left.astype(precision(size, mixing.shape[1])), mixing)
    root = np.sqrt(gain) if gain > 0 else 1.0
    scores /= root
    return LowRank(
        scores,
        basis,
        values / root,
        count,
        gain,
        model.channels,
        variance,
        uneven.reach,
        model.divisor,
    )


def _balanced(
    modality: Modality, facts: Survey, model: NoiseModel, row_scale: NDArray[np.float64]
) -> NoiseModel:
    if model.kind not in COUNTED:
        return model
    root = (1 / np.sqrt(row_scale))[:, None]
    sums = back_project(modality, root, row_scale)[0].astype(np.float64)
    return balanced(model, sums, row_scale, facts.count)


def _noise_profile(
    scores: NDArray[np.float64],
    basis: NDArray[np.float32],
    model: NoiseModel,
    row_scale: NDArray[np.float64] | None,
    count: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the whitened noise of counts, their mean and the offset: (N, r) and (C, r).

    Noise that does not follow counts is that of the divided rows.
    """
    if model.kind not in COUNTED:
        even = np.full((len(basis), 1), model.channels / len(basis))
        return 1 / (np.ones(len(scores)) if row_scale is None else row_scale)[:, None], even
    kept = slice(min(max(count, 1), PROFILE_RANK))
    rows = np.ones(len(scores)) if row_scale is None else row_scale
    left = scores[:, kept] / np.sqrt(rows)[:, None]
    right = basis[:, kept] / np.sqrt(model.divisor)[:, None]
    if model.offset == 0:
        return left, right
    offset = model.offset / model.divisor
    return np.hstack([left, 1 / rows[:, None]]), np.hstack([right, offset[:, None]])


def _as_counted(
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    rows: NDArray[np.float64],
    model: NoiseModel,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale a profile ``(N, r)`` and ``(C, r)`` to the mean variance of the counts of each row.

    Where hardly any is predicted, or less than none, it is taken as the same in all channels.
    """
    expected = left @ right.sum(axis=0) / model.channels
    short = np.maximum(LEAST_EXPECTED - expected, 0.0)
    even = np.full((len(right), 1), model.channels / len(right))
    profile = np.hstack([left, short[:, None]]) * (rows / (expected + short))[:, None]
    return profile, np.hstack([right, even])


def _uneven_rows(rows: NDArray[np.float64] | None, model: NoiseModel) -> rank.Unevenness:
    if rows is None:
        return rank.EVEN
    return rank.unevenness(rows[:, None], np.ones((round(model.channels), 1)), model.channels)


def _rank(
    values: NDArray[np.float64],
    energy: float,
    n_positions: int,
    model: NoiseModel,
    uneven: rank.Unevenness = rank.EVEN,
) -> tuple[int, float]:
    given = model.gain
    if model.kind == "none":
        given = (NOISE_FREE * values[0] / rank.noise_edge(n_positions, model.channels)) ** 2
    count, gain = rank.significant_rank(values, energy, n_positions, model.channels, given, uneven)
    floor = energy * float(np.finfo(np.float32).eps) ** 2 / max(n_positions, 1)
    most = int(np.clip(MAX_SCORES // max(n_positions, 1), MIN_RANK, MAX_RANK))
    return min(count, most), max(gain, floor)


def row_variance(
    sums: NDArray[np.float64], model: NoiseModel, row_scale: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Variance of the whitened noise of each position: for counts, their own weighted sum.

    A position that holds what is rare elsewhere has more than unit noise; so has one where, of few
    counts, more than the mean happened to fall into channels with hardly any. Noise that does not
    follow counts is less where rows were divided by more.
    """
    if model.kind not in COUNTED:
        return None if row_scale is None or model.kind == "none" else 1 / row_scale
    divisor = 1.0 if row_scale is None else np.sqrt(row_scale)
    without = model.offset * float(np.sum(1 / model.divisor))
    return np.maximum((sums / divisor + without / divisor**2) / model.channels, 0.0)


def _compress_whole(
    modality: Modality,
    model: NoiseModel,
    weight: NDArray[np.float64],
    row_scale: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float32], float, NDArray[np.float64] | None]:
    whole = np.empty((modality.n_positions, modality.n_channels), dtype=np.float32)
    for index, block in modality.blocks("directions"):
        whole[index] = block
    whole *= weight.astype(np.float32)
    if row_scale is not None:
        whole /= np.sqrt(row_scale)[:, None].astype(np.float32)
    sums = whole @ weight.astype(np.float32)
    rows = row_variance(sums.astype(np.float64), model, row_scale)
    energy = float(np.einsum("ij,ij->", whole, whole, dtype=np.float64))
    wanted = _wanted(modality.n_positions, model, energy, rows)
    narrow = whole if whole.shape[0] > whole.shape[1] else whole.T
    vectors = lowrank.leading_eigenvectors(
        lambda v: narrow.T @ (narrow @ v), narrow.shape[1], wanted, rng
    )
    if narrow is not whole:
        vectors = lowrank.orthonormal(whole.T @ vectors)
    scores = whole @ vectors
    return scores.astype(precision(*scores.shape)), vectors, energy, rows


def _compress_by_gram(
    modality: Modality,
    model: NoiseModel,
    weight: NDArray[np.float64],
    row_scale: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float32], float, NDArray[np.float64] | None]:
    gram = np.zeros((weight.size, weight.size), dtype=np.float32)
    total = np.empty(modality.n_positions)
    for index, block in modality.blocks("covariance"):
        white = block.astype(np.float32)
        if row_scale is not None:
            white /= np.sqrt(row_scale[index, None]).astype(np.float32)
        gram += white.T @ white
        total[index] = white.sum(axis=1)
    if row_scale is not None:
        total /= np.sqrt(row_scale)
    gram *= (weight[:, None] * weight).astype(np.float32)
    basis, energy = leading_basis(gram, total, model, rng)
    vectors = np.hstack([basis * weight[:, None], weight[:, None] ** 2]).astype(np.float32)
    projected = project(modality, vectors, row_scale)
    return projected[:, :-1], basis, energy, row_variance(projected[:, -1], model, row_scale)


def leading_basis(
    gram: NDArray[np.float32],
    total: NDArray[np.float64],
    model: NoiseModel,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], float]:
    """Find the directions of whitened channels that stand out of the noise, and some more.

    Parameters
    ----------
    gram
        ``(C, C)`` of the whitened data X, ``X^T X``.
    total
        ``(N,)`` sum over the channels of each position; the noise of counts goes with it.
    model
        Noise of each channel.
    rng
        Source of the start vectors.

    Returns
    -------
    basis : ndarray
        ``(C, k)`` orthonormal.
    energy : float
        Sum of squares of the whitened data.
    """
    energy = float(np.trace(gram, dtype=np.float64))
    mean = float(np.mean(total))
    rows = np.maximum(total / mean, 0.0) if model.kind in COUNTED and mean > 0 else None
    wanted = _wanted(total.size, model, energy, rows)
    return lowrank.leading_eigenvectors(lambda v: gram @ v, len(gram), wanted, rng), energy


def _wanted(
    n_positions: int,
    model: NoiseModel,
    energy: float,
    rows: NDArray[np.float64] | None = None,
) -> lowrank.Floor:
    uneven = _uneven_rows(rows, model)

    def wanted(eigenvalues: NDArray[np.float64]) -> int:
        values = np.sqrt(np.maximum(eigenvalues, 0.0))
        return _rank(values, energy, n_positions, model, uneven)[0]

    return wanted
