"""Errors and correlations, as methods of the signal of a fusion."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs import associations, features, inputs
from hyperfuse_hs.feasibility import check_component
from hyperfuse_hs.features import Feature
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.regions import region_channels
from hyperfuse_hs.residuals import Residuals, compare
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.steady import SteadyFusion

RATE = 0.05
"""Part of what is called significant that may be there by chance."""


class Correlation(NamedTuple):
    """What goes with a feature, as signals of the native class of a modality.

    Attributes
    ----------
    correlation
        Of the map of the feature with that of each channel, noise of the channel included.
    slope
        Counts of the channel per count of the feature (per unit of a component).
    z
        Normal deviate that is as improbable by chance.
    significant
        True where it stands out of chance.
    """

    correlation: BaseSignal
    slope: BaseSignal
    z: BaseSignal
    significant: BaseSignal


class CanonicalCorrelations(NamedTuple):
    """Largest canonical correlations of pairs of modalities, as signals of M x M numbers.

    Attributes
    ----------
    correlation
        Between 0 and 1; 1 on the diagonal. NaN for modalities without scores, as passive ones.
    z
        Normal deviate that is as improbable by chance; infinite on the diagonal.
    significant
        True where it stands out of chance.
    """

    correlation: BaseSignal
    z: BaseSignal
    significant: BaseSignal


class MeasuredFusion(SteadyFusion):
    """Signal of a fusion that says how certain things are, and what goes with what."""

    def get_residual(self, m: Any, show_progressbar: bool | None = None) -> BaseSignal:
        """Map of the squared residual over the variance of the noise, in one pass over the data.

        Parameters
        ----------
        m
            Name of the modality, or its signal.
        show_progressbar
            None: as `hyperfuse_hs.fuse` was told.

        Returns
        -------
        BaseSignal
            About 1 where the model fits. NaN where excluded. The noise of
            a passive modality, unless it was given, is what the others cannot explain of it: its
            map tells where it fits worse than elsewhere, not how well it fits.

        Raises
        ------
        ValueError
            The native data are not there.

        Notes
        -----
        A reduced chi-squared, with weights for channels: inverse variances, about. The variance is
        the noise model's: of counts, that of the counts to be expected, from factors fitted without
        constraints, as those that are never negative expect too many where there are few. That
        the factors follow a part of the noise is taken into account.
        """
        self._whole()
        return self._residual_signals(self._name(m), show_progressbar)[0]

    def get_channel_residual(self, m: Any, show_progressbar: bool | None = None) -> BaseSignal:
        """Squared residual of each channel over the variance of its noise, in one pass.

        Parameters
        ----------
        m
            Name of the modality, or its signal.
        show_progressbar
            None: as `hyperfuse_hs.fuse` was told.

        Returns
        -------
        BaseSignal
            Of the native class. About 1 where the model fits; NaN in excluded channels, and in
            those without any counts. Above 1 in the channels of what the components lack. See
            `get_residual`.

        Raises
        ------
        ValueError
            The native data are not there.
        """
        self._whole()
        return self._residual_signals(self._name(m), show_progressbar)[1]

    def _residual_signals(
        self, name: str, show_progressbar: bool | None = None
    ) -> tuple[BaseSignal, BaseSignal]:
        """Map and channels of the residual, in one pass."""
        found, title = self._residuals(name, show_progressbar), f"Reduced residual of {name}"
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager.navigation_axes[::-1]]
        data = found.positions.reshape(self._whole().navigation_shape)
        channels = self._channel_signal(name, found.channels, title)
        return templates.map_signal(data, axes, None, title), channels

    def _residuals(self, name: str, show_progressbar: bool | None = None) -> Residuals:
        assert self._scores is not None
        return compare(self._scores, self._whole(), self._modality(name, show_progressbar))

    def _modality(self, name: str, show_progressbar: bool | None = None) -> Modality:
        if name not in self._natives:
            raise ValueError(
                f"The data of {name} are not there: files of fusions refer to them only. Load the "
                f'signal and use h.attach("{name}", signal).'
            )
        part = self._fusion().modalities[name]
        native, watch = self._natives[name], self._watch(show_progressbar)
        return inputs.as_modality(name, native, self._fusion().excluded, part.excluded, watch)

    def correlate(
        self,
        m: Any = None,
        n: Any = None,
        region: Any = None,
        *,
        beyond: Any = None,
        rate: float = RATE,
    ) -> Correlation | CanonicalCorrelations:
        """Correlate a feature of one modality with every channel of another.

        The map of the feature is made of the significant scores of modality m alone, the
        products with modality n are taken from its projection: no data are read. Where the local
        intensity varies it is divided out. Noise of m and n is independent, so a correlation is
        no consequence of the fusion.

        Parameters
        ----------
        m
            Modality of the feature, by name or signal; it must not be passive.
        n
            The other modality.
        region
            The feature: a range of the signal axis ``(low, high)`` in its units, a mask or ROI of
            the signal space (total intensity), True for all of it (of an image, its intensity), or
            the number of a component (its map as far as m sees it; components were found from
            leading modalities, n perhaps among them). None: the largest canonical correlation of
            every pair of modalities, or of m and n if given.
        beyond
            A second region of modality m. What goes along with it is taken out of the feature:
            the region of a shoulder beyond that of its whole edge tells where the shoulder is
            higher than the edge makes expect.
        rate
            Expected part of the significant channels (or pairs) that are so by chance.

        Returns
        -------
        Correlation or CanonicalCorrelations
            A named tuple of signals: `correlation`, `slope` (with a region), `z`, `significant`.
            NaN in excluded channels. Those of pairs have the names in ``metadata.Modalities``.

        Raises
        ------
        ValueError
            No such modality, region or component; one modality, or the same twice; nothing in the
            region stands out of the noise; or a rate that is not between 0 and 1.

        Notes
        -----
        Maps that vary smoothly agree by chance more often than noise does. How often follows from
        the autocovariance of the feature and of the signal of n (Clifford, Richardson and Hémon,
        Biometrics 45, 123 (1989)), the noise of n from its noise model; z is Student's
        deviate for the number of positions that then count (Dutilleul, Biometrics 49, 305 (1993)),
        as a normal one. The scan should be several times as large as what is seen on it.

        What is significant is chosen by Benjamini and Hochberg (1995). The rate holds for channels
        that are independent or depend on each other positively, as those that follow the same
        maps do: they stand out together or not at all. On a single specimen, many false channels
        may then come at once, although rarely; the rate is a mean over specimens.

        What only modality n sees of the specimen, but does not stand out of its noise (or, where
        n is passive, is not seen by the others), counts as noise that is independent from
        position to position.
        """
        self._whole()
        check_rate(rate)
        if region is None:
            if beyond is not None:
                raise ValueError(
                    f"Expected a region to look beyond {beyond!r} with. Got none: use "
                    "h.correlate(m, n, region, beyond=...)."
                )
            return self._canonical(m, n, rate)
        if m is None or n is None:
            raise ValueError(
                "Expected two modalities with a region: that of the feature, and the other one. "
                'Got one or none: use h.correlate("EELS", "EDS", region=...).'
            )
        name, other = self._name(m), self._name(n)
        if name == other:
            raise ValueError(
                f"Expected two different modalities. Got {name} twice: the channels of one "
                "modality share their noise."
            )
        return self._correlation(self._feature(name, region, beyond), other, rate)

    def _feature(self, name: str, region: Any, beyond: Any = None) -> Feature:
        result, scores = self._whole(), self._scores
        assert scores is not None
        loading = self._loading(name, region)
        other = None if beyond is None else self._loading(name, beyond)
        return features.make_feature(scores, result, name, loading, other)

    def _loading(self, name: str, region: Any) -> NDArray[np.float64]:
        """How a feature is made of the scores of its modality."""
        result, scores = self._whole(), self._scores
        assert scores is not None
        whole = isinstance(region, bool | np.bool_)
        if isinstance(region, Real | np.number) and not whole:
            number = check_component(result, region, 1)
            return features.component_loading(scores, result, name, number)
        part = result.modalities[name]
        if whole and region:
            return features.region_loading(scores, result, name, ~part.excluded)
        template = self._templates[name]
        axes = [] if templates.is_image(template) else templates.axes_of(template, navigate=False)
        channels = region_channels(part, axes, region)
        return features.region_loading(scores, result, name, channels)

    def _correlation(self, feature: Feature, name: str, rate: float) -> Correlation:
        result, scores = self._whole(), self._scores
        assert scores is not None
        found = associations.associate(scores, result, feature, name, rate)
        about = {"feature_of": feature.name, "reliability": feature.reliability, "rate": rate}
        arrays = (found.correlation, found.slope, found.z, found.significant)
        quantities = ("Correlation", f"Slope per unit of {feature.name}", "z", "Significant")
        signals = []
        for values, quantity in zip(arrays, quantities, strict=True):
            title = f"{quantity} of {name} with a feature of {feature.name}"
            signal = self._channel_signal(name, values, title)
            signal.metadata.set_item("Signal.quantity", quantity)
            signal.metadata.set_item("Correlation", dict(about))
            signals.append(signal)
        return Correlation(*signals)

    def _channel_signal(self, name: str, values: NDArray[Any], title: str) -> BaseSignal:
        """Make a signal of a number for each channel, of the native class."""
        template = self._templates[name]
        shape = self._fusion().modalities[name].signal_shape or (1,)
        own = None if templates.is_image(template) else templates.axes_of(template, navigate=False)
        own = own or [{"size": 1, "name": "Channel", "navigate": False}]
        return templates.make_signal(values.reshape(shape), own, template, title)

    def _canonical(self, m: Any, n: Any, rate: float) -> CanonicalCorrelations:
        result, scores = self._whole(), self._scores
        assert scores is not None
        given = [self._name(each) for each in (m, n) if each is not None]
        names = list(dict.fromkeys(given)) if given else self.modalities
        if len(names) < 2:
            raise ValueError(f"Expected two different modalities at least. Got {names}.")
        found = associations.correlate_all(scores, result, names, rate)
        signals = []
        for values, title in zip(
            (found.correlation, found.z, found.significant),
            ("Canonical correlation", "z of canonical correlation", "Significant"),
            strict=True,
        ):
            axes = [{"size": len(names), "name": "Modality", "navigate": False} for _ in range(2)]
            signal = templates.make_signal(values, axes, None, title)
            signal.metadata.set_item("Modalities", names)
            signals.append(signal)
        return CanonicalCorrelations(*signals)


def check_rate(rate: Any) -> None:
    """Refuse a rate of false discoveries that is none.

    Raises
    ------
    ValueError
        It is not between 0 and 1.
    """
    if not isinstance(rate, Real) or not 0 < float(rate) < 1:
        raise ValueError(f"Expected a rate between 0 and 1. Got {rate!r}.")
