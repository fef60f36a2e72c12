"""Standard errors of factors and abundances, as signals."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs import errors, intervals, resampling
from hyperfuse_hs.algorithms.factor_noise import FactorEstimate
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.lead_noise import LeadNoise, lead_noise
from hyperfuse_hs.resampling import Resampled
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.ranges import RangedFusion
from hyperfuse_hs.signals.report import abundance_quantity

Floats = NDArray[np.float64]

REPETITIONS = 100
"""How often to unmix again."""

LEVEL = 0.95
"""Part of the intervals that holds the truth, unless another is asked for."""


class UncertainFusion(RangedFusion):
    """Signal of a fusion that knows the errors of its components."""

    _noise: LeadNoise | None = None

    def get_factor_errors(self, m: Any) -> BaseSignal:
        """Estimate standard errors of the factors of one modality.

        Three errors are added in squares:

        * the noise of the data, for the abundances found;
        * the noise of the abundances, for the endmembers found;
        * where a modality varies in other ways than the components explain, such as diffraction
          patterns of crystals that are oriented differently, least squares weigh positions
          otherwise than by the amount of the component at them. How far the factor may be from the
          mean over the component in this scan follows from how much the modality varies and over
          what distance positions are alike (Conley, J. Econometrics 92, 1 (1999)).

        So the error of a diffraction pattern is about the crystals that are in the scan: of the
        pattern of a powder, a few dozen crystals tell far less than that. It is an error of the
        pattern as a whole; of single components it may be half or twice as large, the more so the
        fewer crystals there are.

        That the endmembers themselves are uncertain is counted by `bootstrap`.

        Parameters
        ----------
        m
            Name of the modality, or its signal.

        Returns
        -------
        BaseSignal
            As from `get_factors`: native class, navigation axis = component, NaN in excluded
            channels.
        """
        return self._factor_errors(self._name(m), None)

    def get_abundance_errors(self) -> BaseSignal:
        """Estimate standard errors of the abundances: root mean squares.

        The noise of the denoised scores, through the fit with its constraints, for the endmembers
        found. Within a face of the simplex errors are normal. At a position where a component is
        absent, or alone, constraints let them go one way only, and half of the time to zero: an
        interval of one error then holds the truth in about 80 %, of 1.96 errors in about 93 %.

        Returns
        -------
        BaseSignal
            As from `get_abundances`: navigation axis = component, NaN where excluded.
        """
        return self._abundance_errors(None)

    def get_factor_interval(self, m: Any, level: float = LEVEL) -> tuple[BaseSignal, BaseSignal]:
        """Confidence intervals of the factors of one modality.

        So many standard errors of `get_factor_errors` either way; more where it is known from a few
        crystals only how much they differ (Student's distribution). Those of data that are never
        negative end at zero.

        Parameters
        ----------
        m
            Name of the modality, or its signal.
        level
            Part of the intervals that shall hold the truth.

        Returns
        -------
        lower, upper : BaseSignal
            Ends, as from `get_factors`; NaN in excluded channels.

        Raises
        ------
        TypeError, ValueError
            The level is no number from 0.5 to 0.999.
        """
        return self._factor_interval(self._name(m), level, None)

    def get_abundance_interval(self, level: float = LEVEL) -> tuple[BaseSignal, BaseSignal]:
        """Confidence intervals of the abundances.

        Abundances fitted with constraints do not have normal errors where a component is absent or
        alone. Intervals therefore start from the fit without constraints, and from the fact that
        the truth lies between 0 and 1: those of Feldman and Cousins (Phys. Rev. D 57, 3873 (1998))
        hold it as often as stated at pure positions as well, and are never empty.

        Parameters
        ----------
        level
            Part of the intervals that shall hold the truth.

        Returns
        -------
        lower, upper : BaseSignal
            Ends, as from `get_abundances`; NaN where excluded.

        Raises
        ------
        TypeError, ValueError
            The level is no number from 0.5 to 0.999.
        """
        return self._abundance_interval(level, None)

    def bootstrap(self, n: int = REPETITIONS, random_state: Any = None) -> Bootstrap:
        """Unmix simulated scores to see how uncertain the endmembers are.

        A specimen like the one found is given fresh noise and unmixed, n times: no data are read.
        The search starts from the endmembers found.

        Parameters
        ----------
        n
            How often, two times at least.
        random_state
            Seed or generator.

        Returns
        -------
        Bootstrap
            Has `get_factor_errors` and `get_abundance_errors` that include the endmembers.

        Raises
        ------
        ValueError
            n is less than two, or the components are not the corners of a simplex that was
            searched for.
        """
        result = self._whole()
        whole = isinstance(n, int | np.integer) and not isinstance(n, bool)
        if not whole or n < 2:
            raise ValueError(f"Expected a whole number of repetitions, 2 at least. Got {n!r}.")
        assert self._scores is not None and self._choices is not None
        rng = np.random.default_rng(random_state)
        return Bootstrap(
            self, resampling.resample(self._scores, result, self._choices, int(n), rng)
        )

    def _lead_noise(self) -> LeadNoise:
        result = self._whole()
        if self._noise is None:
            assert self._scores is not None and self._choices is not None
            self._noise = lead_noise(self._scores, result, self._choices)
        return self._noise

    def _factor_errors(self, name: str, resampled: Resampled | None) -> BaseSignal:
        return self._factor_signal(name, self._factor_deviation(name, resampled), "Errors")

    def _factor_deviation(
        self, name: str, resampled: Resampled | None, estimate: FactorEstimate | None = None
    ) -> Floats:
        result = self._whole()
        assert self._scores is not None
        noise, moments = (
            (self._lead_noise(), None)
            if resampled is None
            else (resampled.noise, resampled.factor_moments())
        )
        return errors.factor_errors(self._scores, result, name, noise, moments, estimate)

    def _factor_interval(
        self, name: str, level: float, resampled: Resampled | None
    ) -> tuple[BaseSignal, BaseSignal]:
        level = intervals.check_level(level)
        result = self._whole()
        assert self._scores is not None
        estimate = estimate_factors(self._scores, result, name)
        deviation = self._factor_deviation(name, resampled, estimate)
        lower, upper = intervals.factor_interval(
            self._scores, result, name, deviation, estimate, level
        )
        return (
            self._factor_signal(name, lower, f"{level:.4g} interval, lower end"),
            self._factor_signal(name, upper, f"{level:.4g} interval, upper end"),
        )

    def _factor_signal(self, name: str, values: Floats, what: str) -> BaseSignal:
        shape, template = self._fusion().modalities[name].signal_shape, self._templates[name]
        return templates.factor_signal(values, shape, template, f"{what} of factors of {name}")

    def _abundance_errors(self, resampled: Resampled | None) -> BaseSignal:
        result = self._whole()
        noise = self._lead_noise() if resampled is None else resampled.noise
        found: Floats = errors.abundance_errors(result, noise)
        if resampled is not None:
            found = np.sqrt(found**2 + resampled.abundance_variance(result.abundances))
        return self._abundance_signal(found, "Errors")

    def _abundance_interval(
        self, level: float, resampled: Resampled | None
    ) -> tuple[BaseSignal, BaseSignal]:
        result, level = self._whole(), intervals.check_level(level)
        noise = self._lead_noise() if resampled is None else resampled.noise
        more = None if resampled is None else resampled.abundance_variance(result.abundances)
        lower, upper = intervals.abundance_interval(result, noise, more, level)
        return (
            self._abundance_signal(lower, f"{level:.4g} interval, lower end"),
            self._abundance_signal(upper, f"{level:.4g} interval, upper end"),
        )

    def _abundance_signal(self, values: Floats, what: str) -> BaseSignal:
        result = self._fusion()
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager.navigation_axes[::-1]]
        maps = values.T.reshape(-1, *result.navigation_shape).copy()
        leading = templates.component_axis(len(maps))
        signal = templates.map_signal(maps, axes, leading, f"{what} of abundances")
        signal.metadata.set_item("Signal.quantity", abundance_quantity(result))
        return signal


class Bootstrap:
    """Errors that include the uncertainty of the endmembers, from `HypermodalSignal.bootstrap`.

    Parameters
    ----------
    fusion
        The result whose errors these are.
    resampled
        What came out of unmixing again.
    """

    def __init__(self, fusion: UncertainFusion, resampled: Resampled) -> None:
        self._fusion, self._resampled = fusion, resampled

    def __repr__(self) -> str:
        """Say how many repetitions there are, and of how many components."""
        n, p, _ = self._resampled.factors.shape
        return f"<Bootstrap, {n} repetitions, {p} components>"

    def get_factor_errors(self, m: Any) -> BaseSignal:
        """Estimate standard errors of the factors of one modality.

        Parameters
        ----------
        m
            Name of the modality, or its signal.

        Returns
        -------
        BaseSignal
            As from `HypermodalSignal.get_factor_errors`, with the errors (and bias) of abundances
            and endmembers together as they came out, in place of those of abundances alone.
        """
        return self._fusion._factor_errors(self._fusion._name(m), self._resampled)

    def get_abundance_errors(self) -> BaseSignal:
        """Estimate standard errors of the abundances.

        Returns
        -------
        BaseSignal
            As from `HypermodalSignal.get_abundance_errors`, those of the endmembers added.
        """
        return self._fusion._abundance_errors(self._resampled)

    def get_factor_interval(self, m: Any, level: float = LEVEL) -> tuple[BaseSignal, BaseSignal]:
        """Confidence intervals of the factors of one modality, as of the result itself.

        Parameters
        ----------
        m
            Name of the modality, or its signal.
        level
            Part of the intervals that shall hold the truth.

        Returns
        -------
        lower, upper : BaseSignal
            As from `HypermodalSignal.get_factor_interval`.
        """
        return self._fusion._factor_interval(self._fusion._name(m), level, self._resampled)

    def get_abundance_interval(self, level: float = LEVEL) -> tuple[BaseSignal, BaseSignal]:
        """Confidence intervals of the abundances, the errors of the endmembers added.

        Where one component is alone they are wider than they need be: those of 68 % hold the truth
        in about 73 %.

        Parameters
        ----------
        level
            Part of the intervals that shall hold the truth.

        Returns
        -------
        lower, upper : BaseSignal
            As from `HypermodalSignal.get_abundance_interval`.
        """
        return self._fusion._abundance_interval(level, self._resampled)
