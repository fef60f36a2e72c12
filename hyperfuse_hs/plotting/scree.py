"""The figure of singular values against noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.rank import edge_band
from hyperfuse_hs.plotting.panels import (
    SMALL_SIZE,
    TITLE_SIZE,
    chosen_names,
    colour_of,
    new_figure,
)

MAX_COLUMNS = 4
JOINT_COLOUR = "black"
NOISE_COLOUR = "0.6"
FAINT = 0.05
"""Value of a denoised lead score, over the lowest edge, below which it is not shown."""


def plot_scree(
    h: Any, *, names: Sequence[str] | None = None, figure: Figure | None = None
) -> Figure:
    """Show the singular values of all modalities together and of each alone, in units of noise.

    Noise alone stays below the dashed line (its edge, with the noise of the counts as they are), so
    what lies above it is signal. The band below the line is where the largest value of noise alone
    is: in 998 of 1000 cases, by the law of Tracy and Widom, and with 2 % either way for what is not
    known of uneven noise. A value inside the band or little above it is neither here nor there;
    see `HypermodalSignal.stability` for whether a component can be trusted.

    The second panel has the values that count components: those of the lead modalities after all
    modalities have taken the noise out of them, with the edge in each direction. The dotted line
    marks the number of components. A passive modality has no panel: its singular values are not
    computed.

    Parameters
    ----------
    h
        The result of a fusion.
    names
        Modalities to show, in this order; by default all.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        One panel for the joint singular values, one for the denoised leads, then one for each
        modality.

    Raises
    ------
    ValueError
        If a name is not that of a modality.
    """
    result = h._result
    modalities = {name: result.modalities[name] for name in chosen_names(h, names)}
    shown = {name: item for name, item in modalities.items() if len(item.singular_values)}
    rows = math.ceil((len(shown) + 2) / MAX_COLUMNS)
    columns = math.ceil((len(shown) + 2) / rows)
    figure = new_figure(figure, 0.6 + 2.6 * columns, 0.6 + 2.5 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(shown) + 2 :]:
        axes.remove()
    n, width = len(h._scores.basis), len(result.singular_values)
    band = edge_band(result.edge, n, width)
    _draw_values(panels[0], result.singular_values, band, JOINT_COLOUR)
    panels[0].set_title("All together", fontsize=TITLE_SIZE)
    panels[0].legend(fontsize=SMALL_SIZE, loc="upper right")
    _draw_leads(panels[1], result)
    for axes, (name, modality) in zip(panels[2:], shown.items(), strict=False):
        colour = colour_of(h.modalities.index(name))
        band = edge_band(modality.edge, n, h._scores.modalities[name].channels)
        _draw_values(axes, modality.singular_values, band, colour)
        axes.set_title(f"{name}: {modality.role}, rank {modality.rank}", fontsize=TITLE_SIZE)
    figure.supxlabel("Number of the singular value", fontsize=TITLE_SIZE)
    figure.supylabel("Singular value (units of noise)", fontsize=TITLE_SIZE)
    return figure


def _draw_leads(axes: Axes, result: Any) -> None:
    """Draw the panel that tells how many components there are."""
    values, edges = np.asarray(result.lead_values), np.asarray(result.lead_edges)
    # Directions in which nothing is left are rounding.
    there = values > FAINT * edges.min(initial=np.inf)
    values, edges = values[there], edges[there]
    _draw_points(axes, values, values > edges, JOINT_COLOUR)
    steps = np.append(edges, edges[-1:])
    axes.step(
        np.arange(len(steps)) + 0.5,
        steps,
        where="post",
        color=JOINT_COLOUR,
        linestyle="--",
        linewidth=1,
    )
    count = f"{result.n_components} component" + ("s" if result.n_components > 1 else "")
    axes.axvline(
        result.n_components + 0.5, color=JOINT_COLOUR, linestyle=":", linewidth=1, label=count
    )
    axes.legend(fontsize=SMALL_SIZE, loc="upper right")
    axes.set_title("Leads, denoised by all", fontsize=TITLE_SIZE)


def _draw_values(axes: Axes, values: NDArray[Any], band: tuple[float, float], colour: str) -> None:
    """Draw one panel: signal in colour, noise in grey, the edge between them and its band."""
    low, edge = band
    _draw_points(axes, values, np.asarray(values) > edge, colour)
    axes.axhline(edge, color=colour, linestyle="--", linewidth=1, label="noise edge")
    axes.axhspan(low, edge, color=colour, alpha=0.2, linewidth=0, label="its uncertainty")


def _draw_points(axes: Axes, values: NDArray[Any], signal: NDArray[np.bool_], colour: str) -> None:
    axes.tick_params(which="both", labelsize=SMALL_SIZE)
    numbers = np.arange(1, len(values) + 1)
    size = 4 if len(values) <= 40 else 2
    for part, shade in ((signal, colour), (~signal, NOISE_COLOUR)):
        axes.plot(numbers[part], values[part], "o", color=shade, markersize=size)
    axes.set_yscale("log")
    axes.set_xlim(0.5 - 0.03 * len(values), 1.03 * len(values) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    wide = np.ptp(np.log10(values)) > 1.5 if len(values) else False
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
