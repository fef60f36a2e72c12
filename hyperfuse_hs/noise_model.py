"""What is known of the noise of a modality after one look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import noise
from hyperfuse_hs.algorithms.read_noise import NoiseLaw, noise_law
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.notices import warn_user

COUNTED = ("poisson", "mixed")
"""Kinds of noise that grow with the counts."""

MISFIT = 3.0
"""Mean squared distance of variances of channels from what the law makes expect, over that of
chance, that is too much."""

NO_LAW = (
    "The noise of {0} is that of neither counts nor a detector alone, so that too many components "
    "may seem to be there. A background that was subtracted leaves its noise: fuse the data as "
    "they were recorded, or give the variance they had before, noise={{{0!r}: variance}} or "
    "metadata.Signal.Noise_properties.variance."
)

MOST_LEVEL = 0.95
"""Part of the mean of a channel that is there without counts, at most."""

NOISE_KINDS = ("auto", "poisson", "gaussian", "none")


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """What is known of the noise of a modality after the survey.

    Parameters
    ----------
    kind
        ``"poisson"``, ``"mixed"`` (of counts, and some without), ``"gaussian"``, ``"none"`` or
        ``"variance"``.
    divisor
        ``(C,)`` variance, up to `gain`, of each channel.
    channels
        Number of channels counted by the noise that they hold.
    gain
        Factor on the variance; None to estimate it.
    offset
        Variance without counts, over the gain; negative where counts lie above a level that is
        recorded without any.
    usual_gain
        Gain as neighbours tell it, where `gain` is not known yet.
    """

    kind: str
    divisor: NDArray[np.float64]
    channels: float
    gain: float | None
    offset: float = 0.0
    usual_gain: float = 1.0


def noise_model(
    kind: str, modality: Modality, facts: Survey, variance: NDArray[np.float64] | None
) -> NoiseModel:
    """Choose the scale of every channel.

    Parameters
    ----------
    kind
        One of ``NOISE_KINDS``; ignored where `variance` is given.
    modality, facts
        The data and what the first pass found.
    variance
        ``(C,)`` mean variance of each channel as given by the user, or None.

    Returns
    -------
    NoiseModel
        ``"auto"`` takes data without negative values as counts of unknown gain, with noise that
        does not depend on them where neighbouring positions show it, and a single channel as a map
        with Gaussian noise.
    """
    channels = modality.n_channels
    if variance is not None:
        tiny = variance.max(initial=0.0) * 1e-6
        divisor = np.maximum(variance, tiny if tiny > 0 else 1.0)
        return NoiseModel("variance", divisor, noise.effective_channels(variance, divisor), 1.0)
    if kind == "auto":
        gain = None
        law = noise_law(
            *facts.neighbours, whole_numbers=facts.whole_numbers, positive=facts.minimum > 0
        )
        if facts.minimum < 0 and law.misfit > MISFIT:
            warn_user(NO_LAW.format(modality.name))
        offset = _offset(law, facts)
        if offset != 0:
            mean = facts.channel_sum / modality.n_positions
            if offset < 0:
                offset = max(offset, -MOST_LEVEL * float(mean.min()))
            divisor = _mixed(mean, offset)
            return NoiseModel("mixed", divisor, float(channels), gain, offset, law.gain)
        steady = law.kind == "constant" or facts.minimum < 0
        kind = "gaussian" if steady or channels == 1 else "poisson"
    else:
        gain = 1.0 if kind == "poisson" else None
    if kind == "poisson":
        divisor = noise.poisson_variance(facts.channel_sum, modality.n_positions, facts.count)
        mean = facts.channel_sum / modality.n_positions
        return NoiseModel(kind, divisor, noise.effective_channels(mean, divisor), gain)
    if channels == 1 and kind == "gaussian":
        image = np.full(modality.excluded_positions.size, np.nan)
        image[~modality.excluded_positions] = facts.total
        excluded = modality.excluded_positions.reshape(modality.navigation_shape)
        gain = noise.difference_variance(image.reshape(modality.navigation_shape), excluded)
    return NoiseModel(kind, np.ones(channels), float(channels), gain)


def _offset(law: NoiseLaw, facts: Survey) -> float:
    """Variance without counts over the gain, as far as it is known; 0 for that of counts alone."""
    if law.kind != "counts":
        return 0.0
    # What goes negative has some noise that is not of counts, however little.
    return law.offset or (law.error if facts.minimum < 0 and law.misfit <= MISFIT else 0.0)


def _mixed(mean: NDArray[np.float64], offset: float) -> NDArray[np.float64]:
    """Variance ``(C,)`` over the gain; every channel is left with some."""
    usual = float(np.mean(np.maximum(mean, 0.0))) + max(offset, 0.0)
    return np.maximum(mean + offset, (1 - MOST_LEVEL) * usual)


def never_negative(model: NoiseModel, facts: Survey) -> bool:
    """Whether only noise makes values negative, so that factors are not."""
    if model.kind != "mixed":
        return facts.minimum >= 0
    positions = facts.total.size
    error = np.sqrt(model.usual_gain * max(model.offset, 0.0) / positions)
    return bool(np.all(facts.channel_sum / positions > -5 * error))


def balanced(
    model: NoiseModel, sums: NDArray[np.float64], row_scale: NDArray[np.float64], count: float
) -> NoiseModel:
    """Bring the noise of every channel to unit variance after the rows were divided.

    This is one more step of the balancing of rows and columns by Landa, Zhang and Kluger (SIAM J.
    Math. Data Sci. 4, 1420 (2022)): a phase that is thin where it is has less noise than its
    counts say, in the channels where it counts.

    Parameters
    ----------
    model
        Noise of each channel before.
    sums
        ``(C,)`` sum over the positions of the data over `row_scale`.
    row_scale
        ``(N,)`` variance that the rows were divided by.
    count
        Value of one count.

    Returns
    -------
    NoiseModel
        The same for noise without counts.
    """
    if model.kind not in COUNTED:
        return model
    size = row_scale.size
    if model.offset != 0:
        divisor = _mixed(sums / size, model.offset * float(np.mean(1 / row_scale)))
        return replace(model, divisor=divisor)
    divisor = noise.poisson_variance(sums, size, count)
    channels = noise.effective_channels(np.maximum(sums / size, 0.0), divisor)
    return replace(model, divisor=divisor, channels=channels)
