r"""Likelihood of positions on the faces of a simplex, and its gradient.

A probe position with score :math:`z` (``q`` coordinates) and isotropic noise variance
:math:`v` whose abundances follow a symmetric Dirichlet distribution of exponent :math:`a` on the
face spanned by the :math:`k` endmembers :math:`e_i, i \in F` has the density

.. math::

    \log p(z|F) = -\frac{|r|^2}{2v} - \frac{q-d}{2}\log 2\pi v
                  + \sum_{i\in F} \log\big[(\sqrt v g_i)^{a-1} h(u_i, a)\big]
                  - \log\mathrm{vol}(F) + \log\frac{\Gamma(A)}{d!} - \log M_A(s)

with :math:`d = k - 1`, :math:`A = k a`, :math:`\lambda` the barycentric coordinates of the
projection on the face, :math:`r` the residual, :math:`g_i` the standard deviation of
:math:`\lambda_i` for unit noise, :math:`u_i = \lambda_i / \sqrt v g_i`, and :math:`h`, :math:`M` of
:mod:`~hyperfuse_hs.algorithms.face_tables`. With ``a = 1`` the face is filled uniformly and ``h``
is the normal distribution function. The product treats the noise across the facets as
independent; its integral over the plane of the face is exactly what :math:`M_A` divides by,

.. math::

    M_A(s) = \mathrm E\,\max(0, 1 + s\varepsilon)^{A-1},\quad s^2 = v \sum_i g_i^2,

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

import numpy as np

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.face_geometry import FaceGeometry, Floats, Integers
from hyperfuse_hs.algorithms.face_tables import (
    TURN,
    ExponentTables,
    log_moment_tail,
    log_norm,
    log_power_near,
)

# A face whose density is below exp(-CUTOFF) of the best one, 2e-9, changes nothing worth a step.
CUTOFF = 20.0


class Workspace(NamedTuple):
    """Scratch memory of one position, see the functions that fill it."""

    projections: Floats
    distances: Floats
    bound: Floats
    density: Floats
    bary: Floats
    hazard: Floats
    excess: Floats
    norm_slope: Floats
    exponent_slope: Floats
    residual: Floats
    along: Floats


@compiled(borrows=True, forceinline=True, error_model="numpy")
def bound_faces(
    z: Floats,
    variance: float,
    endmembers: Floats,
    log_weights: Floats,
    geometry: FaceGeometry,
    ceilings: Floats,
    work: Workspace,
) -> int:
    """Fill ``work.bound``: no density is above; return the face where it is largest.

    ``ceilings`` holds for each face what the noise does not change and what multiplies the
    logarithm of its standard deviation, see :func:`face_ceilings`.
    """
    q = len(z)
    log_sigma = 0.5 * math.log(variance)
    log_unit = log_sigma + 0.9189385332046727
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
        level += ceilings[f, 0] + ceilings[f, 1] * log_sigma
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


@compiled(borrows=True, forceinline=True, error_model="numpy")
def visit_face(
    z: Floats,
    variance: float,
    endmembers: Floats,
    geometry: FaceGeometry,
    tables: ExponentTables,
    base: float,
    f: int,
    g: int,
    work: Workspace,
) -> float:
    """Fill ``work.density[f]`` and what its slopes need; return the density.

    ``base`` is the part of the density that does not depend on the place in the face.
    """
    size = geometry.sizes[f]
    work.bary[f, 0] = 1.0
    work.hazard[f, 0] = 0.0
    work.exponent_slope[f] = 0.0
    value = base
    if size > 1:
        sigma = math.sqrt(variance)
        origin = geometry.members[f, 0]
        exponent = tables.constants[g, 0, 0]
        power = exponent - 1.0
        product = 1.0  # of what is raised to the power
        by_exponent = 0.0
        for i in range(size):
            total = 1.0 if i == 0 else 0.0
            for d in range(len(z)):
                total += geometry.gradients[f, i, d] * (z[d] - endmembers[origin, d])
            spread = sigma * geometry.lengths[f, i]
            u = total / spread
            work.bary[f, i] = total
            if u > TURN:
                x = 1.0 / (u * u)
                log_h, slope, change = log_moment_tail(x, tables.tail, g, 0)
                work.excess[f, i] = -2.0 * slope * x
                work.hazard[f, i] = (power + work.excess[f, i]) / u
                product *= total
                value -= tables.constants[g, 0, 1]
                by_exponent += change - tables.constants[g, 0, 2]
            else:
                log_h, slope, change = log_power_near(u, tables.near, g, 0, exponent)
                work.hazard[f, i] = slope
                work.excess[f, i] = slope * u - power
                product *= spread
                by_exponent += change
            value += log_h
        log_total, work.norm_slope[f], change = log_norm(
            variance * geometry.square_sums[f], tables, g
        )
        log_product = math.log(product)
        work.exponent_slope[f] = (
            by_exponent + log_product + size * (tables.constants[g, 1, 2] - change)
        ) * exponent
        value += power * log_product - log_total
    work.density[f] = value
    return value


@compiled(borrows=True, forceinline=True, error_model="numpy")
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
            if size > 1:
                hazard = work.hazard[f, i] / (sigma * geometry.lengths[f, i])
                radial += hazard * c
                work.along[i] += work.excess[f, i] * c / geometry.products[f, i, i]
                work.along[i] -= hazard * work.bary[f, j]
        work.along[j] -= 1.0
        start = geometry.members[f, j] * q
        for d in range(q):
            total = radial * work.residual[d]
            for i in range(size):
                total += work.along[i] * geometry.gradients[f, i, d]
            slopes[start + d] += share * total


@compiled(error_model="numpy")
def face_ceilings(geometry: FaceGeometry, tables: ExponentTables, groups: Integers) -> Floats:
    """Bound what a Dirichlet density has above the uniform one, see :func:`bound_faces`.

    The last column of ``(F, 3)`` is the constant of the density, which is no bound.
    """
    ceilings = np.zeros((len(groups), 3))
    for f in range(len(groups)):
        g, size = groups[f], geometry.sizes[f]
        if size > 1:
            exponent = tables.constants[g, 0, 0]
            ceilings[f, 2] = tables.constants[g, 1, 1] - math.lgamma(size)
            # Two more for the blurred norm, which may be a little below one.
            ceilings[f, 0] = 2.0 + ceilings[f, 2]
            if exponent >= 1.0:
                ceilings[f, 0] -= size * tables.constants[g, 0, 1]
                ceilings[f, 0] -= size * (exponent - 1.0) * math.log(size)
            else:
                ceilings[f, 1] = size * (exponent - 1.0)
                ceilings[f, 0] += size * tables.near[g, 0, :, 0].max()
                for i in range(size):
                    ceilings[f, 0] += (exponent - 1.0) * math.log(geometry.lengths[f, i])
    return ceilings


@compiled(error_model="numpy")
def accumulate(
    scores: Floats,
    noise: Floats,
    endmembers: Floats,
    log_weights: Floats,
    geometry: FaceGeometry,
    tables: ExponentTables,
    groups: Integers,
    log_background: Floats,
    log_likelihood: Floats,
    posterior: Floats,
    slopes: Floats,
) -> None:
    """Fill log-likelihood (n,), posterior (n, F) and, unless it is (n, 0), slopes (n, p q + G).

    The background has a density of its own at each position, (n,).
    """
    n_positions, q = scores.shape
    n_faces, width = geometry.members.shape
    ceilings = face_ceilings(geometry, tables, groups)
    n_coordinates = endmembers.size
    work = Workspace(
        np.empty(geometry.frames.shape[1]),
        np.empty(len(endmembers)),
        np.empty(n_faces),
        np.empty(n_faces),
        np.empty((n_faces, width)),
        np.empty((n_faces, width)),
        np.empty((n_faces, width)),
        np.empty(n_faces),
        np.empty(n_faces),
        np.empty(q),
        np.empty(width),
    )
    for t in range(n_positions):
        z, variance = scores[t], noise[t]
        log_sigma = 0.5 * math.log(variance)
        first = bound_faces(z, variance, endmembers, log_weights, geometry, ceilings, work)
        best = log_background[t]
        for step in range(n_faces + 1):
            # The most promising face comes first, so that most others need no visit.
            f = first if step == 0 else step - 1
            if step > 0 and (f == first or work.bound[f] < best - CUTOFF):
                continue
            base = work.bound[f] - ceilings[f, 0] - ceilings[f, 1] * log_sigma + ceilings[f, 2]
            best = max(
                best,
                visit_face(z, variance, endmembers, geometry, tables, base, f, groups[f], work),
            )
        evidence = math.exp(log_background[t] - best)
        for f in range(n_faces):
            share = 0.0
            if work.density[f] > best - CUTOFF:
                share = math.exp(work.density[f] - best)
                evidence += share
            posterior[t, f] = share
        log_likelihood[t] = best + math.log(evidence)
        slopes[t] = 0.0
        for f in range(n_faces):
            share = posterior[t, f] / evidence
            posterior[t, f] = share
            if share > 0.0 and slopes.shape[1]:
                add_slopes(z, variance, endmembers, geometry, f, share, work, slopes[t])
                slopes[t, n_coordinates + groups[f]] += share * work.exponent_slope[f]
