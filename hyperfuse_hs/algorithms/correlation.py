"""Correlations of maps and how far chance takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hyperfuse_hs.algorithms.spatial import Scan, chance_variances

Floats = NDArray[np.float64]

LARGEST = 1 - 1e-9
"""Correlations are taken as no nearer to one than this."""

TRACY_WIDOM = 46.446, 0.186054, 9.84801
"""Shape, scale and shift of the gamma distribution that is next to that of Tracy and Widom, of the
orthogonal class (Chiani, J. Multivar. Anal. 129, 69 (2014))."""


class Significance(NamedTuple):
    """How a correlation compares with chance.

    Attributes
    ----------
    z
        The same probability as a normal deviate, with the sign of the correlation.
    p
        Probability of a correlation that is larger in size by chance.
    """

    z: Floats
    p: Floats


def significance(correlation: Floats, variance: Floats) -> Significance:
    """Compare correlations with those of unrelated maps.

    Parameters
    ----------
    correlation
        ``(C,)``.
    variance
        ``(C,)`` of the correlation where there is none.

    Returns
    -------
    Significance
        By Student's distribution for ``1 + 1 / variance`` positions that count (Clifford,
        Richardson and Hémon, Biometrics 45, 123 (1989); Dutilleul, Biometrics 49, 305 (1993)).
    """
    positions = 1 + 1 / np.maximum(variance, 1e-12)
    freedom = np.maximum(positions - 2, 1.0)
    bounded = np.clip(correlation, -LARGEST, LARGEST)
    deviate = bounded * np.sqrt(freedom / (1 - bounded**2))
    p = 2 * stats.t.sf(np.abs(deviate), freedom)
    z = np.sign(correlation) * stats.norm.isf(np.maximum(p, 1e-300) / 2)
    return Significance(np.asarray(z), np.asarray(p))


def one_sided(p: float) -> float:
    """Return the normal deviate that is exceeded with a given probability."""
    return float(stats.norm.isf(min(max(p, 1e-300), 1 - 1e-16)))


def discoveries(p: Floats, rate: float) -> NDArray[np.bool_]:
    """Pick what is significant such that of it no more than a given part is by chance.

    Parameters
    ----------
    p
        ``(C,)`` probabilities.
    rate
        Expected part of what is picked that is there by chance.

    Returns
    -------
    ndarray
        ``(C,)``, by Benjamini and Hochberg (J. R. Stat. Soc. B 57, 289 (1995)). It holds for
        independent channels, and for those that depend positively on each other (Benjamini and
        Yekutieli, Ann. Stat. 29, 1165 (2001)), as channels do that follow the same map with
        either sign: they are then picked together, or not at all.
    """
    return np.asarray(stats.false_discovery_control(p) <= rate)


class Canonical(NamedTuple):
    """Largest correlation between combinations of two sets of maps.

    Attributes
    ----------
    correlation
        Of the best pair of combinations.
    p
        Probability that unrelated maps have as much in common.
    """

    correlation: float
    p: float


def canonical_correlation(scan: Scan, first: Floats, second: Floats) -> Canonical:
    """Find what two sets of maps have in common.

    Parameters
    ----------
    scan
        Where the positions lie.
    first, second
        ``(N, a)`` and ``(N, b)`` maps, of mean zero and not dependent on each other.

    Returns
    -------
    Canonical
        The correlation is the largest singular value of the products of the principal maps of
        both (Björck and Golub, Math. Comput. 27, 579 (1973)). For its significance each product is
        divided by the size that chance gives it, see `spatial.chance_variances`, and the largest
        singular value compared with that of as many normal deviates. That sees whatever the two
        have in common, if there are not many maps; what is strong in both is seen better by the
        sum of the squared products of the maps as they are (the RV coefficient: Escoufier,
        Biometrics 29, 751 (1973)). The smaller probability counts, as that of the smaller of two
        (Šidák, J. Am. Stat. Assoc. 62, 626 (1967)).
    """
    one, strength, _ = np.linalg.svd(first, False)
    other, power, _ = np.linalg.svd(second, False)
    products = one.T @ other
    variances = np.maximum(chance_variances(scan, one, other), 1 / len(one))
    largest = float(np.linalg.norm(products / np.sqrt(variances), 2))
    shares = np.outer(strength**2, power**2)
    p = min(
        largest_by_chance(largest, *products.shape),
        sum_by_chance(float(np.sum(shares * products**2)), shares * variances),
    )
    either = float(-np.expm1(2 * np.log1p(-min(p, 1 - 1e-16))))
    return Canonical(min(float(np.linalg.norm(products, 2)), 1.0), either)


def sum_by_chance(value: float, means: Floats) -> float:
    """Probability that a sum of squares of normal deviates is larger than one given.

    Parameters
    ----------
    value
        The sum.
    means
        Of the squares.

    Returns
    -------
    float
        By a gamma distribution of the same mean and variance (Satterthwaite, Biometrics Bulletin
        2, 110 (1946)).
    """
    total, spread = float(means.sum()), 2 * float(np.sum(means**2))
    return float(stats.gamma.sf(value, total**2 / spread, scale=spread / total))


def largest_by_chance(value: float, rows: int, columns: int) -> float:
    """Probability that a matrix of normal deviates has a singular value larger than one given.

    Parameters
    ----------
    value
        Singular value.
    rows, columns
        Size of the matrix.

    Returns
    -------
    float
        Exact for a single row or column, else by the law of Tracy and Widom, centred and scaled
        as by Johnstone (Ann. Stat. 29, 295 (2001)) with the corrections of Ma (Bernoulli 18, 322
        (2012)).
    """
    if min(rows, columns) == 1:
        return float(stats.chi2.sf(value**2, max(rows, columns)))
    one, other = np.sqrt(rows - 0.5), np.sqrt(columns - 0.5)
    spread = (one + other) * (1 / one + 1 / other) ** (1 / 3)
    shape, scale, shift = TRACY_WIDOM
    deviate = (value**2 - (one + other) ** 2) / spread
    return float(stats.gamma.sf(deviate + shift, shape, scale=scale))
