"""Scales that bring the noise of every channel to unit variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.tall import stripes

FEW_COUNTS = 10.0
"""Counts in a whole channel below which its noise is too far from Gaussian to be scaled up."""


def poisson_variance(
    channel_sum: NDArray[np.float64], n_positions: int, counts_per_unit: float = 1.0
) -> NDArray[np.float64]:
    """Variance to divide each channel by so that Poisson noise gets unit variance.

    Parameters
    ----------
    channel_sum
        ``(C,)`` sum over all positions.
    n_positions
        Number of positions, N.
    counts_per_unit
        Value of one count in the data.

    Returns
    -------
    ndarray
        ``(C,)``, mean of each channel (Keenan and Kotula, Surf. Interface Anal. 36, 203 (2004),
        eq. 9, channel part), no less than that of a channel with ``FEW_COUNTS`` counts: scaled by
        its own mean, a channel with a single count would look like a component of its own.
    """
    floor = FEW_COUNTS * counts_per_unit / n_positions
    variance: NDArray[np.float64] = np.maximum(channel_sum / n_positions, floor)
    return variance


def effective_channels(
    channel_variance: NDArray[np.float64], divisor: NDArray[np.float64]
) -> float:
    """Count the channels by the share of unit noise that they hold after division.

    Parameters
    ----------
    channel_variance
        ``(C,)`` variance of the noise.
    divisor
        ``(C,)`` what the variance is divided by.

    Returns
    -------
    float
        At least 1.
    """
    return max(1.0, float(np.sum(np.minimum(channel_variance / divisor, 1.0))))


def difference_variance(image: NDArray[np.float64], excluded: NDArray[np.bool_]) -> float:
    """Variance of the noise of a map, from how much neighbours on a line differ.

    Parameters
    ----------
    image
        ``(nav...)`` map.
    excluded
        ``(nav...)``, True = excluded.

    Returns
    -------
    float
        Median of the squared second differences along every axis, over that of a unit normal
        variable; the median keeps edges of the specimen from counting as noise (second
        differences as in Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996)). 0 for maps with
        fewer than three positions in a row.
    """
    values = np.where(excluded, np.nan, image)
    samples = [np.diff(values, n=2, axis=a).ravel() for a in range(image.ndim)]
    squares = np.concatenate(samples) ** 2 / 6.0
    squares = squares[np.isfinite(squares)]
    median_of_chi_squared = 0.45493642
    return float(np.median(squares) / median_of_chi_squared) if squares.size else 0.0


def one_count(block: NDArray[np.generic]) -> float:
    """Guess the value of one count in data that are not whole numbers.

    Parameters
    ----------
    block
        ``(n, C)``.

    Returns
    -------
    float
        Variance over mean, from how much neighbouring channels differ; structure of the spectra
        makes the guess too large. 1 where nothing can be said.
    """
    values = np.asarray(block, dtype=np.float64)
    differences = np.sum(np.diff(values, axis=1) ** 2)
    sums = np.sum(values[:, 1:] + values[:, :-1])
    return float(differences / sums) if differences > 0 and sums > 0 else 1.0


def count_moments(
    seen: NDArray[np.floating], row_scale: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum over the positions what the noise of counts in directions goes with.

    Parameters
    ----------
    seen
        ``(N, R)`` directions U.
    row_scale
        ``(N,)`` variance d that the rows of the data were divided by; None for ones.

    Returns
    -------
    cubes : ndarray
        ``(R, R)``, ``sum_n U_ni^2 U_nj / sqrt(d_n)``: times the projected data, the variance.
    squares : ndarray
        ``(R,)``, ``sum_n U_ni^2 / d_n``, for noise without counts.
    """
    rows = np.ones(len(seen)) if row_scale is None else row_scale
    cubes, squares = np.zeros((seen.shape[1], seen.shape[1])), np.zeros(seen.shape[1])
    for part in stripes(len(seen)):
        some = seen[part].astype(np.float64)
        cubes += (some**2 / np.sqrt(rows[part, None])).T @ some
        squares += np.sum(some**2 / rows[part, None], axis=0)
    return cubes, squares
