"""What in one modality goes with a feature of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import correlation, spatial
from hyperfuse_hs.express import expand
from hyperfuse_hs.features import Feature, centred, own_maps, row_ratio
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.result import FusionResult, ModalityScores, Scores
from hyperfuse_hs.scaling import row_divisor
from hyperfuse_hs.varying import joint_basis, scale_of

Floats = NDArray[np.float64]

LEAST_NOISE = 0.1
"""Least variance of the noise of a channel, over that which its mean makes expect."""


@dataclass(frozen=True, eq=False)
class Association:
    """What goes with a feature, for every channel of a modality, ``(C_all,)``.

    Parameters
    ----------
    correlation
        Of the feature with the channel, noise of the channel included.
    slope
        Of the channel, per unit of the feature.
    z
        Deviate of the normal distribution that is as improbable by chance.
    significant
        Whether it stands out of chance in all channels taken together.
    """

    correlation: Floats
    slope: Floats
    z: Floats
    significant: NDArray[np.bool_]


def associate(
    scores: Scores, result: FusionResult, feature: Feature, name: str, rate: float
) -> Association:
    """Correlate a feature with every channel of another modality, from the projections.

    Where both have nothing to do with each other, their product still sums to something: because
    of the noise of the channel, and because maps that vary smoothly may agree by chance. The
    first is known; the second follows from the autocovariance of the feature and that of the
    maps of the other modality.

    Parameters
    ----------
    scores, result
        Of the fusion.
    feature
        Of one modality.
    name
        Of the other.
    rate
        Part of the significant channels that may be there by chance.

    Returns
    -------
    Association
        No data are read. NaN in excluded channels.
    """
    part = scores.modalities[name]
    ratio = row_ratio(scores, part)[:, 0]
    seen, joint = _look(scores, part, (feature.values * ratio)[:, None])
    own, product = seen[:, 0] / ratio, joint[0].astype(np.float64)
    scan = spatial.scan_of(result.navigation_shape, result.excluded)
    maps, shapes = _signal(scores, result, part)
    by_maps = spatial.squared_form(spatial.chance_covariance(scan, own, maps), shapes)
    variance = by_maps + _summed_noise(scores, part, own * ratio)
    size = float(own @ own)
    total = spatial.squared_form(maps.T @ maps, shapes) + _summed_noise(scores, part, ratio)
    power = np.maximum(size * total, np.finfo(float).tiny)
    found = np.clip(product / np.sqrt(power), -1.0, 1.0)
    tested = correlation.significance(found, variance / power)
    slope = product / (size * feature.reliability)
    picked = np.zeros(part.excluded.size, dtype=bool)
    picked[~part.excluded] = correlation.discoveries(tested.p, rate)
    return Association(
        expand(found, part.excluded),
        expand(slope, part.excluded),
        expand(tested.z, part.excluded),
        picked,
    )


def _look(scores: Scores, part: ModalityScores, columns: Floats) -> tuple[Floats, Floats]:
    """Multiply data of a modality by any columns, as far as the projection knows of them."""
    return part.seen(scores.basis, scores.basis @ (scores.basis.T @ columns))


def _signal(scores: Scores, result: FusionResult, part: ModalityScores) -> tuple[Floats, Floats]:
    """Return maps ``(N, k)`` of a modality without noise, and their shapes ``(k, C)``."""
    maps = own_maps(part) if part.scores.size else joint_basis(scores, result)
    if not maps.shape[1]:
        return np.zeros((len(maps), 0)), np.zeros((0, int(np.sum(~part.excluded))))
    inside = part.directions(scores.basis).T @ (maps / row_ratio(scores, part))
    shapes = np.linalg.lstsq(inside, part.projection, rcond=None)[0]
    return centred(scores, maps), np.asarray(shapes, dtype=np.float64)


def _summed_noise(scores: Scores, part: ModalityScores, weights: Floats) -> Floats:
    """Variance ``(C,)`` of the noise in a weighted sum over rows of a modality."""
    rows = row_divisor(scale_of(part, len(weights)))
    squares = weights**2
    usual = part.gain * part.divisor * squares.sum()
    if part.noise not in COUNTED:
        return usual
    _, joint = _look(scores, part, (squares / np.sqrt(rows))[:, None])
    counted = part.gain * (joint[0] + part.offset * np.sum(squares / rows))
    return np.asarray(np.maximum(counted, LEAST_NOISE * usual))


@dataclass(frozen=True, eq=False)
class Correlations:
    """Largest canonical correlation of every pair of modalities, ``(M, M)``.

    Parameters
    ----------
    names
        The modalities.
    correlation, z, significant
        As in `Association`; NaN where a modality has no scores of its own, one on the diagonal.
    """

    names: tuple[str, ...]
    correlation: Floats
    z: Floats
    significant: NDArray[np.bool_]


def correlate_all(
    scores: Scores, result: FusionResult, names: list[str], rate: float
) -> Correlations:
    """Find what every pair of modalities has in common.

    Parameters
    ----------
    scores, result
        Of the fusion.
    names
        Of the modalities.
    rate
        Part of the significant pairs that may be there by chance.

    Returns
    -------
    Correlations
        Of the significant scores of each modality alone.
    """
    scan = spatial.scan_of(result.navigation_shape, result.excluded)
    maps = [centred(scores, own_maps(scores.modalities[name])) for name in names]
    maps = [_independent(each) for each in maps]
    count = len(names)
    values, z = np.full((count, count), np.nan), np.full((count, count), np.nan)
    p = {}
    for i, first in enumerate(maps):
        if first.shape[1]:
            values[i, i], z[i, i] = 1.0, np.inf
        for j in range(i):
            if first.shape[1] and maps[j].shape[1]:
                found = correlation.canonical_correlation(scan, first, maps[j])
                values[i, j] = values[j, i] = found.correlation
                z[i, j] = z[j, i] = correlation.one_sided(found.p)
                p[i, j] = found.p
    significant = np.eye(count, dtype=bool) & np.isfinite(values)
    if p:
        picked = correlation.discoveries(np.array(list(p.values())), rate)
        for (i, j), is_one in zip(p, picked, strict=True):
            significant[i, j] = significant[j, i] = is_one
    return Correlations(tuple(names), values, z, significant)


def _independent(maps: Floats) -> Floats:
    """Drop what centring has left without variation."""
    if not maps.shape[1]:
        return maps
    left, values, _ = np.linalg.svd(maps, full_matrices=False)
    kept = values > 1e-6 * values[0]
    return np.asarray(left[:, kept] * values[kept])
