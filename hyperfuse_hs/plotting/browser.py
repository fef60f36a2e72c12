"""Figures to look at one component with its errors."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    BRIGHT,
    PATTERN_COLOURS,
    SMALL_SIZE,
    TITLE_SIZE,
    as_shown,
    axis_edges,
    axis_label,
    chosen_names,
    colour_of,
    defined,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    kind_of,
    line_axis,
    mean_over_leading,
    new_figure,
    with_excluded,
)

COLUMNS = 3
PANEL = (2.75, 2.3)
"""Width and height of a panel [inch]."""
LINE = 18
"""Longest line of a title, in characters: what is beside the narrowest panel is cut off."""
CURVE_ERRORS = 1.96
"""Standard errors that the band of abundances along a line extends to either side."""


@dataclass(frozen=True, eq=False)
class ComponentErrors:
    """How certain the components of a result are, to be drawn more than once.

    Parameters
    ----------
    abundances
        What ``h.get_abundance_errors()`` returns.
    factors
        By name, what ``h.get_factor_interval(name)`` returns.
    """

    abundances: Any
    factors: Mapping[str, tuple[Any, Any]]


def component_errors(h: Any, go_on: Callable[[], object] = lambda: None) -> ComponentErrors:
    """Find how certain the components are.

    Parameters
    ----------
    h
        The result of a fusion.
    go_on
        Called before each part; an error that it raises ends it.

    Returns
    -------
    ComponentErrors
        For `plot_component`.
    """
    factors = {}
    for name in h.modalities:
        go_on()
        factors[name] = h.get_factor_interval(name)
    go_on()
    return ComponentErrors(h.get_abundance_errors(), factors)


def plot_component(
    h: Any,
    component: int,
    *,
    names: Sequence[str] | None = None,
    errors: bool | ComponentErrors = True,
    figure: Figure | None = None,
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
    errors
        Whether to show them; or what `component_errors` has returned, which takes longer than to
        draw it.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        Abundance: a map, with the median of its standard errors (curves along a line have bands).
        Bands around spectra and bars at numbers hold the truth in 95 %. A pattern, on a square-root
        colour scale on which the brightest 0.5 % of the channels saturate, has a map of half the
        width of these intervals next to it.

    Raises
    ------
    ValueError
        If there is no such component, or a name is not that of a modality.
    """
    count = h._result.n_components
    if not 0 <= component < count:
        raise ValueError(f"Expected a component from 0 to {count - 1}. Got {component}.")
    chosen = chosen_names(h, names)
    factors = {name: h.get_factors(name) for name in chosen}
    kinds = [kind_of(signal) for signal in factors.values()]
    if isinstance(errors, bool):
        errors_ = component_errors(h) if errors else None
    else:
        errors_ = errors
    panels = _panels(1 + len(kinds) + kinds.count(2), figure)
    figure, colour = panels[0].figure.figure, colour_of(component)
    _draw_abundance(panels.pop(0), h, component, colour, errors_)
    for (name, signal), kind in zip(factors.items(), kinds, strict=True):
        values = np.asarray(signal.data[component], dtype=float)
        ends = None
        if errors_ is not None:
            ends = [np.asarray(end.data[component], float) for end in errors_.factors[name]]
        axes = panels.pop(0)
        _head(axes, f"{name} ({h._result.modalities[name].role})")
        if kind == 2:
            _draw_pattern(axes, signal, values)
            _draw_width(panels.pop(0), signal, name, ends)
        elif kind == 1:
            _draw_spectrum(axes, signal, values, ends, colour)
        else:
            _draw_number(axes, values.item(), ends, colour)
    figure.suptitle(f"Component {component}", fontsize=TITLE_SIZE, color=colour, fontweight="bold")
    return figure


def _panels(count: int, figure: Figure | None) -> list[Axes]:
    """Return so many panels, in rows."""
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    figure = new_figure(figure, 0.3 + PANEL[0] * columns, 0.4 + PANEL[1] * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.remove()
    return panels[:count]


def _draw_abundance(
    axes: Axes, h: Any, component: int, colour: str, errors: ComponentErrors | None
) -> None:
    values = as_shown(h, np.asarray(h.get_abundances().data))[component]
    deviation = None
    if errors is not None:
        deviation = as_shown(h, np.asarray(errors.abundances.data))[component]
    axes.set_title("Abundance", fontsize=TITLE_SIZE)
    if values.ndim == 1:
        axis = line_axis(h)
        ends = None
        if deviation is not None:
            ends = [values - CURVE_ERRORS * deviation, values + CURVE_ERRORS * deviation]
        _draw_curve(axes, axis.axis, values, ends, colour)
        axes.set_xlabel(axis_label(axis, "Position"), fontsize=SMALL_SIZE)
        return
    maps, text = mean_over_leading(values[np.newaxis])
    if deviation is not None and np.isfinite(deviation).any():
        text += f"\nstandard error {np.nanmedian(deviation):.2g}"
    axes.set_title(f"Abundance{text}", fontsize=TITLE_SIZE)
    image = draw_map(axes, h, maps[0])
    image.set_clim(min(0.0, np.nanmin(maps)), max(1.0, np.nanmax(maps)))
    draw_scale_bar(axes, h)
    draw_colour_bar(image, (0, -0.12, 1, 0.06))


def _draw_curve(
    axes: Axes,
    positions: NDArray[Any],
    values: NDArray[np.float64],
    ends: Sequence[NDArray[np.float64]] | None,
    colour: str,
) -> None:
    """Draw a curve in its band, which may leave the panel."""
    axes.plot(positions, values, color=colour, linewidth=1)
    low = min(0.0, float(np.nanmin(values)))
    axes.set_ylim(bottom=low - 0.02 * (float(np.nanmax(values)) - low))
    bottom = axes.get_ylim()[0]
    if ends is not None:
        axes.fill_between(positions, ends[0], ends[1], color=colour, alpha=0.3, linewidth=0)
        axes.set_ylim(bottom=bottom)
    axes.tick_params(labelsize=SMALL_SIZE)


def _draw_spectrum(
    axes: Axes,
    signal: Any,
    values: NDArray[np.float64],
    ends: Sequence[NDArray[np.float64]] | None,
    colour: str,
) -> None:
    axis = signal.axes_manager.signal_axes[0]
    _draw_curve(axes, axis.axis, values, ends, colour)
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
    low, high = max(float(low), 0.0), float(bright if bright > low else highest)
    image = axes.imshow(
        patterns[0],
        cmap=with_excluded(PATTERN_COLOURS),
        norm=PowerNorm(0.5, low, high, clip=True),
        extent=(left, right, bottom, top),
    )
    calibrated = bool(defined(x.units))
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=left < 0 < right))
    axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=top < 0 < bottom))
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.set_xlabel(axis_label(x, "x") if calibrated else "Pixel", fontsize=SMALL_SIZE)
    # At equal distances on the square-root scale.
    ticks = [low + part**2 * (high - low) for part in (0.0, 0.5, 1.0)]
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, ticks=ticks, format="%.2g")
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def _head(axes: Axes, text: str) -> None:
    """Write the title of a panel, on as many lines as fit the narrowest one."""
    axes.set_title(textwrap.fill(text, LINE), fontsize=TITLE_SIZE)


def _draw_width(
    axes: Axes, signal: Any, name: str, ends: Sequence[NDArray[np.float64]] | None
) -> None:
    """Draw half the width of the intervals of a pattern; nothing where they are not known."""
    if ends is None:
        axes.set_axis_off()
        return
    _head(axes, f"{name}: ±\N{NO-BREAK SPACE}(95\N{NO-BREAK SPACE}%)")
    _draw_pattern(axes, signal, (ends[1] - ends[0]) / 2)


def _draw_number(
    axes: Axes, value: float, ends: Sequence[NDArray[np.float64]] | None, colour: str
) -> None:
    axes.barh(0, value, height=0.5, color=colour)
    if ends is not None:
        beside = [[max(value - ends[0].item(), 0.0)], [max(ends[1].item() - value, 0.0)]]
        axes.errorbar(value, 0, xerr=beside, color="0.5", capsize=3, linewidth=1.5)
    axes.set(ylim=(-1, 1), yticks=[])
    axes.axvline(0, color="black", linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.set_xlabel("Counts", fontsize=SMALL_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
