"""The figure of all components: their abundances and their factors."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
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
    component_labels,
    defined,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    kind_of,
    line_axis,
    map_width,
    mean_over_leading,
    new_figure,
    with_excluded,
)

WIDTHS = (0.75, 1.5, 1.1)
"""Widths of a number, a curve and an image, over the height of a row."""


def plot_components(
    h: Any,
    *,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    errors: Any = True,
    figure: Figure | None = None,
) -> Figure:
    """Show each component in a row: its abundance map and its factor in each modality.

    Bands around curves and error bars at the ends of bars are intervals that hold the truth in
    95 %; of a spectrum with many counts they are no wider than the line. An image has no room for
    an interval in each channel: the number in its corner is the standard error of the pattern as a
    whole, in parts of the pattern (root of the sum of squares over all channels).

    Two-dimensional factors have a square-root colour scale on which the brightest 0.5 % of the
    channels (the direct beam) saturate, so that weak reflections show. Of scans with more than two
    axes the mean over the leading ones is shown.

    Parameters
    ----------
    h
        The result of a fusion.
    names
        Modalities to show, in this order; by default all.
    labels
        One label for each component, by default ``"Component 0"`` and so on.
    errors
        Whether to show them; or the outcome of `HypermodalSignal.bootstrap`, to show its errors,
        which include those of the endmembers.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        One row for each component; the first column is the abundances, then one per modality.

    Raises
    ------
    ValueError
        If a name is not that of a modality, or the number of labels is not that of components.
    TypeError
        If `errors` is neither True nor False nor a bootstrap.
    """
    source = _source_of_errors(h, errors)
    chosen = chosen_names(h, names)
    abundances = as_shown(h, np.asarray(h.get_abundances().data))
    titles = component_labels(labels, len(abundances), "Component {}")
    factors = [h.get_factors(name) for name in chosen]
    height = 1.9 if len(titles) <= 4 else 1.5
    widths = [map_width(h, height), *(WIDTHS[kind_of(signal)] * height for signal in factors)]
    figure = new_figure(figure, 1.2 + sum(widths), 0.9 + height * len(titles))
    grid = figure.subplots(len(titles), len(widths), squeeze=False, width_ratios=widths)
    _draw_abundances(grid[:, 0], h, abundances)
    for column, name, signal in zip(grid.T[1:], chosen, factors, strict=True):
        note = (_draw_numbers, _draw_spectra, _draw_patterns)[kind_of(signal)](column, signal)
        if source is not None:
            (_mark_numbers, _mark_spectra, _mark_patterns)[kind_of(signal)](
                column, signal, source, name
            )
        role = h._result.modalities[name].role
        column[0].set_title(f"{name}\n{role}{note}", fontsize=TITLE_SIZE)
    for number, title in enumerate(titles):
        grid[number, 0].annotate(
            textwrap.fill(title, 14, break_long_words=False),
            (0, 0.5),
            (-12 if abundances.ndim > 2 else -40, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="center",
            color=colour_of(number),
            fontweight="bold",
        )
    return figure


def _source_of_errors(h: Any, errors: Any) -> Any:
    """Return what has the errors to show; None for none."""
    if isinstance(errors, bool | np.bool_):
        return h if errors else None
    if not hasattr(errors, "get_factor_interval"):
        raise TypeError(
            "Expected errors=True, False or what h.bootstrap() returned. "
            f"Got {type(errors).__name__}."
        )
    return errors


def _draw_abundances(column: NDArray[Any], h: Any, abundances: NDArray[Any]) -> None:
    """Fill the first column: maps with a common colour scale, or curves along a line."""
    maps, note = mean_over_leading(abundances) if abundances.ndim > 2 else (abundances, "")
    low, high = min(0.0, np.nanmin(maps)), max(1.0, np.nanmax(maps))
    column[0].set_title(f"Abundance{note}", fontsize=TITLE_SIZE)
    if maps.ndim == 2:
        axis = line_axis(h)
        for number, (axes, values) in enumerate(zip(column, maps, strict=True)):
            axes.plot(axis.axis, values, color=colour_of(number))
            axes.set_ylim(low - 0.03, high + 0.03)
        _label_last(column, axis_label(axis, "Position"))
        return
    images = [draw_map(axes, h, values) for axes, values in zip(column, maps, strict=True)]
    for image in images:
        image.set_clim(low, high)
    draw_scale_bar(column[0], h)
    draw_colour_bar(images[-1], (0, -0.14, 1, 0.07))


def _label_last(column: NDArray[Any], label: str) -> None:
    """Give a column one common x axis, labelled below its last row."""
    for axes in column:
        axes.tick_params(labelsize=SMALL_SIZE)
        axes.sharex(column[-1])
        axes.tick_params(labelbottom=axes is column[-1])
    column[-1].set_xlabel(label)


def _draw_spectra(column: NDArray[Any], signal: Any) -> str:
    """Fill a column with curves."""
    axis = signal.axes_manager.signal_axes[0]
    quantity = signal.metadata.get_item("Signal.quantity", "") or "Counts"
    for number, (axes, values) in enumerate(zip(column, np.asarray(signal.data), strict=True)):
        axes.plot(axis.axis, values, color=colour_of(number), linewidth=1)
        axes.set_xlim(np.min(axis.axis), np.max(axis.axis))
        axes.set_ylim(bottom=min(0.0, np.nanmin(values)))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        axes.yaxis.offsetText.set_fontsize(SMALL_SIZE)
        axes.set_ylabel(quantity, fontsize=SMALL_SIZE)
    column[-1].xaxis.set_major_locator(MaxNLocator(4))
    _label_last(column, axis_label(axis, "Channel"))
    return ""


def _draw_patterns(column: NDArray[Any], signal: Any) -> str:
    """Fill a column with images in the extent of their axes."""
    patterns, note = mean_over_leading(np.asarray(signal.data, dtype=float))
    x, y = signal.axes_manager.signal_axes[:2]
    left, right = axis_edges(x)
    top, bottom = axis_edges(y)
    calibrated = bool(defined(x.units))
    for axes, values in zip(column, patterns, strict=True):
        low, bright, highest = np.nanpercentile(values, (0, BRIGHT, 100))
        axes.imshow(
            values,
            cmap=with_excluded(PATTERN_COLOURS),
            norm=PowerNorm(0.5, vmin=low, vmax=bright if bright > low else highest),
            extent=(left, right, bottom, top),
        )
        axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=left < 0 < right))
        axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=top < 0 < bottom))
        axes.tick_params(labelsize=SMALL_SIZE)
        axes.set_ylabel(axis_label(y, "y") if calibrated else "", fontsize=SMALL_SIZE)
        axes.tick_params(labelbottom=axes is column[-1])
    column[-1].set_xlabel(axis_label(x, "x") if calibrated else "Pixel")
    return f" (√ scale){note}"


def _draw_numbers(column: NDArray[Any], signal: Any) -> str:
    """Fill a column with one bar each, on a common scale."""
    numbers = np.asarray(signal.data, dtype=float).reshape(len(column))
    for number, (axes, value) in enumerate(zip(column, numbers, strict=True)):
        axes.barh(0, value, height=0.5, color=colour_of(number))
        axes.set(ylim=(-1, 1), yticks=[])
        text = np.format_float_positional(value, 3, fractional=False, trim="-")
        axes.annotate(text, (0, 0.35), (2, 0), textcoords="offset points", fontsize=SMALL_SIZE)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
    low, high = min(0.0, np.nanmin(numbers)), max(0.0, np.nanmax(numbers))
    column[-1].set_xlim(low, (high - low) * 1.05 + low or 1.0)
    column[-1].xaxis.set_major_locator(MaxNLocator(2))
    _label_last(column, "Counts")
    return ""


def _mark_spectra(column: NDArray[Any], signal: Any, source: Any, name: str) -> None:
    """Lay bands around curves."""
    axis = signal.axes_manager.signal_axes[0].axis
    ends = [np.asarray(end.data, dtype=float) for end in source.get_factor_interval(name)]
    for number, (axes, low, high) in enumerate(zip(column, *ends, strict=True)):
        bottom = axes.get_ylim()[0]
        axes.fill_between(axis, low, high, color=colour_of(number), alpha=0.3, linewidth=0)
        # A band that goes far below zero would squeeze the curve.
        axes.set_ylim(bottom=bottom)


def _mark_numbers(column: NDArray[Any], signal: Any, source: Any, name: str) -> None:
    """Set error bars on the ends of bars."""
    values = np.asarray(signal.data, dtype=float).reshape(len(column))
    ends = [np.asarray(e.data, dtype=float).reshape(-1) for e in source.get_factor_interval(name)]
    for axes, value, low, high in zip(column, values, *ends, strict=True):
        beside = np.maximum([[value - low], [high - value]], 0.0)
        axes.errorbar(value, 0, xerr=beside, color="0.5", capsize=3, linewidth=1.5)
    left, right = column[-1].get_xlim()
    column[-1].set_xlim(left, max(right, 1.05 * float(np.nanmax(ends[1]))))


def _mark_patterns(column: NDArray[Any], signal: Any, source: Any, name: str) -> None:
    """Write the relative error of the whole pattern into its corner."""
    patterns = np.asarray(signal.data, dtype=float).reshape(len(column), -1)
    errors = np.asarray(source.get_factor_errors(name).data, dtype=float).reshape(patterns.shape)
    known = np.isfinite(patterns) & np.isfinite(errors)
    for axes, pattern, error, where in zip(column, patterns, errors, known, strict=True):
        size = float(np.sum(pattern[where] ** 2))
        if size > 0:
            ratio = 100 * np.sqrt(float(np.sum(error[where] ** 2)) / size)
            axes.text(
                0.97,
                0.97,
                f"± {ratio:.2g} %" if ratio < 99.5 else "± > 99 %",
                transform=axes.transAxes,
                ha="right",
                va="top",
                fontsize=SMALL_SIZE,
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5},
            )
