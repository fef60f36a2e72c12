"""What the noise of the data does to factors that are fitted by least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.varying import Variation

LEAST_VARIANCE = 1e-3
"""Variance of a channel, over the mean of all, below which it counts as that: channels in which
nothing happened to be counted are not known without error."""


@dataclass(frozen=True, eq=False)
class FactorEstimate:
    """Factors of one modality, of either sign, and the errors they owe to noise.

    Parameters
    ----------
    factors
        ``(p, C)``, zero in excluded channels.
    covariance
        ``(p, p, C)`` of the factors in each channel, which err independently; zero where excluded.
    weights
        ``(p, N)`` weight of each position in each factor.
    count
        Value of one count in the data; 0 where the noise is Gaussian.
    shape
        Shape of a factor, of C elements.
    own
        ``(p,)`` variance of a factor in a channel, per unit of it there; 0 where noise does not
        grow with the data.
    variation
        What varies besides the components; None where nothing does.
    """

    factors: NDArray[np.float64]
    covariance: NDArray[np.float64]
    weights: NDArray[np.float64]
    count: float
    shape: tuple[int, ...]
    own: NDArray[np.float64] | float = 0.0
    variation: Variation | None = None

    def varying(self, *, everywhere: bool = False) -> NDArray[np.float64]:
        """Covariance ``(p, p, C)`` that comes from what varies, see `Variation.covariance`."""
        if self.variation is None:
            return np.zeros((len(self.factors), *self.factors.shape))
        return self.variation.covariance(everywhere=everywhere)


def counting_covariance(
    weights: NDArray[np.float64], loadings: NDArray[np.float64], factors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariance of factors fitted to counts, ``W diag(var) W^T`` with the variance of the model.

    Parameters
    ----------
    weights
        ``(p, N)`` W.
    loadings
        ``(N, p)`` abundances times the local intensity.
    factors
        ``(p, C)``, negative values taken as zero.

    Returns
    -------
    ndarray
        ``(p, p, C)`` for a gain of one. No variance is below ``LEAST_VARIANCE`` of its mean.
    """
    shares = np.einsum("kn,jn,nl->kjl", weights, weights, np.maximum(loadings, 0.0), optimize=True)
    means = np.maximum(factors, 0.0)
    total = shares.diagonal().sum(axis=1) @ means
    least = LEAST_VARIANCE * float(total.mean())
    # What is missing is added to all factors in proportion, so that the matrices stay positive.
    lacking = np.maximum(least - total, 0.0) / max(float(shares.diagonal().sum()), 1e-300)
    return np.asarray(shares @ (means + lacking), dtype=np.float64)


def own_variance(
    weights: NDArray[np.float64], loadings: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance ``(p,)`` that counts of a factor itself add to it, per unit; as above."""
    own = np.einsum("kn,kn,nk->k", weights, weights, np.maximum(loadings, 0.0), optimize=True)
    return np.asarray(own, dtype=np.float64)


def combined_variance(
    covariance: NDArray[np.float64], row: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance ``(C,)`` of a combination ``row @ factors`` of factors, row ``(p,)``."""
    variance: NDArray[np.float64] = np.einsum("k,j,kjc->c", row, row, covariance, optimize=True)
    return np.maximum(variance, 0.0)
