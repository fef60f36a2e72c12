"""Maps in which scans are recognised: of their own, or given; and how far one is displaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray
from scipy.signal.windows import tukey
from skimage.registration import phase_cross_correlation

from hyperfuse_hs.algorithms.displacement import Displacement, Feature, find_displacement
from hyperfuse_hs.grids import Placed, common_start, first_used
from hyperfuse_hs.inputs import arranged
from hyperfuse_hs.options import mask_of

Floats = NDArray[np.float64]

FINENESS = 50
"""Parts of a position to which a shift is found."""

FADED = 0.3
"""Part of the overlap over which its edges fade out, so that they are not compared."""

ELSEWHERE = 1.5
"""Distance from the whole shift at which the cross-correlation has found something else."""

SMALLEST = 16
"""Positions that two scans must share at least, to look for a shift."""


def scan_map(signal: BaseSignal, name: str, given: Any, mask: Any) -> Floats:
    """Map of a scan, in numpy order; NaN where it is excluded or not known.

    Parameters
    ----------
    signal, name
        With the scan.
    given
        Map as a signal or array, function of the signal that returns one, or None for the sum over
        all channels. Lazy data are read once, block by block.
    mask
        Signal or array over the scan, True = excluded, or None.

    Raises
    ------
    TypeError
        The map is not one of numbers.
    ValueError
        The map or the mask has another shape.
    """
    data, ndim = arranged(signal)
    shape = tuple(data.shape[:ndim])
    if given is None:
        # Integers are summed as such, others in double precision.
        dtype = np.float64 if data.dtype.kind == "f" else None
        values = data.sum(axis=tuple(range(ndim, data.ndim)), dtype=dtype)
    else:
        values = given(signal) if callable(given) else given
        values = values.data if isinstance(values, BaseSignal) else values
    values = np.asarray(values)
    if values.dtype.kind not in "buif":
        raise TypeError(
            f"Expected a map of real numbers for {name}. Got dtype {values.dtype}. Give maps= an "
            "image signal, an array, or a function of the signal that returns one of them."
        )
    if values.shape != shape:
        raise ValueError(
            f"The map of {name} must have the shape of its scan, {shape} (rows first). Got "
            f"{values.shape}. Sum over the other axes, e.g. lambda s: s.isig[...].sum(axis=-1)."
        )
    excluded = mask_of(mask, shape, f"The navigation mask of {name}").reshape(shape)
    return np.where(excluded, np.nan, values.astype(float))


def binned(
    values: Floats, begin: Sequence[int], shape: Sequence[int], factor: Sequence[int]
) -> Floats:
    """Sum positions of a map to common ones, from some position on."""
    part = values[tuple(slice(i, i + n * f) for i, n, f in zip(begin, shape, factor, strict=True))]
    split = part.reshape([size for n, f in zip(shape, factor, strict=True) for size in (n, f)])
    return np.asarray(split.sum(axis=tuple(range(1, 2 * part.ndim, 2))))


def measure(
    placed: tuple[Placed, Placed], maps: tuple[Floats, Floats], reach: Sequence[float]
) -> tuple[tuple[float, ...], Displacement]:
    """Measure how far a scan is displaced against the reference.

    Parameters
    ----------
    placed
        The reference, and the scan.
    maps
        Of both, as they are.
    reach
        Largest shift along each axis, in positions of the reference.

    Returns
    -------
    shift
        Of what the scan shows, in positions of the reference, beyond what its axes say.
    found
        In common positions; the shift of their maps, whole.

    Raises
    ------
    ValueError
        The axes of both share too little.
    """
    nowhere = [0.0] * len(reach)
    starts, shape = common_start(placed, [nowhere, nowhere])
    if min(shape) < 1 or np.prod(shape) < SMALLEST:
        raise ValueError(
            f"Expected scans that overlap. By their axes, {placed[0].name} and {placed[1].name} "
            f"share {tuple(max(size, 0) for size in shape)[::-1]} positions. Correct the offsets "
            'of their scan axes, or use field="same" if both show the same area.'
        )
    begin = [[first_used(value, False) for value in start] for start in starts]
    parts = [
        binned(values, first, shape, item.factor)
        for values, first, item in zip(maps, begin, placed, strict=True)
    ]
    known = np.isfinite(parts[0]), np.isfinite(parts[1])
    coarse = [p * f for p, f in zip(placed[0].step, placed[0].factor, strict=True)]
    limits = tuple(limit / size for limit, size in zip(reach, coarse, strict=True))
    found = find_displacement(parts[0], parts[1], known, limits)
    fine = within(found)
    # The map of the scan began at a position of its own, next to where it should.
    rest = [
        (first - start) * step
        for first, start, step in zip(begin[1], starts[1], placed[1].step, strict=True)
    ]
    shift = tuple(
        (d + f) * size + r for d, f, size, r in zip(found.shift, fine, coarse, rest, strict=True)
    )
    return shift, found


def within(found: Displacement) -> tuple[float, ...]:
    """Find the rest of a whole shift: a part of a position along each axis.

    Cross-correlation with an upsampled Fourier transform (Guizar-Sicairos, Thurman and Fienup, Opt.
    Lett. 33, 156 (2008)) of what overlaps, faded out towards its edges.
    """
    if found.probability == 1:
        return (0.0,) * len(found.shift)
    first, second = overlapping(found.feature, found.shift)
    window: Any = np.ones(())
    for size in first.shape:
        window = np.multiply.outer(window, tukey(size + 2, FADED)[1:-1])
    sign = -1.0 if found.correlation < 0 else 1.0
    back, _, _ = phase_cross_correlation(
        first * window, sign * second * window, upsample_factor=FINENESS, normalization=None
    )
    rest = -np.atleast_1d(back)
    if np.abs(rest).max() > ELSEWHERE:
        return (0.0,) * rest.size
    return tuple(float(value) for value in np.clip(rest, -0.5, 0.5))


def overlapping(feature: Feature, shift: Sequence[int]) -> tuple[Floats, Floats]:
    """Cut out of two maps what both show, with mean zero, and zero where one is not known."""
    here = tuple(
        slice(max(-d, 0), size - max(d, 0))
        for d, size in zip(shift, feature.first.shape, strict=True)
    )
    there = tuple(
        slice(max(d, 0), size - max(-d, 0))
        for d, size in zip(shift, feature.first.shape, strict=True)
    )
    known = feature.kept_first[here] & feature.kept_second[there]
    first, second = feature.first[here], feature.second[there]
    return (
        np.where(known, first - first[known].mean(), 0.0),
        np.where(known, second - second[known].mean(), 0.0),
    )
