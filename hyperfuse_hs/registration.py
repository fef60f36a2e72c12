"""``register``: brings the scans of several signals onto one grid of probe positions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from hyperfuse_hs import inputs, scan_maps
from hyperfuse_hs.algorithms.displacement import BY_CHANCE, Displacement
from hyperfuse_hs.cropping import take
from hyperfuse_hs.grids import (
    FIELDS,
    Grid,
    Placed,
    common_start,
    first_used,
    grid_of,
    place_all,
    scan_axes,
)
from hyperfuse_hs.notices import warn_user
from hyperfuse_hs.options import Options, check_signals, name_signals, one_of

INTERPOLATIONS = ("none", "linear")

MISFIT = 0.25
"""Rest of a shift, in positions, from which on it is worth a warning."""

CLEAR = 3.0
"""Standard deviations by which a shift must agree better than any other one."""

_log = logging.getLogger(__name__)


def register(
    reference: BaseSignal,
    *signals: BaseSignal,
    maps: Any = None,
    shifts: Any = "measure",
    max_shift: float | Sequence[float] | None = None,
    field: str = "auto",
    interpolation: str = "none",
    navigation_masks: Any = None,
    names: Sequence[str] | None = None,
    show_progressbar: bool | None = None,
) -> list[BaseSignal]:
    """Bring the scans of several signals onto one grid, so that they can be fused.

    Where a scan lies follows from its axes, and from how far what it shows is displaced against
    the reference. All signals are cropped to the area that they share, in whole positions; a finer
    scan is binned to the coarsest one, in whole numbers of positions. So counts stay counts, with
    independent noise, and shifts are undone to half a position of the scan as it was recorded.

    Shifts are translations. A scan that is rotated, stretched or drifts while it is recorded needs
    other means.

    Parameters
    ----------
    reference
        Signal whose scan says where all lie. It is cropped and binned like the others.
    *signals
        To be brought onto it. Lazy or not, of any real dtype; an image may also come as a signal
        without navigation axes whose signal axes are the scan.
    maps
        In which a scan is recognised: None for the sum over all channels (which reads lazy data
        once), a function of a signal that returns a map, or a dict by name or signal of functions,
        image signals or arrays in the shape of the scan, such as an HAADF image recorded with it.
        What is bright in one may be dark in another.
    shifts
        ``"measure"``, ``"none"`` (axes are right), or the shift ``(x, y)`` in units of the axes of
        the reference: what it shows at x lies at ``x + shift`` in the signal. A dict by name or
        signal for different ones.
    max_shift
        Largest shift to look for, in units of the axes of the reference, as a number or ``(x, y)``.
        By default, where at least half of the area is left to both.
    field
        ``"axes"``: offset and scale of the axes say where a scan lies. ``"same"``: all scans cover
        the same area, whatever their axes say. ``"auto"``: by the axes, unless some have no units
        and the shapes are multiples of each other.
    interpolation
        ``"none"``, or ``"linear"`` for values between positions. That undoes the rest of a shift
        but makes noise smaller (down to a quarter of the variance), different from that of counts
        and alike in neighbours, which `fuse` does not know of. Where particles are only a few
        positions wide and counts are many, what remains of the shift does more harm.
    navigation_masks
        By name or signal, signal or array over the scan, True = excluded: not looked at to measure.
    names
        One for each signal, the reference first; by default as in `fuse`.
    show_progressbar
        None for HyperSpy's preference.

    Returns
    -------
    list of BaseSignal
        New signals, the reference first; lazy ones stay lazy. Where nothing is computed they share
        memory with what they were cut from, as with ``inav``. What was found is in
        ``metadata.Registration`` of each: ``shift`` (x, y), in ``units``; ``remaining``, what is
        left of it, in positions; ``start``, the first position used; ``rebinned``, how many make
        one; and where it was measured ``correlation``, ``probability`` (that unrelated maps agree
        as well) and ``compared`` (``"intensity"`` or ``"edges"``).

    Raises
    ------
    TypeError
        Something is no signal, or no map of numbers.
    ValueError
        Maps agree no better than unrelated ones would, or at several shifts; scans do not overlap,
        or their samplings are no multiples of each other; the message says what to do.

    Warns
    -----
    UserWarning
        A shift is uncertain by more than one position along some axis, or more than a quarter of a
        position of it remains.

    Examples
    --------
    >>> import hyperfuse_hs as hf
    >>> phantom = hf.data.tio2_polymorphs(scan=(40, 40), modalities=["EELS", "EDS"])
    >>> eels, eds = phantom.signals["EELS"].inav[3:, :], phantom.signals["EDS"].inav[:-3, :]
    >>> for signal in (eels, eds):  # two scans that do not know of each other's position
    ...     signal.axes_manager[0].offset = 0.0
    >>> eels, eds = hf.register(eels, eds)
    >>> eels.axes_manager.navigation_shape, eds.axes_manager.navigation_shape
    ((34, 40), (34, 40))
    >>> [round(value) for value in eds.metadata.Registration.shift]
    [3, 0]
    """
    everything = [reference, *signals]
    check_signals(everything, "register")
    if not signals:
        raise ValueError(
            "Expected at least one signal to register to the reference. Got none: "
            "a, b = register(a, b)."
        )
    one_of("field", field, FIELDS)
    one_of("interpolation", interpolation, INTERPOLATIONS)
    options = Options(name_signals(everything, names), everything)
    grids = [grid_of(s, name) for s, name in zip(everything, options.names, strict=True)]
    placed = place_all(grids, field)
    wanted = options.by_name("shifts", shifts, "measure")
    known = {g.name: _given_shift(wanted[g.name], grids[0], g.name) for g in grids[1:]}
    reach = _reach(max_shift, grids[0])
    images = _maps(options, everything, known, maps, navigation_masks, show_progressbar)
    moved, found = [(0.0,) * len(reach)], []
    for item in placed[1:]:
        shift, displacement = known[item.name], None
        if shift is None:
            pair = placed[0], item
            shift, displacement = scan_maps.measure(
                pair, (images[placed[0].name], images[item.name]), reach
            )
            _check(displacement, placed[0].name, item.name, grids[0])
        moved.append(shift)
        found.append(displacement)
    linear = interpolation == "linear"
    return _take_all(everything, grids[0], placed, moved, [None, *found], linear)


def _given_shift(value: Any, reference: Grid, name: str) -> tuple[float, ...] | None:
    """Read a shift in units of axes (x, y), as positions in numpy order; None to measure it."""
    if isinstance(value, str):
        choice = one_of("shifts", value, ("measure", "none"), f" for {name} (or a shift)")
        return None if choice == "measure" else (0.0,) * len(reference.shape)
    return _lengths(value, reference, f"the shift of {name}")


def _reach(max_shift: Any, reference: Grid) -> tuple[float, ...]:
    """Read the largest shift, as positions in numpy order."""
    if max_shift is None:
        return (np.inf,) * len(reference.shape)
    if isinstance(max_shift, Real):
        max_shift = (max_shift,) * len(reference.shape)
    reach = tuple(abs(size) for size in _lengths(max_shift, reference, "max_shift"))
    if any(not np.isfinite(size) for size in reach):
        raise ValueError(f"Expected a finite number as max_shift. Got {max_shift!r}.")
    return reach


def _lengths(value: Any, reference: Grid, what: str) -> tuple[float, ...]:
    lengths = np.atleast_1d(np.asarray(value))
    ndim = len(reference.shape)
    if (
        lengths.dtype.kind not in "iuf"
        or lengths.shape != (ndim,)
        or not np.isfinite(lengths).all()
    ):
        order = ", ".join(reference.labels[::-1])
        units = reference.units[-1] or "positions"
        raise ValueError(
            f"Expected {ndim} finite number(s) as {what}: ({order}) in {units}. Got {value!r}."
        )
    return tuple(
        float(length / scale) for length, scale in zip(lengths[::-1], reference.scale, strict=True)
    )


def _maps(
    options: Options,
    signals: Sequence[BaseSignal],
    known: dict[str, Any],
    maps: Any,
    masks: Any,
    show_progressbar: bool | None,
) -> dict[str, Any]:
    """Make maps of the scans whose shift is to be measured, and of the reference."""
    if maps is not None and not callable(maps) and not isinstance(maps, dict):
        raise TypeError(
            f"Expected maps as a dict such as {{{options.names[1]!r}: image}}, or a function of a "
            f"signal. Got {type(maps).__name__}."
        )
    if masks is not None and not isinstance(masks, dict):
        raise TypeError(
            f"Expected navigation_masks as a dict such as {{{options.names[1]!r}: mask}}. Got "
            f"{type(masks).__name__}."
        )
    given = options.by_name("maps", maps, None)
    excluded = options.by_name("navigation_masks", masks, None)
    needed = [name for name in options.names[1:] if known[name] is None]
    images: dict[str, Any] = {}
    if not needed:
        return images
    needed.insert(0, options.names[0])
    with inputs.progress(show_progressbar)(len(needed), "Registering") as tick:
        for name, signal in zip(options.names, signals, strict=True):
            if name in needed:
                images[name] = scan_maps.scan_map(signal, name, given[name], excluded[name])
                tick(1)
    return images


def _check(found: Displacement, first: str, name: str, reference: Grid) -> None:
    """Refuse a shift that may be any other, and warn of one that is uncertain."""
    other_maps = (
        f"maps={{{name!r}: ...}}, an image recorded with it or a function of the signal, and the "
        f"same for {first}"
    )
    if found.probability > BY_CHANCE:
        raise ValueError(
            f"Expected scans that show the same. The maps of {first} and {name} agree no better "
            f"than unrelated ones, or patterns that repeat, would: a correlation of "
            f"{found.correlation:.2f} at best, which comes about by chance with "
            f"probability {found.probability:.2g} (at most {BY_CHANCE:g} is taken). Give maps that "
            f"show the same features, {other_maps}; or the shift, shifts={{{name!r}: (0, 0)}} in "
            "units of the axes."
        )
    if found.lead < CLEAR:
        raise ValueError(
            f"Expected one shift. The maps of {first} and {name} agree about equally well at "
            "several ones, as where a pattern repeats. Say how far to look with max_shift=, in "
            f"units of the axes, or give other maps, {other_maps}."
        )
    wide = [k for k, spread in enumerate(found.spread) if spread > 1]
    if wide:
        axes = " and ".join(
            f"{reference.labels[k]} (± {found.spread[k]} positions)" for k in wide[::-1]
        )
        warn_user(
            f"The shift of {name} against {first} is uncertain along {axes}: its map hardly varies "
            f"that way, or is noisy. Give other maps, {other_maps}, or the shift itself.",
            stacklevel=3,
        )


def _take_all(
    signals: Sequence[BaseSignal],
    reference: Grid,
    placed: Sequence[Placed],
    moved: Sequence[tuple[float, ...]],
    found: Sequence[Displacement | None],
    linear: bool,
) -> list[BaseSignal]:
    """Cut all signals to the common field, and note what was done on each."""
    starts, shape = common_start(placed, moved, linear)
    if min(shape) < 1:
        raise ValueError(
            "Expected scans that share an area. With the shifts given or found, they share "
            f"{tuple(max(size, 0) for size in shape)[::-1]} positions. Leave out one of "
            f"{', '.join(item.name for item in placed)}, or give shifts=."
        )
    taken: list[BaseSignal] = []
    for signal, item, start, shift, displacement in zip(
        signals, placed, starts, moved, found, strict=True
    ):
        begin = tuple(first_used(value, linear) for value in start)
        rest = tuple(value - i for value, i in zip(start, begin, strict=True))
        fractions = rest if linear else (0.0,) * len(rest)
        new = take(signal, begin, shape, item.factor, fractions)
        left = [
            (value - used) / factor
            for value, used, factor in zip(rest, fractions, item.factor, strict=True)
        ]
        if max(map(abs, left)) > MISFIT:
            _warn_of_misfit(item.name, left)
        lengths = [d * scale for d, scale in zip(shift, reference.scale, strict=True)]
        facts = {"reference": placed[0].name, "units": reference.units[-1]}
        _note(new, lengths, left, begin, item, facts, displacement)
        _share_axes(taken[0] if taken else None, new)
        taken.append(new)
    return taken


def _warn_of_misfit(name: str, left: Sequence[float]) -> None:
    shown = ", ".join(f"{value:.2f}" for value in left[::-1])
    warn_user(
        f"{name} is cropped in whole positions, which leaves ({shown}) positions of its shift. "
        "Where what is seen is only a few positions wide that can spoil a fusion: compare with "
        'interpolation="linear", which alters the noise.',
        stacklevel=4,
    )


def _share_axes(first: BaseSignal | None, signal: BaseSignal) -> None:
    """Give the scan of a signal the axes of the reference, which has been cut already."""
    if first is not None:
        for ours, theirs in zip(scan_axes(signal), scan_axes(first), strict=True):
            ours.scale, ours.offset = theirs.scale, theirs.offset
            ours.units, ours.name = theirs.units, theirs.name


def _note(
    signal: BaseSignal,
    lengths: Sequence[float],
    left: Sequence[float],
    begin: Sequence[int],
    item: Placed,
    facts: dict[str, Any],
    found: Displacement | None,
) -> None:
    """Write into the metadata, and the log, what was found and done."""
    notes = facts | {
        "shift": [float(length) for length in lengths[::-1]],
        "remaining": [float(value) for value in left[::-1]],
        "start": list(begin[::-1]),
        "rebinned": list(item.factor[::-1]),
    }
    if found is not None:
        notes["correlation"] = float(found.correlation)
        notes["probability"] = float(found.probability)
        notes["compared"] = found.feature.kind
    # A signal that was registered before keeps nothing of that.
    if signal.metadata.has_item("Registration"):
        del signal.metadata.Registration
    signal.metadata.add_dictionary({"Registration": notes})
    _log.info("%s registered to %s: %s", item.name, facts["reference"], notes)
