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

BATCH = 16
"""Maps transformed at once."""


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


def correlation_range(scan: Scan, maps: Floats) -> float:
    """Distance at which maps have nothing in common with themselves any more.

    Parameters
    ----------
    scan
        Where the positions lie.
    maps
        ``(N, k)``, of mean zero, taken together as they are.

    Returns
    -------
    float
        In positions, one at least: where the autocovariance first is not positive.
    """
    # Summed before they are transformed back, as only the sum is wanted.
    power: Any = 0.0
    for start in range(0, maps.shape[1], BATCH):
        spectra = scan.transform(maps[:, start : start + BATCH])
        power = power + np.einsum("k...,k...->...", spectra, spectra.conj()).real
    total = scan.restore(power[None] + 0j)[0]
    pairs = scan.pairs()
    ring = np.round(np.sqrt(np.sum(np.square(scan.lags()), axis=0))).astype(int)
    sums = np.bincount(ring.ravel(), np.where(pairs >= 1, total, 0.0).ravel())
    below = np.flatnonzero(sums <= 0)
    return float(max(below[0], 1)) if below.size else float(max(scan.shape))


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


def neighbour_filter(scan: Scan, reach: float) -> Callable[[Floats], Floats]:
    """Return what sums maps ``(N, k)`` over neighbours, with the kernel of `neighbour_products`."""
    scan = replace(scan, margin=reach)
    response = rfftn(spherical(np.sqrt(np.sum(np.square(scan.lags()), axis=0)) / reach)).real
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
