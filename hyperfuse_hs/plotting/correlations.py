"""The figures of what goes with what in different modalities."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    COLOURS,
    SMALL_SIZE,
    TITLE_SIZE,
    as_shown,
    axis_edges,
    axis_label,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    line_axis,
    map_width,
    mean_over_leading,
    new_figure,
    with_excluded,
)

MATRIX_COLOURS = "cividis"
SIGNED_COLOURS = "PuOr_r"
FADED = 0.3
"""Opacity of what is not significant."""
NEVER = "0.6"
"""Colour of curves that are not significant."""
PANEL = 2.3
"""Height of a panel [inch]."""
MAX_COLUMNS = 4


def plot_correlations(
    h: Any,
    m: Any = None,
    n: Any = None,
    region: Any = None,
    *,
    beyond: Any = None,
    rate: float = 0.05,
    figure: Figure | None = None,
) -> Figure:
    """Show what modalities have in common, or what goes with a feature of one of them.

    Parameters
    ----------
    h
        The result of a fusion.
    m, n, region, beyond, rate
        As in `HypermodalSignal.correlate`; with a region and no n, every other modality.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        Without a region the matrix of the largest canonical correlations, each with its z-score,
        bold where significant. With a region the map of the feature, and the correlation of every
        channel with it: what is not significant is grey in curves and pale in images.

    Raises
    ------
    ValueError
        As `HypermodalSignal.correlate`.
    """
    if region is None:
        return _plot_matrix(h.correlate(m, n, beyond=beyond, rate=rate), figure)
    names = [name for name in h.modalities if name != h._name(m)] if n is None else [n]
    found = [h.correlate(m, name, region, beyond=beyond, rate=rate) for name in names]
    feature = h._feature(h._name(m), region, beyond)
    rows = math.ceil((len(found) + 1) / MAX_COLUMNS)
    columns = math.ceil((len(found) + 1) / rows)
    figure = new_figure(figure, 0.5 + (PANEL + 1.1) * columns, 0.5 + (PANEL + 0.5) * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(found) + 1 :]:
        axes.remove()
    _draw_feature(panels[0], h, feature, _quantity(h, feature.name, region))
    for axes, name, correlation in zip(panels[1:], names, found, strict=False):
        _draw_channels(axes, correlation)
        share = np.mean(correlation.significant.data)
        axes.set_title(
            f"{name if isinstance(name, str) else h._name(name)}: {share:.0%} significant",
            fontsize=TITLE_SIZE,
        )
    return figure


def _plot_matrix(found: Any, figure: Figure | None) -> Figure:
    names = list(found.correlation.metadata.Modalities)
    size = len(names)
    figure = new_figure(figure, 1.9 + 0.85 * size, 1.2 + 0.75 * size)
    axes: Axes = figure.subplots()
    values, z = found.correlation.data, found.z.data
    image = axes.imshow(values, cmap=with_excluded(MATRIX_COLOURS), vmin=0, vmax=1)
    axes.set_xticks(range(size), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), names)
    for row in range(size):
        for column in range(size):
            value = values[row, column]
            if row == column or not np.isfinite(value):
                continue
            axes.text(
                column,
                row,
                f"{value:.2f}\nz = {z[row, column]:.1f}",
                ha="center",
                va="center",
                fontsize=SMALL_SIZE,
                color="white" if value < 0.6 else "black",
                fontweight="bold" if found.significant.data[row, column] else "normal",
            )
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("Largest canonical correlation", fontsize=SMALL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    axes.set_title("Bold: significant", fontsize=TITLE_SIZE)
    return figure


def _quantity(h: Any, name: str, region: Any) -> str:
    """Say in what the map of a feature is."""
    if isinstance(region, Real | np.number) and not isinstance(region, bool | np.bool_):
        return "Abundance"
    return str(h._templates[name]["metadata"]["Signal"].get("quantity") or "Counts")


def _draw_feature(axes: Axes, h: Any, feature: Any, quantity: str) -> None:
    """Draw the map of the feature, or its curve along a line."""
    values = as_shown(h, feature.map.reshape(1, *h.axes_manager.navigation_shape[::-1]))
    note = ""
    if values.ndim == 2:
        axis = line_axis(h)
        axes.plot(axis.axis, values[0], color=COLOURS[0])
        axes.set_xlabel(axis_label(axis, "Position"))
        axes.set_ylabel(quantity, fontsize=SMALL_SIZE)
    else:
        values, note = mean_over_leading(values)
        note = f"{note}\n{quantity}"
        image = draw_map(axes, h, values[0])
        draw_scale_bar(axes, h)
        draw_colour_bar(image, (0, -0.14, min(1.0, map_width(h, 1.0)), 0.07))
    axes.set_title(f"Feature of {feature.name}{note}", fontsize=TITLE_SIZE)


def _draw_channels(axes: Axes, found: Any) -> None:
    """Draw the correlation of every channel as a curve, an image or a number."""
    signal, picked = found.correlation, np.asarray(found.significant.data, dtype=bool)
    values = np.asarray(signal.data, dtype=float)
    dimension = signal.axes_manager.signal_dimension
    axes.tick_params(labelsize=SMALL_SIZE)
    if values.size == 1:
        axes.barh(0, values.ravel()[0], height=0.5, color=COLOURS[0] if picked.all() else NEVER)
        axes.set(ylim=(-1, 1), yticks=[], xlim=(-1, 1), xticks=[-1, 0, 1])
        axes.axvline(0, color="black", linewidth=0.5)
        axes.set_xlabel("Correlation")
    elif dimension == 1:
        _draw_curve(axes, signal.axes_manager.signal_axes[0], values, picked)
    else:
        _draw_image(axes, signal, values, picked)


def _draw_curve(axes: Axes, axis: Any, values: NDArray[Any], picked: NDArray[Any]) -> None:
    axes.plot(axis.axis, values, color=NEVER, linewidth=0.7, label="not significant")
    # A channel is drawn with half of the way to its neighbours, so that single ones show.
    edges = np.concatenate([[axis.axis[0]], (axis.axis[1:] + axis.axis[:-1]) / 2, [axis.axis[-1]]])
    axes.stairs(
        np.where(picked, values, np.nan),
        edges,
        baseline=None,
        color=COLOURS[0],
        linewidth=1.5,
        label="significant",
    )
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xlim(np.min(axis.axis), np.max(axis.axis))
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlabel(axis_label(axis, "Channel"))
    axes.set_ylabel("Correlation", fontsize=SMALL_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.legend(fontsize=SMALL_SIZE, frameon=False, loc="best")


def _draw_image(axes: Axes, signal: Any, values: NDArray[Any], picked: NDArray[Any]) -> None:
    pattern = mean_over_leading(values[np.newaxis])[0][0]
    shown = mean_over_leading(picked[np.newaxis].astype(float))[0][0] > 0
    x, y = signal.axes_manager.signal_axes[:2]
    (left, right), (top, bottom) = axis_edges(x), axis_edges(y)
    axes.imshow(
        pattern,
        cmap=with_excluded(SIGNED_COLOURS),
        vmin=-1,
        vmax=1,
        alpha=np.where(shown, 1.0, FADED),
        extent=(left, right, bottom, top),
    )
    axes.set_xlabel(axis_label(x, "x"), fontsize=SMALL_SIZE)
    axes.set_ylabel(axis_label(y, "y"), fontsize=SMALL_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=left < 0 < right))
    axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=top < 0 < bottom))
    # The bar has the full colours, not those of the first channel.
    opaque = ScalarMappable(Normalize(-1, 1), SIGNED_COLOURS)
    bar = axes.figure.colorbar(opaque, ax=axes, shrink=0.85)
    bar.set_label("Correlation", fontsize=SMALL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
