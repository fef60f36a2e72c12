"""Maps that vary smoothly over the scan: how alike neighbours are, and what that does to sums.

Neighbouring positions tell almost the same, so N positions count for fewer. How far two unrelated
maps agree by chance follows from the autocovariance of both (Clifford, Richardson and Hémon,
Biometrics 45, 123 (1989)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn

Floats = NDArray[np.float64]

REACH = 0.5
"""Longest lag along an axis, over the size of the scan: beyond it, few pairs are left."""

TRANSFORMED = 2**20
"""Elements that are transformed at a time where only sums over maps are wanted."""

BATCH = 16
"""Maps transformed at once."""

LEAST_ALIKE = 0.05
"""Autocorrelation at the practical range."""


@dataclass(frozen=True)
class Scan:
    """Where the positions lie.

    Parameters
    ----------
    shape
        Of the scan.
    kept
        ``(N_all,)``, True = not excluded; N of them.
    margin
        Longest lag that matters; None: all.
    """

    shape: tuple[int, ...]
    kept: NDArray[np.bool_]
    margin: float | None = None

    @property
    def padded(self) -> tuple[int, ...]:
        """Shape in which no map meets its own other end."""
        if self.margin is None:
            return tuple(2 * size for size in self.shape)
        more = int(np.ceil(self.margin))
        return tuple(int(next_fast_len(size + min(size, more), real=True)) for size in self.shape)

    def transform(self, maps: Floats) -> NDArray[np.complex128]:
        """Fourier transform of maps ``(N, k)``, padded with zeros, ``(k, ...)``."""
        full = np.zeros((maps.shape[1], self.kept.size))
        full[:, self.kept] = maps.T
        axes = tuple(range(1, len(self.shape) + 1))
        return np.asarray(rfftn(full.reshape(-1, *self.shape), self.padded, axes=axes))

    def restore(self, spectrum: NDArray[np.complex128]) -> Floats:
        """Transform back ``(k, ...)``, to ``(k, *padded)``."""
        axes = tuple(range(1, len(self.shape) + 1))
        return np.asarray(irfftn(spectrum, self.padded, axes=axes))

    def filtered(self, maps: Floats, response: Floats) -> Floats:
        """Multiply the transforms of maps ``(N, k)`` by a response, and transform back."""
        inner = tuple(slice(0, size) for size in self.shape)
        whole = self.restore(self.transform(maps) * response)[(slice(None), *inner)]
        return np.asarray(whole.reshape(len(whole), -1)[:, self.kept].T)

    def lags(self) -> list[Floats]:
        """Lag along each axis, in positions, that each element of a padded array stands for."""
        steps = [np.minimum(np.arange(n), n - np.arange(n)) for n in self.padded]
        return list(np.meshgrid(*(s.astype(float) for s in steps), indexing="ij"))

    def pairs(self) -> Floats:
        """Count the pairs of positions at each lag, as a padded array."""
        ones = self.transform(np.ones((int(self.kept.sum()), 1)))
        return np.asarray(np.round(self.restore(np.abs(ones) ** 2 + 0j)[0]))


def chance_covariance(scan: Scan, first: Floats, second: Floats) -> Floats:
    r"""Covariance of sums of products of one map with others that are unrelated to it.

    .. math::

        \operatorname{cov}\Big(\sum_t f_t g_t, \sum_t f_t h_t\Big)
        = \sum_l \Big(\sum_t f_t f_{t+l}\Big) \overline{g_t h_{t+l}}

    for fixed f, and g and h that vary alike everywhere; the mean is over the pairs at lag l.

    Parameters
    ----------
    scan
        Where the positions lie.
    first
        ``(N,)`` f, of mean zero.
    second
        ``(N, k)`` g and h, of mean zero.

    Returns
    -------
    ndarray
        ``(k, k)``, symmetric, without negative eigenvalues. Lags beyond ``REACH`` are left out.
    """
    pairs = scan.pairs()
    own = _own_products(scan, first[:, None]).reshape(scan.padded)
    weights = np.where(_near(scan, pairs), own / np.maximum(pairs, 1), 0.0)
    # Summing over lags is summing over frequencies with the transform of the weights.
    kernel = rfftn(weights).real
    count, found = second.shape[1], np.empty((second.shape[1],) * 2)
    for start in range(0, count, BATCH):
        columns = slice(start, start + BATCH)
        found[:, columns] = second.T @ scan.filtered(second[:, columns], kernel)
    values, axes = np.linalg.eigh((found + found.T) / 2)
    return np.asarray((axes * np.maximum(values, 0.0)) @ axes.T)


def chance_variances(scan: Scan, first: Floats, second: Floats) -> Floats:
    """Variance of sums of products of unrelated maps, for all pairs.

    Parameters
    ----------
    scan
        Where the positions lie.
    first, second
        ``(N, a)`` and ``(N, b)``, of mean zero.

    Returns
    -------
    ndarray
        ``(a, b)``, as the diagonal of `chance_covariance`; zero where that comes out negative.
    """
    pairs = scan.pairs()
    near = _near(scan, pairs)
    weights = (near / np.maximum(pairs, 1)).ravel()
    found = np.empty((first.shape[1], second.shape[1]))
    for start in range(0, second.shape[1], BATCH):
        columns = slice(start, start + BATCH)
        mean = _own_products(scan, second[:, columns]) * weights
        for begin in range(0, first.shape[1], BATCH):
            rows = slice(begin, begin + BATCH)
            found[rows, columns] = _own_products(scan, first[:, rows]) @ mean.T
    return np.maximum(found, 0.0)


def _own_products(scan: Scan, maps: Floats) -> Floats:
    """Sum products of each map with itself at every lag, ``(k, lags)``."""
    power = np.abs(scan.transform(maps)) ** 2
    return scan.restore(power + 0j).reshape(maps.shape[1], -1)


def _near(scan: Scan, pairs: Floats) -> NDArray[np.bool_]:
    """Lags within reach that there are pairs at."""
    near = pairs >= 1
    for lag, size in zip(scan.lags(), scan.shape, strict=True):
        near &= lag <= max(REACH * size, 1.0)
    return near


def correlation_range(scan: Scan, maps: Floats, loadings: Floats) -> float:
    r"""Distance from which on fields have next to nothing in common with themselves.

    The practical range of geostatistics (J.-P. Chilès and P. Delfiner, Geostatistics, ch. 2), with
    the autocorrelation

    .. math:: \rho(l) = \sum_t x_t^T x_{t+l} / \sum_t a_t^T a_{t+l}

    of maps x in which the fields, of unit variance, are multiplied by the loadings a. Unlike the
    distance at which it first is zero, it does not grow with the scan: far out, few large objects
    in many are all there is.

    Parameters
    ----------
    scan
        Where the positions lie.
    maps
        ``(N, k)``, taken together as they are.
    loadings
        ``(N, p)`` that are multiplied by fields unrelated to each other.

    Returns
    -------
    float
        In positions, one at least.
    """
    ring = np.round(np.sqrt(np.sum(np.square(scan.lags()), axis=0))).astype(int).ravel()
    near = _near(scan, scan.pairs()).ravel()
    sums = np.bincount(ring, np.where(near, _summed_products(scan, maps), 0.0))
    expected = np.bincount(ring, np.where(near, _summed_products(scan, loadings), 0.0))
    # Transforms round: where loadings never meet, nothing is known.
    known = expected > 1e-9 * expected[0]
    sums, expected = sums[known], expected[known]
    below = np.flatnonzero(sums <= 0)
    far = slice(below[0] if below.size else len(sums), None)
    # As the means were taken off, there is too little of it at all lags.
    lacking = min(float(sums[far].sum()), 0.0) / max(float(expected[far].sum()), float(expected[0]))
    alike = (sums / expected - lacking) / (1 - lacking)
    under = np.flatnonzero(alike[1:] < LEAST_ALIKE) + 1
    if not under.size:
        return float(max(scan.shape))
    lags, (before, last) = np.flatnonzero(known), alike[[under[0] - 1, under[0]]]
    beyond = (LEAST_ALIKE - last) / max(before - last, LEAST_ALIKE - last)
    return float(max(lags[under[0]] - beyond, 1.0))


def _summed_products(scan: Scan, maps: Floats) -> Floats:
    """Sum products of maps with themselves at every lag over the maps, ``(lags,)``."""
    # Summed before they are transformed back, as only the sum is wanted.
    power: Any = 0.0
    step = max(1, TRANSFORMED // int(np.prod(scan.padded)))
    for start in range(0, maps.shape[1], step):
        spectra = scan.transform(maps[:, start : start + step])
        power = power + np.einsum("k...,k...->...", spectra, spectra.conj()).real
    return np.asarray(scan.restore(power[None] + 0j)[0].ravel())


def neighbour_products(scan: Scan, left: Floats, reach: float) -> Floats:
    r"""Sum products of the rows of a matrix over neighbours, the nearest counting most.

    .. math:: M = \sum_{tu} k(|t - u|)\, a_t a_u^T

    With the spherical kernel k, which has no negative eigenvalue in up to three dimensions.
    Variances of sums over positions that are alike within `reach` (Conley, J. Econometrics 92, 1
    (1999)).

    Parameters
    ----------
    scan
        Where the positions lie.
    left
        ``(N, r)`` rows a_t.
    reach
        Distance from which on positions have nothing to do with each other.

    Returns
    -------
    ndarray
        ``(r, r)``.
    """
    alike = neighbour_filter(scan, reach)
    found = np.empty((left.shape[1],) * 2)
    for start in range(0, left.shape[1], BATCH):
        columns = slice(start, start + BATCH)
        found[:, columns] = left.T @ alike(left[:, columns])
    return np.asarray((found + found.T) / 2)


def neighbour_filter(scan: Scan, reach: float, power: int = 1) -> Callable[[Floats], Floats]:
    """Return what sums maps ``(N, k)`` over neighbours, with the kernel of `neighbour_products`.

    Or with a power of the kernel.
    """
    scan = replace(scan, margin=reach)
    kernel = spherical(np.sqrt(np.sum(np.square(scan.lags()), axis=0)) / reach) ** power
    response = rfftn(kernel).real
    return lambda maps: scan.filtered(maps, response)


def spherical(distance: Floats) -> Floats:
    """Spherical kernel of distances in units of its reach, without negative eigenvalues."""
    return np.asarray(np.where(distance < 1, 1 - 1.5 * distance + 0.5 * distance**3, 0.0))


def squared_form(matrix: Floats, columns: Floats) -> Floats:
    """Evaluate ``columns^T matrix columns`` column by column, ``(C,)``, at least zero."""
    return np.asarray(np.maximum(np.sum(columns * (matrix @ columns), axis=0), 0.0))


def scan_of(shape: Sequence[int], excluded: NDArray[np.bool_]) -> Scan:
    """Describe a scan by its shape and the positions that are excluded."""
    return Scan(tuple(shape), ~excluded)
