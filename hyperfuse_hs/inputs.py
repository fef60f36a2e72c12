"""From signals, masks and noise to modalities, with the checks that need no data."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray
from tqdm.auto import tqdm

from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.modality import (
    BLOCK_BYTES,
    HOLD_BYTES,
    HUGE_BYTES,
    Modality,
    Tick,
    Watch,
    unwatched,
)
from hyperfuse_hs.model import Source
from hyperfuse_hs.noise_model import NOISE_KINDS
from hyperfuse_hs.notices import warn_user
from hyperfuse_hs.options import Options, mask_of, one_of

_given_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)

_log = logging.getLogger(__name__)


def scan_shape(signals: Sequence[BaseSignal], names: Sequence[str]) -> tuple[int, ...]:
    """Shape of the scan that all signals share, in numpy order.

    Raises
    ------
    ValueError
        No signal has navigation axes, or they differ.
    """
    scans = {n: s.axes_manager.navigation_shape for n, s in zip(names, signals, strict=True)}
    with_scan = {name: shape for name, shape in scans.items() if shape}
    with concerning("signals"):
        if not with_scan:
            raise ValueError(
                "Expected signals recorded over a scan. Got no navigation axis in any of "
                f"{', '.join(names)}. Make the axes of the scan navigation axes, e.g. "
                "signal.transpose(signal_axes=1) for spectra, image.T for an image of the scan."
            )
    first, shape = next(iter(with_scan.items()))
    for name, signal in zip(names, signals, strict=True):
        with concerning("signals", name):
            check_scan(first, shape, signal, name)
    return tuple(shape[::-1])


def check_scan(
    first: str, shape: tuple[int, ...], signal: BaseSignal, name: str = "the signal"
) -> None:
    """Refuse a signal with another scan.

    Parameters
    ----------
    first, shape
        Name of a modality and its navigation shape, in HyperSpy's order.
    signal, name
        The other signal.

    Raises
    ------
    ValueError
        Its navigation shape, or the shape of an image, is another.
    """
    axes = signal.axes_manager
    own = axes.navigation_shape or axes.signal_shape
    if own != shape:
        raise ValueError(
            f"All signals must share one navigation shape. Got {first} {shape} and {name} {own}"
            f"{'' if axes.navigation_shape else ' (shape of the image)'}. "
            + _how_to_match(own, shape, "inav" if axes.navigation_shape else "isig")
        )


def _how_to_match(own: tuple[int, ...], shape: tuple[int, ...], slicer: str) -> str:
    if len(own) != len(shape):
        return "Take the same scan axes of both, e.g. with transpose or sum."
    if own == shape[::-1]:
        return "Swap its scan axes, e.g. signal.swap_axes(0, 1)."
    slices = ", ".join(f":{min(a, b)}" for a, b in zip(own, shape, strict=True))
    return (
        "Bring one onto the other: a, b = hyperfuse_hs.register(a, b) finds the shift, crops and "
        f"bins. Or crop both, if they begin at the same position: .inav[{slices}] and "
        f".{slicer}[{slices}]."
    )


def arranged(signal: BaseSignal) -> tuple[Any, int]:
    """Return data as ``(nav..., sig...)``, not copied, and the number of axes of the scan."""
    axes = signal.axes_manager
    navigation = [axis.index_in_array for axis in axes.navigation_axes][::-1]
    if not navigation:
        return signal.data, signal.data.ndim
    order = navigation + [axis.index_in_array for axis in axes.signal_axes][::-1]
    if order == sorted(order):
        # A transposition, even an idle one, would keep dask from reading parts of chunks.
        return signal.data, len(navigation)
    return signal.data.transpose(order), len(navigation)


def as_modality(
    name: str,
    signal: BaseSignal,
    excluded: NDArray[np.bool_],
    channels: NDArray[np.bool_],
    watch: Watch = unwatched,
) -> Modality:
    """Wrap a signal; an image without navigation axes counts as scan."""
    data, ndim = arranged(signal)
    return Modality(name, data, ndim, excluded, channels, watch)


def announce_reads(sources: Sequence[Source]) -> None:
    """Say how often data that are lazy will be read, before they are, in the log."""
    for source in sources:
        modality, times = source.modality, "once"
        if not modality.lazy:
            continue
        if source.passive:
            why = "passive: only receives factors"
        elif modality.nbytes <= HOLD_BYTES:
            why = "and kept in memory, being small"
        else:
            times, why = "twice", "a first and a second look"
        size = modality.nbytes / 1e6
        _log.info("%s: %.3g MB, to be read %s (%s).", modality.name, size, times, why)


def warn_of_huge_chunks(modality: Modality) -> None:
    """Say what chunks cost that take much memory as a whole, and how to avoid them."""
    size = modality.largest_chunk
    if size <= HUGE_BYTES:
        return
    own = modality.data.dtype.itemsize * int(np.prod(modality.signal_shape, dtype=float))
    side = max(1, int((BLOCK_BYTES / own) ** (1 / modality.navigation_ndim)))
    scan = tuple(min(side, length) for length in modality.navigation_shape)
    chunks: Any = -1
    if own > HUGE_BYTES:
        side = int((BLOCK_BYTES / modality.data.dtype.itemsize) ** (1 / len(modality.signal_shape)))
        chunks = tuple(min(side, length) for length in modality.signal_shape)
    warn_user(
        f"{modality.name} is stored in chunks of up to {size / 2**20:.0f} MiB (shape "
        f"{modality.data.chunksize}). Each is read as a whole, so that a pass takes more memory "
        "than that. To avoid it, store the data once in smaller chunks, which takes as much memory "
        f"one last time: signal.rechunk(nav_chunks={scan}, sig_chunks={chunks}), then "
        'signal.save("smaller.zspy"), and load that file with lazy=True.',
        stacklevel=4,
    )


def make_sources(
    signals: Sequence[BaseSignal],
    options: Options,
    noise: Any,
    passive: Iterable[str],
    navigation_mask: Any,
    signal_masks: Any,
    watch: Watch,
) -> list[Source]:
    """Wrap the signals as modalities.

    Parameters
    ----------
    signals
        To fuse, checked.
    options
        Reader of options.
    noise, navigation_mask, signal_masks
        As in `fuse`.
    passive
        Names of the modalities that only receive factors.
    watch
        Shows progress, see `Modality`.

    Returns
    -------
    list of Source
        In the order of the signals.

    Raises
    ------
    TypeError, ValueError
        A mask or the noise does not fit.
    """
    shape = scan_shape(signals, options.names)
    with concerning("navigation_mask"):
        positions = mask_of(navigation_mask, shape, "navigation_mask")
    with concerning("signal_masks"):
        if signal_masks is not None and not isinstance(signal_masks, Mapping):
            raise TypeError(
                f"Expected signal_masks as a dict such as {{{options.names[0]!r}: mask}}. "
                f"Got {type(signal_masks).__name__}."
            )
        masks = options.by_name("signal_masks", signal_masks or {}, None)
    with concerning("noise"):
        kinds = options.by_name("noise", noise, "auto")
    sources = []
    for name, signal in zip(options.names, signals, strict=True):
        data, ndim = arranged(signal)
        with concerning("signal_masks", name):
            channels = mask_of(masks[name], tuple(data.shape[ndim:]), f"The signal mask of {name}")
        modality = Modality(name, data, ndim, positions, channels, watch)
        warn_of_huge_chunks(modality)
        with concerning("noise", name):
            kind, variance = _noise(signal, kinds[name], modality)
        sources.append(Source(modality, kind, variance, name in set(passive)))
    return sources


def _noise(signal: BaseSignal, noise: Any, modality: Modality) -> tuple[str, Modality | None]:
    if isinstance(noise, str):
        kind = one_of("noise", noise, NOISE_KINDS, f" of {modality.name} (or its variance)")
        noise = signal.metadata.get_item("Signal.Noise_properties.variance")
        if kind != "auto" or noise is None:
            return kind, None
    values = arranged(noise)[0] if isinstance(noise, BaseSignal) else noise
    array = values if isinstance(values, da.Array) else np.asarray(values)
    shape = modality.data.shape
    if isinstance(array, da.Array) and array.size < modality.data.size:
        # The same for all positions or channels: small, but as a view one huge chunk.
        array = array.compute()
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"noise of {modality.name} must be one of {', '.join(NOISE_KINDS)} or its variance. "
            f"Got {type(noise).__name__}."
        )
    try:
        view = (da if isinstance(array, da.Array) else np).broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"The variance of {modality.name} must be a number or of shape {shape} or "
            f"{modality.signal_shape}. Got {array.shape}."
        ) from None
    return "variance", Modality(
        f"variance of {modality.name}",
        view,
        modality.navigation_ndim,
        modality.excluded_positions,
        modality.excluded_channels,
        modality.watch,
    )


def scale_of(scale: Any, options: Options, excluded: NDArray[np.bool_], shape: tuple[int, ...]):
    """Read the option ``scale``.

    Parameters
    ----------
    scale
        As in `fuse`.
    options
        Reader of options.
    excluded
        ``(N_all,)``, True = excluded.
    shape
        Of the scan, numpy order.

    Returns
    -------
    str or dict
        A choice, or by name a map ``(N,)`` or None.

    Raises
    ------
    ValueError
        It is no choice and no map of the scan.
    """
    if isinstance(scale, str):
        return one_of("scale", scale, ("auto", "none", "total"), " (or a map of the scan)")
    maps = options.by_name("scale", scale, None)
    return {name: _intensity(value, name, excluded, shape) for name, value in maps.items()}


def _intensity(
    value: Any, name: str, excluded: NDArray[np.bool_], shape: tuple[int, ...]
) -> NDArray[np.float64] | None:
    if value is None or (isinstance(value, str) and value == "none"):
        return None
    if isinstance(value, str):
        raise ValueError(
            f'In a dict, the scale of {name} must be "none" or a map of shape {shape}. '
            f"Got {value!r}."
        )
    array = np.asarray(value.data if isinstance(value, BaseSignal) else value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"The scale of {name} must have shape {shape}. Got {array.shape}.")
    kept = array.ravel()[~excluded]
    if not np.isfinite(kept).all() or kept.min() < 0 or kept.max() <= 0:
        raise ValueError(
            f"The scale of {name} must be finite, not negative and not zero everywhere. Got "
            f"{kept.min()} to {kept.max()}. Exclude such positions with navigation_mask=."
        )
    return kept


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Show the progress of what is called in this context, in this thread, by `watch` only.

    An error that its ticks raise ends the pass.
    """
    token = _given_watch.set(watch)
    try:
        yield
    finally:
        _given_watch.reset(token)


def progress(show_progressbar: bool | None) -> Watch:
    """Progress bars over the pieces of every pass, by HyperSpy's convention."""
    given = _given_watch.get()
    if given is not None:
        return given
    if show_progressbar is None:
        show_progressbar = hs.preferences.General.show_progressbar

    @contextmanager
    def watch(total: int, description: str) -> Iterator[Tick]:
        with tqdm(total=total, desc=description, disable=not show_progressbar, leave=False) as bar:
            yield bar.update

    return watch
