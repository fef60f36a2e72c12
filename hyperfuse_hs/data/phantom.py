"""What a phantom is, and how its arrays become HyperSpy signals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np
from hyperspy.signals import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.data.counts import poisson_counts
from hyperfuse_hs.data.sample import STREAMS, ModalityPlan, Sample

# Native class of each modality: the package that brings it, and HyperSpy's name for it.
_NATIVE = {
    "EELS": ("exspy", "EELS"),
    "EDS": ("exspy", "EDS_TEM"),
    "Diffraction": ("pyxem", "electron_diffraction"),
}


@dataclass(frozen=True)
class Phantom:
    """
    Signals of several modalities of one scan, with the truth behind them.

    The mean counts of a modality are ``scale * (abundances @ factors)`` at each probe position,
    except that a crystalline particle has its own orientation, so its diffraction patterns follow
    the factor only in the mean over the particles.

    Parameters
    ----------
    signals
        Name of each modality -> its HyperSpy signal, Poisson counts.
    components
        Names of the p components.
    abundances
        Shape ``(rows, columns, p)``: part of each component in the path of the beam (by
        length). Rows sum to one; NaN in vacuum.
    factors
        Name of each modality -> mean counts of each pure component where ``scale`` is one, shape
        ``(p, *signal shape)``.
    scale
        Shape ``(rows, columns)``: local intensity, common to all modalities: one for flat
        counts, thickness over its mean for counts proportional to it; 0 in vacuum.
    thickness
        Shape ``(rows, columns)``: path of the beam through matter in nm.
    navigation_mask
        Signal over the scan, True = vacuum, excluded.
    """

    signals: dict[str, BaseSignal]
    components: tuple[str, ...]
    abundances: NDArray[np.float64]
    factors: dict[str, NDArray[np.float64]]
    scale: NDArray[np.float64]
    thickness: NDArray[np.float64]
    navigation_mask: BaseSignal


def assemble(
    sample: Sample, plans: list[ModalityPlan], paths: Mapping[str, Path], entropy: int
) -> Phantom:
    """
    Draw the counts and wrap them in signals.

    Parameters
    ----------
    sample
        The sample.
    plans
        The modalities.
    paths
        The ``.zspy`` file of each modality, to be written tile by tile and opened lazily; a
        modality without a file is kept in memory.
    entropy
        Seed of the counts.

    Returns
    -------
    Phantom
        The phantom.
    """
    navigation = navigation_axes(sample)
    signals = {}
    for plan in plans:
        counts = poisson_counts(
            plan.model, sample.scan, plan.factors.shape[1:], entropy, STREAMS[plan.name]
        )
        if plan.name in paths:
            path = paths[plan.name]
            path.parent.mkdir(parents=True, exist_ok=True)
            native_signal(plan, counts, navigation).save(path, chunks=counts.chunksize)
            signals[plan.name] = hs.load(path, lazy=True)
        else:
            signals[plan.name] = native_signal(plan, _compute(counts), navigation)
    vacuum = sample.vacuum.reshape(sample.scan)
    weights = np.where(sample.vacuum, np.nan, sample.thickness)[:, np.newaxis]
    return Phantom(
        signals=signals,
        components=sample.components,
        abundances=(sample.paths / weights).reshape(*sample.scan, -1),
        factors={plan.name: plan.factors for plan in plans},
        scale=(sample.thickness / sample.divisor).reshape(sample.scan),
        thickness=sample.thickness.reshape(sample.scan),
        navigation_mask=BaseSignal(
            vacuum,
            axes=[axis | {"navigate": True} for axis in navigation],
            metadata={"General": {"title": "Vacuum"}},
        ),
    )


def navigation_axes(sample: Sample) -> list[dict[str, Any]]:
    """Return the axes of the scan in numpy order, as HyperSpy takes them."""
    return [
        {"name": name, "size": size, "scale": sample.step, "offset": 0.0, "units": "nm"}
        for name, size in zip("yx", sample.scan, strict=True)
    ]


def native_signal(
    plan: ModalityPlan, data: NDArray[Any] | da.Array, navigation: list[dict[str, Any]]
) -> BaseSignal:
    """
    Wrap counts in the native class of the modality, or a plain signal without its package.

    Parameters
    ----------
    plan
        The modality.
    data
        Counts, shape ``(rows, columns, *signal shape)``; a dask array gives a lazy signal.
    navigation
        Axes of the scan. They become signal axes where the modality has none of its own (an
        image).

    Returns
    -------
    BaseSignal
        The signal.
    """
    dimension = len(plan.axes) or 2
    axes = [axis | {"navigate": bool(plan.axes)} for axis in navigation]
    axes += [axis | {"navigate": False} for axis in plan.axes]
    lazy = "Lazy" if isinstance(data, da.Array) else ""
    plain = getattr(hs.signals, f"{lazy}Signal{dimension}D")
    signal = plain(data, axes=axes, metadata=plan.metadata)
    package, signal_type = _NATIVE.get(plan.name, ("", ""))
    if package and find_spec(package):
        with warnings.catch_warnings():
            # What these packages warn of while they are imported is no business of the phantom.
            warnings.simplefilter("ignore")
            signal.set_signal_type(signal_type)
    return signal


def _compute(counts: da.Array) -> NDArray[Any]:
    """Draw all tiles into one array, without a second copy of it."""
    data = np.empty(counts.shape, dtype=counts.dtype)
    # In this process, whatever client is active: workers would fill copies of their own.
    da.store(counts, data, lock=False, scheduler="threads")
    return data
