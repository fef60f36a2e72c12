"""Figure of where the model does not fit."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    SMALL_SIZE,
    TITLE_SIZE,
    as_shown,
    axis_edges,
    axis_label,
    colour_of,
    defined,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    line_axis,
    mean_over_leading,
    new_figure,
    with_excluded,
)

PANEL = (2.9, 2.6)
"""Width and height of a panel [inch]."""

LINE = 20
"""Longest line of a title, in characters."""

COLOURS = "PuOr_r"

BAND = 1.96
"""Standard errors that the expected band extends to either side of 1."""

HEADROOM = 0.2
"""Room above a spectrum, over what it takes."""

REACH = 99
"""Percentile of the distance from 1 up to which colours differ."""


def plot_residuals(
    h: Any, residuals: Mapping[str, Any] | None = None, *, figure: Figure | None = None
) -> Figure:
    """Show where the model does not fit: the squared residual over the variance of the noise.

    Parameters
    ----------
    h
        The result of a fusion.
    residuals
        By name, what ``h.get_residual`` has returned: maps only are drawn then, and no data are
        read. By default maps and channels of all modalities whose data are there, each of which is
        read once.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        One column for each modality. Above, its map (a curve along a line), white where it is 1,
        as it should be. Below, its channels: a spectrum, with the band in which 95 % are to be
        expected where only noise is left, or a pattern.

    Raises
    ------
    ValueError
        If there is nothing to show.
    """
    channels: dict[str, Any] = {}
    if residuals is None:
        names = [name for name in h.modalities if name in h._natives]
        both = {name: h._residual_signals(name) for name in names}
        residuals = {name: pair[0] for name, pair in both.items()}
        channels = {name: pair[1] for name, pair in both.items()}
    if not residuals:
        raise ValueError(
            "Expected at least one modality whose data are there. Got none: load the signals and "
            "use h.attach."
        )
    rows, columns = (2 if channels else 1), len(residuals)
    figure = new_figure(figure, 0.3 + PANEL[0] * columns, 0.4 + PANEL[1] * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for k, (name, signal) in enumerate(residuals.items()):
        _draw_positions(panels[0, k], h, name, np.asarray(signal.data, dtype=float))
        if channels:
            positions = int(np.isfinite(np.asarray(signal.data, dtype=float)).sum())
            _draw_channels(panels[1, k], channels[name], positions)
    shown = panels[0, 0].figure.figure
    title = "Squared residual over the variance of the noise"
    shown.suptitle(textwrap.fill(title, 2 * LINE) if columns == 1 else title, fontsize=TITLE_SIZE)
    return shown


def _draw_positions(axes: Axes, h: Any, name: str, values: NDArray[np.float64]) -> None:
    axes.set_title(textwrap.fill(name, LINE), fontsize=TITLE_SIZE)
    values = as_shown(h, values[np.newaxis])[0]
    if values.ndim == 1:
        axis = line_axis(h)
        _draw_curve(axes, axis.axis, values)
        axes.set_xlabel(axis_label(axis, "Position"), fontsize=SMALL_SIZE)
        return
    maps, note = mean_over_leading(values[np.newaxis])
    axes.set_title(f"{textwrap.fill(name, LINE)}{note}", fontsize=TITLE_SIZE)
    image = draw_map(axes, h, maps[0], COLOURS)
    _centre(image, maps[0])
    draw_scale_bar(axes, h)
    draw_colour_bar(image, (0, -0.12, 1, 0.06))


def _draw_channels(axes: Axes, signal: Any, positions: int) -> None:
    values = np.asarray(signal.data, dtype=float)
    kind = signal.axes_manager.signal_dimension if values.size > 1 else 0
    if kind == 2:
        _draw_pattern(axes, signal, values)
    elif kind == 1:
        axis = signal.axes_manager.signal_axes[0]
        half = BAND * np.sqrt(2 / max(positions, 1))
        axes.axhspan(1 - half, 1 + half, color="0.85", linewidth=0, label="95\N{NO-BREAK SPACE}%")
        _draw_curve(axes, axis.axis, values)
        axes.set_xlim(np.min(axis.axis), np.max(axis.axis))
        axes.set_xlabel(axis_label(axis, "Channel"), fontsize=SMALL_SIZE)
        # Room for the legend.
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + HEADROOM * (high - low))
        axes.legend(fontsize=SMALL_SIZE, loc="upper right", frameon=False)
    else:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"{float(values.squeeze()):.3g}", ha="center", va="center")


def _draw_curve(axes: Axes, positions: NDArray[Any], values: NDArray[np.float64]) -> None:
    axes.axhline(1, color="black", linewidth=0.5)
    axes.plot(positions, values, color=colour_of(0), linewidth=1)
    axes.set_ylabel("Squared residual over noise", fontsize=SMALL_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=SMALL_SIZE)


def _draw_pattern(axes: Axes, signal: Any, values: NDArray[np.float64]) -> None:
    patterns, _ = mean_over_leading(values[np.newaxis])
    x, y = signal.axes_manager.signal_axes[:2]
    (left, right), (top, bottom) = axis_edges(x), axis_edges(y)
    extent = (left, right, bottom, top)
    image = axes.imshow(patterns[0], cmap=with_excluded(COLOURS), extent=extent)
    _centre(image, patterns[0])
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=left < 0 < right))
    axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=top < 0 < bottom))
    axes.tick_params(labelsize=SMALL_SIZE)
    label = axis_label(x, "x") if defined(x.units) else "Pixel"
    axes.set_xlabel(label, fontsize=SMALL_SIZE)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def _centre(image: AxesImage, values: NDArray[np.float64]) -> None:
    """Make 1 the middle of the colours."""
    known = np.abs(values[np.isfinite(values)] - 1)
    reach = max(float(np.percentile(known, REACH)) if known.size else 0.0, 0.1)
    image.set_norm(TwoSlopeNorm(1.0, max(1 - reach, 0.0), 1 + reach))
