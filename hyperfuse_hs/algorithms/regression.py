"""Factors of a modality from abundances and what the data project on the scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.abundance import nonnegative_least_squares
from hyperfuse_hs.algorithms.tall import crossed, turned


def factors_from_projection(
    basis: NDArray[np.float64],
    projection: NDArray[np.floating],
    abundances: NDArray[np.float64],
    *,
    nonnegative: bool,
) -> NDArray[np.float64]:
    """Fit factors in the subspace of the scores.

    Parameters
    ----------
    basis
        ``(N, K)`` orthonormal scores U.
    projection
        ``(K, C)`` the data projected on them, ``U^T X``.
    abundances
        ``(N, p)`` A, rows scaled as the data.
    nonnegative
        Whether factors are >= 0.

    Returns
    -------
    ndarray
        ``(p, C)`` minimiser E of ``|U^T X - U^T A E|^2``: least squares with U as instrument, so
        that noise of the abundances outside the subspace does not weaken the factors (Wald,
        Ann. Math. Stat. 11, 284 (1940), on errors in variables).
    """
    return factors_from_design(crossed(basis, abundances), projection, nonnegative=nonnegative)


def factors_from_design(
    design: NDArray[np.float64], projection: NDArray[np.floating], *, nonnegative: bool
) -> NDArray[np.float64]:
    """Do the same, given ``U^T A`` (K, p) in place of both."""
    cross = turned(projection.T, design).T.astype(np.float64)
    fitted = np.asarray(np.linalg.lstsq(design.T @ design, cross, rcond=None)[0], dtype=np.float64)
    return nearest_nonnegative(design, fitted) if nonnegative else fitted


def projection_weights(
    basis: NDArray[np.float64], abundances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights ``(p, K)`` of the projection in factors of either sign, as fitted above."""
    return np.asarray(np.linalg.pinv(crossed(basis, abundances)), dtype=np.float64)


def nearest_nonnegative(
    design: NDArray[np.float64], factors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find the factors without negative values that are next to others, as the data see them.

    Parameters
    ----------
    design
        ``(K, p)`` abundances, projected as the data.
    factors
        ``(p, C)`` of either sign.

    Returns
    -------
    ndarray
        ``(p, C)`` minimiser E of ``|design (E - factors)|^2``: non-negative least squares, if the
        factors are those of least squares.
    """
    gram = design.T @ design
    return nonnegative_least_squares(gram, gram @ factors)


def cost_of_signs(
    design: NDArray[np.float64],
    factors: NDArray[np.float64],
    nonnegative: NDArray[np.float64],
    variance: NDArray[np.float64],
    n_positions: int,
) -> float:
    """Say how much worse factors without negative values describe the data.

    Parameters
    ----------
    design
        ``(K, p)`` abundances, projected as the data.
    factors, nonnegative
        ``(p, C)`` of least squares, and those next to them.
    variance
        ``(C,)`` of the noise at a position.
    n_positions
        How many there are.

    Returns
    -------
    float
        Mean square of what is lost, over the variance: what is added to a reduced chi-squared.
    """
    known = variance > 0
    changed = (nonnegative - factors)[:, known]
    lost = np.einsum("pc,pc->c", changed, (design.T @ design) @ changed)
    whole = np.sum(np.maximum(lost, 0.0) / variance[known])
    return float(whole) / (n_positions * max(int(np.count_nonzero(known)), 1))
