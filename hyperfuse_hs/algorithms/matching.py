r"""How much a curve looks like references, whatever its size and background.

The score of a curve y and a reference r is their correlation with weights w, after what a smooth
background b explains is taken out of both,

.. math:: \frac{\langle y_\perp, r_\perp\rangle}{|y_\perp| |r_\perp|}, \quad
   y_\perp = y - b\,(b^T W b)^{-1} b^T W y,

with products :math:`\langle y, r \rangle = y^T W r`: the partial correlation, and the cosine of the
angle that a least-squares fit of reference and background leaves. Of several variants of a
reference (shifted, stretched), the best one counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def partial_correlations(
    curves: Floats, references: Floats, basis: Floats, weights: Floats
) -> Floats:
    """Correlate curves with references, without background.

    Parameters
    ----------
    curves
        ``(n, C)``.
    references
        ``(T, C)``.
    basis
        ``(B, C)`` background functions.
    weights
        ``(C,)`` of the channels, none negative.

    Returns
    -------
    ndarray
        ``(n, T)`` between -1 and 1; zero where nothing is left of a curve or reference.
    """
    root = np.sqrt(weights)
    directions, triangle = np.linalg.qr((basis * root).T)
    strong = np.abs(np.diagonal(triangle))
    directions = directions[:, strong > 1e-10 * strong.max(initial=1e-300)]
    rest = []
    for rows in (curves, references):
        weighted = rows * root
        left = weighted - (weighted @ directions) @ directions.T
        size = np.linalg.norm(left, axis=1, keepdims=True)
        nothing = size <= 1e-9 * np.linalg.norm(weighted, axis=1, keepdims=True)
        rest.append(np.where(nothing, 0.0, left / np.where(nothing, 1.0, size)))
    return np.asarray(rest[0] @ rest[1].T, dtype=np.float64)


def polynomials(size: int, degree: int) -> Floats:
    """Legendre polynomials up to a degree, ``(degree + 1, size)``."""
    found = np.polynomial.legendre.legvander(np.linspace(-1, 1, size), degree)
    return np.asarray(found.T, dtype=np.float64)


def channel_means(edges: Floats, known_edges: Floats, density: Floats) -> Floats:
    """Mean of a piecewise constant density in other channels; NaN where it is not known.

    Parameters
    ----------
    edges
        ``(C, 2)`` of the wanted channels.
    known_edges
        ``(K + 1,)`` between which the density is constant, ascending.
    density
        ``(K,)``.

    Returns
    -------
    ndarray
        ``(C,)``.
    """
    total = np.append(0.0, np.cumsum(density * np.diff(known_edges)))
    sums = np.interp(edges, known_edges, total)
    inside = (edges[:, 0] >= known_edges[0]) & (edges[:, 1] <= known_edges[-1])
    return np.where(inside, np.diff(sums, axis=1)[:, 0] / np.diff(edges, axis=1)[:, 0], np.nan)


def radial_means(values: Floats, radii: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Average patterns over circles.

    Parameters
    ----------
    values
        ``(n, P)`` pixels; NaN is left out.
    radii
        ``(P,)``.
    edges
        ``(B + 1,)``.

    Returns
    -------
    means : ndarray
        ``(n, B)``; NaN where there is no pixel.
    counts : ndarray
        ``(n, B)`` number of pixels.
    """
    means, counts = [], []
    for row in values:
        valid = np.isfinite(row)
        count = np.histogram(radii[valid], edges)[0].astype(float)
        total = np.histogram(radii[valid], edges, weights=row[valid])[0]
        means.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        counts.append(count)
    return np.array(means), np.array(counts)


def ring_profile(k: Floats, radii: Floats, powers: Floats, disk: float) -> Floats:
    r"""Azimuthal mean of rings of uniform disks.

    A disk of radius R whose centre lies anywhere on a circle of radius g covers the part
    :math:`\arccos((k^2 + g^2 - R^2) / 2kg) / \pi` of the circle of radius k.

    Parameters
    ----------
    k
        ``(C,)`` where, above zero.
    radii, powers
        ``(n,)`` radius and total power of every ring.
    disk
        Radius R, in the units of `k`.

    Returns
    -------
    ndarray
        ``(C,)`` power per area.
    """
    profile = np.zeros(k.size)
    for ring, power in zip(radii, powers, strict=True):
        near = np.abs(k - ring) < disk
        cosine = (k[near] ** 2 + ring**2 - disk**2) / (2 * k[near] * ring)
        profile[near] += power * np.arccos(np.clip(cosine, -1, 1)) / np.pi
    return profile / (np.pi * disk**2)
