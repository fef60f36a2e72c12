"""Noise of data that are seen in a few directions only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.noise import FEW_COUNTS, count_moments
from hyperfuse_hs.algorithms.tall import precision, stripes
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.result import ModalityScores
from hyperfuse_hs.scaling import row_divisor


class ProjectedNoise(NamedTuple):
    """Noise of data projected on orthonormal directions, over the gain.

    Attributes
    ----------
    divisor
        ``(C,)`` what to divide the variance of each channel by.
    variance
        ``(R, C)`` variance then, in every direction; None for ones.
    channels
        Number of channels, counted by the noise they hold then.
    """

    divisor: NDArray[np.float64]
    variance: NDArray[Any] | None
    channels: float


def projected_noise(
    part: ModalityScores, seen: NDArray[np.float64], joint: NDArray[np.float64]
) -> ProjectedNoise:
    """Tell the noise of a modality in some directions.

    Parameters
    ----------
    part
        The modality.
    seen, joint
        ``(N, R)`` orthonormal directions, and ``(R, C)`` the data projected on these.

    Returns
    -------
    ProjectedNoise
        Of counts, that of each direction follows what is counted where it lies.
    """
    if part.noise not in COUNTED:
        return ProjectedNoise(part.divisor, None, part.channels)
    gain = part.gain if part.gain > 0 else 1.0
    # A dimension is no more than so many positions, in which enough has to be counted.
    divisor = np.maximum(part.divisor, FEW_COUNTS * gain * seen.shape[1] / len(seen))
    rows = None if part.scale is None else row_divisor(part.scale)
    through, squares = count_moments(seen, rows)
    variance = np.empty(joint.shape, dtype=precision(*joint.shape))
    for some in stripes(divisor.size):
        counted = through @ (joint[:, some] / divisor[some])
        # Above a dark level, what is recorded without counts has no noise and is taken off.
        constant = squares[:, None] * part.offset / divisor[some]
        variance[:, some] = np.maximum(counted + constant, np.maximum(constant, 0.0))
    return ProjectedNoise(divisor, variance, part.channels * float(np.mean(part.divisor / divisor)))
