"""The figure of singular values against noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

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


def plot_scree(
    h: Any, *, names: Sequence[str] | None = None, figure: Figure | None = None
) -> Figure:
    """Show the singular values of all modalities together and of each alone, in units of noise.

    Noise alone stays below the dashed line (its edge, with the noise of the counts as they are), so
    what lies above it is signal. The dotted line marks the number of components. A passive modality
    has no panel: its singular values are not computed.

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
        One panel for the joint singular values, then one for each modality.

    Raises
    ------
    ValueError
        If a name is not that of a modality.
    """
    result = h._result
    modalities = {name: result.modalities[name] for name in chosen_names(h, names)}
    shown = {name: item for name, item in modalities.items() if len(item.singular_values)}
    rows = math.ceil((len(shown) + 1) / MAX_COLUMNS)
    columns = math.ceil((len(shown) + 1) / rows)
    figure = new_figure(figure, 0.6 + 2.6 * columns, 0.6 + 2.5 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(shown) + 1 :]:
        axes.remove()
    _draw_values(panels[0], result.singular_values, result.edge, JOINT_COLOUR)
    panels[0].set_title("All together", fontsize=TITLE_SIZE)
    count = f"{result.n_components} component" + ("s" if result.n_components > 1 else "")
    panels[0].axvline(
        result.n_components + 0.5, color=JOINT_COLOUR, linestyle=":", linewidth=1, label=count
    )
    panels[0].legend(fontsize=SMALL_SIZE, loc="upper right")
    for axes, (name, modality) in zip(panels[1:], shown.items(), strict=False):
        colour = colour_of(h.modalities.index(name))
        _draw_values(axes, modality.singular_values, modality.edge, colour)
        axes.set_title(f"{name}: {modality.role}, rank {modality.rank}", fontsize=TITLE_SIZE)
    figure.supxlabel("Number of the singular value", fontsize=TITLE_SIZE)
    figure.supylabel("Singular value (units of noise)", fontsize=TITLE_SIZE)
    return figure


def _draw_values(axes: Axes, values: NDArray[Any], edge: float, colour: str) -> None:
    """Draw one panel: signal in colour, noise in grey, the edge between them dashed."""
    axes.tick_params(labelsize=SMALL_SIZE)
    numbers = np.arange(1, len(values) + 1)
    signal = np.asarray(values) > edge
    size = 4 if len(values) <= 40 else 2
    for part, shade in ((signal, colour), (~signal, NOISE_COLOUR)):
        axes.plot(numbers[part], values[part], "o", color=shade, markersize=size)
    axes.axhline(edge, color=colour, linestyle="--", linewidth=1, label="noise edge")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
