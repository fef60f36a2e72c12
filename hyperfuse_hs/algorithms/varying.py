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
from hyperfuse_hs.algorithms.spatial import Scan, neighbour_filter, neighbour_products
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
    freedom
        ``(p,)`` how many independent squares that is known from, see `Fields.freedom`.
    """

    spread: Floats
    spectra: Floats
    freedom: Floats

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
        return np.asarray(np.einsum("kij,kc->ijc", self._by_field(everywhere), self.spectra))

    def freedom_of(self, variance: Floats) -> Floats:
        """Degrees of freedom of variances that this is a part of.

        By the rule of F. E. Satterthwaite (Biometrics Bulletin 2, 110 (1946)); of the other parts
        they are taken to be known.

        Parameters
        ----------
        variance
            ``(p, C)`` of the errors of the factors over this scan.

        Returns
        -------
        ndarray
            ``(p, C)``, infinite where nothing varies.
        """
        own = self._by_field(everywhere=False).diagonal(axis1=1, axis2=2)
        squares = (own**2 / self.freedom[:, None]).T @ self.spectra**2
        found = np.full(variance.shape, np.inf)
        return np.asarray(np.divide(variance**2, squares, out=found, where=squares > 0))

    def _by_field(self, everywhere: bool) -> Floats:
        """Covariance ``(p, p, p)`` of the factors, by field of unit variance."""
        p = len(self.spread)
        by_field = np.empty((p, p, p))
        for number, matrix in enumerate(self.spread):
            target = np.zeros((p, 1))
            target[number] = 0.0 if everywhere else -1.0
            row = np.hstack([np.eye(p), target])
            by_field[number] = row @ matrix @ row.T
        return by_field


@dataclass(frozen=True, eq=False)
class Fields:
    """What differs from place to place, in a scan.

    Parameters
    ----------
    scan
        Where the positions lie.
    design
        ``(N, p)`` that the data are multiples of, in the mean: amounts that are right on average,
        rows scaled as the data.
    amounts
        ``(N, p)`` the same as near to the truth as can be, without negative ones.
    size
        ``(N,)`` weight of a row in sums over the scan.
    reach
        Distance from which on fields are unrelated.
    """

    scan: Scan
    design: Floats
    amounts: Floats
    size: Floats
    reach: float

    @property
    def means(self) -> Floats:
        """Weights ``(N, p)`` of the fields in the means over the scan, rows as the data."""
        total = np.maximum(self.size @ self.amounts, np.finfo(float).tiny)
        return np.asarray(self.size[:, None] / total)

    @property
    def freedom(self) -> Floats:
        """How many independent squares tell what varies of each component, ``(p,)``.

        So many as their weighted sum scatters like, were the fields normal: positions that are
        alike, such as those of one crystal, count together.
        """
        squares = self.amounts**2
        shared = np.sum(squares * neighbour_filter(self.scan, self.reach, 2)(squares), axis=0)
        total = squares.sum(axis=0) ** 2
        return np.asarray(total / np.maximum(shared, np.finfo(float).tiny))

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
        for number, amounts in enumerate(self.amounts.T):
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
        loadings = self.amounts * np.sqrt(power)
        alike = neighbour_filter(self.scan, self.reach)

        def covariance(maps: Floats) -> Floats:
            found = noise * maps
            for column in loadings.T:
                found = found + column[:, None] * alike(column[:, None] * maps)
            return found

        means = self.amounts * self.means
        target = power * self.amounts * alike(means)
        whole = power * np.sum(means * alike(means), axis=0)
        inverse = near_inverse(self.scan, loadings, noise, self.reach)
        return unbiased_weights(covariance, inverse, self.design, target, whole)


def divide_power(
    seen: Floats, amounts: Floats, left: Floats, right: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Say how much the field of each component varies.

    Parameters
    ----------
    seen
        ``(N, K)`` directions that the data are projected on.
    amounts
        ``(N, p)``, not negative, rows scaled as the data.
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
        ``(p, C)`` the same by channel.
    """
    squares = amounts**2
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
    # The same in every channel: in some of them only one component varies.
    weight = (squares @ power + floor) ** -2
    cross = np.empty((len(power), right.shape[1]))
    for number, column in enumerate(squares.T):
        products = crossed(maps, maps, weight * column)
        cross[number] = np.sum(right * (products @ right), axis=0)
        cross[number] -= float(np.trace(products)) * noise
    return power, nonnegative_least_squares(crossed(squares, squares, weight), cross)
