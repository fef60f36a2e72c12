"""The figure of a feasible range: a component between its two ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    BRIGHT,
    COLOURS,
    PATTERN_COLOURS,
    SMALL_SIZE,
    TITLE_SIZE,
    axis_edges,
    axis_label,
    chosen_names,
    defined,
    kind_of,
    mean_over_leading,
    new_figure,
    with_excluded,
)

ENDS = ("as found", "other end")
ERRORS = 2.0
"""Standard errors that the bands extend to either side."""
HEIGHTS = (1.0, 2.2, 2.6)
"""Heights of a number, a curve and an image [inch]."""


def plot_feasible_range(
    h: Any, component: int, *, names: Sequence[str] | None = None, figure: Figure | None = None
) -> Figure:
    """Show a component at both ends of the range that data and non-negativity leave open.

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
        One row for each modality. Spectra: both ends with bands of two standard errors, and the
        range between them hatched. Patterns: both ends on one colour scale, which is that of a
        square root and on which the brightest 0.5 % of the channels saturate. Numbers: points
        with bars of two standard errors.

    Raises
    ------
    ValueError
        If there is no such component, nothing limits the range, or a name is not that of a
        modality.
    """
    chosen = chosen_names(h, names)
    ends = h.feasible_range(component)
    kinds = [kind_of(ends[name]) for name in chosen]
    heights = [HEIGHTS[kind] for kind in kinds]
    figure = new_figure(figure, 6.4, 0.6 + sum(heights))
    about = ends[chosen[0]].metadata.Feasible_range
    figure.suptitle(f"Component {component}: {about.standing}", fontsize=TITLE_SIZE)
    rows = figure.subfigures(len(chosen), 1, squeeze=False, height_ratios=heights)
    for part, name, kind in zip(rows[:, 0], chosen, kinds, strict=True):
        limits = " (ends the range)" if name == about.limit else ""
        part.suptitle(f"{name}{limits}", fontsize=TITLE_SIZE)
        errors = np.sqrt(np.asarray(ends[name].get_noise_variance().data))
        (_draw_numbers, _draw_spectra, _draw_patterns)[kind](part, ends[name], errors)
    return figure


def _quantity(signal: Any) -> str:
    return str(signal.metadata.get_item("Signal.quantity", "") or "Counts")


def _draw_spectra(part: SubFigure, signal: Any, errors: NDArray[np.float64]) -> None:
    axes: Axes = part.subplots()
    axis = signal.axes_manager.signal_axes[0]
    values = np.asarray(signal.data, dtype=float)
    axes.fill_between(
        axis.axis, *values, facecolor="none", edgecolor="0.75", hatch="////", linewidth=0
    )
    for curve, error, label, colour, line in zip(
        values, errors, ENDS, COLOURS, ("-", "--"), strict=False
    ):
        low, high = curve - ERRORS * error, curve + ERRORS * error
        axes.fill_between(axis.axis, low, high, color=colour, alpha=0.3, linewidth=0)
        axes.plot(axis.axis, curve, line, color=colour, linewidth=1, label=label)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xlim(np.min(axis.axis), np.max(axis.axis))
    axes.set_xlabel(axis_label(axis, "Channel"))
    axes.set_ylabel(_quantity(signal), fontsize=SMALL_SIZE)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.legend(fontsize=SMALL_SIZE, frameon=False)


def _draw_patterns(part: SubFigure, signal: Any, errors: NDArray[np.float64]) -> None:
    patterns, note = mean_over_leading(np.asarray(signal.data, dtype=float))
    x, y = signal.axes_manager.signal_axes[:2]
    (left, right), (top, bottom) = axis_edges(x), axis_edges(y)
    low, bright, highest = np.nanpercentile(patterns, (0, BRIGHT, 100))
    norm = PowerNorm(0.5, vmin=max(low, 0.0), vmax=bright if bright > low else highest, clip=True)
    panels = part.subplots(1, 2, sharey=True)
    mean = float(np.nanmean(errors))
    for axes, pattern, label in zip(panels, patterns, ENDS, strict=True):
        image = axes.imshow(
            pattern,
            cmap=with_excluded(PATTERN_COLOURS),
            norm=norm,
            extent=(left, right, bottom, top),
        )
        axes.set_title(f"{label}{note}", fontsize=SMALL_SIZE)
        axes.set_xlabel(axis_label(x, "x"), fontsize=SMALL_SIZE)
        axes.tick_params(labelsize=SMALL_SIZE)
    panels[0].set_ylabel(axis_label(y, "y"), fontsize=SMALL_SIZE)
    low, high = image.get_clim()
    # At equal distances on the square-root scale.
    ticks = [low + share**2 * (high - low) for share in (0.0, 0.5, 1.0)]
    bar = part.colorbar(image, ax=list(panels), shrink=0.9, ticks=ticks, format="%.2g")
    bar.minorticks_off()
    bar.set_label(f"{_quantity(signal)}, mean error {mean:.2g}", fontsize=SMALL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def _draw_numbers(part: SubFigure, signal: Any, errors: NDArray[np.float64]) -> None:
    axes: Axes = part.subplots()
    numbers = np.asarray(signal.data, dtype=float).reshape(2)
    spread = ERRORS * np.asarray(errors, dtype=float).reshape(2)
    for row, (value, error, colour) in enumerate(zip(numbers, spread, COLOURS, strict=False)):
        axes.errorbar(value, -row, xerr=error, fmt="o", color=colour, capsize=3)
    axes.set(ylim=(-1.6, 0.6), yticks=(0, -1), yticklabels=ENDS)
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_xlabel(_quantity(signal) if defined(_quantity(signal)) else "", fontsize=SMALL_SIZE)
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.spines[["top", "right", "left"]].set_visible(False)
