r"""Likelihood of positions uniform on the faces of a simplex, and its gradient.

A probe position with score :math:`z` (``q`` coordinates) and isotropic noise variance
:math:`v` that lies uniformly on the face spanned by the endmembers :math:`e_i, i \in F`
has the density

.. math::

    \log p(z|F) = -\frac{|r|^2}{2v} - \frac{q-d}{2}\log 2\pi v
                  + \sum_{i\in F} \log\Phi\left(\frac{\lambda_i}{\sqrt v\,g_i}\right)
                  - \log\mathrm{vol}(F) - \log M_d(s)

with :math:`d = |F| - 1`, :math:`\lambda` the barycentric coordinates of the projection on the
face, :math:`r` the residual and :math:`g_i` the standard deviation of :math:`\lambda_i` for unit
noise. The product of normal distribution functions treats the facets as independent; its integral
over the plane of the face is :math:`\mathrm{vol}(F)\,M_d(s)` exactly, where

.. math::

    M_d(s) = \mathrm E\,\max(0, 1 + s\varepsilon)^d,\quad s^2 = v \sum_i g_i^2,\quad
    M_d = M_{d-1} + (d-1) s^2 M_{d-2},

since :math:`\lambda_i > \sqrt v g_i \varepsilon_i` is a simplex again, shrunk by
:math:`1 - \sum_i \sqrt v g_i \varepsilon_i`. Without it the likelihood of a simplex thinner than
the noise has no upper bound.

With :math:`m_i = \nabla_z\lambda_i` and :math:`C_{ij} = m_i\cdot m_j`:
:math:`g_i^2 = C_{ii}`, and for a moved endmember :math:`e_j`

.. math::

    \partial\tfrac12|r|^2 = -\lambda_j r,\quad
    \partial\lambda_i = -\lambda_j m_i + C_{ij} r,\quad
    \partial\log g_i = -C_{ij} m_i / C_{ii},\quad
    \partial\log\mathrm{vol} = m_j .
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from hyperfuse_hs.algorithms.face_geometry import FaceGeometry, Floats

# A face whose density is below exp(-CUTOFF) of the best one changes nothing in float64.
CUTOFF = 36.0


class Workspace(NamedTuple):
    """Scratch memory of one position, see the functions that fill it."""

    projections: Floats
    distances: Floats
    bound: Floats
    density: Floats
    bary: Floats
    hazard: Floats
    norm_slope: Floats
    residual: Floats
    along: Floats


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log_normal_cdf(u: float) -> tuple[float, float]:
    """Logarithm of the normal distribution function and its derivative."""
    if u > 8.0:
        return 0.0, 0.0
    if u > -6.0:
        value = 0.5 * math.erfc(-u * 0.7071067811865476)
        return math.log(value), 0.3989422804014327 * math.exp(-0.5 * u * u) / value
    # Continued fraction of the Mills ratio (Abramowitz & Stegun 26.2.14).
    fraction = -u
    for k in range(24, 0, -1):
        fraction = -u + k / fraction
    return -0.5 * u * u - 0.9189385332046727 - math.log(fraction), fraction


@numba.njit(cache=True, nogil=True, error_model="numpy")
def log_norm(square: float, d: int) -> tuple[float, float]:
    """Logarithm of ``M_d(s)`` for ``square = s**2``, and its derivative by the square."""
    before, lower, slope = 0.0, 1.0, 0.0
    if square > 0.015:
        s = math.sqrt(square)
        before = 0.3989422804014327 * math.exp(-0.5 / square) / s
        lower = 0.5 * math.erfc(-0.7071067811865476 / s)
    # before, lower = M_(k-2) (k - 1), M_(k-1); M_k = M_(k-1) + (k - 1) s**2 M_(k-2).
    for k in range(1, d + 1):
        value = lower + square * before
        slope = 0.5 * k * before / value if k > 1 else 0.5 * before / value
        before, lower = k * lower, value
    return math.log(lower), slope


@numba.njit(cache=True, nogil=True, error_model="numpy")
def bound_faces(
    z: Floats,
    variance: float,
    endmembers: Floats,
    log_weights: Floats,
    geometry: FaceGeometry,
    work: Workspace,
) -> int:
    """Fill ``work.bound``: the density but for its factors below one; return the largest."""
    q = len(z)
    log_unit = 0.5 * math.log(2.0 * math.pi * variance)
    for j in range(len(work.projections)):
        work.projections[j] = -geometry.frame_origins[j]
    for d in range(q):
        for j in range(len(work.projections)):
            work.projections[j] += z[d] * geometry.frames[d, j]
    for i in range(len(endmembers)):
        total = 0.0
        for d in range(q):
            gap = z[d] - endmembers[i, d]
            total += gap * gap
        work.distances[i] = total
    first = 0
    for f in range(len(log_weights)):
        size = geometry.sizes[f]
        level = log_weights[f] - geometry.log_volumes[f] - (q - size + 1) * log_unit
        if size <= q:
            square = work.distances[geometry.members[f, 0]]
            for j in range(geometry.frame_starts[f], geometry.frame_starts[f + 1]):
                square -= work.projections[j] * work.projections[j]
            level -= 0.5 * max(square, 0.0) / variance
        work.bound[f] = level
        work.density[f] = -np.inf
        if level > work.bound[first]:
            first = f
    return first


@numba.njit(cache=True, nogil=True, error_model="numpy")
def visit_face(
    z: Floats, variance: float, endmembers: Floats, geometry: FaceGeometry, f: int, work: Workspace
) -> float:
    """Fill ``work.density[f]`` and what its slopes need; return the density."""
    size = geometry.sizes[f]
    work.bary[f, 0] = 1.0
    work.hazard[f, 0] = 0.0
    value: float = work.bound[f]
    if size > 1:
        sigma = math.sqrt(variance)
        origin = geometry.members[f, 0]
        for i in range(size):
            total = 1.0 if i == 0 else 0.0
            for d in range(len(z)):
                total += geometry.gradients[f, i, d] * (z[d] - endmembers[origin, d])
            log_phi, slope = log_normal_cdf(total / (sigma * geometry.lengths[f, i]))
            work.bary[f, i] = total
            work.hazard[f, i] = slope
            value += log_phi
        log_total, work.norm_slope[f] = log_norm(variance * geometry.square_sums[f], size - 1)
        value -= log_total
    work.density[f] = value
    return value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_slopes(
    z: Floats,
    variance: float,
    endmembers: Floats,
    geometry: FaceGeometry,
    f: int,
    share: float,
    work: Workspace,
    slopes: Floats,
) -> None:
    """Add ``share`` times the slopes of the log-density of face ``f`` to ``slopes``, (p q,)."""
    q = len(z)
    size = geometry.sizes[f]
    sigma = math.sqrt(variance)
    for d in range(q):
        work.residual[d] = 0.0
    if size <= q:
        for d in range(q):
            total = z[d]
            for i in range(size):
                total -= work.bary[f, i] * endmembers[geometry.members[f, i], d]
            work.residual[d] = total
    for j in range(size):
        radial = work.bary[f, j] / variance
        for i in range(size):
            c = geometry.products[f, i, j]
            work.along[i] = 2.0 * variance * work.norm_slope[f] * c if size > 1 else 0.0
            if work.hazard[f, i] > 0.0:
                spread = sigma * geometry.lengths[f, i]
                ratio = work.bary[f, i] / spread * c / geometry.products[f, i, i]
                radial += work.hazard[f, i] * c / spread
                work.along[i] += work.hazard[f, i] * (ratio - work.bary[f, j] / spread)
        work.along[j] -= 1.0
        start = geometry.members[f, j] * q
        for d in range(q):
            total = radial * work.residual[d]
            for i in range(size):
                total += work.along[i] * geometry.gradients[f, i, d]
            slopes[start + d] += share * total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def accumulate(
    scores: Floats,
    noise: Floats,
    endmembers: Floats,
    log_weights: Floats,
    geometry: FaceGeometry,
    log_background: float,
    log_likelihood: Floats,
    posterior: Floats,
    slopes: Floats,
) -> None:
    """Fill log-likelihood (n,), posterior (n, F) and, unless it is (n, 0), slopes (n, p q)."""
    n_positions, q = scores.shape
    n_faces, width = geometry.members.shape
    work = Workspace(
        np.empty(geometry.frames.shape[1]),
        np.empty(len(endmembers)),
        np.empty(n_faces),
        np.empty(n_faces),
        np.empty((n_faces, width)),
        np.empty((n_faces, width)),
        np.empty(n_faces),
        np.empty(q),
        np.empty(width),
    )
    for t in range(n_positions):
        z, variance = scores[t], noise[t]
        first = bound_faces(z, variance, endmembers, log_weights, geometry, work)
        best = visit_face(z, variance, endmembers, geometry, first, work)
        best = max(best, log_background)
        for f in range(n_faces):
            if f != first and work.bound[f] >= best - CUTOFF:
                best = max(best, visit_face(z, variance, endmembers, geometry, f, work))
        evidence = math.exp(log_background - best)
        for f in range(n_faces):
            if work.density[f] > best - CUTOFF:
                evidence += math.exp(work.density[f] - best)
        log_likelihood[t] = best + math.log(evidence)
        slopes[t] = 0.0
        for f in range(n_faces):
            share = 0.0
            if work.density[f] > best - CUTOFF:
                share = math.exp(work.density[f] - log_likelihood[t])
                if slopes.shape[1]:
                    add_slopes(z, variance, endmembers, geometry, f, share, work, slopes[t])
            posterior[t, f] = share
