"""The figure of components that come out again, or do not."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    SMALL_SIZE,
    TITLE_SIZE,
    as_shown,
    axis_label,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    line_axis,
    map_width,
    mean_over_leading,
    new_figure,
)

NOTE = (
    "Maps of abundance; above each, its correlation with\nthe map of the same component found again"
)
TRUSTED_COLOUR, DOUBTFUL_COLOUR = "#0072B2", "#D55E00"


def plot_stability(stability: Any, *, figure: Figure | None = None) -> Figure:
    """Show the abundance maps of every number of components, and how well they come out again.

    A column for each number of components, a row for each component, in the same row where they
    are alike. The number above a map is the mean correlation with those found again from other
    starts or from halves of the positions, whichever is less. A blue frame: to be trusted (0.9 at
    least); a dashed orange one: not.

    Parameters
    ----------
    stability
        From `HypermodalSignal.stability`.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        A grid of maps.
    """
    h, ranks = stability._fusion, stability.ranks
    n_rows, height = max(ranks), 1.25 if max(ranks) <= 5 else 0.95
    width = map_width(h, height)
    figure = new_figure(figure, 1.0 + (width + 0.25) * len(ranks), 1.2 + (height + 0.25) * n_rows)
    grid = figure.subplots(n_rows, len(ranks), squeeze=False)
    for column, rank in zip(grid.T, ranks, strict=True):
        maps, values = as_shown(h, stability.get_maps(rank)), stability.reproducibility(rank)
        shown = mean_over_leading(maps)[0] if maps.ndim > 2 else maps
        good = stability.trusted(rank)
        for axes in column[rank:]:
            axes.remove()
        rows = stability.tracks(rank)[0]
        for row, one, value, trusted in zip(rows, shown, values, good, strict=True):
            image = draw_map(column[row], h, one)
            image.set_clim(0, 1)
            column[row].tick_params(labelsize=SMALL_SIZE)
            column[row].set_xlabel("")
            column[row].set_title(f"{value:.2f}", fontsize=SMALL_SIZE, pad=2)
            _frame(column[row], trusted=bool(trusted))
        if line_axis(h) is not None:
            column[rank - 1].set_xlabel(axis_label(line_axis(h), "Position"), fontsize=SMALL_SIZE)
        _add_heading(column[0], rank, good)
    draw_scale_bar(grid[0, 0], h)
    # Below a scan along a line there is its axis.
    below = -0.2 if line_axis(h) is None else -0.75
    draw_colour_bar(grid[-1, -1].images[0], (0, below, 1, 0.08))
    figure.supxlabel(NOTE, fontsize=SMALL_SIZE)
    return figure


def _frame(axes: Axes, *, trusted: bool) -> None:
    """Draw a frame that says whether a component can be trusted."""
    for spine in axes.spines.values():
        spine.set_color(TRUSTED_COLOUR if trusted else DOUBTFUL_COLOUR)
        spine.set_linewidth(2.0)
        spine.set_linestyle("-" if trusted else (0, (3, 2)))


def _add_heading(axes: Axes, rank: int, good: NDArray[np.bool_]) -> None:
    """Write how many components of how many can be trusted above a column."""
    word = "component" if rank == 1 else "components"
    axes.annotate(
        f"{rank} {word}\n{int(good.sum())} to be trusted",
        (0.5, 1),
        (0, 14),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=TITLE_SIZE,
        color=TRUSTED_COLOUR if good.all() else DOUBTFUL_COLOUR,
    )
