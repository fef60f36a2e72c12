r"""Best linear unbiased weights of many positions.

Of all weights W that reproduce the design A, :math:`A^T W = 1`, those are wanted that err least:
they minimise :math:`w^T S w - 2 t^T w` with the covariance S of the data, and t of the data with
what is predicted. Conjugate gradients find them (R. Fletcher, Practical Methods of Optimization,
ch. 10, for the constraint), with an approximate inverse of S in which each position knows those
before it that are near: A. V. Vecchia, J. R. Stat. Soc. B 50, 297 (1988), I. E. Kaporin, Numer.
Linear Algebra Appl. 1, 179 (1994). Near positions screen off the far ones, so few steps are left.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hyperfuse_hs.algorithms.spatial import Scan, spherical
from hyperfuse_hs.algorithms.tall import crossed, stripes

Floats = NDArray[np.float64]
Multiply = Callable[[Floats], Floats]

NEAR = 2.3
"""Distance, in positions, of those that are taken to tell all about a position."""

LEAST_NOISE = 1e-9
"""Of the mean variance at a position: without any, positions where nothing is have no inverse."""

MOST_STEPS = 60
"""Of the conjugate gradients; weights are unbiased after each of them."""

TOLERANCE = 1e-4
"""Part of the variance of the errors by which the last step lowers it."""


def near_inverse(scan: Scan, loadings: Floats, noise: float, reach: float) -> Multiply:
    r"""Return what multiplies by about the inverse of a covariance.

    Parameters
    ----------
    scan
        Where the positions lie.
    loadings
        ``(N, p)`` L: the covariance of positions t and u is
        :math:`k(|t - u|) \sum_k L_{tk} L_{uk}`, and the noise is added to the variances.
    noise
        Variance of the noise, alike everywhere.
    reach
        Of the spherical kernel k.

    Returns
    -------
    callable
        Of ``(N, c)``; symmetric, without negative eigenvalues.
    """
    offsets = _before(len(scan.shape))
    places = _places(scan, offsets)
    count = places.shape[1]
    between = np.linalg.norm(offsets[:, None] - offsets, axis=-1)
    kernel = spherical(between / reach)
    noise = max(noise, LEAST_NOISE * float(np.mean(np.sum(loadings**2, axis=1))))
    rows = np.empty(places.shape)
    # No loadings stand for places outside, so that nothing depends on them.
    padded = np.vstack([loadings, np.zeros(loadings.shape[1])])
    last = np.eye(count)[:, -1:]
    for part in stripes(len(loadings)):
        near = padded[places[part]]
        covariance = near @ near.transpose(0, 2, 1) * kernel + noise * np.eye(count)
        solved = np.linalg.solve(covariance, np.broadcast_to(last, (len(near), count, 1)))[..., 0]
        rows[part] = solved / np.sqrt(solved[:, -1:])
    inside = places < len(loadings)
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    root = sparse.csr_array((rows[inside], places[inside], starts), shape=(len(loadings),) * 2)
    return lambda columns: np.asarray(root.T @ (root @ columns))


def _before(n_axes: int) -> NDArray[np.int_]:
    """Offsets ``(k, n_axes)`` of near positions that come before one, and last of itself."""
    steps = range(-int(NEAR), int(NEAR) + 1)
    here = (0,) * n_axes
    found = [o for o in product(steps, repeat=n_axes) if o < here and np.dot(o, o) <= NEAR**2]
    return np.array([*found, here])


def _places(scan: Scan, offsets: NDArray[np.int_]) -> NDArray[np.int32]:
    """Rows ``(N, k)`` of the positions at some offsets; N where there is none."""
    edge = int(NEAR)
    n_positions = int(scan.kept.sum())
    numbers = np.full(scan.kept.size, n_positions, dtype=np.int32)
    numbers[scan.kept] = np.arange(n_positions)
    wide = np.pad(numbers.reshape(scan.shape), edge, constant_values=n_positions)
    found = np.empty((n_positions, len(offsets)), dtype=np.int32)
    for number, offset in enumerate(offsets):
        window = tuple(
            slice(edge + step, edge + step + size)
            for step, size in zip(offset, scan.shape, strict=True)
        )
        found[:, number] = wide[window].ravel()[scan.kept]
    return found


def unbiased_weights(
    multiply: Multiply, invert: Multiply, design: Floats, target: Floats, whole: Floats
) -> Floats:
    """Weights of the best linear unbiased prediction.

    Parameters
    ----------
    multiply
        By the covariance of the data.
    invert
        By about its inverse.
    design
        ``(N, p)`` that the data are multiples of, in the mean.
    target
        ``(N, p)`` covariance of the data with what is to be predicted.
    whole
        ``(p,)`` variance of what is to be predicted.

    Returns
    -------
    ndarray
        ``(p, N)``, times `design` the identity: the variance of the errors is
        within about ``TOLERANCE`` of the least.
    """
    inverse = invert(design)
    mean = np.linalg.solve(crossed(design, inverse), inverse.T).T

    def allowed(columns: Floats) -> Floats:
        # What keeps the weights unbiased.
        return columns - mean @ crossed(design, columns)

    gram = crossed(design, design)

    def rest(columns: Floats) -> Floats:
        # Of what is left, multiples of the design do not matter, but are the largest part.
        return columns - design @ np.linalg.solve(gram, crossed(design, columns))

    # It would be the answer if the inverse were exact.
    found = mean + allowed(invert(target))
    left = target - multiply(found)
    short = rest(left)
    near = allowed(invert(short))
    step, square = near, _along(short, near)
    going = np.ones(square.size, dtype=bool)
    for _ in range(MOST_STEPS):
        applied = multiply(step)
        length = _over(square, _along(step, applied), going)
        found = found + length * step
        left = left - length * applied
        error = whole - _along(found, left + target)
        # A column that is done has nothing left to divide by.
        going &= length * square > TOLERANCE * error
        if not going.any():
            break
        short = rest(left)
        near = allowed(invert(short))
        before, square = square, _along(short, near)
        step = near + _over(square, before, going) * step
    return np.asarray(found.T)


def _along(left: Floats, right: Floats) -> Floats:
    """Products of the columns of two matrices, one by one."""
    return np.asarray(np.einsum("nk,nk->k", left, right))


def _over(part: Floats, whole: Floats, going: NDArray[np.bool_]) -> Floats:
    """Divide where there is something to divide by, and zero elsewhere."""
    return np.divide(part, whole, out=np.zeros_like(part), where=going & (whole > 0))
