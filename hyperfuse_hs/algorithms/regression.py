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
    design = crossed(basis, abundances)
    gram = design.T @ design
    cross = turned(projection.T, design).T.astype(np.float64)
    if nonnegative:
        return nonnegative_least_squares(gram, cross)
    return np.asarray(np.linalg.lstsq(gram, cross, rcond=None)[0], dtype=np.float64)
