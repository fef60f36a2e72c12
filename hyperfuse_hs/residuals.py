"""How far the data are from what the components make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.misfit import Counting, Misfit, usual_share
from hyperfuse_hs.algorithms.tall import turned
from hyperfuse_hs.express import expand
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.result import FusionResult, Scores
from hyperfuse_hs.scaling import design_weight
from hyperfuse_hs.streaming import collect
from hyperfuse_hs.varying import fit_result, scale_of


@dataclass(frozen=True, eq=False)
class Residuals:
    """Squared residual over what the noise makes expect, about 1 where the model fits.

    Both are weighted by the inverse variance before they are summed. NaN where no noise is
    expected, as in channels without any counts.

    Parameters
    ----------
    positions
        ``(N_all,)``, summed over channels; NaN where excluded.
    channels
        ``(C_all,)``, summed over positions; NaN where excluded.
    """

    positions: NDArray[np.float64]
    channels: NDArray[np.float64]


MOST_LEVERAGE = 0.9
"""Part of the noise of a position that factors follow at most: of a component with no other."""


def linear_fit(
    scores: Scores, result: FusionResult, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the factors of a modality without constraints.

    Returns
    -------
    factors : ndarray
        ``(p, C)``.
    leverage : ndarray
        ``(N,)`` part of the noise of each position that they follow.
    """
    part, kept = scores.modalities[name], ~result.excluded
    found = fit_result(scores, result, name, errors=False)
    design = result.coordinates[kept] * design_weight(scale_of(part, len(found.seen)))[:, None]
    leverage = np.einsum("ij,ij->i", design, turned(found.seen, found.weights.T))
    return found.factors, np.clip(leverage, 0.0, MOST_LEVERAGE)


def compare(scores: Scores, result: FusionResult, modality: Modality) -> Residuals:
    """Compare data and model, in one pass.

    Parameters
    ----------
    scores, result
        Of the fusion.
    modality
        The data.

    Returns
    -------
    Residuals
        For positions and channels.
    """
    part, found = scores.modalities[modality.name], result.modalities[modality.name]
    kept = ~scores.excluded
    intensity = found.scale[kept]
    loadings = intensity[:, None] * result.abundances[kept]
    factors = found.factors[:, ~found.excluded]
    gain = part.gain if part.gain > 0 else 1.0
    linear, leverage = linear_fit(scores, result, part.name)
    counting, level = None, np.ones_like(intensity)
    if part.noise in COUNTED:
        level = intensity
        share = usual_share(part.divisor * (modality.n_positions / gain))
        counting = Counting(part.offset, linear, share)
    modality.planned = 1

    def start(rows: NDArray[np.intp]) -> Misfit:
        return Misfit(
            rows,
            modality.n_positions,
            loadings[rows],
            factors,
            level[rows],
            part.divisor,
            counting,
        )

    held = 24 * modality.n_positions + 16 * modality.n_channels
    sums = collect(modality, start, "residual", by_chunk=True, held=held, sent=2 * factors.nbytes)
    positions, channels = sums.reduced(gain, leverage)
    return Residuals(expand(positions, scores.excluded), expand(channels, part.excluded))
