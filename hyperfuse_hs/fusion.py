"""``fuse``: from signals to the hypermodal signal, as a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from hyperfuse_hs import inputs, model
from hyperfuse_hs import options as opts
from hyperfuse_hs.checks import check_facts, check_size, check_values, leave_out_empty
from hyperfuse_hs.choices import AGAIN, make_choices, seed_of
from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.signals.hypermodal import HypermodalSignal


def fuse(
    signals: Sequence[BaseSignal],
    *,
    n_components: int | str = "auto",
    names: Sequence[str] | None = None,
    roles: str | Mapping[Any, str] = "auto",
    noise: Any = "auto",
    weights: str | Mapping[Any, float] = "auto",
    scale: Any = "auto",
    unmixing: Any = "face_mixture",
    abundances: str = "simplex",
    navigation_mask: Any = None,
    signal_masks: Mapping[Any, Any] | None = None,
    random_state: int | np.random.Generator | None = None,
    show_progressbar: bool | None = None,
    interactive: bool | None = None,
    display: bool = True,
    toolkit: Any = None,
) -> HypermodalSignal | Any:
    """Decompose co-registered signals of one scan together.

    Every signal m is modelled as ``X_m ~ diag(s) A E_m``: abundances A (shared; rows sum to one),
    factors E_m (its own) and a local intensity s. The result is written back onto each signal as
    its learning results.

    Parameters
    ----------
    signals
        One or more signals with the same navigation shape; an image may also come as a signal
        without navigation axes whose shape is the scan's. Lazy or not, of any real dtype.
    n_components
        Number of components p, or ``"auto"`` for what stands out of the noise.
    names
        One name for each signal; by default ``"EELS"``, ``"EDS"``, ``"Diffraction"``, else the
        title or the class.
    roles
        ``"auto"``, or by name ``"lead"`` (its variation defines the components), ``"support"``
        (sharpens the abundances) or ``"passive"`` (only receives factors).
    noise
        ``"auto"``, ``"poisson"`` (counts), ``"gaussian"`` (the same variance everywhere,
        estimated), ``"none"`` (noise-free), or the variance as number, array or signal; or a dict
        of these by name. ``"auto"`` takes ``metadata.Signal.Noise_properties.variance`` if there
        is one, else non-negative data as counts of unknown gain and other data as Gaussian.
    weights
        ``"auto"`` (unit noise), or by name a factor on that; 0 is the same as passive.
    scale
        ``"auto"`` (notices whether counts follow the local thickness), ``"none"``, ``"total"``
        (denoised total of the first signal), or a map of the local intensity; a dict of maps by
        name for one each. With ``"total"``, and where ``"auto"`` notices, abundances are
        fractions of the counts of the first signal.
    unmixing
        ``"face_mixture"``, ``"minimum_volume"``, ``"vertex"``, ``"nmf"``, ``"orthomax"``,
        ``"none"`` (coupled PCA only), or an object whose ``fit(scores, n_components, noise)``
        returns endmembers ``(p, p - 1)`` (or an object with them as ``endmembers_``), given
        scores ``(N, p - 1)`` and the variance of their noise ``(N,)``.
    abundances
        ``"simplex"`` (>= 0, sum one), ``"nonnegative"`` or ``"none"``. Components of
        ``"orthomax"`` and ``"none"`` are signed: they take no constraint.
    navigation_mask
        Signal or array over the scan, True = excluded.
    signal_masks
        By name, signal or array in the shape of the signal space, True = excluded.
    random_state
        Seed or generator of the random starts.
    show_progressbar
        None for HyperSpy's preference.
    interactive
        True opens the graphical interface, where the signals of the session can be picked, and
        the options given are the first entries. False fuses at once. None does that too, unless
        there is one signal only and a toolkit that shows the interface: a notebook with ipywidgets,
        or traitsui where matplotlib opens windows of Qt.
    display
        Whether the interface is shown, or its widgets returned, for tests or to be shown otherwise.
    toolkit
        ``"ipywidgets"``, ``"traitsui"``, several of them, or None for all that are installed and
        enabled in HyperSpy's preferences.

    Returns
    -------
    HypermodalSignal
        Its data are the abundances. With the graphical interface None, or with ``display=False`` a
        dict of the widgets by toolkit.

    Raises
    ------
    TypeError, ValueError
        Something does not fit; the message says what was expected. All signals keep the learning
        results that they had.
    ImportError, NotImplementedError
        There is no toolkit to show the interface with, or not the one asked for.

    Examples
    --------
    >>> import hyperfuse_hs as hf
    >>> phantom = hf.data.tio2_polymorphs(scan=(16, 16), detector=(16, 16))
    >>> eels, eds = phantom.signals["EELS"], phantom.signals["EDS"]
    >>> h = hf.fuse([eels, eds], n_components=3, random_state=0, show_progressbar=False)
    >>> h.modalities
    ['EELS', 'EDS']
    """
    signals = [signals] if isinstance(signals, BaseSignal) else list(signals)
    given = {
        "n_components": n_components,
        "names": names,
        "roles": roles,
        "noise": noise,
        "weights": weights,
        "scale": scale,
        "unmixing": unmixing,
        "abundances": abundances,
        "navigation_mask": navigation_mask,
        "signal_masks": signal_masks,
        "random_state": random_state,
    }
    if interactive or (interactive is None and len(signals) == 1 and _has_gui()):
        from hyperfuse_hs.gui.tool import Fuser

        return Fuser(signals, **given).gui(display=display, toolkit=toolkit)
    return _decompose(signals, given, show_progressbar)


def _has_gui() -> bool:
    from hyperfuse_hs.gui.toolkits import present

    return present()


def _decompose(
    signals: list[BaseSignal], given: dict[str, Any], show_progressbar: bool | None
) -> HypermodalSignal:
    """Fuse signals with the options given, all of them."""
    with concerning("signals"):
        opts.check_signals(signals)
    with concerning("names"):
        options = opts.Options(opts.name_signals(signals, given["names"]), signals)
    with concerning("random_state"):
        seed = seed_of(given["random_state"])
    choices = make_choices(
        options, **{key: given[key] for key in AGAIN if key != "random_state"}, seed=seed
    )
    passive = {n for n, role in choices.roles.items() if role == "passive"}
    passive |= {n for n, weight in choices.weights.items() if weight == 0}
    watch = inputs.progress(show_progressbar)
    about_data = {key: given[key] for key in ("noise", "navigation_mask", "signal_masks")}
    sources = inputs.make_sources(signals, options, passive=passive, watch=watch, **about_data)
    first = sources[0].modality
    with concerning("scale"):
        shape, excluded = first.navigation_shape, first.excluded_positions
        scale = inputs.scale_of(given["scale"], options, excluded, shape)
    with concerning("n_components"):
        check_size(choices.n_components, sources)
    inputs.announce_reads(sources)
    facts = model.survey_all(sources)
    for source in sources:
        if not source.passive:
            check_facts(source, facts[source.modality.name])
    sources, scale = leave_out_empty(sources, facts, scale)
    with concerning("n_components"):
        check_size(choices.n_components, sources)
    # Scores hardly depend on their start vectors; with the same ones they are found again.
    fixed = 0 if given["random_state"] is None else seed
    scores = model.compress_all(sources, facts, scale, fixed)
    for source in sources:
        check_values(source, facts[source.modality.name])
    natives = dict(zip(options.names, signals, strict=True))
    with watch(1, "Unmixing") as tick, concerning("n_components"):
        result = model.unmix(scores, choices)
        # Whoever watches may end it here for the last time: signals are changed from here on.
        tick(1)
    h = HypermodalSignal.from_fusion(scores, result, natives, choices)
    h._asked = {**given, "names": options.names, "random_state": seed}
    h._show_progressbar = show_progressbar
    h.write_back()
    return h


def fuse_method(self: BaseSignal, *others: BaseSignal, **options: Any) -> HypermodalSignal | Any:
    """Decompose this signal and others of the same scan together.

    Same as ``hyperfuse_hs.fuse([signal, *others], **options)``, see there for the options. Without
    others, in a notebook, it opens the graphical interface.

    Parameters
    ----------
    *others
        Signals with the same navigation shape, or images of the scan.
    **options
        As in `hyperfuse_hs.fuse`.

    Returns
    -------
    HypermodalSignal
        Its data are the abundances.
    """
    return fuse([self, *others], **options)
