"""How far the data are from what the components make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.misfit import Misfit
from hyperfuse_hs.express import expand
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.result import FusionResult, Scores
from hyperfuse_hs.streaming import collect


@dataclass(frozen=True, eq=False)
class Residuals:
    """Squared residual over what the noise makes expect, about 1 where the model fits.

    Both are weighted by the inverse variance before they are summed.

    Parameters
    ----------
    positions
        ``(N_all,)``, summed over channels; NaN where excluded.
    channels
        ``(C_all,)``, summed over positions; NaN where excluded.
    """

    positions: NDArray[np.float64]
    channels: NDArray[np.float64]


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
    offset = part.offset if part.noise in COUNTED else None
    modality.planned = 1

    def start(rows: NDArray[np.intp]) -> Misfit:
        return Misfit(
            rows,
            modality.n_positions,
            loadings[rows],
            factors,
            intensity[rows],
            part.divisor,
            offset,
        )

    held = 16 * (modality.n_positions + modality.n_channels)
    sums = collect(modality, start, "residual", by_chunk=True, held=held, sent=factors.nbytes)
    positions, channels = sums.reduced(part.gain if part.gain > 0 else 1.0)
    return Residuals(expand(positions, scores.excluded), expand(channels, part.excluded))
