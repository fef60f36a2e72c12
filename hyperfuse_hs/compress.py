"""From one modality to its low-rank scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import lowrank, rank
from hyperfuse_hs.algorithms.lowrank import LowRank
from hyperfuse_hs.algorithms.noise import effective_channels, poisson_variance
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import COUNTED, NoiseModel

WHOLE_BYTES = 2**29
"""Whitened data up to this size are held as one float32 matrix [bytes]."""

GRAM_CHANNELS = 4096
"""Data on disk with up to this many channels are compressed exactly, by their Gram matrix."""

PROBES = 224
"""Width of the sketch of data on disk with more channels than that."""

MAX_RANK = 1024
"""Most singular triplets kept of a modality."""

LEAST_EXPECTED = 0.02
"""Least mean variance of the noise of a position that is predicted, over that of all."""

PROFILE_RANK = 32
"""Most components that the noise of counts is predicted from."""

NOISE_FREE = 1e-4
"""Singular value, relative to the largest, that counts as zero in data said to be noise-free."""


def survey(modality: Modality, rng: np.random.Generator) -> Survey:
    """Run once over the data; sketch them if they will not fit in memory."""
    modality.hold()
    return _survey(modality, None if fits_whole(modality) else _probe(modality, rng), None)


def fits_whole(modality: Modality) -> bool:
    """Whether the whitened data may be held as one float32 matrix."""
    size = 4 * modality.n_positions * modality.n_channels
    return not modality.lazy and size <= WHOLE_BYTES


def _probe(modality: Modality, rng: np.random.Generator) -> NDArray[np.float32]:
    if modality.n_channels <= GRAM_CHANNELS:
        return np.eye(modality.n_channels, dtype=np.float32)
    return lowrank.random_probe(modality.n_channels, PROBES, rng)


def _survey(
    modality: Modality, probe: NDArray[np.float32] | None, row_weight: NDArray[np.float64] | None
) -> Survey:
    result = Survey(modality.n_positions, modality.n_channels, probe, row_weight)
    for rows, block in modality.blocks():
        result.update(rows, block)
    return result


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
        facts, model = _balanced(modality, facts, model, row_scale, rng)
    weight = 1 / np.sqrt(model.divisor)
    if fits_whole(modality):
        scores, basis, energy, rows = _compress_whole(modality, model, weight, row_scale, rng)
    else:
        energy = float(np.sum(facts.channel_square * weight**2))
        basis = _basis_from_sketch(modality, facts, model, weight, energy, rng)
        vectors = np.hstack([basis * weight[:, None], weight[:, None] ** 2]).astype(np.float32)
        projected = project(modality, vectors, row_scale)
        scores = projected[:, :-1]
        rows = _row_variance(projected[:, -1], model, row_scale)
    scores, basis, values = lowrank.rotate_to_singular(scores, basis)
    size = modality.n_positions
    uneven = _uneven_rows(rows, model)
    count, gain = _rank(values, energy, size, model, uneven)
    variance = None
    if rows is not None:
        left, right = _noise_profile(scores, basis, model, row_scale, count)
        expected = np.maximum(left @ right.sum(axis=0) / model.channels, LEAST_EXPECTED)
        profile = left * (rows / expected)[:, None]
        uneven = rank.unevenness(profile, right, model.channels).allowed
        count, gain = _rank(values, energy, size, model, uneven)
        variance = left @ (right.T @ basis.astype(np.float64) ** 2)
    root = np.sqrt(gain) if gain > 0 else 1.0
    return LowRank(
        scores / root,
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
    modality: Modality,
    facts: Survey,
    model: NoiseModel,
    row_scale: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[Survey, NoiseModel]:
    """Bring the noise of every channel to unit variance after the rows were divided.

    This is one more step of the balancing of rows and columns by Landa, Zhang and Kluger (SIAM J.
    Math. Data Sci. 4, 1420 (2022)): a phase that is thin where it is has less noise than its
    counts say, in the channels where it counts.
    """
    if fits_whole(modality):
        root = (1 / np.sqrt(row_scale))[:, None]
        sums = back_project(modality, root, row_scale)[0].astype(np.float64)
    else:
        facts = _survey(modality, _probe(modality, rng), 1 / row_scale)
        sums = facts.weighted_sum
    if model.kind not in COUNTED:
        return facts, model
    size = modality.n_positions
    mean = np.maximum(sums / size, 0.0)
    if model.offset > 0:
        divisor = mean + model.offset * float(np.mean(1 / row_scale))
    else:
        divisor = poisson_variance(sums, size, facts.count)
    channels = effective_channels(mean, divisor) if model.offset == 0 else model.channels
    return facts, replace(model, divisor=divisor, channels=channels)


def _noise_profile(
    scores: NDArray[np.float64],
    basis: NDArray[np.float32],
    model: NoiseModel,
    row_scale: NDArray[np.float64] | None,
    count: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the whitened noise of counts, their mean and the offset: (N, r) and (C, r)."""
    kept = slice(min(max(count, 1), PROFILE_RANK))
    rows = np.ones(len(scores)) if row_scale is None else row_scale
    left = scores[:, kept] / np.sqrt(rows)[:, None]
    right = basis[:, kept] / np.sqrt(model.divisor)[:, None]
    if model.offset == 0:
        return left, right
    offset = model.offset / model.divisor
    return np.hstack([left, 1 / rows[:, None]]), np.hstack([right, offset[:, None]])


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
    return min(count, MAX_RANK), max(gain, floor)


def _row_variance(
    sums: NDArray[np.float64], model: NoiseModel, row_scale: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Variance of the whitened noise of each position: for counts, their own weighted sum.

    A position that holds what is rare elsewhere has more than unit noise; so has one where, of few
    counts, more than the mean happened to fall into channels with hardly any.
    """
    if model.kind not in COUNTED:
        return None
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
    for index, block in modality.blocks():
        whole[index] = block
    whole *= weight.astype(np.float32)
    if row_scale is not None:
        whole /= np.sqrt(row_scale)[:, None].astype(np.float32)
    sums = whole @ weight.astype(np.float32)
    rows = _row_variance(sums.astype(np.float64), model, row_scale)
    energy = float(np.einsum("ij,ij->", whole, whole, dtype=np.float64))
    wanted = _wanted(modality, model, energy, rows)
    narrow = whole if whole.shape[0] > whole.shape[1] else whole.T
    vectors = lowrank.leading_eigenvectors(
        lambda v: narrow.T @ (narrow @ v), narrow.shape[1], wanted, rng
    )
    if narrow is not whole:
        vectors = lowrank.orthonormal(whole.T @ vectors)
    return (whole @ vectors).astype(np.float64), vectors, energy, rows


def _wanted(
    modality: Modality,
    model: NoiseModel,
    energy: float,
    rows: NDArray[np.float64] | None = None,
) -> lowrank.Floor:
    uneven = _uneven_rows(rows, model)

    def wanted(eigenvalues: NDArray[np.float64]) -> int:
        values = np.sqrt(np.maximum(eigenvalues, 0.0))
        return _rank(values, energy, modality.n_positions, model, uneven)[0]

    return wanted


def _basis_from_sketch(
    modality: Modality,
    facts: Survey,
    model: NoiseModel,
    weight: NDArray[np.float64],
    energy: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    assert facts.sketch is not None and facts.probe is not None
    if facts.probe.shape[1] < modality.n_channels:
        return lowrank.orthonormal(facts.sketch * weight[:, None])
    gram = (facts.sketch * weight[:, None] * weight).astype(np.float32)
    wanted = _wanted(modality, model, energy)
    return lowrank.leading_eigenvectors(lambda v: gram @ v, len(gram), wanted, rng)


def project(
    modality: Modality, vectors: NDArray[np.float32], row_scale: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Multiply the data by a few vectors, in one pass.

    Parameters
    ----------
    modality
        The data X, N x C.
    vectors
        ``(C, k)``.
    row_scale
        ``(N,)``, rows are divided by its square root; None for ones.

    Returns
    -------
    ndarray
        ``(N, k)``.
    """
    scores = np.empty((modality.n_positions, vectors.shape[1]))
    for rows, block in modality.blocks():
        scores[rows] = block.astype(np.float32) @ vectors
    return scores if row_scale is None else scores / np.sqrt(row_scale)[:, None]


def back_project(
    modality: Modality,
    scores: NDArray[np.float64],
    row_scale: NDArray[np.float64] | None,
    facts: Survey | None = None,
) -> NDArray[np.float32]:
    """Multiply scores by the data, in one pass.

    Parameters
    ----------
    modality
        The data X, N x C.
    scores
        ``(N, k)``.
    row_scale
        ``(N,)``, rows of the data are divided by its square root; None for ones.
    facts
        Updated on the way if given.

    Returns
    -------
    ndarray
        ``(k, C)``, ``scores^T X``.
    """
    left = scores if row_scale is None else scores / np.sqrt(row_scale)[:, None]
    left = left.astype(np.float32)
    result = np.zeros((left.shape[1], modality.n_channels), dtype=np.float64)
    for rows, block in modality.blocks():
        if facts is not None:
            facts.update(rows, block)
        result += left[rows].T @ block.astype(np.float32)
    return result.astype(np.float32)
