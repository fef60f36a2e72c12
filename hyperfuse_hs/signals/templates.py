"""Native signals remade from arrays: the class, axes and metadata of a fused signal, kept."""

from __future__ import annotations

import copy
from typing import Any

import dask.array as da
import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.modality import nested_edges

MODEL_BLOCK = 2**22
"""Elements in one block of a lazy model."""

DROPPED = ("_HyperSpy", "Markers", "Hypermodal")


def template_of(signal: BaseSignal, name: str) -> dict[str, Any]:
    """Describe a signal by plain values: its axes, in the order of its data, and its metadata."""
    axes = signal.axes_manager
    ordered = [*axes.navigation_axes[::-1], *axes.signal_axes[::-1]]
    metadata = copy.deepcopy(signal.metadata.as_dictionary())
    for key in DROPPED:
        metadata.pop(key, None)
    metadata.get("Signal", {}).pop("Noise_properties", None)
    return {
        "name": name,
        "axes": {f"a{i}": axis.get_axis_dictionary() for i, axis in enumerate(ordered)},
        "metadata": metadata,
    }


def component_axis(size: int) -> dict[str, Any]:
    """Axis over components."""
    return {"size": size, "name": "Component", "scale": 1, "offset": 0, "navigate": True}


def axes_of(template: dict[str, Any], *, navigate: bool | None = None) -> list[dict[str, Any]]:
    """Axes of a template: all, or only those over the scan (True) or the signal (False)."""
    axes = [copy.deepcopy(template["axes"][f"a{i}"]) for i in range(len(template["axes"]))]
    return [a for a in axes if navigate is None or bool(a["navigate"]) == navigate]


def is_image(template: dict[str, Any]) -> bool:
    """Whether the signal is an image of the scan without navigation axes."""
    return not axes_of(template, navigate=True)


def signal_axes(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Axes of what is recorded at one probe position: none for an image of the scan."""
    return [] if is_image(template) else axes_of(template, navigate=False)


def on_scan(template: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Template of the same signals as `template`, with the scan of another."""
    image = is_image(template)
    scan = axes_of(other) if is_image(other) else axes_of(other, navigate=True)
    axes = [{**axis, "navigate": not image} for axis in scan] + signal_axes(template)
    return {**template, "axes": {f"a{i}": axis for i, axis in enumerate(axes)}}


def make_signal(
    data: Any, axes: list[dict[str, Any]], template: dict[str, Any] | None, title: str
) -> BaseSignal:
    """Make a signal of the native class.

    Parameters
    ----------
    data
        Array, lazy or not.
    axes
        Of the new signal, in the order of the data.
    template
        Whose metadata and class to take; None for a plain signal.
    title
        Of the new signal.

    Returns
    -------
    BaseSignal
        Or a subclass.
    """
    metadata = copy.deepcopy(template["metadata"]) if template else {}
    metadata.setdefault("General", {})["title"] = title
    signal = BaseSignal(data, axes=axes, metadata=metadata)
    signal._lazy = isinstance(data, da.Array)
    signal._assign_subclass()
    return signal


def factor_signal(
    factors: NDArray[np.float64], shape: tuple[int, ...], template: dict[str, Any], title: str
) -> BaseSignal:
    """Make a signal of factors ``(p, C_all)``, navigation axis = component."""
    own = signal_axes(template)
    data = factors.reshape(len(factors), *shape)
    return make_signal(data, [component_axis(len(factors)), *own], template, title)


def model_signal(
    loadings: NDArray[np.float64],
    factors: NDArray[np.float64],
    navigation_shape: tuple[int, ...],
    shape: tuple[int, ...],
    template: dict[str, Any],
    title: str,
) -> BaseSignal:
    """Make the lazy product of loadings ``(N_all, p)`` and factors ``(p, C_all)``."""
    p, channels = factors.shape
    rows = max(1, MODEL_BLOCK // channels)
    single = tuple((1,) * length for length in navigation_shape)
    chunks = (*(tuple(np.diff(edges).tolist()) for edges in nested_edges(single, rows)), p)
    left = da.from_array(loadings.reshape(*navigation_shape, p), chunks=chunks)
    right = da.from_array(factors.reshape(p, *shape), chunks=-1)
    return make_signal(da.tensordot(left, right, axes=1), axes_of(template), template, title)


def map_signal(
    values: NDArray[Any], axes: list[dict[str, Any]], leading: dict[str, Any] | None, title: str
) -> BaseSignal:
    """Make a signal of maps: the scan as signal space, an optional leading navigation axis."""
    scan = [{**copy.deepcopy(axis), "navigate": False} for axis in axes]
    return make_signal(values, ([leading] if leading else []) + scan, None, title)
