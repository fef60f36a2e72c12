"""``purify``: free a component of a feature that the user knows it lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.factor_noise import FactorEstimate
from hyperfuse_hs.algorithms.feasible import feasible_amounts
from hyperfuse_hs.algorithms.net_intensity import shared_amounts
from hyperfuse_hs.algorithms.purify import (
    CannotCancelError,
    amounts_to_cancel,
    check_amounts,
    subtract,
)
from hyperfuse_hs.feasibility import (
    absence_evidence,
    check_component,
    estimate_factors,
    limiting_factors,
    open_components,
)
from hyperfuse_hs.regions import channels_between, is_range, region_mask
from hyperfuse_hs.result import FusionResult, ModalityResult, Scores
from hyperfuse_hs.signals import templates


def purified(
    scores: Scores,
    result: FusionResult,
    kept: dict[str, dict[str, Any]],
    component: int,
    name: str | None,
    region: Any,
) -> FusionResult:
    """Change a result so that one component lacks a feature.

    Parameters
    ----------
    scores, result
        Of the fusion.
    kept
        Templates of the native signals by name.
    component
        Which one, counted from 0.
    name
        Modality of the feature, or None.
    region
        As in `HypermodalSignal.purify`.

    Returns
    -------
    FusionResult
        A new one.

    Raises
    ------
    ValueError
        No such component or region, or the feature cannot be removed.
    """
    component = check_component(result, component, 2)
    if (name is None) != (region is None):
        raise ValueError(
            "Expected a modality and a region of it, or neither. Got only one of them."
        )
    others, _ = open_components(result, component)
    every = [j for j in range(result.n_components) if j != component]
    if name is None:
        estimates = list(limiting_factors(scores, result).values())
        amounts, _ = feasible_amounts(estimates, component, others or every)
        return apply(result, amounts, component)
    axes = templates.axes_of(kept[name], navigate=False)
    estimate = estimate_factors(scores, result, name)
    part = result.modalities[name]
    try:
        # What the positions tell apart already is left alone, if that is possible.
        amounts = region_amounts(part, axes, region, estimate, component, others)
    except CannotCancelError:
        amounts = region_amounts(part, axes, region, estimate, component, every)
    return apply(result, amounts, component)


def apply(result: FusionResult, amounts: NDArray[np.float64], component: int) -> FusionResult:
    """Subtract amounts of the other components from one, in every modality."""
    mixing, inverse = subtract(amounts, component, result.n_components)
    modalities = {
        name: replace(part, factors=mixing @ part.factors)
        for name, part in result.modalities.items()
    }
    return replace(
        result,
        abundances=result.abundances @ inverse,
        coordinates=result.coordinates @ inverse,
        modalities=modalities,
        face_sets=None,
        face_posterior=None,
        absence_evidence=absence_evidence(result),
        options={**result.options, "purified": int(component)},
    )


def region_amounts(
    part: ModalityResult,
    axes: list[dict[str, Any]],
    region: Any,
    estimate: FactorEstimate,
    component: int,
    others: list[int],
) -> NDArray[np.float64]:
    """Find the amounts of other components to subtract for a component to lack a feature.

    Parameters
    ----------
    part
        The modality.
    axes
        Its signal axes, in numpy order.
    region
        ``(low, high)`` in the units of the single signal axis, or a mask, array or ROI of the
        signal space, True = inside.
    estimate
        The factors of the modality and their errors.
    component, others
        From which one to subtract, and which ones.

    Returns
    -------
    ndarray
        ``(p,)``: for a range such that no net intensity is left, above a background that is
        straight nearby (see `net_intensity`); for a mask, no intensity at all.

    Raises
    ------
    ValueError
        The region does not fit the modality or holds no channel, or there is nothing to subtract
        or nothing that could be.
    """
    if is_range(region):
        inside = channels_between(part, axes, float(region[0]), float(region[1]))
        amounts = shared_amounts(
            estimate.factors, estimate.covariance, component, others, inside, ~part.excluded
        )
        check_amounts(amounts, component)
        return amounts
    weights = region_mask(part, axes, region).astype(float)
    return amounts_to_cancel(np.nan_to_num(part.factors) @ weights, component, others)
