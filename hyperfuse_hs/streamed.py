"""Modalities that are read from disk: two looks at the data, whatever their size.

The first look collects sums, the covariance of the channels where there are few of them, and sums
over bins of neighbouring channels, which fit in memory and tell the maps. The second one multiplies
the data by what the first looks at all modalities have found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.binning import choose_bins
from hyperfuse_hs.algorithms.lowrank import LowRank
from hyperfuse_hs.algorithms.noise import effective_channels, poisson_variance
from hyperfuse_hs.algorithms.orthonormal import extended
from hyperfuse_hs.algorithms.products import Products
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.compress import (
    GRAM_CHANNELS,
    compress,
    finish,
    fits_whole,
    leading_basis,
    row_variance,
    survey,
)
from hyperfuse_hs.heap import give_back
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import NoiseModel, balanced
from hyperfuse_hs.streaming import collect

BINS, BINS_OF_SPECTRA = 1024, 256
"""Most bins of a modality: where they are all there is, and next to the covariance."""

BINNED_BYTES = 2**27
"""Sums over bins of all positions, two bytes each, take no more than this [bytes]."""

LEAST_BINS = 64
"""Bins that are kept of however many positions."""

PROJECTION = 2**22
"""Elements of the projection of a modality with many channels, but for the next number."""

LEAST_DIRECTIONS = 63
"""Directions that any modality is projected on: with the sum over the positions, full vectors."""


def is_streamed(modality: Modality) -> bool:
    """Whether every look at the data is expensive: on disk, or too large to be whitened."""
    return modality.lazy or (modality.n_channels > GRAM_CHANNELS and not fits_whole(modality))


def has_covariance(modality: Modality) -> bool:
    """Whether the covariance of all channels can be, and is worth being, collected in one look.

    Spectra have lines as narrow as a channel, and few directions in them. What is on a detector is
    as wide as its disks, and a direction for every crystal asks for scores that know the thickness.
    """
    spectra = len(modality.signal_shape) == 1
    return spectra and modality.n_channels <= GRAM_CHANNELS and modality.whole_spectra


def n_directions(n_channels: int) -> int:
    """Return on how many directions a modality with many channels is projected."""
    return max(PROJECTION // n_channels - 1, LEAST_DIRECTIONS)


def first_look(modality: Modality) -> Survey:
    """Collect all that is needed before the common scores are known, in one pass.

    Parameters
    ----------
    modality
        The data; small lazy ones are held in memory from now on.

    Returns
    -------
    Survey
        Of data on disk with sums over bins, and the covariance of the channels if they are few.
    """
    modality.hold()
    if not is_streamed(modality):
        return survey(modality)
    modality.planned = 2
    gram = has_covariance(modality)
    n, channels = modality.n_positions, modality.n_channels
    most = BINS_OF_SPECTRA if gram else BINS
    most = int(np.clip(BINNED_BYTES // (2 * n), LEAST_BINS, most))
    bins, _ = choose_bins(modality.signal_shape, modality.excluded_channels, most)

    def start(rows: NDArray[np.intp]) -> Survey:
        return Survey(n, channels, squares=gram, gram=gram, bins=bins)

    held = 4 * (channels**2 if gram else 6 * channels)
    return collect(modality, start, "first look", by_chunk=not gram, held=held)


def survey_variance(variance: Modality) -> Survey:
    """Sum a variance given in the shape of the data, in one pass, lazy or not."""
    n, channels = variance.n_positions, variance.n_channels
    if not variance.lazy:
        return survey(variance)

    def start(rows: NDArray[np.intp]) -> Survey:
        return Survey(n, channels, squares=False)

    return collect(variance, start, "sums", by_chunk=True, held=16 * channels)


def project_unseen(
    modality: Modality, basis: NDArray[np.float64], row_scale: NDArray[np.float64] | None
) -> tuple[NDArray[np.float32], Survey]:
    """Project data that nobody has looked at yet, in one pass.

    Parameters
    ----------
    modality
        The data.
    basis
        ``(N, K)`` directions.
    row_scale
        ``(N,)`` variance to divide the rows by, or None for ones.

    Returns
    -------
    projection : ndarray
        ``(K, C)``.
    facts : Survey
        Of the data; squares are divided by `row_scale`.
    """
    n, channels = modality.n_positions, modality.n_channels
    modality.planned = 1
    left = basis.astype(np.float32, copy=False)
    weight = None if row_scale is None else 1 / row_scale

    def start(rows: NDArray[np.intp]) -> Products:
        scale = None if row_scale is None else row_scale[rows]
        return Products(rows, channels, left[rows], scale, facts=Survey(n, channels, weight))

    size = 4 * channels * left.shape[1]
    found = collect(modality, start, "projection", by_chunk=True, held=size, sent=left.nbytes)
    assert found.sums is not None and found.facts is not None
    return np.ascontiguousarray(found.sums[:, :-1].T, dtype=np.float32), found.facts


def own_directions(
    facts: Survey, noise: NoiseModel, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Find the spectra of a modality that stand out of its noise.

    Parameters
    ----------
    facts
        What the first look found; its covariance, which is large, is used up.
    noise
        Noise of every channel.
    rng
        Source of start vectors.

    Returns
    -------
    ndarray
        ``(C, k)`` orthonormal, of whitened channels; None where there is no covariance.
    """
    if not facts.has_gram:
        return None
    # Positions without any counts, which are excluded by now, have added nothing to it.
    gram = facts.take_gram()
    weight = (1 / np.sqrt(noise.divisor)).astype(np.float32)
    gram *= weight[:, None]
    gram *= weight
    return leading_basis(gram, facts.total, noise, rng)[0]


@dataclass(frozen=True, eq=False)
class Condensed:
    """What the first look left of a modality on disk.

    Parameters
    ----------
    modality
        Sums over bins of channels, in memory.
    facts
        Of these sums.
    noise
        Noise of these sums.
    """

    modality: Modality
    facts: Survey
    noise: NoiseModel

    def reduce(self, row_scale: NDArray[np.float64] | None, rng: np.random.Generator) -> LowRank:
        """Find the leading singular triplets of the sums, see `compress`."""
        return compress(self.modality, self.facts, self.noise, row_scale, rng)

    def balance(self, low: LowRank) -> NDArray[np.float64]:
        """Tell by how much scaled rows change the variance of every bin, ``(n_bins,)``."""
        return low.divisor / self.noise.divisor


def condense(modality: Modality, facts: Survey, noise: NoiseModel) -> Condensed:
    """Put the sums over bins together, with their noise.

    Parameters
    ----------
    modality, facts, noise
        The data, what the first look found, and the noise of every channel.

    Returns
    -------
    Condensed
        Of the same positions.
    """
    assert facts.bins is not None
    sums = facts.take_binned()
    # The parts that these were put together from are as large as they are.
    give_back()
    n, n_bins = sums.shape
    none = np.zeros(n, dtype=bool), np.zeros(n_bins, dtype=bool)
    small = Modality(modality.name, sums, 1, *none)
    found = survey(small)
    found.count, found.whole_numbers = facts.count, facts.whole_numbers
    divisor: NDArray[np.float64] = np.bincount(facts.bins, noise.divisor, n_bins).astype(float)
    channels = float(n_bins)
    if noise.kind == "poisson":
        divisor = poisson_variance(found.channel_sum, n, facts.count)
        channels = effective_channels(found.channel_sum / n, divisor)
    offset = noise.offset * facts.bins.size / n_bins
    model = replace(noise, divisor=divisor, channels=channels, offset=offset)
    return Condensed(small, found, model)


@dataclass(frozen=True, eq=False)
class SecondLook:
    """What the second look brings.

    Parameters
    ----------
    low
        Leading singular triplets of all channels; None for a modality seen in bins only.
    added
        ``(N, j)`` orthonormal directions of its own scores besides the given ones.
    projection
        ``(K + j, C)`` data on the given directions and the added ones.
    divisor
        ``(C,)`` what the variance of each channel is to be divided by.
    """

    low: LowRank | None
    added: NDArray[np.float64]
    projection: NDArray[np.float32]
    divisor: NDArray[np.float64]


def second_look(
    modality: Modality,
    facts: Survey,
    noise: NoiseModel,
    row_scale: NDArray[np.float64] | None,
    expected: NDArray[np.float64],
    given: NDArray[np.float64],
    own: NDArray[np.float32] | None,
) -> SecondLook:
    """Project the data on given directions and, where they are known, on those of its own.

    Parameters
    ----------
    modality, facts, noise
        The data, what the first look found, and the noise of every channel.
    row_scale
        ``(N,)`` variance to divide the rows by, or None for ones.
    expected
        ``(C,)`` variance of each channel after that, as far as it is known from the first look.
    given
        ``(N, K)`` orthonormal directions that all modalities have together.
    own
        ``(C, k)`` from `own_directions`, or None.

    Returns
    -------
    SecondLook
        After one pass.
    """
    weight = 1 / np.sqrt(noise.divisor)
    directions = vectors = None
    if own is not None:
        # The spectra that stand out, weighted by what will be the noise of their channels.
        directions = own / (weight * expected)[:, None]
        # The last column sums the noise that is expected of each position.
        vectors = np.hstack([directions, 1 / expected[:, None]]).astype(np.float32)
    else:
        given = given[:, : n_directions(modality.n_channels)]
    left = given.astype(np.float32, copy=False)

    def start(rows: NDArray[np.intp]) -> Products:
        scale = None if row_scale is None else row_scale[rows]
        # Where a task reads part of the channels of all positions, they share the directions.
        mine = left if rows.size == len(left) else left[rows]
        return Products(rows, modality.n_channels, mine, scale, vectors)

    width = left.shape[1] + (0 if vectors is None else vectors.shape[1]) + 1
    found = collect(
        modality,
        start,
        "second look",
        by_chunk=vectors is None,
        held=4 * modality.n_channels * width,
        sent=left.nbytes,
    )
    assert found.sums is not None
    if row_scale is not None:
        noise = balanced(noise, found.sums[:, -1].astype(np.float64), row_scale, facts.count)
    k = given.shape[1]
    if directions is None:
        none = np.zeros((len(given), 0))
        projection = np.ascontiguousarray(found.sums[:, :k].T, dtype=np.float32)
        return SecondLook(None, none, projection, noise.divisor)
    return _with_own_scores(found, directions, expected, noise, row_scale, given)


def _with_own_scores(
    found: Products,
    directions: NDArray[np.float64],
    expected: NDArray[np.float64],
    noise: NoiseModel,
    row_scale: NDArray[np.float64] | None,
    given: NDArray[np.float64],
) -> SecondLook:
    """Turn products with `directions` of the raw channels into scores of whitened ones."""
    assert found.sums is not None and found.squares is not None
    products = found.scores(len(given))
    own = products[:, :-1]
    white, triangle = np.linalg.qr(directions * np.sqrt(noise.divisor)[:, None])
    scores = np.linalg.solve(triangle.T, own.T).T
    energy = float(np.sum(found.squares / noise.divisor))
    # Of which the mean is known better by now.
    sums = found.sums[:, -1]
    divided = products[:, -1] * np.sum(sums / noise.divisor) / np.sum(sums / expected)
    rows = row_variance(divided, noise, row_scale)
    low = finish(scores, white.astype(np.float32), energy, rows, noise, row_scale)
    added, mixing = extended(given, own)
    columns = found.sums[:, : given.shape[1] + own.shape[1]]
    projection = np.vstack([columns[:, : given.shape[1]].T, (columns @ mixing).T])
    return SecondLook(low, added, projection.astype(np.float32), noise.divisor)
