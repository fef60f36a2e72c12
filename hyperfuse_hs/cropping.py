"""Parts of scans as new signals: cropped, binned, or interpolated between positions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from hyperfuse_hs.grids import scan_axes

VARIANCE = "Signal.Noise_properties.variance"


def take(
    signal: BaseSignal,
    begin: Sequence[int],
    shape: Sequence[int],
    factor: Sequence[int],
    fractions: Sequence[float],
) -> BaseSignal:
    """Cut a part out of a scan.

    Parameters
    ----------
    signal
        With the scan as navigation axes, or an image. It is not changed.
    begin, shape
        First position and number of binned positions along each scan axis, in numpy order.
    factor
        Positions that are summed to one, along each of these axes.
    fractions
        How far beyond the positions values are wanted: from 0 to 1 along each of these axes.

    Returns
    -------
    BaseSignal
        Of the same class, lazy if `signal` is. Boolean signals are true where any position is.
    """
    sizes = [n * f for n, f in zip(shape, factor, strict=True)]
    if not any(fractions):
        return _binned(_cropped(signal, begin, sizes), factor)
    corners: list[tuple[float, BaseSignal]] = []
    for corner in itertools.product(*[(0, 1) if part else (0,) for part in fractions]):
        weight = float(np.prod([p if c else 1 - p for c, p in zip(corner, fractions, strict=True)]))
        moved = [i + c for i, c in zip(begin, corner, strict=True)]
        corners.append((weight, _cropped(signal, moved, sizes)))
    return _binned(_mean(corners), factor)


def _cropped(signal: BaseSignal, begin: Sequence[int], sizes: Sequence[int]) -> BaseSignal:
    slices = tuple(slice(i, i + n) for i, n in zip(begin, sizes, strict=True))[::-1]
    part = signal.inav if signal.axes_manager.navigation_axes else signal.isig
    return part[slices if len(slices) > 1 else slices[0]]


def _mean(corners: Sequence[tuple[float, BaseSignal]]) -> BaseSignal:
    """Weighted mean of parts of a signal, with the variance that it has then."""
    first = corners[0][1]
    result = first._deepcopy_with_new_data(_sum([(w, s.data) for w, s in corners]))
    if first.metadata.has_item(VARIANCE):
        variances = [(w**2, s.metadata.get_item(VARIANCE)) for w, s in corners]
        if isinstance(variances[0][1], BaseSignal):
            data = _sum([(w, v.data) for w, v in variances])
            mean = variances[0][1]._deepcopy_with_new_data(data)
        else:
            mean = sum(w * v for w, v in variances)
        result.metadata.set_item(VARIANCE, mean)
    return result


def _sum(parts: Sequence[tuple[float, Any]]) -> Any:
    dtype = np.result_type(parts[0][1].dtype, np.float32)
    first = parts[0][1]
    total = None
    for weight, data in parts:
        # Chunks cut at other positions would be split into slivers of one position.
        data = data.rechunk(first.chunks) if hasattr(first, "chunks") else data
        term = data.astype(dtype) * dtype.type(weight)
        total = term if total is None else total + term
    return total


def _binned(signal: BaseSignal, factor: Sequence[int]) -> BaseSignal:
    if max(factor) == 1:
        return signal
    boolean = signal.data.dtype == bool
    if signal._lazy:
        along = [axis.index_in_array for axis in scan_axes(signal)]
        signal = _fitting_chunks(signal, dict(zip(along, factor, strict=True)))
    axes = signal.axes_manager
    others = len(axes.signal_axes) if axes.navigation_axes else 0
    result = signal.rebin(scale=[*factor[::-1], *[1] * others])
    if boolean:
        result.data = result.data > 0
    return result


def _fitting_chunks(signal: BaseSignal, factors: dict[int, int]) -> BaseSignal:
    """Move the borders of chunks to whole numbers of binned positions."""
    chunks = list(signal.data.chunks)
    for index, factor in factors.items():
        borders = np.cumsum([0, *chunks[index]])
        borders = np.unique((borders + factor // 2) // factor * factor)
        borders[-1] = signal.data.shape[index]
        chunks[index] = tuple(int(size) for size in np.diff(borders) if size)
    new = signal._deepcopy_with_new_data(signal.data.rechunk(tuple(chunks)), copy_variance=True)
    variance = signal.metadata.get_item(VARIANCE)
    if isinstance(variance, BaseSignal) and variance._lazy:
        new.metadata.set_item(VARIANCE, _fitting_chunks(variance, factors))
    return new
