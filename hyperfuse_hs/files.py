"""Find, in files, the signals that belong to one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hyperspy.api as hs
from hyperspy.signal import BaseSignal

Grid = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset of a file.

    Parameters
    ----------
    signal
        As loaded.
    path
        The file.
    """

    signal: BaseSignal
    path: Path

    def __str__(self) -> str:
        """Class, title, shape and file, on one line."""
        axes = self.signal.axes_manager
        scan, own = (
            ", ".join(map(str, shape)) for shape in (axes.navigation_shape, axes.signal_shape)
        )
        title = self.signal.metadata.General.title
        quoted = f' "{title}"' if title else ""
        return f"{type(self.signal).__name__}{quoted} ({scan}|{own}) of {self.path.name}"


@dataclass(frozen=True, eq=False)
class Selection:
    """Which datasets belong together.

    Parameters
    ----------
    grid
        Shape of the scan in HyperSpy's order, (x, y).
    taken
        Datasets of that scan, spectra first, then diffraction, then images; with whether their
        frames have to be summed.
    left
        The other datasets, with the reason.
    """

    grid: Grid
    taken: list[tuple[Dataset, bool]]
    left: list[tuple[Dataset, str]]

    def signals(self) -> list[BaseSignal]:
        """Signals over the scan, frames summed."""
        return [sum_frames(data.signal) if frames else data.signal for data, frames in self.taken]


def load_datasets(paths: Sequence[Path], lazy: bool) -> list[Dataset]:
    """Load every dataset of every file.

    Parameters
    ----------
    paths
        Files in any format that RosettaSciIO reads.
    lazy
        Whether to leave the data on disk.

    Returns
    -------
    list of Dataset
        In the order of the files.

    Raises
    ------
    ValueError
        A file is missing or cannot be read.
    """
    datasets = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"Expected files that exist. Got {path}. Check the path.")
        try:
            loaded = hs.load(path, lazy=lazy)
        except (OSError, ValueError, ImportError) as error:
            raise ValueError(
                f"Expected files in a format that RosettaSciIO reads. {path} could not be read: "
                f"{error}"
            ) from error
        for signal in loaded if isinstance(loaded, list) else [loaded]:
            if isinstance(signal, BaseSignal):
                datasets.append(Dataset(signal, path))
    return datasets


def select(datasets: Sequence[Dataset]) -> Selection:
    """Pick the datasets that share a scan.

    The scan is the one to which most datasets belong; of several, the one for which the fewest
    have to be summed over frames, then the one with the most probe positions, then the first.

    Parameters
    ----------
    datasets
        What was found.

    Returns
    -------
    Selection
        What is taken, and what is left and why.

    Raises
    ------
    ValueError
        No dataset has a scan.
    """
    reasons = {id(data): _unusable(data.signal) for data in datasets}
    usable = [data for data in datasets if not reasons[id(data)]]
    grids: dict[Grid, tuple[int, int, int]] = {}
    for data in usable:
        scan = data.signal.axes_manager.navigation_shape
        for grid in [scan, scan[:-1]] if len(scan) > 2 else [scan] if scan else []:
            fits = [_fit(other.signal, grid) for other in usable]
            size = 1
            for length in grid:
                size *= length
            grids[grid] = (len(fits) - fits.count(None), -fits.count(True), size)
    if not grids:
        found = "\n".join(f"  {data}: {reasons[id(data)] or 'no scan'}" for data in datasets)
        raise ValueError(
            "Expected at least one dataset recorded over a scan (spectrum image or scanning "
            f"diffraction). Got\n{found or '  no dataset at all'}"
        )
    grid = max(grids, key=lambda shape: grids[shape])
    fitting = [(data, _fit(data.signal, grid)) for data in usable]
    taken = [(data, frames) for data, frames in fitting if frames is not None]
    taken.sort(key=lambda item: _kind(item[0].signal, grid))
    left = [(data, reasons[id(data)]) for data in datasets if reasons[id(data)]]
    left += [(data, _misfit(data.signal, grid)) for data, frames in fitting if frames is None]
    return Selection(grid, taken, left)


def sum_frames(signal: BaseSignal) -> BaseSignal:
    """Sum over the slowest axis of the scan; images keep their plane."""
    return signal.sum(axis=signal.axes_manager.navigation_axes[-1])


def crop(signal: BaseSignal, name: str, low: float, high: float) -> BaseSignal:
    """Cut a range out of the signal axis.

    Parameters
    ----------
    signal
        With one signal axis.
    name
        Of the modality, for messages.
    low, high
        Limits in units of the axis.

    Returns
    -------
    BaseSignal
        Of the same class.

    Raises
    ------
    ValueError
        There is not one signal axis, or nothing of it in the range.
    """
    axes = signal.axes_manager.signal_axes
    if len(axes) != 1:
        raise ValueError(
            f"Expected to crop a modality with one signal axis. Got {name} with {len(axes)}."
        )
    axis = axes[0].axis
    inside = (axis >= low) & (axis <= high)
    if inside.sum() < 2:
        raise ValueError(
            f"Expected a range within {axis.min():g} to {axis.max():g} {axes[0].units} for {name}. "
            f"Got {low:g} to {high:g}."
        )
    return signal.isig[float(low) : float(high)]


def _unusable(signal: BaseSignal) -> str:
    """Say why a dataset can be no modality of any scan; empty if it can."""
    axes = signal.axes_manager
    if signal.metadata.Signal.signal_type == "hypermodal":
        return "the result of a fusion"
    if signal.data.dtype.kind not in "buif":
        return f"no real numbers, but {signal.data.dtype}"
    if axes.navigation_dimension == 0 and axes.signal_dimension != 2:
        return "not recorded over a scan"
    return ""


def _fit(signal: BaseSignal, grid: Grid) -> bool | None:
    """Whether frames must be summed for a signal to have that scan; None if it never has."""
    axes = signal.axes_manager
    scan = axes.navigation_shape
    if scan == grid or (not scan and axes.signal_shape == grid):
        return False
    stack_of_images = len(scan) == 1 and axes.signal_shape == grid
    frames_of_scans = len(scan) > 1 and scan[:-1] == grid
    return True if stack_of_images or frames_of_scans else None


def _kind(signal: BaseSignal, grid: Grid) -> int:
    """Order of the modalities: spectra (0), diffraction (1), images (2)."""
    axes = signal.axes_manager
    if axes.signal_dimension == 0 or (axes.signal_shape == grid and axes.navigation_shape != grid):
        return 2
    return min(axes.signal_dimension, 2) - 1


def _misfit(signal: BaseSignal, grid: Grid) -> str:
    axes = signal.axes_manager
    own: Any = axes.navigation_shape or axes.signal_shape
    what = "scan" if axes.navigation_shape else "image"
    return f"its {what} is {_times(own)}, not {_times(grid)}"


def _times(shape: Grid) -> str:
    return " x ".join(map(str, shape))
