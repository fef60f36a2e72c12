"""Which channels of a modality a range, a mask or a ROI means."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.result import ModalityResult


def is_range(region: Any) -> bool:
    """Whether a region is given as ``(low, high)``."""
    return isinstance(region, tuple | list) and len(region) == 2 and isinstance(region[0], Real)


def region_channels(
    part: ModalityResult, axes: list[dict[str, Any]], region: Any
) -> NDArray[np.bool_]:
    """Find the channels of a region.

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
        ``(C_all,)``, True for channels inside that are not excluded.

    Raises
    ------
    ValueError
        The region does not fit the modality or holds no channel.
    """
    if not is_range(region):
        return region_mask(part, axes, region)
    chosen = np.zeros(part.excluded.size, dtype=bool)
    chosen[channels_between(part, axes, float(region[0]), float(region[1]))] = True
    return chosen


def region_mask(part: ModalityResult, axes: list[dict[str, Any]], region: Any) -> NDArray[np.bool_]:
    """Find the channels of a mask, array or ROI, see `region_channels`."""
    if callable(region) and hasattr(region, "parameters"):
        inside = _roi_mask(part, axes, region)
    else:
        inside = np.asarray(region.data if isinstance(region, BaseSignal) else region)
    if inside.shape != part.signal_shape:
        raise ValueError(
            f"Expected for {part.name} a region (low, high) or a mask of shape "
            f"{part.signal_shape}. Got shape {inside.shape}."
        )
    chosen = inside.astype(bool).ravel() & ~part.excluded
    if not chosen.any():
        raise ValueError(f"The region holds no channel of {part.name} that is not excluded.")
    return np.asarray(chosen, dtype=bool)


def channels_between(
    part: ModalityResult, axes: list[dict[str, Any]], low: float, high: float
) -> NDArray[np.intp]:
    """Find the channels of a range, see `region_channels`; as indices, ascending."""
    if len(axes) != 1:
        raise ValueError(
            f"A region (low, high) needs a single signal axis. {part.name} has shape "
            f"{part.signal_shape}: give a mask of that shape."
        )
    if low >= high:
        raise ValueError(
            f"Expected a region (low, high) of {part.name}, the lower end first. "
            f"Got ({low:g}, {high:g})."
        )
    values = axis_values(axes[0])
    inside = np.flatnonzero((values >= low) & (values <= high) & ~part.excluded)
    if not inside.size:
        raise ValueError(
            f"The region ({low:g}, {high:g}) holds no channel of {part.name}, whose axis runs "
            f"from {values.min():g} to {values.max():g} {axes[0].get('units') or ''}."
        )
    return inside


def axis_values(axis: dict[str, Any]) -> NDArray[np.float64]:
    """Values ``(C,)`` of an axis, given as HyperSpy's dictionary."""
    if "axis" in axis:
        return np.asarray(axis["axis"], dtype=float)
    signal = BaseSignal(np.zeros(int(axis["size"])), axes=[{**axis, "navigate": False}])
    return np.asarray(signal.axes_manager[0].axis, dtype=float)


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
