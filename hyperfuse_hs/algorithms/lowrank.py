"""Leading singular vectors of tall data through products with a few vectors at a time.

``X`` is the whitened data of one modality, N positions x C channels, with noise of unit variance.
It is never formed unless it is small; neither is a matrix of detector pixels x detector pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.tall import crossed, turned

Product = Callable[[NDArray[np.float32]], NDArray[np.floating]]
Floor = Callable[[NDArray[np.float64]], int]

CHECK_GROWTH = 1.4
"""Growth of the search space between two checks of convergence."""

ROUNDING = 1e-6
"""Residual, over the largest eigenvalue, that float32 may leave."""

EDGE_TOL = 0.1
"""Residual of the first eigenpair below the floor, over the width of the spectrum below it."""


@dataclass(frozen=True, eq=False)
class LowRank:
    """Leading singular triplets of one whitened modality.

    Parameters
    ----------
    scores
        ``(N, k)``, left singular vectors times singular values, in units of the noise.
    basis
        ``(C, k)``, right singular vectors.
    singular_values
        ``(k,)``, descending, in units of the noise.
    rank
        How many of them stand out of the noise.
    gain
        Variance of the noise before it was brought to one.
    channels
        Number of channels, counted by the noise they hold.
    variance
        ``(N, k)`` variance of the noise of the scores; None: 1 everywhere.
    reach
        Largest singular value of the noise over that of unit noise.
    divisor
        ``(C,)`` what the variance of each channel was divided by.
    """

    scores: NDArray[np.float64]
    basis: NDArray[np.float32]
    singular_values: NDArray[np.float64]
    rank: int
    gain: float
    channels: float
    variance: NDArray[np.float64] | None = None
    reach: float = 1.0
    divisor: NDArray[np.float64] = field(default_factory=lambda: np.ones(0))


def random_probe(size: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw standard normal directions, ``(size, count)``."""
    return rng.standard_normal((size, count), dtype=np.float32)


def orthonormal(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Orthonormal basis of the range of some columns.

    Parameters
    ----------
    vectors
        ``(n, k)``.

    Returns
    -------
    ndarray
        ``(n, k)`` or fewer columns where these depend on each other.
    """
    scale = np.linalg.norm(vectors, axis=0)
    kept = scale > scale.max(initial=0.0) * 1e-12
    q, r = np.linalg.qr(np.asarray(vectors[:, kept], dtype=np.float64) / scale[kept])
    diagonal = np.abs(np.diag(r))
    return np.ascontiguousarray(q[:, diagonal > 1e-7], dtype=np.float32)


def leading_eigenvectors(
    product: Product,
    size: int,
    floor: Floor,
    rng: np.random.Generator,
    *,
    block: int = 32,
    extra: int = 8,
    tol: float = 1e-4,
    max_size: int = 768,
) -> NDArray[np.float32]:
    """Eigenvectors of a symmetric non-negative operator that stand above a floor.

    Block Lanczos iteration with full orthogonalisation (Golub and Underwood 1977; error bounds in
    Musco and Musco, NeurIPS 2015, theorem 1). It stops when every eigenvalue above the floor has
    converged, and the next one well enough to tell that it is below.

    Parameters
    ----------
    product
        Maps ``(size, n)`` to the operator times it.
    size
        Order of the operator.
    floor
        Given estimated eigenvalues (descending), how many are wanted.
    rng
        Source of the start vectors.
    block
        Number of vectors per product.
    extra
        How many eigenvectors to return besides the wanted ones.
    tol
        Residual of an eigenpair over its eigenvalue at which it counts as converged.
    max_size
        Largest dimension of the search space.

    Returns
    -------
    ndarray
        ``(size, k)`` orthonormal, by descending eigenvalue.
    """
    limit = min(size, max_size)
    space = orthonormal(random_probe(size, min(block, limit), rng))
    image = np.asarray(product(space), dtype=np.float32)
    next_check = 0.0
    while True:
        fresh = _next_block(space, image, block)[:, : limit - space.shape[1]]
        ended = fresh.shape[1] == 0
        if ended or space.shape[1] >= next_check:
            vectors, converged = _ritz(space, image, floor, extra, tol)
            if converged or ended:
                return vectors
            # Each check costs as much as many products: fewer of them as the space grows.
            next_check = CHECK_GROWTH * space.shape[1]
        space = np.hstack([space, fresh])
        image = np.hstack([image, np.asarray(product(fresh), dtype=np.float32)])


def _next_block(
    space: NDArray[np.float32], image: NDArray[np.float32], block: int
) -> NDArray[np.float32]:
    """Part of the latest products that is orthogonal to the space so far."""
    fresh = image[:, -block:]
    for _ in range(2):
        # Normalised in between: what cancels in the first round loses its digits.
        fresh = orthonormal(fresh - space @ (space.T @ fresh))
    return fresh


def _ritz(
    space: NDArray[np.float32],
    image: NDArray[np.float32],
    floor: Floor,
    extra: int,
    tol: float,
) -> tuple[NDArray[np.float32], bool]:
    """Best eigenvectors within the space, and whether the wanted ones have converged."""
    small = (space.T @ image).astype(np.float64)
    values, rotation = np.linalg.eigh((small + small.T) / 2)
    values, rotation = values[::-1], np.ascontiguousarray(rotation[:, ::-1], dtype=np.float32)
    wanted = floor(values)
    vectors = space @ rotation[:, : wanted + extra]
    if wanted + extra >= values.size:
        return vectors, False
    # One more than wanted: a further one above the floor rises out of the others late.
    checked = slice(wanted + 1)
    off = image @ rotation[:, checked] - vectors[:, checked] * values[checked]
    errors = np.linalg.norm(off, axis=0)
    scale = np.maximum(values[:wanted], values[0] * 1e-7)
    settled = errors[wanted] <= EDGE_TOL * (values[wanted] - values[-1]) + ROUNDING * values[0]
    return vectors, bool((errors[:wanted] < tol * scale).all() and settled)


def rotate_to_singular(
    scores: NDArray[np.float64], basis: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
    """Turn scores in any orthonormal basis into left singular vectors times singular values.

    Parameters
    ----------
    scores
        ``(N, k)``, data times basis.
    basis
        ``(C, k)``, orthonormal.

    Returns
    -------
    scores, basis, singular_values
        Of the same shapes and ``(k,)``, by descending singular value.
    """
    squares, rotation = np.linalg.eigh(crossed(scores, scores))
    order = np.argsort(squares)[::-1]
    values = np.sqrt(np.maximum(squares[order], 0.0))
    rotation = rotation[:, order]
    return turned(scores, rotation), (basis @ rotation).astype(np.float32), values
