"""Local intensity: whether counts follow the thickness of the specimen, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import rank
from hyperfuse_hs.algorithms.lowrank import LowRank
from hyperfuse_hs.result import ModalityScores

SCALES = ("auto", "none", "total")

LEAST_INTENSITY = 1e-2
"""Local intensity below this part of the mean is taken as that: such positions hold no signal."""

MISFIT = 2.0
"""Departure from one plane, in variances of the noise, at which counts are seen to vary."""

LEAST_VARIATION = 0.02
"""Relative variation of the intensity that is not worth following."""

LEAST_DIVISOR = 0.25
"""Rows are divided by the root of at least this intensity: where hardly anything was counted, a
single count would otherwise outweigh all noise that the singular values are compared with."""

Scales = dict[str, NDArray[np.float64] | None]


def choose_scale(
    scale: str | Mapping[str, NDArray[np.float64] | None],
    reference: LowRank,
    names: Sequence[str],
) -> tuple[Scales, str]:
    """Find the local intensity of every modality.

    Parameters
    ----------
    scale
        One of ``SCALES``, or by name ``(N,)`` maps (None: the same everywhere).
    reference
        Low-rank scores of the calling signal, without row scale.
    names
        Of all modalities.

    Returns
    -------
    scales : dict
        By name, ``(N,)`` of mean 1, or None where the intensity is the same everywhere. Totals
        are common to all modalities: what differs between them would break the shared abundances.
    kind : str
        Where it comes from, in words.
    """
    if isinstance(scale, Mapping):
        maps = {n: None if v is None else normalised(v) for n, v in scale.items()}
        return {n: maps.get(n) for n in names}, "as given"
    if scale == "none" or (scale == "auto" and not follows_thickness(reference)):
        return dict.fromkeys(names), "the same everywhere"
    total = normalised(denoised_total(reference))
    return dict.fromkeys(names, total), "proportional to the total of the calling signal"


def row_divisor(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance to divide each row by, so that its noise has unit variance or less.

    Parameters
    ----------
    scale
        ``(N,)`` local intensity.

    Returns
    -------
    ndarray
        ``(N,)``.
    """
    return np.maximum(scale, LEAST_DIVISOR)


def design_weight(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each row of abundances after division of the data by the root of `row_divisor`.

    Parameters
    ----------
    scale
        ``(N,)`` local intensity.

    Returns
    -------
    ndarray
        ``(N,)``, the root of the intensity but for positions near vacuum, where it is less.
    """
    weight: NDArray[np.float64] = scale / np.sqrt(row_divisor(scale))
    return weight


def normalised(intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by the mean and keep away from zero."""
    mean = float(np.mean(intensity))
    relative = intensity / mean if mean > 0 else np.ones_like(intensity)
    relative = np.maximum(relative, LEAST_INTENSITY)
    result: NDArray[np.float64] = relative / relative.mean()
    return result


def denoised_total(low: LowRank) -> NDArray[np.float64]:
    """Sum over all channels of the significant part of the data.

    Parameters
    ----------
    low
        Low-rank scores of whitened data.

    Returns
    -------
    ndarray
        ``(N,)``.
    """
    kept = max(low.rank, 1)
    sums = low.basis[:, :kept].T @ np.sqrt(low.divisor)
    return low.scores[:, :kept] @ sums


def follows_thickness(low: LowRank) -> bool:
    """Decide whether the intensity varies from position to position.

    With the same intensity everywhere, abundances that sum to one put all positions on one plane
    that misses the origin: some combination of the scores is one at every position, up to noise.

    Parameters
    ----------
    low
        Low-rank scores without row scale.

    Returns
    -------
    bool
        False as well where the data are too noisy to tell, or are a single number per position.
    """
    if low.rank < 1 or len(low.basis) < 2:
        return False
    scores = low.scores[:, : low.rank]
    spread = rank.score_noise(low.singular_values[: low.rank], len(scores), low.channels)
    plane = np.linalg.lstsq(scores, np.ones(len(scores)), rcond=None)[0]
    misfit = float(np.mean((1 - scores @ plane) ** 2))
    expected = float(np.sum((plane * spread) ** 2))
    return misfit > MISFIT * expected and misfit > LEAST_VARIATION**2


def carry_scale_noise(part: ModalityScores, reference: ModalityScores) -> None:
    """Give an image the noise of the intensity that it is divided by, and its dark level.

    The local intensity is estimated from the reference, noise included, and an image with a dark
    level does not follow it. Next to the small noise of an image neither can be left out: a
    sharp image would take both for variation of the specimen. What the significant scores of the
    reference do not explain of the image counts as noise.

    Parameters
    ----------
    part
        Scores of a single channel; scores, singular values, rank and gain are changed in place.
    reference
        Scores of the signal that the intensity is taken from.
    """
    known = reference.scores[:, : max(reference.rank, 1)]
    values = part.scores[:, 0]
    fitted = known @ np.linalg.lstsq(known, values, rcond=None)[0]
    freedom = max(len(values) - known.shape[1], 1)
    variance = float(np.sum((values - fitted) ** 2)) / freedom
    if variance > 1:
        root = np.sqrt(variance)
        part.scores = part.scores / root
        part.singular_values = part.singular_values / root
        part.gain = part.gain * variance
        part.rank = int(np.count_nonzero(part.singular_values > part.edge))
