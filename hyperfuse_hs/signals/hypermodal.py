"""The result of a fusion as a HyperSpy signal: abundances, and everything behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import LazySignal

from hyperfuse_hs import express, inputs, model
from hyperfuse_hs import options as options_
from hyperfuse_hs.checks import refuse_not_finite
from hyperfuse_hs.choices import choices_for
from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.purification import purified
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.figures import PlottedFusion
from hyperfuse_hs.signals.report import abundance_quantity, native_results, summary
from hyperfuse_hs.writeback import write_back_all


class HypermodalSignal(PlottedFusion):
    """Abundances of the components that several signals of one scan share.

    Made by ``signal.fuse(...)`` or ``hyperfuse_hs.fuse([...])``. Navigation axes are the scan, the
    signal axis counts components, from 0.
    """

    _signal_type = "hypermodal"
    _signal_dimension = 1

    # -- reading ----------------------------------------------------------------------------------

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the order of fusion."""
        return list(self._fusion().modalities)

    def __repr__(self) -> str:
        """Text of HyperSpy, then a line a modality."""
        text = super().__repr__()
        return text if self._result is None else f"{text}\n{summary(self._result)}"

    def summary(self) -> str:
        """Role, noise, rank, share of variance, passes and time of each modality, as text."""
        return summary(self._fusion())

    def get_abundances(self) -> BaseSignal:
        """Abundance maps.

        Returns
        -------
        BaseSignal
            Navigation axis = component, the scan as signal space. NaN where excluded.
            ``metadata.Signal.quantity`` says what they are: "thickness fractions", or "count
            fractions of" the first signal where the intensity was taken from its counts.
        """
        result = self._fusion()
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager.navigation_axes[::-1]]
        maps = np.moveaxis(np.asarray(self.data), -1, 0).copy()
        leading = templates.component_axis(len(maps))
        signal = templates.map_signal(maps, axes, leading, "Abundances")
        signal.metadata.set_item("Signal.quantity", abundance_quantity(result))
        return signal

    def get_factors(self, m: Any) -> BaseSignal:
        """Spectrum or pattern of each component in one modality, in its units.

        Parameters
        ----------
        m
            Name of the modality, or its signal.

        Returns
        -------
        BaseSignal
            Of the native class, navigation axis = component. NaN in excluded channels.
        """
        name = self._name(m)
        part = self._fusion().modalities[name]
        template = self._templates[name]
        title = f"Factors of {name}"
        return templates.factor_signal(part.factors.copy(), part.signal_shape, template, title)

    def get_model(self, m: Any) -> BaseSignal:
        """Dataset of one modality as the components describe it, without noise.

        Parameters
        ----------
        m
            Name of the modality, or its signal.

        Returns
        -------
        BaseSignal
            Lazy, of the native class.
        """
        result = self._whole()
        name = self._name(m)
        part = result.modalities[name]
        loadings = part.scale[:, None] * result.abundances
        return templates.model_signal(
            loadings,
            part.factors,
            result.navigation_shape,
            part.signal_shape,
            self._templates[name],
            f"Model of {name}",
        )

    def get_faces(self) -> BaseSignal:
        """Probability that a probe position lies on each face of the simplex.

        Returns
        -------
        BaseSignal
            Navigation axis = face, the scan as signal space. Which components are present on the
            faces is in ``metadata.Hypermodal_faces``, as text such as ``"0,2"``.

        Raises
        ------
        ValueError
            The components were not found by ``unmixing="face_mixture"``.
        """
        result = self._whole()
        if "purified" in result.options:
            raise ValueError(
                "Expected components as the face mixture found them. Purified ones have no faces: "
                "ask the result that purify was called on."
            )
        if result.face_posterior is None or result.face_sets is None:
            raise ValueError(
                'Expected components found with unmixing="face_mixture", two at least. Got '
                f'{result.n_components} with "{result.options["unmixing"]}". Use '
                'h.unmix(unmixing="face_mixture").'
            )
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager.navigation_axes[::-1]]
        data = result.face_posterior.T.reshape(-1, *result.navigation_shape).copy()
        leading = {**templates.component_axis(len(data)), "name": "Face"}
        signal = templates.map_signal(data, axes, leading, "Faces")
        faces = [",".join(map(str, face)) for face in result.face_sets]
        signal.metadata.set_item("Hypermodal_faces", faces)
        return signal

    # -- again and further ------------------------------------------------------------------------

    def unmix(self, **options: Any) -> HypermodalSignal:
        """Unmix anew from the cached scores: no data are read.

        Parameters
        ----------
        **options
            ``n_components``, ``roles``, ``weights``, ``unmixing``, ``abundances`` and
            ``random_state`` as in `hyperfuse_hs.fuse`; what is not given stays.

        Returns
        -------
        HypermodalSignal
            A new one; its `write_back` writes it onto the native signals.
        """
        self._whole()
        scores, choices = self._scores, self._choices
        assert scores is not None and choices is not None
        names = self.modalities
        reader = options_.Options(names, [self._natives.get(name) for name in names])
        unread = [name for name, part in scores.modalities.items() if not part.scores.size]
        choices = choices_for(reader, choices, options, unread)
        with concerning("n_components"):
            result = model.unmix(scores, choices)
        h = HypermodalSignal._wrap(scores, result, self._templates, self._natives, choices)
        h._asked, h._show_progressbar = self._asked, self._show_progressbar
        return h

    def couple(
        self,
        signal: BaseSignal,
        name: str | None = None,
        *,
        show_progressbar: bool | None = None,
    ) -> HypermodalSignal:
        """Add a signal that only receives factors, in one pass over it.

        Parameters
        ----------
        signal
            With the same scan.
        name
            Of the new modality; by default as `hyperfuse_hs.fuse` names it.
        show_progressbar
            None: as `hyperfuse_hs.fuse` was told.

        Returns
        -------
        HypermodalSignal
            This one, changed in place; the learning results of `signal` are written.

        Raises
        ------
        ValueError
            Another scan, a name that is taken, a signal that is in the fusion already, or values
            that are not finite. Nothing is changed then.
        """
        result, scores = self._whole(), self._scores
        assert scores is not None
        modality = self._new_modality(signal, name)
        modality.watch = self._watch(show_progressbar)
        facts, wider = express.with_passive(scores, modality)
        refuse_not_finite(modality, facts)
        more = express.fit_passive(wider, result, modality.name)
        self._scores, self._result = wider, more
        self._natives[modality.name] = signal
        self._templates[modality.name] = templates.template_of(signal, modality.name)
        write_back_all([(signal, native_results(more, modality.name))])
        return self

    def _new_modality(self, signal: BaseSignal, name: str | None) -> Modality:
        result = self._fusion()
        options_.check_signals([signal])
        scan = self.axes_manager.navigation_shape
        inputs.check_scan(self.modalities[0], scan, signal)
        for known, native in self._natives.items():
            if native is signal:
                raise ValueError(
                    f"Expected a signal that is not in the fusion. Got the one of {known} again."
                )
        chosen = name or options_.free_name(options_.automatic_name(signal), result.modalities)
        if chosen in result.modalities:
            raise ValueError(
                f"Expected a name other than {self.modalities}. Got {chosen!r}. Give one: name=..."
            )
        data, ndim = inputs.arranged(signal)
        none = np.zeros(int(np.prod(data.shape[ndim:])), dtype=bool)
        watch = self._watch(None)
        modality = inputs.as_modality(chosen, signal, result.excluded, none, watch)
        inputs.warn_of_huge_chunks(modality)
        return modality

    def attach(self, m: str, signal: BaseSignal) -> None:
        """Give a modality its native signal again, e.g. after loading.

        Parameters
        ----------
        m
            Name of the modality.
        signal
            The signal that was fused, or a copy of it.

        Raises
        ------
        ValueError
            It has other shapes than the one fused.
        TypeError
            It is no signal of real numbers.
        """
        name = self._name(m)
        options_.check_signals([signal])
        part, scan = self._fusion().modalities[name], self._fusion().navigation_shape
        data, ndim = inputs.arranged(signal)
        if (data.shape[:ndim], data.shape[ndim:]) != (scan, part.signal_shape):
            raise ValueError(
                f"Expected for {name} the signal that was fused, with data of shape "
                f"{scan} + {part.signal_shape}. Got {data.shape[:ndim]} + {data.shape[ndim:]} "
                "(navigation + signal)."
            )
        self._natives[name] = signal

    def purify(self, component: int, m: Any = None, region: Any = None) -> HypermodalSignal:
        """Subtract other components from one until it has nothing left of a feature.

        Parameters
        ----------
        component
            Which one, counted from 0.
        m
            Modality of the feature; None with `region` None.
        region
            Range of the signal axis ``(low, high)`` in its units (net of a straight background
            through as many of the neighbouring channels as fit one), or a mask or ROI of the
            signal space (total intensity). None: to the far end of `feasible_range`.

        Returns
        -------
        HypermodalSignal
            A new one in which the other abundances take over what was subtracted.

        Raises
        ------
        ValueError
            No such component, region or modality, or the feature cannot be removed.
        """
        result = self._whole()
        name = None if m is None else self._name(m)
        assert self._scores is not None and self._choices is not None
        pure = purified(self._scores, result, self._templates, component, name, region)
        h = HypermodalSignal._wrap(
            self._scores, pure, self._templates, self._natives, self._choices
        )
        h._asked, h._show_progressbar = self._asked, self._show_progressbar
        if self._purifications or "purified" not in result.options:
            h._purifications = (*self._purifications, (component, name, region))
        return h

    def write_back(self) -> None:
        """Write the result onto every native signal, as HyperSpy's learning results.

        Coupled principal components go to ``factors`` and ``loadings``, the unmixed components to
        ``bss_factors`` and ``bss_loadings``, in the units of the data. The loadings are the
        abundances times the local intensity, so that ``get_bss_model`` describes the data.
        """
        result = self._whole()
        write_back_all(
            (signal, native_results(result, name)) for name, signal in self._natives.items()
        )


class LazyHypermodalSignal(LazySignal, HypermodalSignal):
    """Hypermodal signal whose abundances are a dask array, e.g. loaded lazily."""
