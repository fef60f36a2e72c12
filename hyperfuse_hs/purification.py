"""``purify``: free a component of a feature that the user knows it lacks."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.purify import amounts_to_cancel, largest_amounts, subtract
from hyperfuse_hs.result import FusionResult, ModalityResult
from hyperfuse_hs.signals import templates
from hyperfuse_hs.unmixing import SIGNED

NOISE_ALLOWANCE = 3.0
"""Standard errors that a factor may fall below zero."""


def purified(
    result: FusionResult,
    kept: dict[str, dict[str, Any]],
    component: int,
    name: str | None,
    region: Any,
) -> FusionResult:
    """Change a result so that one component lacks a feature.

    Parameters
    ----------
    result
        The fusion.
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
    p = result.n_components
    whole = isinstance(component, Integral) and not isinstance(component, bool)
    if not whole or component not in range(p) or p < 2:
        raise ValueError(
            f"Expected a component from 0 to {p - 1}, of two at least. Got {component!r}."
        )
    if (name is None) != (region is None):
        raise ValueError(
            "Expected a modality and a region of it, or neither. Got only one of them."
        )
    if name is None:
        if result.options["unmixing"] in SIGNED:
            raise ValueError(
                f'Components of unmixing="{result.options["unmixing"]}" may be negative, so '
                "non-negativity does not limit what can be subtracted. Give a modality and a "
                "region of it."
            )
        parts = list(result.modalities.values())
        factors = np.hstack([part.factors[:, ~part.excluded] for part in parts])
        slack = np.hstack([_slack(part, result) for part in parts])
        amounts = largest_amounts(np.maximum(factors, 0.0), slack, component)
    else:
        part = result.modalities[name]
        weights = region_weights(part, templates.axes_of(kept[name], navigate=False), region)
        amounts = amounts_to_cancel(np.nan_to_num(part.factors) @ weights, component)
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
        options={**result.options, "purified": int(component)},
    )


def _slack(part: ModalityResult, result: FusionResult) -> NDArray[np.float64]:
    """Estimate the standard error of the factors, for counts from their mean."""
    mean = np.maximum(part.factors[:, ~part.excluded].mean(axis=0), 0.0)
    weight = np.nansum(result.abundances**2, axis=0).min()
    gain = part.gain if part.gain > 0 else 0.0
    variance = gain * mean if part.noise == "poisson" else np.full_like(mean, gain)
    return NOISE_ALLOWANCE * np.sqrt(variance / max(weight, 1.0))


def region_weights(
    part: ModalityResult, axes: list[dict[str, Any]], region: Any
) -> NDArray[np.float64]:
    """Weights of the channels whose sum is the net intensity in a region.

    Parameters
    ----------
    part
        The modality.
    axes
        Its signal axes, in numpy order.
    region
        ``(low, high)`` in the units of the single signal axis, or a mask, array or ROI of the
        signal space, True = inside.

    Returns
    -------
    ndarray
        ``(C_all,)``; for a range, minus a straight background through the mean of as many
        channels again on both sides.

    Raises
    ------
    ValueError
        The region does not fit the modality or holds no channel.
    """
    if isinstance(region, tuple | list) and len(region) == 2 and isinstance(region[0], Real):
        return _range_weights(part, axes, float(region[0]), float(region[1]))
    if callable(region) and hasattr(region, "parameters"):
        inside = _roi_mask(part, axes, region)
    else:
        inside = np.asarray(region.data if isinstance(region, BaseSignal) else region)
    if inside.shape != part.signal_shape:
        raise ValueError(
            f"Expected for {part.name} a region (low, high) or a mask of shape "
            f"{part.signal_shape}. Got shape {inside.shape}."
        )
    weights = inside.astype(bool).ravel() & ~part.excluded
    if not weights.any():
        raise ValueError(f"The region holds no channel of {part.name} that is not excluded.")
    return weights.astype(float)


def _values(axis: dict[str, Any]) -> NDArray[np.float64]:
    if "axis" in axis:
        return np.asarray(axis["axis"], dtype=float)
    signal = BaseSignal(np.zeros(int(axis["size"])), axes=[{**axis, "navigate": False}])
    return np.asarray(signal.axes_manager[0].axis, dtype=float)


def _range_weights(
    part: ModalityResult, axes: list[dict[str, Any]], low: float, high: float
) -> NDArray[np.float64]:
    if len(axes) != 1:
        raise ValueError(
            f"A region (low, high) needs a single signal axis. {part.name} has shape "
            f"{part.signal_shape}: give a mask of that shape."
        )
    values = _values(axes[0])
    inside = np.flatnonzero((values >= low) & (values <= high) & ~part.excluded)
    if not inside.size or low >= high:
        raise ValueError(
            f"The region ({low:g}, {high:g}) holds no channel of {part.name}, whose axis runs "
            f"from {values.min():g} to {values.max():g} {axes[0].get('units') or ''}."
        )
    first, last = inside[0], inside[-1]
    width = max(1, inside.size // 2)
    sides = [np.arange(max(0, first - width), first), np.arange(last + 1, last + 1 + width)]
    sides = [s[s < values.size] for s in sides]
    sides = [s[~part.excluded[s]] for s in sides]
    weights = np.zeros(values.size)
    weights[inside] = 1.0
    if not all(s.size for s in sides):
        return weights
    # A straight line through the means of both sides, summed over the region.
    centres = [values[s].mean() for s in sides]
    right = np.sum((values[inside] - centres[0]) / (centres[1] - centres[0]))
    weights[sides[0]] -= (inside.size - right) / sides[0].size
    weights[sides[1]] -= right / sides[1].size
    return weights


def _roi_mask(part: ModalityResult, axes: list[dict[str, Any]], roi: Any) -> NDArray[np.bool_]:
    """Channels inside a HyperSpy ROI of the signal space."""
    numbers = np.arange(1.0, np.prod(part.signal_shape) + 1).reshape(part.signal_shape)
    plain = [{**axis, "navigate": False} for axis in axes]
    try:
        cut = roi(BaseSignal(numbers, axes=plain))
    except ValueError as error:
        raise ValueError(
            f"{roi} does not fit the signal space of {part.name}, of shape {part.signal_shape}: "
            f"{error}."
        ) from error
    inside = np.zeros(numbers.size, dtype=bool)
    found = np.asarray(cut.data).ravel()
    inside[found[np.isfinite(found)].astype(int) - 1] = True
    return inside.reshape(part.signal_shape)
