"""Whether positions lie on the facets of a simplex, or only near them by chance.

A facet is located by positions that lie on it: those that show one component and nothing of
another. There the coordinate of the absent one is noise around zero, so they pile up within two
standard deviations. Where no position lies on the facet, it merely touches the outermost ones, and
they get no denser towards it than they are a little further in. So the positions within two
deviations of the facet are compared with those from two to six. Comparing nearby positions, it does
not matter how they are distributed elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRESENT = 4.0
"""Standard deviations of noise above which a component is present for certain."""

NEAR, FAR = 2.0, 6.0
"""Standard deviations up to which positions may lie on a facet, and those to compare with."""

MEDIAN_OF_HALF_NORMAL = 0.67448975


def coordinate_noise(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the noise of coordinates from how far they are below zero.

    Parameters
    ----------
    coordinates
        ``(N, p)`` of positions in a simplex, without constraints.

    Returns
    -------
    ndarray
        ``(p,)`` standard deviations, zero where no coordinate is negative.
    """
    noise = np.zeros(coordinates.shape[1])
    for j, values in enumerate(coordinates.T):
        below = -values[values < 0]
        noise[j] = np.median(below) / MEDIAN_OF_HALF_NORMAL if below.size else 0.0
    return noise


def absence_evidence(
    coordinates: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure how surely some positions show one component without another.

    Parameters
    ----------
    coordinates
        ``(N, p)`` of positions in the simplex, without constraints.
    precision
        ``(N,)`` inverse variance of the noise of each position, up to a factor.

    Returns
    -------
    ndarray
        ``(p, p)``, [k, j] for k without j: excess of positions on the facet over those next to
        it, in standard errors of their numbers (Poisson); NaN on the diagonal. It is small where
        there are few positions, and negative where the noise is so wide that all are near; zero
        where it is so wide that a position next to the facet could not show the first for certain.
    """
    scaled = coordinates * np.sqrt(precision)[:, None]
    noise = coordinate_noise(scaled)
    # Without noise to compare with nothing is near.
    deviations = scaled / np.where(noise > 0, noise, np.finfo(float).tiny)
    typical = noise / np.sqrt(np.median(precision))
    p = deviations.shape[1]
    evidence = np.full((p, p), np.nan)
    for k in range(p):
        present = deviations[deviations[:, k] > PRESENT]
        on = np.count_nonzero(present < NEAR, axis=0)
        beside = np.count_nonzero((present >= NEAR) & (present < FAR), axis=0)
        evidence[k] = (on - beside) / np.sqrt(np.maximum(on + beside, 1))
        evidence[k, PRESENT * typical[k] + FAR * typical > 1] = 0.0
        evidence[k, k] = np.nan
    return evidence
