"""Maps of features of one modality, as its own significant scores show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.express import expand
from hyperfuse_hs.result import FusionResult, ModalityScores, Scores
from hyperfuse_hs.scaling import design_weight
from hyperfuse_hs.varying import scale_of

Floats = NDArray[np.float64]

LEAST_RELIABILITY = 0.1
"""Part of the variation of a feature that has to be signal for its correlations to be of use."""


@dataclass(frozen=True, eq=False)
class Feature:
    """Map of a feature of one modality.

    Parameters
    ----------
    name
        Of the modality.
    values
        ``(N,)`` in its units, rows weighted as the common basis; orthogonal to the intensity.
    reliability
        Part of its variation that is no noise.
    map
        ``(N_all,)`` the same without weights, mean included; NaN where excluded.
    """

    name: str
    values: Floats
    reliability: float
    map: Floats


def centred(scores: Scores, maps: Floats) -> Floats:
    """Take out of weighted maps ``(N, k)`` what is the same everywhere but for the intensity."""
    weight = design_weight(scores.scale)
    return np.asarray(maps - np.outer(weight, weight @ maps / (weight @ weight)))


def own_maps(part: ModalityScores) -> Floats:
    """Significant scores of a modality, ``(N, k)``; no columns where there are none."""
    return part.scores[:, : part.rank]


def region_loading(
    scores: Scores, result: FusionResult, name: str, channels: NDArray[np.bool_]
) -> Floats:
    """Find which combination of the scores of a modality is the total of some channels.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    channels
        ``(C_all,)``, True for those to sum.

    Returns
    -------
    ndarray
        ``(k,)``, for the modality's own significant scores: what the others know is not used, so
        that a correlation with them is no consequence of the fusion.

    Raises
    ------
    ValueError
        The modality has no scores of its own.
    """
    part = scores.modalities[name]
    total = channels[~part.excluded].astype(float)
    inside = part.directions(scores.basis).T @ (_maps_of(part) / row_ratio(scores, part))
    return np.asarray(np.linalg.lstsq(inside, part.projection @ total, rcond=None)[0])


def component_loading(scores: Scores, result: FusionResult, name: str, component: int) -> Floats:
    """Find which combination of the scores of a modality is the map of a component.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    component
        Which one.

    Returns
    -------
    ndarray
        ``(k,)``, as far as the modality sees the component in its own significant scores.

    Raises
    ------
    ValueError
        The modality has no scores of its own.
    """
    part = scores.modalities[name]
    weight = design_weight(scores.scale)
    target = weight * result.coordinates[~result.excluded, component]
    return np.asarray(np.linalg.lstsq(_maps_of(part), target, rcond=None)[0])


def _maps_of(part: ModalityScores) -> Floats:
    maps = own_maps(part)
    if not maps.shape[1]:
        what = "is passive" if not part.scores.size else "has no such direction"
        raise ValueError(
            f"Expected a modality with variation of its own that stands out of the noise. "
            f"{part.name} {what}: take the feature from another one, and ask what in {part.name} "
            "goes with it."
        )
    return maps


def make_feature(
    scores: Scores,
    result: FusionResult,
    name: str,
    loading: Floats,
    beyond: Floats | None = None,
) -> Feature:
    """Make the map of a feature.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    loading
        ``(k,)``, how the feature is made of its scores.
    beyond
        The same for what is to be taken out of the feature: as much of it as goes along with the
        feature, noise not counted. None: nothing.

    Returns
    -------
    Feature
        Of the modality.

    Raises
    ------
    ValueError
        The feature, or what is to be taken out of it, does not stand out of the noise.
    """
    part = scores.modalities[name]
    maps = own_maps(part)
    varying = centred(scores, maps)
    spread = np.ones(maps.shape) if part.variance is None else part.variance[:, : part.rank]
    noise = spread.sum(axis=0)
    if beyond is not None:
        _check_reliability(_reliability(varying, noise, beyond), name, "what to look beyond")
        signal = varying.T @ varying - np.diag(noise)
        loading = loading - beyond * (beyond @ signal @ loading) / (beyond @ signal @ beyond)
    reliability = _reliability(varying, noise, loading)
    _check_reliability(reliability, name, "the feature")
    plain = maps @ loading / design_weight(scores.scale)
    return Feature(name, varying @ loading, reliability, expand(plain, result.excluded))


def _reliability(varying: Floats, noise: Floats, loading: Floats) -> float:
    """Part of the variation of a combination of scores that is no noise."""
    variation = float(np.sum((varying @ loading) ** 2))
    return 1 - float(noise @ loading**2) / variation if variation > 0 else 0.0


def _check_reliability(reliability: float, name: str, what: str) -> None:
    if reliability < LEAST_RELIABILITY:
        raise ValueError(
            f"The variation of {what} does not stand out of the noise of {name}: there is nothing "
            "to correlate. Choose a stronger or wider feature."
        )


def row_ratio(scores: Scores, part: ModalityScores) -> Floats:
    """Weight of the rows of the common basis over that of the rows of a modality, ``(N, 1)``."""
    own = design_weight(scale_of(part, len(scores.scale)))
    return np.asarray((design_weight(scores.scale) / own)[:, None])
