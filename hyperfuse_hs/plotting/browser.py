"""Figures to look at one component with its errors, and at where the model does not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    SMALL_SIZE,
    TITLE_SIZE,
    axis_edges,
    axis_label,
    chosen_names,
    colour_of,
    defined,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    mean_over_leading,
    new_figure,
    with_excluded,
)

PATTERN_COLOURS = "inferno"
BRIGHT = 99.5
"""Percentile of a pattern where its colours saturate."""
ERRORS = 2.0
"""Standard errors that the bands extend to either side."""
COLUMNS = 4
PANEL = (2.3, 2.4)
"""Width and height of a panel [inch]."""
RESIDUAL_COLOURS = "PuOr_r"


def plot_component(
    h: Any, component: int, *, names: Sequence[str] | None = None, figure: Figure | None = None
) -> Figure:
    """Show one component with its errors: its abundance, and its factor in each modality.

    Parameters
    ----------
    h
        The result of a fusion.
    component
        Which one, counted from 0.
    names
        Modalities to show, in this order; by default all.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        Abundance: a map, with the median of its standard errors (curves along a line have bands).
        Spectra have bands of two standard errors, numbers bars of two. A pattern, on a square-root
        colour scale on which the brightest 0.5 % of the channels saturate, has the map of its
        standard errors next to it.

    Raises
    ------
    ValueError
        If there is no such component, or a name is not that of a modality.
    """
    count = h._result.n_components
    if not 0 <= component < count:
        raise ValueError(f"Expected a component from 0 to {count - 1}. Got {component}.")
    chosen = chosen_names(h, names)
    factors = {name: (h.get_factors(name), h.get_factor_errors(name)) for name in chosen}
    kinds = [_kind(signal) for signal, _ in factors.values()]
    total = 1 + len(kinds) + kinds.count(2)
    panels = _panels(total, figure)
    figure = panels[0].figure.figure
    colour = colour_of(component)
    _draw_abundance(panels.pop(0), h, component, colour)
    for (name, pair), kind in zip(factors.items(), kinds, strict=True):
        values, errors = (np.asarray(signal.data[component], dtype=float) for signal in pair)
        axes = panels.pop(0)
        axes.set_title(f"{name} ({h._result.modalities[name].role})", fontsize=TITLE_SIZE)
        if kind == 2:
            _draw_pattern(axes, pair[0], values)
            beside = panels.pop(0)
            beside.set_title(f"{name}: standard error", fontsize=TITLE_SIZE)
            _draw_pattern(beside, pair[0], errors)
        elif kind == 1:
            _draw_spectrum(axes, pair[0], values, errors, colour)
        else:
            _draw_number(axes, values.item(), errors.item(), colour)
    figure.suptitle(f"Component {component}", fontsize=TITLE_SIZE, color=colour, fontweight="bold")
    return figure


def plot_residuals(
    h: Any, residuals: Mapping[str, Any] | None = None, *, figure: Figure | None = None
) -> Figure:
    """Show where the model does not fit: the squared residual over the variance of the noise.

    Parameters
    ----------
    h
        The result of a fusion.
    residuals
        By name, what ``h.get_residual`` has returned; by default of all modalities whose data are
        there, each of which is read once.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        One map for each modality (curves along a line), white where it is 1: as it should be.

    Raises
    ------
    ValueError
        If there is nothing to show.
    """
    if residuals is None:
        residuals = {name: h.get_residual(name) for name in h.modalities if name in h._natives}
    if not residuals:
        raise ValueError(
            "Expected at least one modality whose data are there. Got none: load the signals and "
            "use h.attach."
        )
    panels = _panels(len(residuals), figure)
    for axes, (name, signal) in zip(panels, residuals.items(), strict=True):
        axes.set_title(name, fontsize=TITLE_SIZE)
        values = np.asarray(signal.data, dtype=float)
        if values.ndim == 1:
            axis = h.axes_manager.navigation_axes[0]
            axes.plot(axis.axis, values, color=colour_of(0), linewidth=1)
            axes.axhline(1, color="black", linewidth=0.5)
            axes.set_xlabel(axis_label(axis, "Position"), fontsize=SMALL_SIZE)
            axes.set_ylabel("Squared residual over noise", fontsize=SMALL_SIZE)
            axes.tick_params(labelsize=SMALL_SIZE)
            continue
        maps, note = mean_over_leading(values[np.newaxis])
        axes.set_title(f"{name}{note}", fontsize=TITLE_SIZE)
        image = draw_map(axes, h, maps[0], RESIDUAL_COLOURS)
        reach = max(float(np.nanpercentile(np.abs(maps[0] - 1), 99)), 0.1)
        image.set_clim(1 - reach, 1 + reach)
        draw_scale_bar(axes, h)
        draw_colour_bar(image, (0, -0.12, 1, 0.06))
    shown = panels[0].figure.figure
    shown.suptitle("Squared residual over the variance of the noise", fontsize=TITLE_SIZE)
    return shown


def _panels(count: int, figure: Figure | None) -> list[Axes]:
    """Return so many panels, in rows."""
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    figure = new_figure(figure, 0.3 + PANEL[0] * columns, 0.4 + PANEL[1] * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.remove()
    return panels[:count]


def _kind(signal: Any) -> int:
    """Return how to draw a factor: as a number (0), a curve (1) or an image (2)."""
    return min(signal.axes_manager.signal_dimension, 2) if signal.data[0].size > 1 else 0


def _draw_abundance(axes: Axes, h: Any, component: int, colour: str) -> None:
    values = np.asarray(h.get_abundances().data)[component]
    errors = np.asarray(h.get_abundance_errors().data)[component]
    axes.set_title("Abundance", fontsize=TITLE_SIZE)
    if values.ndim == 1:
        axis = h.axes_manager.navigation_axes[0]
        _draw_band(axes, axis.axis, values, errors, colour)
        axes.set_xlabel(axis_label(axis, "Position"), fontsize=SMALL_SIZE)
        return
    maps, note = mean_over_leading(values[np.newaxis])
    typical = np.nanmedian(errors) if np.isfinite(errors).any() else np.nan
    text = f"{note}\nstandard error {typical:.2g}" if np.isfinite(typical) else note
    axes.set_title(f"Abundance{text}", fontsize=TITLE_SIZE)
    image = draw_map(axes, h, maps[0])
    image.set_clim(min(0.0, np.nanmin(maps)), max(1.0, np.nanmax(maps)))
    draw_scale_bar(axes, h)
    draw_colour_bar(image, (0, -0.12, 1, 0.06))


def _draw_band(
    axes: Axes,
    positions: NDArray[Any],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    colour: str,
) -> None:
    """Draw a curve within two standard errors."""
    low, high = values - ERRORS * errors, values + ERRORS * errors
    axes.fill_between(positions, low, high, color=colour, alpha=0.35, linewidth=0)
    axes.plot(positions, values, color=colour, linewidth=1)
    axes.tick_params(labelsize=SMALL_SIZE)


def _draw_spectrum(
    axes: Axes,
    signal: Any,
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    colour: str,
) -> None:
    axis = signal.axes_manager.signal_axes[0]
    _draw_band(axes, axis.axis, values, errors, colour)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xlim(np.min(axis.axis), np.max(axis.axis))
    axes.set_xlabel(axis_label(axis, "Channel"), fontsize=SMALL_SIZE)
    quantity = signal.metadata.get_item("Signal.quantity", "") or "Counts"
    axes.set_ylabel(str(quantity), fontsize=SMALL_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.ticklabel_format(axis="y", scilimits=(-3, 4))
    axes.yaxis.offsetText.set_fontsize(SMALL_SIZE)


def _draw_pattern(axes: Axes, signal: Any, values: NDArray[np.float64]) -> None:
    patterns, _ = mean_over_leading(values[np.newaxis])
    x, y = signal.axes_manager.signal_axes[:2]
    (left, right), (top, bottom) = axis_edges(x), axis_edges(y)
    low, bright, highest = np.nanpercentile(patterns, (0, BRIGHT, 100))
    image = axes.imshow(
        patterns[0],
        cmap=with_excluded(PATTERN_COLOURS),
        norm=PowerNorm(
            0.5, vmin=max(low, 0.0), vmax=bright if bright > low else highest, clip=True
        ),
        extent=(left, right, bottom, top),
    )
    calibrated = bool(defined(x.units))
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=left < 0 < right))
    axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=top < 0 < bottom))
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.set_xlabel(axis_label(x, "x") if calibrated else "Pixel", fontsize=SMALL_SIZE)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8)
    bar.locator = MaxNLocator(4)
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def _draw_number(axes: Axes, value: float, error: float, colour: str) -> None:
    axes.barh(0, value, height=0.5, color=colour, alpha=0.5)
    axes.errorbar(value, 0, xerr=ERRORS * error, fmt="o", color=colour, capsize=3)
    axes.set(ylim=(-1, 1), yticks=[])
    axes.axvline(0, color="black", linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.set_xlabel("Counts", fontsize=SMALL_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
