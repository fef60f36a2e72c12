"""The range of a component that data and non-negativity leave open, as signals."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.feasibility import FeasibleRange, find_range, standing
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.stored import StoredFusion


class RangedFusion(StoredFusion):
    """Signal of a fusion that says how well its components are determined."""

    def feasible_range(self, component: int) -> dict[str, BaseSignal]:
        """Factors of a component at both ends of what data and non-negativity leave open.

        A component that is nowhere seen without another comes out with an unknown amount of that
        one mixed into it. The first end is the factor as found (minimum volume). At the other end
        as much of the others is subtracted as possible: more, and some factor of some modality
        would be negative beyond noise. What may be subtracted are components without which this
        one is never seen; where there are none, the factor is identified and both ends are alike.

        Parameters
        ----------
        component
            Which one, counted from 0.

        Returns
        -------
        dict
            By modality, a signal of the native class and axes with the navigation axis ``End``:
            [0] as found, [1] the other end; the amounts subtracted are common to all modalities.
            ``metadata.Signal.Noise_properties.variance`` has the squared standard errors for the
            abundances found. ``metadata.Feasible_range`` says in ``standing`` whether the
            component is identified; ``amounts`` are those of every component at the other end, in
            units of the factor as found before it was normalised, and ``limit`` is the modality
            that ends the range.

        Raises
        ------
        ValueError
            No such component, or nothing limits the range.

        Notes
        -----
        Non-negativity is tested in windows of 1, 2, 4, ... channels of every modality that does
        not merely support, at a common level of 5 %: if the true factors are not negative, their
        amounts lie inside in at least 95 % of cases (as far as the noise is known). See
        :mod:`hyperfuse_hs.algorithms.feasible`.
        """
        result = self._whole()
        assert self._scores is not None
        found = find_range(self._scores, result, component)
        about = {
            "component": found.component,
            "standing": standing(result, found.component),
            "amounts": [float(amount) for amount in found.amounts],
            "limit": found.limit,
        }
        return {name: self._end_signal(name, found, about) for name in result.modalities}

    def _end_signal(self, name: str, found: FeasibleRange, about: dict[str, Any]) -> BaseSignal:
        title = f"Feasible range of component {found.component} in {name}"
        signal = self._with_ends(name, found.factors[name], title)
        variance = self._with_ends(name, found.variances[name], f"Variance of {title}")
        signal.set_noise_variance(variance)
        signal.metadata.set_item("Feasible_range", dict(about))
        return signal

    def _with_ends(self, name: str, values: NDArray[np.float64], title: str) -> BaseSignal:
        template = self._templates[name]
        shape = self._fusion().modalities[name].signal_shape
        ends = {**templates.component_axis(len(values)), "name": "End"}
        own = [] if templates.is_image(template) else templates.axes_of(template, navigate=False)
        return templates.make_signal(
            values.reshape(len(values), *shape), [ends, *own], template, title
        )
