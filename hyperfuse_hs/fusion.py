"""``fuse``: from signals to the hypermodal signal, as a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from hyperfuse_hs import inputs, model
from hyperfuse_hs import options as opts
from hyperfuse_hs.checks import check_facts, check_size, check_values, leave_out_empty
from hyperfuse_hs.choices import make_choices, seed_of
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
) -> HypermodalSignal:
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

    Returns
    -------
    HypermodalSignal
        Its data are the abundances.

    Raises
    ------
    TypeError, ValueError
        Something does not fit; the message says what was expected. All signals keep the learning
        results that they had.

    Examples
    --------
    >>> import hyperfuse_hs as hf
    >>> phantom = hf.data.tio2_polymorphs(scan=(16, 16), detector=(16, 16))
    >>> eels, eds = phantom.signals["EELS"], phantom.signals["EDS"]
    >>> h = hf.fuse([eels, eds], n_components=3, random_state=0, show_progressbar=False)
    >>> h.modalities
    ['EELS', 'EDS']
    """
    signals = list(signals) if not isinstance(signals, BaseSignal) else [signals]
    opts.check_signals(signals)
    options = opts.Options(opts.name_signals(signals, names), signals)
    seed = seed_of(random_state)
    choices = make_choices(options, n_components, roles, weights, unmixing, abundances, seed)
    passive = {n for n, role in choices.roles.items() if role == "passive"}
    passive |= {n for n, weight in choices.weights.items() if weight == 0}
    sources = inputs.make_sources(
        signals,
        options,
        noise,
        passive,
        navigation_mask,
        signal_masks,
        inputs.progress(show_progressbar),
    )
    first = sources[0].modality
    scale = inputs.scale_of(scale, options, first.excluded_positions, first.navigation_shape)
    check_size(choices.n_components, sources)
    facts = model.survey_all(sources)
    for source in sources:
        if not source.passive:
            check_facts(source, facts[source.modality.name])
    sources, scale = leave_out_empty(sources, facts, scale)
    check_size(choices.n_components, sources)
    scores = model.compress_all(sources, facts, scale, seed)
    for source in sources:
        check_values(source, facts[source.modality.name])
    natives = dict(zip(options.names, signals, strict=True))
    h = HypermodalSignal.from_fusion(scores, model.unmix(scores, choices), natives, choices)
    h.write_back()
    return h


def fuse_method(self: BaseSignal, *others: BaseSignal, **options: Any) -> HypermodalSignal:
    """Decompose this signal and others of the same scan together.

    Same as ``hyperfuse_hs.fuse([signal, *others], **options)``, see there for the options.

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
