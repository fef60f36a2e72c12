"""Orthogonal rotations of factors towards simple structure."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Sweeps over all pairs; the convergence is quadratic, 5 to 20 are usual.
MAX_SWEEPS = 200
# A turn by less [radian] changes the criterion by less than rounding does.
SMALLEST_ANGLE = 1e-9
# A pair whose criterion varies by less than this share of its size has no best angle.
FLAT = 1e-13


def orthomax_criterion(loadings: ArrayLike, gamma: float = 1.0) -> float:
    r"""Evaluate what :func:`orthomax` maximises.

    .. math:: \sum_k \Big[\sum_c l_{ck}^4 - \frac{\gamma}{C} \Big(\sum_c l_{ck}^2\Big)^2\Big]

    Parameters
    ----------
    loadings
        ``(C, p)``.
    gamma
        1 for varimax, 0 for quartimax.

    Returns
    -------
    float
        The criterion; for ``gamma = 1`` C times the summed variance of the squared loadings.
    """
    squares = np.asarray(loadings, dtype=np.float64) ** 2
    sums = squares.sum(axis=0)
    return float(np.sum(squares**2) - gamma / len(squares) * np.sum(sums**2))


def orthomax(loadings: ArrayLike, gamma: float = 1.0) -> Floats:
    r"""Find the rotation that makes loadings simple: each either large or near zero.

    Maximises :func:`orthomax_criterion` of ``loadings @ rotation`` by turning one pair of
    columns after the other to the best angle there is for that pair, so the criterion never
    falls. With :math:`u = x^2 - y^2, v = 2xy` of the columns x and y it is

    .. math::

        \tan 4\varphi = \frac{2\sum uv - 2\gamma \sum u \sum v / C}
                            {\sum (u^2 - v^2) - \gamma \big[(\sum u)^2 - (\sum v)^2\big] / C}.

    (Kaiser, Psychometrika 23 (1958) 187, for varimax; any gamma: Crawford and Ferguson,
    Psychometrika 35 (1970) 321.) The loadings are not normalised by row first.

    Parameters
    ----------
    loadings
        ``(C, p)``, one column a factor.
    gamma
        1 for varimax, 0 for quartimax, ``p / 2`` for equamax.

    Returns
    -------
    numpy.ndarray
        ``(p, p)``, orthogonal, determinant one.

    Raises
    ------
    ValueError
        If `loadings` has no two axes or no element, or a value is not finite.
    """
    rows = np.asarray(loadings, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(
            "loadings are expected to be (C, p), one column a factor, neither zero. "
            f"Got shape {rows.shape}."
        )
    if not np.isfinite(rows).all() or not np.isfinite(gamma):
        raise ValueError(
            "loadings and gamma are expected to be finite. Got values that are not: leave out "
            "the excluded channels first."
        )
    largest = np.abs(rows).max()
    # One row a factor: both the columns and their rotation are then turned in contiguous memory.
    turned = np.array(rows.T / (largest if largest > 0 else 1.0), order="C")
    p = len(turned)
    rotation = np.eye(p)
    for _ in range(MAX_SWEEPS):
        widest = 0.0
        for i in range(p - 1):
            for j in range(i + 1, p):
                angle = _best_angle(turned[i], turned[j], gamma)
                if abs(angle) > SMALLEST_ANGLE:
                    _turn(turned, i, j, angle)
                    _turn(rotation, i, j, angle)
                    widest = max(widest, abs(angle))
        if widest == 0.0:
            break
    return np.ascontiguousarray(rotation.T)


def _best_angle(x: Floats, y: Floats, gamma: float) -> float:
    u = (x - y) * (x + y)
    v = 2 * x * y
    sum_u, sum_v = u.sum(), v.sum()
    square_u, square_v = u @ u, v @ v
    share = gamma / len(u)
    sine = 2 * (u @ v - share * sum_u * sum_v)
    cosine = square_u - square_v - share * (sum_u**2 - sum_v**2)
    if np.hypot(sine, cosine) <= FLAT * (square_u + square_v):
        return 0.0
    return float(np.arctan2(sine, cosine)) / 4


def _turn(rows: Floats, i: int, j: int, angle: float) -> None:
    """Turn two rows, in place."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rows[i], rows[j] = cosine * rows[i] + sine * rows[j], cosine * rows[j] - sine * rows[i]
