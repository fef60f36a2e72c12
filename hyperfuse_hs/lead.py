"""Denoised scores of the lead modalities, and the plane in which the simplex lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.scaling import design_weight


@dataclass(frozen=True, eq=False)
class LeadScores:
    """Denoised scores of the lead modalities, and the affine plane that they lie in.

    Parameters
    ----------
    whitened
        ``(N, K)`` with unit noise times `noise`.
    centre
        ``(K,)`` mean.
    axes
        ``(K, p - 1)`` orthonormal directions of the plane.
    noise
        ``(N,)`` variance of the noise of each position.
    weight
        ``(N,)`` weight of each position in the joint subspace.
    """

    whitened: NDArray[np.float64]
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    noise: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """Positions in the plane, ``(N, p - 1)``."""
        return (self.whitened - self.centre) @ self.axes

    def lift(self, endmembers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Endmembers ``(p, p - 1)`` of the plane as rows of scores, ``(p, K)``."""
        return self.centre + endmembers @ self.axes.T


def check_directions(most: int, n_components: int) -> None:
    """Refuse more components than the scores of the lead modalities can tell apart.

    Raises
    ------
    ValueError
        There are more.
    """
    if n_components > most:
        raise ValueError(
            f"n_components={n_components} is more than the data support: the variation of the lead "
            f"modalities tells at most {most} components apart. Use fewer, or give more modalities "
            "the role lead."
        )


def lead_plane(
    lead_scores: NDArray[np.float64],
    lead_noise: NDArray[np.float64],
    scale: NDArray[np.float64],
    n_components: int,
) -> LeadScores:
    """Undo the row scale and find the plane of the simplex.

    Parameters
    ----------
    lead_scores
        ``(N, K)`` unit noise, rows times their weight in the joint subspace.
    lead_noise
        ``(N, K)`` variance of the noise of each score, about 1 on average.
    scale
        ``(N,)`` local intensity.
    n_components
        Number of components, p.

    Returns
    -------
    LeadScores
        Centred on the mean weighted by intensity, along the p - 1 directions of most variance. Its
        noise is that of the direction in which a position has most.

    Raises
    ------
    ValueError
        There are fewer directions than that.
    """
    check_directions(lead_scores.shape[1] + 1, n_components)
    weight = design_weight(scale)[:, None]
    centre = np.sum(lead_scores * weight, axis=0) / np.sum(weight**2)
    centred = lead_scores - weight * centre
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = np.ascontiguousarray(axes[:, ::-1][:, : n_components - 1])
    noise = np.max(lead_noise @ axes**2, axis=1, initial=0.0) / weight[:, 0] ** 2
    return LeadScores(lead_scores / weight, centre, axes, noise, weight[:, 0])
