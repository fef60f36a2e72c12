"""The figure of faces: which components are present where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from hyperfuse_hs.plotting.panels import (
    COLOURS,
    EXCLUDED_COLOUR,
    SMALL_SIZE,
    TITLE_SIZE,
    as_shown,
    colour_of,
    component_labels,
    draw_colour_bar,
    draw_map,
    draw_scale_bar,
    map_width,
    mean_over_leading,
    new_figure,
)

OTHER_COLOUR = "0.6"


def plot_faces(
    h: Any, *, labels: Sequence[str] | None = None, figure: Figure | None = None
) -> Figure:
    """Show which components are present where: the most probable face and its probability.

    Of scans with more than two axes the mean probabilities over the leading ones are shown. The
    rarest faces share one colour where there are more of them than colours.

    Parameters
    ----------
    h
        The result of a fusion with ``unmixing="face_mixture"``.
    labels
        One label for each component, by default its number.
    figure
        Where to draw; best one with ``layout="constrained"``. By default a new figure.

    Returns
    -------
    Figure
        Two maps, or two bands for a scan along a line.

    Raises
    ------
    ValueError
        If the result has no faces, or the number of labels is not that of components.
    """
    result = h._result
    if result.face_posterior is None:
        raise ValueError(
            "Expected components found by the face mixture, which alone gives faces. These were "
            'found in another way. Call h.unmix(unmixing="face_mixture").plot_faces().'
        )
    texts = component_labels(labels, result.n_components, "{}")
    posterior = np.where(result.excluded, np.nan, np.asarray(result.face_posterior).T)
    maps = as_shown(h, posterior.reshape(-1, *result.navigation_shape))
    maps, note = mean_over_leading(maps) if maps.ndim > 3 else (maps, "")
    figure = new_figure(figure, 2 * map_width(h, 2.7) + 2.5, 3.0)
    first, second = figure.subplots(1, 2)
    shown, excluded = _most_frequent(maps, result.face_sets), np.isnan(maps).any(axis=0)
    colours = [*_face_colours(shown, result.face_sets), OTHER_COLOUR]
    order = np.full(len(maps), len(shown))
    order[shown] = np.arange(len(shown))
    classes = np.where(excluded, np.nan, order[np.nan_to_num(maps).argmax(axis=0)])
    image = draw_map(first, h, classes, ListedColormap(colours))
    image.set_clim(-0.5, len(colours) - 0.5)
    first.set_title(f"Most probable face{note}", fontsize=TITLE_SIZE)
    image = draw_map(second, h, maps.max(axis=0))
    image.set_clim(0, 1)
    second.set_title("Its probability", fontsize=TITLE_SIZE)
    draw_colour_bar(image, (1.03, 0, 0.05, 1))
    draw_scale_bar(first, h)
    names = [face_name(result.face_sets[face], texts) for face in shown] + ["other faces"]
    _draw_legend(figure, classes, colours, names)
    return figure


def face_name(face: Sequence[int], labels: Sequence[str]) -> str:
    """Return the name of a face.

    Examples
    --------
    >>> face_name((1,), ["TiO2", "C"])
    'pure C'
    >>> face_name((0, 1), ["TiO2", "C"])
    'interface TiO2/C'
    """
    kind = {1: "pure", 2: "interface"}.get(len(face), "mixture")
    return f"{kind} " + "/".join(labels[component] for component in face)


def _most_frequent(maps: NDArray[Any], faces: Sequence[Sequence[int]]) -> list[int]:
    """Return the faces that get a colour: small ones first, at most as many as colours."""
    best = np.nan_to_num(maps).argmax(axis=0)[~np.isnan(maps).any(axis=0)]
    count = np.bincount(best, minlength=len(faces))
    frequent = np.argsort(-count, kind="stable")[: len(COLOURS)]
    present = [int(face) for face in frequent if count[face]]
    return sorted(present, key=lambda face: (len(faces[face]), tuple(faces[face])))


def _face_colours(shown: Sequence[int], faces: Sequence[Sequence[int]]) -> list[str]:
    """Return a colour for each face, for pure ones that of their component in other figures."""
    pure = {face: colour_of(faces[face][0]) for face in shown if len(faces[face]) == 1}
    rest = iter([colour for colour in COLOURS if colour not in pure.values()])
    return [pure[face] if face in pure else next(rest) for face in shown]


def _draw_legend(
    figure: Figure, classes: NDArray[Any], colours: Sequence[str], names: Sequence[str]
) -> None:
    """Name the faces that are shown, with their shares of the probe positions."""
    total = np.isfinite(classes).sum()
    patches = []
    for number, (colour, name) in enumerate(zip(colours, names, strict=True)):
        share = np.count_nonzero(classes == number) / max(total, 1)
        if share > 0:
            patches.append(Patch(color=colour, label=f"{name} ({share:.0%})"))
    if total < classes.size:
        patches.append(Patch(color=EXCLUDED_COLOUR, label="excluded"))
    figure.legend(handles=patches, loc="outside left center", fontsize=SMALL_SIZE, frameon=False)
