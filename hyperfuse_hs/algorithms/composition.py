r"""Amounts of known components in single spectra, with what is known of their proportions.

A spectrum is :math:`x = u^T E + \text{noise}`, with amounts u: a local intensity
:math:`t = 1^T u` times proportions :math:`u / t`. What a spectrum cannot tell (two polymorphs look
the same in X-rays) is best filled in with what is usual: proportions that have mean :math:`\mu` and
covariance C elsewhere. With :math:`d = u - t \mu`, the estimate is

.. math::

    \min_{u \ge 0} (x - E^T u)^T W (x - E^T u) + d^T C^+ d / t^2,

but for the constraint the linear estimate of least mean square error (e.g. S. M. Kay, Fundamentals
of Statistical Signal Processing I (1993), theorem 12.1), whatever the distributions are, with the
intensity left free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.abundance import nonnegative_least_squares

Floats = NDArray[np.float64]

STEPS = 32
"""Steps of the local intensity in a factor of two, for the weight of what is usual."""

CHUNK = 4096
"""Positions whose covariances are computed at once."""

NEGLIGIBLE = 1e-9
"""Part of the largest eigenvalue of a covariance that counts as zero."""


@dataclass(frozen=True, eq=False)
class Usual:
    """Proportions of components to expect.

    Parameters
    ----------
    mean
        ``(p,)``.
    precision
        ``(p, p)`` inverse covariance of amounts at intensity one.
    sums
        Whether the intensity is free, being the sum of the amounts: the precision is that of
        proportions then.
    """

    mean: Floats
    precision: Floats
    sums: bool


def usual_proportions(amounts: Floats, *, sums: bool) -> Usual:
    """Describe the amounts ``(N, p)`` found elsewhere; see `Usual`."""
    if sums:
        total = amounts.sum(axis=1)
        amounts = amounts[total > 0] / total[total > 0, None]
    mean, p = amounts.mean(axis=0), amounts.shape[1]
    covariance = np.atleast_2d(np.cov(amounts.T, bias=True))
    inverse = np.linalg.pinv(covariance, rcond=NEGLIGIBLE, hermitian=True)
    centred = np.eye(p) - np.outer(mean, np.ones(p)) if sums else np.eye(p)
    return Usual(mean, centred.T @ inverse @ centred, sums)


def estimate_amounts(products: Floats, gram: Floats, usual: Usual) -> Floats:
    """Estimate the amounts of components at every position.

    Parameters
    ----------
    products
        ``(N, p)`` spectra times weighted factors, ``X W E^T``; W inverse variances.
    gram
        ``(p, p)`` of the factors, ``E W E^T``.
    usual
        Proportions to expect.

    Returns
    -------
    ndarray
        ``(N, p)``; not negative where the intensity is their sum.
    """
    if not usual.sums:
        right = products + usual.precision @ usual.mean
        return np.asarray(np.linalg.lstsq(gram + usual.precision, right.T, rcond=None)[0].T)
    amounts = nonnegative_least_squares(gram, products.T).T
    for level, rows in _levels(amounts.sum(axis=1)):
        matrix = gram + usual.precision / level**2
        amounts[rows] = nonnegative_least_squares(matrix, products[rows].T).T
    return amounts


def amount_covariance(amounts: Floats, gram: Floats, noise: Floats, usual: Usual) -> Floats:
    """Mean square errors of estimated amounts.

    Parameters
    ----------
    amounts
        ``(N, p)`` from `estimate_amounts`.
    gram
        As there.
    noise
        ``(p + 1, p, p)``: covariance of the products is the sum of the amounts times the first p,
        plus the last.
    usual
        Proportions to expect.

    Returns
    -------
    ndarray
        ``(N, p, p)``: for the estimate H^-1 (c + P m), ``H^-1 (S + P) H^-1`` with the covariance S
        of the products c and the precision P of what is usual. Amounts that the constraint holds at
        zero do not err: at a position where a component is absent, that is so every other time.
    """
    p = amounts.shape[1]
    covariance = np.zeros((len(amounts), p, p))
    levels = _levels(amounts.sum(axis=1)) if usual.sums else [(1.0, np.arange(len(amounts)))]
    for level, rows in levels:
        precision = usual.precision / level**2
        for start in range(0, rows.size, CHUNK):
            part = rows[start : start + CHUNK]
            held = (amounts[part] <= 0) if usual.sums else np.zeros((part.size, p), dtype=bool)
            both = held[:, :, None] | held[:, None, :]
            scale = float(np.trace(gram)) / p
            matrix = np.where(both, scale * np.eye(p), gram + precision)
            inverse = np.linalg.pinv(matrix, rcond=NEGLIGIBLE * 1e-3, hermitian=True)
            inverse[both] = 0.0
            spread = np.tensordot(np.maximum(amounts[part], 0.0), noise[:-1], axes=1) + noise[-1]
            covariance[part] = inverse @ (spread + precision) @ inverse
    return covariance


def _levels(intensity: Floats) -> list[tuple[float, NDArray[np.intp]]]:
    """Group positions by their intensity; those without any are left out."""
    present = np.flatnonzero(intensity > 0)
    steps = np.rint(STEPS * np.log2(intensity[present]))
    return [(2.0 ** (step / STEPS), present[steps == step]) for step in np.unique(steps)]
