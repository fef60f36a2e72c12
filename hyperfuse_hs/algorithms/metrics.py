"""Measures of how well estimated components agree with known ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

# Worse than any angle between vectors: an undefined angle is matched last.
_UNDEFINED_ANGLE = 360.0


def spectral_angle(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    r"""
    Angle between spectra (or flattened patterns), the "spectral angle mapper" of the literature.

    It ignores the length of both vectors, hence their dose. It is computed as
    :math:`2 \arctan2(\|\hat a - \hat b\|, \|\hat a + \hat b\|)`, which keeps its accuracy for
    nearly parallel vectors, where the arc cosine of the usual formula loses half of the digits.

    Parameters
    ----------
    a, b
        Arrays of shape ``(..., C)`` that broadcast against each other, C channels on the last
        axis. A channel that is NaN in either is left out of both.

    Returns
    -------
    ndarray
        Angle in degrees, 0 to 180, of the broadcast shape without the last axis. NaN where a
        vector is zero, or has no channel left.

    Raises
    ------
    ValueError
        If the two shapes do not broadcast.

    References
    ----------
    F. A. Kruse et al., "The spectral image processing system (SIPS)", Remote Sensing of
    Environment 44 (1993) 145-163. Formula for small angles: W. Kahan, "How futile are mindless
    assessments of roundoff in floating-point computation?" (2006), section 12.

    Examples
    --------
    >>> spectral_angle([1.0, 0.0], [[2.0, 0.0], [1.0, 1.0]]).round(6).tolist()
    [0.0, 45.0]
    """
    first, second = _broadcast(a, b)
    left_out = np.isnan(first) | np.isnan(second)
    first = _unit(np.where(left_out, 0.0, first))
    second = _unit(np.where(left_out, 0.0, second))
    half = np.arctan2(
        np.linalg.norm(first - second, axis=-1), np.linalg.norm(first + second, axis=-1)
    )
    return np.asarray(np.degrees(2.0 * half), dtype=np.float64)


def match_components(estimated: ArrayLike, truth: ArrayLike) -> NDArray[np.intp]:
    """
    Find the order of estimated components that matches the true ones best.

    The sum of the spectral angles is the smallest possible (Hungarian algorithm).

    Parameters
    ----------
    estimated
        Shape ``(p, C)``: p components, C channels. NaN channels are left out.
    truth
        Shape ``(q, C)`` with q <= p.

    Returns
    -------
    ndarray of int
        Shape ``(q,)``: ``estimated[order]`` matches ``truth``, component by component.

    Raises
    ------
    ValueError
        If the arrays are not 2-D, differ in channels, or ``truth`` has more components.

    Examples
    --------
    >>> match_components([[0.1, 2.0], [3.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]).tolist()
    [1, 0]
    """
    found = np.asarray(estimated, dtype=np.float64)
    known = np.asarray(truth, dtype=np.float64)
    if found.ndim != 2 or known.ndim != 2 or found.shape[1] != known.shape[1]:
        raise ValueError(
            "Both sets of components must be arrays (components, channels) with the same "
            f"channels. Got shapes {found.shape} and {known.shape}. "
            "Flatten patterns to one axis first."
        )
    if len(known) > len(found):
        raise ValueError(
            "There must be at least as many estimated components as true ones. "
            f"Got {len(found)} estimated and {len(known)} true. Exchange them, or leave some out."
        )
    angles = spectral_angle(known[:, np.newaxis], found[np.newaxis])
    cost = np.where(np.isnan(angles), _UNDEFINED_ANGLE, angles)
    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.intp)


def root_mean_square_error(a: ArrayLike, b: ArrayLike) -> float:
    """
    Root mean square difference over all elements that are defined in both.

    Parameters
    ----------
    a, b
        Arrays that broadcast against each other, e.g. abundances ``(N, p)``. An element that is
        NaN in either is left out.

    Returns
    -------
    float
        In the unit of the data; NaN if no element is left.

    Raises
    ------
    ValueError
        If the two shapes do not broadcast.

    Examples
    --------
    >>> root_mean_square_error([3.0, 3.0, float("nan")], [0.0, 0.0, 1.0])
    3.0
    """
    first, second = _broadcast(a, b)
    difference = first - second
    difference = difference[~np.isnan(difference)]
    if difference.size == 0:
        return float("nan")
    return float(np.sqrt(np.mean(difference**2)))


def _broadcast(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float arrays of the broadcast shape; say which shapes do not fit."""
    first = np.asarray(a, dtype=np.float64)
    second = np.asarray(b, dtype=np.float64)
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        raise ValueError(
            f"The two arrays must have shapes that broadcast. Got {first.shape} and "
            f"{second.shape}. Bring them to the same positions, components and channels."
        ) from None
    return np.broadcast_to(first, shape), np.broadcast_to(second, shape)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to unit length along the last axis; NaN where the length is zero."""
    # Dividing by the largest element first keeps squares from over- and underflowing.
    largest = np.max(np.abs(vectors), axis=-1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(largest > 0, largest, np.nan)
    return np.asarray(scaled / np.linalg.norm(scaled, axis=-1, keepdims=True), dtype=np.float64)
