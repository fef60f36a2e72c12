"""How far one map is displaced against another, and whether they have anything in common.

Two maps of one area need not look alike: what is bright in one may be dark in the other, or only
the outlines agree. Correlation coefficients over the part that overlaps (Padfield, IEEE Trans.
Image Process. 21, 2706 (2012), Eq. 3) are therefore looked at for the maps themselves, with either
sign, and for the steepness of their slopes. A shift is believed if its coefficient would hardly
come about by chance anywhere, for maps that vary as smoothly as these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, stats

from hyperfuse_hs.algorithms.spatial import chance_variances, scan_of

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

SHARED = 0.5
"""Smallest part of the area that a shift may leave to both maps."""

COARSE = 8
"""Wavelengths beyond this part of the size are taken out of the maps: brightness that drifts along
the scan agrees with itself at any shift."""

SMOOTHING = 1.0
"""Standard deviation of the Gaussian whose slopes are taken, in positions."""

PEAKS_PER_PATCH = 4
"""Shifts that are as good as independent, per area over which a map is alike."""

ROUNDING = 1e-9
"""Variation, over the largest value, that is none."""

BY_CHANCE = 1e-3
"""Probability from which on maps count as unrelated."""

LIKELY = 3.0
"""Shifts with a log-likelihood this much below the best may be the true one (95 %)."""


@dataclass(frozen=True)
class Feature:
    """What is compared of two maps.

    Parameters
    ----------
    kind
        ``"intensity"`` or ``"edges"``.
    first, second
        Of the same shape.
    kept_first, kept_second
        True where they are known.
    signs
        1, and -1 where a negative correlation counts, too.
    """

    kind: str
    first: Floats
    second: Floats
    kept_first: Booleans
    kept_second: Booleans
    signs: tuple[int, ...]


@dataclass(frozen=True)
class Displacement:
    """The shift at which two maps agree best.

    Parameters
    ----------
    shift
        What lies at x in the first map lies at x + shift in the second, in whole positions.
    correlation
        Coefficient there, of what was compared.
    probability
        That unrelated maps agree as well at any shift.
    lead
        By how many standard deviations the coefficient is above that of the best shift elsewhere
        that chance does not explain, either; infinite if there is none.
    spread
        Largest distance from `shift`, along each axis, of a shift that may be the true one.
    feature
        What was compared.
    """

    shift: tuple[int, ...]
    correlation: float
    probability: float
    lead: float
    spread: tuple[int, ...]
    feature: Feature


def smoothed(values: Floats, kept: Booleans, sigma: float | list[float]) -> Floats:
    """Gaussian mean of what is known around each position."""
    weight = ndimage.gaussian_filter(kept.astype(float), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(kept, values, 0.0), sigma, mode="constant")
    return np.asarray(total / np.maximum(weight, 1e-6))


def compared(first: Floats, second: Floats, kept: tuple[Booleans, Booleans]) -> Iterator[Feature]:
    """Yield what is compared of two maps: their intensity, and the steepness of its slopes.

    Parameters
    ----------
    first, second
        Maps of the same shape.
    kept
        Where each of them is known.
    """
    first, second = (
        _levelled(values, known) for values, known in zip((first, second), kept, strict=True)
    )
    coarse = [size / COARSE for size in first.shape]
    fine = [
        np.where(known, values - smoothed(values, known, coarse), 0.0)
        for values, known in zip((first, second), kept, strict=True)
    ]
    yield Feature("intensity", fine[0], fine[1], *kept, signs=(1, -1))
    slopes, sure = [], []
    for values, known in zip((first, second), kept, strict=True):
        filled = np.where(known, values, smoothed(values, known, coarse))
        slopes.append(ndimage.gaussian_gradient_magnitude(filled, SMOOTHING, mode="nearest"))
        sure.append(ndimage.binary_erosion(known, iterations=2, border_value=1))
    yield Feature("edges", slopes[0], slopes[1], sure[0], sure[1], signs=(1,))


def _levelled(values: Floats, known: Booleans) -> Floats:
    """Set what is not known to zero, and all of what is constant but for rounding."""
    inside = values[known]
    flat = inside.size == 0 or np.ptp(inside) <= ROUNDING * np.abs(inside).max()
    return np.zeros(values.shape) if flat else np.where(known, values, 0.0)


def overlap_correlation(feature: Feature) -> tuple[Floats, Floats]:
    """Correlation coefficient of two maps over their overlap, for all shifts.

    Parameters
    ----------
    feature
        The maps.

    Returns
    -------
    correlation, pairs
        For shifts from ``1 - size`` to ``size - 1`` along each axis; how many positions overlap.
        Zero where one of the maps is constant.
    """
    first, second = feature.first, feature.second
    known = feature.kept_first.astype(float), feature.kept_second.astype(float)
    lengths = [2 * size - 1 for size in first.shape]
    padded = [fft.next_fast_len(size, real=True) for size in lengths]

    def transform(values: Floats) -> NDArray[np.complex128]:
        return np.asarray(fft.rfftn(values, padded))

    a = np.where(feature.kept_first, first - first[feature.kept_first].mean(), 0.0)
    b = np.where(feature.kept_second, second - second[feature.kept_second].mean(), 0.0)
    left = [np.conj(transform(values)) for values in (known[0], a, a**2)]
    right = [transform(values) for values in (known[1], b, b**2)]

    def sums(i: int, j: int) -> Floats:
        whole = fft.irfftn(left[i] * right[j], padded)
        for axis, size in enumerate(first.shape):
            whole = np.roll(whole, size - 1, axis)
        return np.asarray(whole[tuple(slice(0, length) for length in lengths)])

    pairs = np.round(sums(0, 0))
    count = np.maximum(pairs, 1.0)
    mean_a, mean_b = sums(1, 0) / count, sums(0, 1) / count
    spread_a = sums(2, 0) / count - mean_a**2
    spread_b = sums(0, 2) / count - mean_b**2
    varies = (spread_a > 1e-9 * (a**2).mean()) & (spread_b > 1e-9 * (b**2).mean()) & (pairs > 2)
    product = np.where(varies, spread_a * spread_b, 1.0)
    correlation = np.where(varies, (sums(1, 1) / count - mean_a * mean_b) / np.sqrt(product), 0.0)
    return np.clip(correlation, -1.0, 1.0), pairs


def independent_part(feature: Feature) -> float:
    """Count positions as if they were independent, over their number.

    Two unrelated maps have a squared correlation of one over that number in the mean (Clifford,
    Richardson and Hémon 1989).
    """
    both = feature.kept_first & feature.kept_second
    scan = scan_of(both.shape, ~both.ravel())
    a, b = (values[both] - values[both].mean() for values in (feature.first, feature.second))
    scatter = float(chance_variances(scan, a[:, None], b[:, None])[0, 0])
    power = float((a**2).sum() * (b**2).sum())
    return min(1.0, power / (scatter * a.size)) if scatter > 0 else 1.0


def find_displacement(
    first: Floats, second: Floats, kept: tuple[Booleans, Booleans], reach: tuple[float, ...]
) -> Displacement:
    """Find the shift of one map against another.

    Parameters
    ----------
    first, second
        Maps of the same shape.
    kept
        Where each of them is known: True.
    reach
        Largest shift along each axis, in positions.

    Returns
    -------
    Displacement
        The most significant one. Shifts that leave less than ``SHARED`` of the area are left out.
    """
    found = [
        _search(feature, sign, reach)
        for feature in compared(first, second, kept)
        for sign in feature.signs
        if _varies(feature)
    ]
    if not found:
        nothing = next(compared(first, second, kept))
        return Displacement((0,) * first.ndim, 0.0, 1.0, np.inf, tuple(first.shape), nothing)
    # Any of them might have been the best by chance.
    return _describe(min(found, key=lambda item: item.chance_at(item.place)), len(found))


def _varies(feature: Feature) -> bool:
    both = feature.kept_first & feature.kept_second
    if both.sum() <= 2:
        return False
    return all(np.ptp(values[both]) > 0 for values in (feature.first, feature.second))


@dataclass(frozen=True)
class _Search:
    """Correlation of one feature with one sign at all shifts, and its best shift."""

    feature: Feature
    sign: int
    correlation: Floats
    score: Floats
    freedom: Floats
    part: float
    tries: float

    @property
    def place(self) -> tuple[int, ...]:
        return tuple(int(k) for k in np.unravel_index(np.argmax(self.score), self.score.shape))

    def chance_at(self, place: tuple[Any, ...]) -> float:
        """Logarithm of the probability that unrelated maps agree as well anywhere.

        Student's t with as many degrees of freedom as there are independent positions, for as many
        shifts as are independent.
        """
        r, f = float(self.correlation[place]), float(self.freedom[place])
        t = r * np.sqrt(f / (1 - r**2))
        return float(stats.t.logsf(t, f) + np.log(self.tries))


def _search(feature: Feature, sign: int, reach: tuple[float, ...]) -> _Search:
    correlation, pairs = overlap_correlation(feature)
    correlation = np.clip(sign * correlation, -1, 1 - 1e-12)
    allowed = pairs >= SHARED * pairs.max()
    for axis, (size, limit) in enumerate(zip(feature.first.shape, reach, strict=True)):
        distance = np.abs(np.arange(1 - size, size))
        allowed &= (distance <= limit).reshape(
            [-1 if k == axis else 1 for k in range(correlation.ndim)]
        )
    part = independent_part(feature)
    freedom = np.maximum(part * pairs - 2, 1e-3)
    score = np.where(allowed, np.arctanh(correlation) * np.sqrt(freedom), -np.inf)
    tries = max(1.0, PEAKS_PER_PATCH * part * allowed.sum())
    return _Search(feature, sign, correlation, score, freedom, part, tries)


def _describe(best: _Search, tried: int) -> Displacement:
    place, score = best.place, best.score
    r, peak = float(best.correlation[place]), float(best.score[place])
    regions, _ = ndimage.label(score > peak / 2)
    elsewhere = np.where(regions != regions[place], score, -np.inf)
    rival = np.unravel_index(np.argmax(elsewhere), score.shape)
    lead = np.inf
    if best.chance_at(rival) + np.log(tried) < np.log(BY_CHANCE):
        freedom = np.sqrt(best.freedom[rival])
        lead = float((np.arctanh(r) - np.arctanh(best.correlation[rival])) * freedom)
    positions = best.part * best.feature.kept_first.sum()
    loss = positions / 2 * np.log1p((r**2 - np.maximum(best.correlation, 0) ** 2) / (1 - r**2))
    likely = np.isfinite(score) & (loss <= LIKELY)
    spread = tuple(
        int(np.abs(indices - centre).max(initial=0))
        for indices, centre in zip(np.nonzero(likely), place, strict=True)
    )
    return Displacement(
        shift=tuple(k - n + 1 for k, n in zip(place, best.feature.first.shape, strict=True)),
        correlation=best.sign * r,
        probability=float(np.exp(min(best.chance_at(place) + np.log(tried), 0.0))),
        lead=lead,
        spread=spread,
        feature=best.feature,
    )
