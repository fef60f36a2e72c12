"""What the figures share: colours, texts, and maps of the scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

COLOURS = (
    # Okabe and Ito, https://jfly.uni-koeln.de/color
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"),
    # Paul Tol, "muted", https://personal.sron.nl/~pault
    *("#882255", "#44AA99", "#999933", "#332288"),
    # Okabe and Ito again; last because it is faint on white.
    "#F0E442",
)
"""One colour for each component; those that remain are for the interfaces between them.

People with any kind of colour vision can tell these colours apart.
"""

EXCLUDED_COLOUR = "0.85"
MAP_COLOURS = "viridis"
PATTERN_COLOURS = "inferno"
BRIGHT = 99.5
"""Percentile of a pattern where its colours saturate."""
TITLE_SIZE = 10
SMALL_SIZE = 8


def colour_of(component: int) -> str:
    """Return the colour of a component; after the last colour they start again."""
    return COLOURS[component % len(COLOURS)]


def kind_of(signal: Any) -> int:
    """Return how to draw a factor: as a number (0), a curve (1) or an image (2)."""
    return min(signal.axes_manager.signal_dimension, 2) if signal.data[0].size > 1 else 0


def new_figure(figure: Figure | None, width: float, height: float) -> Figure:
    """Return the figure that was given, or a new one of that size [inch]."""
    return figure or plt.figure(figsize=(width, height), layout="constrained")


def chosen_names(h: Any, names: Sequence[str] | None) -> list[str]:
    """Return the names of the modalities to show.

    Raises
    ------
    ValueError
        If a name is not that of a modality.
    """
    chosen = list(h.modalities if names is None else names)
    unknown = [name for name in chosen if name not in h.modalities]
    if unknown:
        raise ValueError(f"Expected names out of {list(h.modalities)}. Got {unknown}.")
    return chosen


def component_labels(labels: Sequence[str] | None, count: int, default: str) -> list[str]:
    """Return one label for each component.

    Raises
    ------
    ValueError
        If the number of labels is not that of components.
    """
    if labels is None:
        return [default.format(number) for number in range(count)]
    if isinstance(labels, str) or len(labels) != count:
        raise ValueError(f"Expected a list of {count} labels, one per component. Got {labels!r}.")
    return list(labels)


def defined(text: Any) -> str:
    """Return the name or the units of an axis, nothing where HyperSpy holds its undefined."""
    return text if isinstance(text, str) else ""


def axis_label(axis: Any, default: str) -> str:
    """Return the name of an axis with its units."""
    units = defined(axis.units)
    return (defined(axis.name) or default) + (f" ({units})" if units else "")


def axis_edges(axis: Any) -> tuple[float, float]:
    """Return the outer edges of the first and the last channel."""
    values = np.asarray(axis.axis, dtype=float)
    first, last = (np.diff(values[:2])[0], np.diff(values[-2:])[0]) if len(values) > 1 else (1, 1)
    return float(values[0] - first / 2), float(values[-1] + last / 2)


def with_excluded(colours: Any) -> Any:
    """Return the colour map with a grey for what is excluded."""
    return plt.get_cmap(colours).with_extremes(bad=EXCLUDED_COLOUR)


def mean_over_leading(values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Return maps ``(p, y, x)`` out of ``(p, ..., y, x)``, and a note for the title."""
    leading = tuple(range(1, values.ndim - 2))
    if not leading:
        return values, ""
    # Where all is excluded the mean is not a number, and that is what it should be.
    count = np.isfinite(values).sum(axis=leading)
    total = np.nansum(values, axis=leading)
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means, f"\n(mean over leading {'axis' if len(leading) == 1 else 'axes'})"


def line_axis(h: Any) -> Any:
    """Return the axis of a scan along a line, or of a single row or column; else None."""
    axes = sorted(h.axes_manager.navigation_axes, key=lambda axis: -int(axis.size))
    return axes[0] if all(axis.size == 1 for axis in axes[1:]) else None


def as_shown(h: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Return maps ``(p, nav...)``; of a scan along a line, or of a single row, as ``(p, x)``."""
    return values if line_axis(h) is None else values.reshape(len(values), -1)


FLATTEST = 0.15
"""Least height of a map over its width: pixels of flatter ones are drawn higher than they are."""


def pixel_aspect(h: Any) -> float:
    """Return height over width of a pixel of the scan, as it is drawn."""
    x, y = h.axes_manager.navigation_axes[:2]
    same = x.is_uniform and y.is_uniform and defined(x.units) == defined(y.units)
    aspect = abs(y.scale / x.scale) if same else 1.0
    usual = x.size / y.size
    return float(np.clip(aspect, FLATTEST * usual, usual / FLATTEST))


def map_width(h: Any, height: float) -> float:
    """Return the width that a map of the scan takes at that height [inch]."""
    if line_axis(h) is not None:
        return 1.5 * height
    axes = h.axes_manager.navigation_axes
    ratio = axes[0].size / (axes[1].size * pixel_aspect(h))
    return height * float(np.clip(ratio, 0.6, 2.4))


def draw_map(axes: Axes, h: Any, values: NDArray[Any], colours: Any = MAP_COLOURS) -> AxesImage:
    """Draw one map of the scan ``(y, x)``, or a scan along a line ``(x,)`` as a band."""
    colours = with_excluded(colours)
    if values.ndim == 1:
        axis = line_axis(h)
        axes.set(yticks=[], xlabel=axis_label(axis, "Position"))
        extent = (*axis_edges(axis), 0.0, 1.0)
        return axes.imshow(values[np.newaxis], cmap=colours, aspect="auto", extent=extent)
    axes.set(xticks=[], yticks=[])
    return axes.imshow(values, cmap=colours, aspect=pixel_aspect(h), interpolation="nearest")


def draw_scale_bar(axes: Axes, h: Any) -> None:
    """Draw a bar of 1, 2 or 5 times a power of ten, about a third as long as the map.

    Nothing is drawn where the axis along the width has no units or is not uniform, nor for a scan
    along a line, which has an axis.
    """
    if line_axis(h) is not None:
        return
    axis, height = h.axes_manager.navigation_axes[0], h.axes_manager.navigation_axes[1].size
    if not defined(axis.units) or not axis.is_uniform:
        return
    aim = 0.4 * axis.size * abs(axis.scale)
    power = 10.0 ** math.floor(math.log10(aim))
    length = max(step * power for step in (1, 2, 5) if step * power <= aim)
    bar = AuxTransformBox(axes.transData)
    bar.add_artist(Rectangle((0, 0), length / abs(axis.scale), 0.025 * height, color="black"))
    text = TextArea(f"{length:g} {axis.units}", textprops={"size": SMALL_SIZE})
    box = AnchoredOffsetbox(
        "lower left", child=VPacker(children=[bar, text], align="center", sep=1), pad=0.2
    )
    box.patch.set(alpha=0.75, linewidth=0)
    axes.add_artist(box)


NARROWEST_BAR = 0.5
"""Least width of a colour bar below an image, over the height of the image."""


def draw_colour_bar(image: AxesImage, bounds: tuple[float, float, float, float]) -> None:
    """Draw the colour bar of an image.

    Parameters
    ----------
    image
        What the bar explains.
    bounds
        Left, bottom, width and height, in units of the panel of the image. A bar below a narrow
        image is wider than that, so that its numbers have room.
    """
    left, bottom, width, height = bounds
    orientation = "horizontal" if width > height else "vertical"
    aspect = image.axes.get_aspect()
    if orientation == "horizontal" and not isinstance(aspect, str):
        rows, columns = image.get_size()
        wider = max(1.0, NARROWEST_BAR * rows * aspect / columns)
        left, width = left - (wider - 1) * width / 2, wider * width
    axes = image.axes.inset_axes((left, bottom, width, height))
    image.axes.figure.colorbar(image, cax=axes, orientation=orientation)
    axes.tick_params(labelsize=SMALL_SIZE)
