r"""Means over what differs from place to place: the pattern of a phase that consists of crystals.

At position n a modality has the mean :math:`\sum_k a_{nk} (F_k + D_k(n))`: what phase k has there
differs from its factor by a random field, alike over some distance, of another size in every
channel. Least squares are unbiased for the factors, but give large weights to few positions. The
best linear unbiased prediction (C. R. Henderson, Biometrics 31, 423 (1975)) of the mean over the
scan, :math:`\sum_n a_{nk} (F_k + D_k(n)) / \sum_n a_{nk}`, looks at all of them: finite population
block kriging (J. M. Ver Hoef, Environ. Ecol. Stat. 15, 3 (2008)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.abundance import nonnegative_least_squares
from hyperfuse_hs.algorithms.kriging import near_inverse, unbiased_weights
from hyperfuse_hs.algorithms.spatial import Scan, neighbour_filter, neighbour_products, squared_form
from hyperfuse_hs.algorithms.tall import crossed, stripes, turned

Floats = NDArray[np.float64]


REPETITIONS = 5
"""Of the fit of squares, with weights from the one before."""


@dataclass(frozen=True, eq=False)
class Variation:
    """How far factors err because of what varies.

    Parameters
    ----------
    spread
        ``(p, p + 1, p + 1)`` from `spread_of`.
    spectra
        ``(p, C)`` variance of the field of each component in every channel.
    """

    spread: Floats
    spectra: Floats

    def covariance(self, *, everywhere: bool) -> Floats:
        """Covariance of the errors that the factors owe to the fields.

        Parameters
        ----------
        everywhere
            As estimates of what is the mean elsewhere too; False: of that over this scan.

        Returns
        -------
        ndarray
            ``(p, p, C)``.
        """
        p = len(self.spread)
        by_field = np.empty((p, p, p))
        for number, matrix in enumerate(self.spread):
            target = np.zeros((p, 1))
            target[number] = 0.0 if everywhere else -1.0
            row = np.hstack([np.eye(p), target])
            by_field[number] = row @ matrix @ row.T
        return np.asarray(np.einsum("kij,kc->ijc", by_field, self.spectra))


@dataclass(frozen=True, eq=False)
class Fields:
    """What differs from place to place, in a scan.

    Parameters
    ----------
    scan
        Where the positions lie.
    design
        ``(N, p)`` amounts, rows scaled as the data; negative ones count as zero.
    size
        ``(N,)`` weight of a row in sums over the scan.
    reach
        Distance from which on fields are unrelated.
    """

    scan: Scan
    design: Floats
    size: Floats
    reach: float

    @property
    def means(self) -> Floats:
        """Weights ``(N, p)`` of the fields in the means over the scan, rows as the data."""
        total = np.maximum(self.size @ np.maximum(self.design, 0.0), np.finfo(float).tiny)
        return np.asarray(self.size[:, None] / total)

    def spread_of(self, weights: Floats) -> Floats:
        """Covariance of sums over the fields of the components, of unit variance.

        Parameters
        ----------
        weights
            ``(p, N)`` of the positions in the factors.

        Returns
        -------
        ndarray
            ``(p, p + 1, p + 1)`` of the factors, and last of the mean over the scan.
        """
        p = len(weights)
        found = np.empty((p, p + 1, p + 1))
        for number, amounts in enumerate(np.maximum(self.design, 0.0).T):
            sums = amounts[:, None] * np.column_stack([weights.T, self.means[:, number]])
            found[number] = neighbour_products(self.scan, sums, self.reach)
        return found

    def mean_weights(self, power: Floats, noise: float) -> Floats:
        """Weights of the best linear unbiased prediction of the means over the scan.

        Parameters
        ----------
        power
            ``(p,)`` variance of the fields, over all channels.
        noise
            Variance of the noise at a position, alike.

        Returns
        -------
        ndarray
            ``(p, N)``.
        """
        design = np.maximum(self.design, 0.0)
        loadings = design * np.sqrt(power)
        alike = neighbour_filter(self.scan, self.reach)

        def covariance(maps: Floats) -> Floats:
            found = noise * maps
            for column in loadings.T:
                found = found + column[:, None] * alike(column[:, None] * maps)
            return found

        means = design * self.means
        target = power * design * alike(means)
        whole = power * np.sum(means * alike(means), axis=0)
        inverse = near_inverse(self.scan, loadings, noise, self.reach)
        return unbiased_weights(covariance, inverse, self.design, target, whole)


def divide_power(
    seen: Floats, design: Floats, left: Floats, right: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Say how much the field of each component varies.

    Parameters
    ----------
    seen
        ``(N, K)`` directions that the data are projected on.
    design
        ``(N, p)`` amounts, rows scaled as the data.
    left
        ``(K, f)`` directions in which what the components leave stands out of the noise.
    right
        ``(f, C)`` what they leave in these.
    noise
        ``(C,)`` variance of its noise.

    Returns
    -------
    power : ndarray
        ``(p,)`` variances over all channels: squares at a position are fitted with those of the
        amounts.
    spectra : ndarray
        ``(p, C)`` the same by channel, from squares that are taken to be the components' in
        proportion to these.
    """
    squares = np.maximum(design, 0.0) ** 2
    maps = turned(seen, left)
    # What noise alone would give is taken off, here and below.
    products = right @ right.T - float(noise.sum()) * np.eye(len(right))
    total = np.empty(len(maps))
    for rows in stripes(len(maps)):
        total[rows] = np.einsum("nf,nf->n", maps[rows] @ products, maps[rows])
    # Large squares scatter most: the small ones tell where a component hardly varies.
    floor = float(noise.sum()) * left.shape[1] / len(maps)
    power = np.zeros(squares.shape[1])
    for _ in range(REPETITIONS):
        weight = (squares @ power + floor) ** -2 if power.any() else np.ones(len(squares))
        gram, cross = crossed(squares, squares, weight), (weight * total) @ squares
        power = nonnegative_least_squares(gram, cross[:, None])[:, 0]
    parts = squares * power
    share = parts / np.maximum(parts.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    share /= np.maximum(np.sum(squares * share, axis=0), np.finfo(float).tiny)
    spectra = np.zeros((len(power), right.shape[1]))
    for number in np.flatnonzero(power > 0):
        products = crossed(maps, maps, share[:, number])
        excess = squared_form(products, right) - float(np.trace(products)) * noise
        spectra[number] = np.maximum(excess, 0.0)
        whole = max(float(spectra[number].sum()), np.finfo(float).tiny)
        spectra[number] *= power[number] / whole
    return power, spectra
