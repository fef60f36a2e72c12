"""Standard errors of factors and abundances, as signals."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs import errors, resampling
from hyperfuse_hs.lead_noise import LeadNoise, lead_noise
from hyperfuse_hs.resampling import Resampled
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.ranges import RangedFusion
from hyperfuse_hs.signals.report import abundance_quantity

REPETITIONS = 100
"""How often to unmix again."""


class UncertainFusion(RangedFusion):
    """Signal of a fusion that knows the errors of its components."""

    _noise: LeadNoise | None = None

    def get_factor_errors(self, m: Any) -> BaseSignal:
        """Estimate standard errors of the factors of one modality.

        Three errors are added in squares:

        * the noise of the data, for the abundances found;
        * the noise of the abundances, for the endmembers found;
        * where a modality varies in other ways than the components explain, such as diffraction
          patterns of crystals that are oriented differently, the factor is a mean over what is
          there. How far it may be from that of many more of the kind follows from how much the
          modality varies and over what distance positions are alike (Conley, J. Econometrics 92, 1
          (1999)).

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
        result = self._whole()
        assert self._scores is not None
        if resampled is None:
            found = errors.factor_errors(self._scores, result, name, self._lead_noise())
        else:
            moments = resampled.factor_moments()
            found = errors.factor_errors(self._scores, result, name, resampled.noise, moments)
        shape, template = result.modalities[name].signal_shape, self._templates[name]
        return templates.factor_signal(found, shape, template, f"Errors of factors of {name}")

    def _abundance_errors(self, resampled: Resampled | None) -> BaseSignal:
        result = self._whole()
        noise = self._lead_noise() if resampled is None else resampled.noise
        found: NDArray[np.float64] = errors.abundance_errors(result, noise)
        if resampled is not None:
            found = np.sqrt(found**2 + resampled.abundance_variance(result.abundances))
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager.navigation_axes[::-1]]
        maps = found.T.reshape(-1, *result.navigation_shape).copy()
        leading = templates.component_axis(len(maps))
        signal = templates.map_signal(maps, axes, leading, "Errors of abundances")
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
