"""Factors over several ranges, predictions and identification, as methods of a fusion's signal."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs import extended, identification, inputs, options, prediction, profiles
from hyperfuse_hs import references as references_
from hyperfuse_hs.errors import misfit_variance
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.identification import Identification
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.statistics import MeasuredFusion


class ExtendedFusion(MeasuredFusion):
    """Signal of a fusion that says more than was measured in one place."""

    def get_extended_factors(
        self, names: Sequence[Any], gains: Mapping[Any, float] | None = None
    ) -> BaseSignal:
        """Join the spectra of each component over the ranges of several modalities.

        Abundances are shared, so the factors of all modalities are spectra of the same amount of
        the same component. Values are divided by the width of their channels: they are intensities
        per unit of energy, at a position of mean intensity that is the component alone (abundance
        one), as counted by the modality named first.

        Spectra of the same kind (two ranges of EELS, say; the signal type tells, or the name of a
        plain signal) that overlap are brought to one scale by
        a gain, fitted in the overlap with the errors of both, and joined by least squares with
        inverse variances as weights: channels keep the width of the finer spectrum, and what the
        coarser one says of their sum counts. Spectra of different kinds count different events and
        cannot be averaged: where both are, the one named first is shown, and their intensities
        keep the units of their data (unless `gains` are given).

        Parameters
        ----------
        names
            Two modalities or more, by name or signal, in order of precedence. Spectra whose axes
            have units that can be converted into each other; the first gives those of the result.
        gains
            By name or signal, factors on the intensity of modalities, where known: no gain is
            fitted to these.

        Returns
        -------
        BaseSignal
            Navigation axis = component. Of the native class where all modalities are of one kind,
            otherwise a plain spectrum. The axis is not uniform where the channels of the
            modalities differ or their ranges leave a gap. NaN where channels are excluded.
            ``metadata.Signal.Noise_properties.variance`` has the squared standard errors,
            ``metadata.Extended_factors`` has the ``gains`` that each modality was multiplied by;
            the ``differences`` of those that were joined, where they overlap (root mean square,
            over their standard errors: about one where they meet); and those ``apart``, which
            overlap but are of different kinds.

        Raises
        ------
        ValueError
            Fewer than two modalities, patterns or images, other units, or a range within that of
            another kind.
        TypeError
            `gains` are no dict of numbers.

        Warns
        -----
        UserWarning
            Overlapping spectra differ more than their errors say, or too little was counted to
            compare them.
        """
        result = self._whole()
        listed = [names] if isinstance(names, str | BaseSignal) else list(names)
        chosen = [self._name(m) for m in listed]
        own = {name: templates.signal_axes(self._templates[name]) for name in chosen}
        units = extended.check_ranges(chosen, own)
        if isinstance(gains, Mapping):
            gains = {self._name(m): gain for m, gain in gains.items()}
        known = extended.check_gains(gains, chosen)
        ranges = [
            extended.Range(
                name,
                extended.kind_of(self._templates[name]["metadata"]["Signal"]["signal_type"], name),
                own[name][0],
                result.modalities[name].factors,
                self._factor_variance(name),
            )
            for name in chosen
        ]
        found = extended.extend(ranges, units, known)
        one_kind = len({entry.kind for entry in ranges}) == 1
        template = self._templates[chosen[0]] if one_kind else None
        axis_names = {own[name][0].get("name") for name in chosen}
        axis_name = axis_names.pop() if len(axis_names) == 1 else "Energy"
        return _extended_signal(found, str(axis_name), template, chosen)

    def predict(
        self,
        m: Any,
        *,
        from_: Any,
        signal: BaseSignal | None = None,
        show_progressbar: bool | None = None,
    ) -> BaseSignal:
        """Predict what one modality measures, from the data of another, in one pass over these.

        The amounts of the components at each position are fitted to its data alone, with their
        noise as weight, not negative and with a free local intensity (dose, thickness). What the
        data cannot tell is filled in by what is usual: the mean and covariance of the proportions
        found in the fusion, as in a linear estimate of least mean square error. The amounts times
        the factors of `m` are the prediction.

        Parameters
        ----------
        m
            Modality to predict, by name or signal.
        from_
            Modality whose data to use, by name or signal.
        signal
            Data of that kind, with the same channels, of any scan; None for those that were fused,
            including positions that were excluded from the fusion, e.g. as `m` was not there.
        show_progressbar
            None: as `hyperfuse_hs.fuse` was told.

        Returns
        -------
        BaseSignal
            Lazy, of the native class of `m`, with the scan of the data, in the units of `m` at the
            dose of the fusion; NaN where the data are not finite.
            ``metadata.Signal.Noise_properties.variance`` is the variance of the predicted mean,
            lazy too: of the noise of the data and what they cannot tell, and of the errors of the
            factors of `m`. It includes neither the noise that a measurement would have, nor what
            varies besides the components, such as the orientation of the crystal at a position.

        Raises
        ------
        ValueError
            Unknown modalities, the same one twice, data that are not there or have other channels.
        TypeError
            `signal` is no signal of real numbers.
        """
        result = self._whole()
        name, source = self._name(m), self._name(from_)
        if name == source:
            raise ValueError(
                f"Expected two modalities: one to predict, from_= another. Got {name} twice. What "
                f'{name} shows without noise is h.get_model("{name}").'
            )
        data = self._data_like(source, signal)
        data.watch = self._watch(show_progressbar)
        assert self._scores is not None
        found = prediction.predict(self._scores, result, name, source, data)
        native = self._templates[source] if signal is None else templates.template_of(signal, "")
        return _predicted_signal(
            found,
            data.navigation_shape,
            result.modalities[name].signal_shape,
            templates.on_scan(self._templates[name], native),
            f"{name} predicted from {source}",
        )

    def identify(
        self,
        m: Any,
        references: Any,
        *,
        tolerance: float | None = None,
        disk_radius: float | None = None,
        random_state: Any = None,
    ) -> Identification:
        """Rank references by how much the factors of a modality look like them.

        The score is the correlation of factor and reference, with weights from the errors of the
        factor, after what a smooth background explains is taken out of both: 1 where they agree
        up to intensity and background. Spectra may be shifted. Patterns are averaged over circles
        and compared outside the direct disk, as the root of the intensity times the scattering
        vector; their camera length may err. Errors come from drawing the factors anew.

        Parameters
        ----------
        m
            Name of the modality, or its signal: spectra or diffraction patterns.
        references
            Dict by name, or a list. For spectra: signals with one spectrum each. For patterns:
            patterns, radial profiles, or crystals as CIF files, structures of diffpy or phases of
            orix, whose powder patterns diffsims simulates (extra ``diffraction``).
        tolerance
            Largest shift of the energy axis, in its units (default: two channels), or relative
            error of the camera length (default 0.02).
        disk_radius
            Of the diffraction disks, in the units of the pattern; default: from beam energy and
            convergence angle in the metadata, or else two pixels.
        random_state
            Seed or generator of the draws.

        Returns
        -------
        Identification
            Prints as a table; ``.best`` names each component, ``[k]`` ranks all for component k.

        Raises
        ------
        ValueError
            Unknown modality, an image, references in other units or of another range, or no
            reference.
        TypeError
            A reference is nothing that can be compared.
        ImportError
            References are crystals, and diffsims is not installed.
        """
        self._whole()
        name = self._name(m)
        axes = templates.signal_axes(self._templates[name])
        found = references_.named(references)
        rng = np.random.default_rng(random_state)
        units = axes[-1].get("units") if axes else None
        if len(axes) == 1:
            subject = profiles.spectral_subject(
                axes[0], self.get_factors(name).data, self._factor_variance(name)
            )
            curves: list[Any] = [
                references_.spectrum(key, item, units) for key, item in found.items()
            ]
        elif len(axes) == 2:
            subject = self._patterns(name, axes, disk_radius)
            largest = float(subject.edges[-1, 1]) + 2 * subject.disk
            curves = [references_.pattern(key, item, units, largest) for key, item in found.items()]
        else:
            raise ValueError(
                f"Expected spectra or diffraction patterns to identify. Got {name}, which has "
                f"{len(axes)} signal axes."
            )
        allowed = identification.check_tolerance(tolerance, subject)
        return identification.identify(subject, curves, name, allowed, rng)

    def _patterns(
        self, name: str, axes: list[dict[str, Any]], disk_radius: float | None
    ) -> profiles.Subject:
        """Average the patterns of a modality over circles, with both kinds of error."""
        result, shape = self._fusion(), self._fusion().modalities[name].signal_shape
        assert self._scores is not None
        estimate = estimate_factors(self._scores, result, name)
        white = np.maximum(self._factor_variance(name) - misfit_variance(estimate), 0.0)
        # References are of all orientations, so it counts what crystals elsewhere would give.
        common = misfit_variance(estimate, everywhere=True)
        tem = self._templates[name]["metadata"].get("Acquisition_instrument", {}).get("TEM", {})
        disk = profiles.disk_of(axes, tem, disk_radius)
        factors, white, common = (
            v.reshape(-1, *shape) for v in (result.modalities[name].factors, white, common)
        )
        return profiles.radial_subject(axes, factors, white, common, disk)

    def _data_like(self, name: str, signal: BaseSignal | None) -> Modality:
        """Read a signal as data of a modality, at all of its positions."""
        if signal is None:
            fused: Modality = self._modality(name)
            return replace(fused, excluded_positions=np.zeros_like(fused.excluded_positions))
        options.check_signals([signal])
        prediction.check_signal(name, templates.signal_axes(self._templates[name]), signal)
        shape = inputs.arranged(signal)[0].shape[: inputs.arranged(signal)[1]]
        none = np.zeros(int(np.prod(shape)), dtype=bool)
        excluded = self._fusion().modalities[name].excluded
        return inputs.as_modality(name, signal, none, excluded, self._watch(None))

    def _factor_variance(self, name: str) -> NDArray[Any]:
        """Squared standard errors of factors, ``(p, C_all)``."""
        errors = self._factor_errors(name, None).data
        return errors.reshape(len(errors), -1) ** 2


def _extended_signal(
    found: extended.Extended,
    axis_name: str,
    template: dict[str, Any] | None,
    names: Sequence[str],
) -> BaseSignal:
    """Make a signal of joined factors, with their variance."""
    about = {"navigate": False, "name": axis_name, "units": found.units}
    if found.uniform:
        step = (found.centres[-1] - found.centres[0]) / (found.centres.size - 1)
        about |= {"size": found.centres.size, "offset": found.centres[0], "scale": step}
    else:
        about |= {"axis": found.centres}
    if template is not None:
        template = copy.deepcopy(template)
        template["metadata"]["Signal"].pop("quantity", None)
    axes = [templates.component_axis(len(found.factors)), about]
    title = "Factors over " + " and ".join(names)
    signal = templates.make_signal(found.factors, axes, template, title)
    signal.set_noise_variance(
        templates.make_signal(found.variance, axes, template, f"Variance of {title}")
    )
    signal.metadata.set_item("Signal.quantity", f"Intensity (counts/{found.units})")
    about_join = {"gains": found.gains, "differences": found.differences, "apart": found.apart}
    signal.metadata.set_item("Extended_factors", about_join)
    return signal


def _predicted_signal(
    found: prediction.Prediction,
    scan: tuple[int, ...],
    shape: tuple[int, ...],
    template: dict[str, Any],
    title: str,
) -> BaseSignal:
    """Make lazy signals of a prediction and its variance."""
    signal = templates.model_signal(found.amounts, found.factors, scan, shape, template, title)
    variance = templates.model_signal(
        found.squares, found.spreads, scan, shape, template, f"Variance of {title}"
    )
    signal.set_noise_variance(variance)
    return signal
