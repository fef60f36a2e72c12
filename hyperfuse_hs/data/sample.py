"""The sample in the path of the beam, and the plan of each modality: no HyperSpy here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.data.counts import CountModel

#: How the dose depends on the place: the same everywhere, or proportional to the thickness.
COUNTS = ("flat", "thickness")
#: A path through less matter than this, in nm, counts as vacuum.
THINNEST = 0.5
# Random streams: the sample is drawn from the first, each modality from its own, so that leaving
# one out does not change the others.
STREAMS = {"sample": 0, "EELS": 1, "EDS": 2, "Diffraction": 3, "HAADF": 4}


@dataclass(frozen=True)
class Sample:
    """
    What lies in the path of the beam at each of N probe positions.

    Parameters
    ----------
    components
        Names of the p components.
    scan
        Probe positions, (rows, columns).
    step
        Distance of probe positions in nm.
    paths
        Path through each component in nm, shape ``(N, p)``.
    counts
        One of ``COUNTS``.
    """

    components: tuple[str, ...]
    scan: tuple[int, int]
    step: float
    paths: NDArray[np.float64]
    counts: str

    @property
    def thickness(self) -> NDArray[np.float64]:
        """Whole path in nm, shape ``(N,)``."""
        return np.asarray(self.paths.sum(axis=1))

    @property
    def vacuum(self) -> NDArray[np.bool_]:
        """True where there is (nearly) nothing, shape ``(N,)``."""
        return np.asarray(self.thickness < THINNEST)

    @property
    def divisor(self) -> NDArray[np.float64]:
        """Path in nm that weighs one, shape ``(N,)``: the local or the mean path; inf in vacuum."""
        local = self.thickness
        mean = local[~self.vacuum].mean()
        return np.where(self.vacuum, np.inf, local if self.counts == "flat" else mean)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Scale times abundances, shape ``(N, p)``; 0 in vacuum."""
        return self.paths / self.divisor[:, np.newaxis]

    def factors(self, per_length: NDArray[np.float64], dose: float) -> NDArray[np.float64]:
        """
        Bring signals per length of path to counts.

        Parameters
        ----------
        per_length
            Signal of each component per length of path, shape ``(p, C)``, in any unit.
        dose
            Counts of a position, on average over those that are not vacuum.

        Returns
        -------
        ndarray
            Shape ``(p, C)``. With flat counts each row sums to the dose; otherwise the
            brightness of the components keeps its ratio.
        """
        totals = per_length.sum(axis=1, keepdims=True)
        if self.counts == "flat":
            return dose * per_length / totals
        mean = self.weights[~self.vacuum].mean(axis=0) @ totals
        return dose * per_length / mean


@dataclass(frozen=True)
class ModalityPlan:
    """
    A modality before any count is drawn.

    Parameters
    ----------
    name
        Key of ``STREAMS``.
    model
        Mean counts.
    factors
        Mean counts of each component, shape ``(p, *signal shape)``.
    axes
        Signal axes in numpy order, as HyperSpy takes them.
    metadata
        HyperSpy metadata.
    """

    name: str
    model: CountModel
    factors: NDArray[np.float64]
    axes: tuple[dict[str, Any], ...]
    metadata: dict[str, Any]


def spectral_plan(
    name: str,
    sample: Sample,
    per_length: NDArray[np.float64],
    dose: float,
    axis: dict[str, Any],
    metadata: dict[str, Any],
) -> ModalityPlan:
    """
    Plan a modality that is exactly linear in the abundances.

    Parameters
    ----------
    name
        Key of ``STREAMS``.
    sample
        The sample.
    per_length
        Spectrum of each component per length of path, shape ``(p, C)``.
    dose
        Mean counts of a position.
    axis
        Signal axis.
    metadata
        HyperSpy metadata.

    Returns
    -------
    ModalityPlan
        The plan.
    """
    factors = sample.factors(per_length, dose)
    return ModalityPlan(name, CountModel(sample.weights, factors), factors, (axis,), metadata)
