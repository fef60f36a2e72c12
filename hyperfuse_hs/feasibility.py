"""What data and non-negativity leave open: which components, and how far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import facets, factor_noise, feasible
from hyperfuse_hs.algorithms.factor_noise import FactorEstimate
from hyperfuse_hs.algorithms.purify import subtract
from hyperfuse_hs.algorithms.tall import turned
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.result import FusionResult, Scores
from hyperfuse_hs.scaling import row_divisor
from hyperfuse_hs.unmixing import SIGNED
from hyperfuse_hs.varying import fit_result, scale_of

LEAST_EVIDENCE = 3.0
"""Standard errors by which positions must show one component without another."""


@dataclass(frozen=True, eq=False)
class FeasibleRange:
    """Factors of one component from the minimum-volume end to the other.

    Parameters
    ----------
    component
        Which one.
    amounts
        ``(p,)`` how much of the others is subtracted at the other end.
    open_to
        Components that may be mixed into it, as far as the positions tell.
    known
        Whether the positions tell: only the face mixture does.
    limit
        Name of the modality where non-negativity ends the range; "" for a range of no width.
    factors
        By modality ``(2, C_all)``, NaN in excluded channels.
    variances
        Of the factors, alike.
    """

    component: int
    amounts: NDArray[np.float64]
    open_to: tuple[int, ...]
    known: bool
    limit: str
    factors: dict[str, NDArray[np.float64]]
    variances: dict[str, NDArray[np.float64]]


def absence_evidence(result: FusionResult) -> NDArray[np.float64] | None:
    """Measure how surely some positions show one component without another.

    Parameters
    ----------
    result
        The fusion.

    Returns
    -------
    ndarray or None
        ``(p, p)`` as in `facets.absence_evidence`; None where the facets were not looked for,
        that is with other methods than the face mixture.
    """
    if result.absence_evidence is not None:
        return result.absence_evidence
    if result.face_sets is None:
        return None
    kept = ~result.excluded
    part = next(part for part in result.modalities.values() if part.role != "passive")
    return facets.absence_evidence(result.coordinates[kept], part.scale[kept])


def open_components(result: FusionResult, component: int) -> tuple[list[int], bool]:
    """List the components that may be mixed into one, for all that the positions show.

    Parameters
    ----------
    result
        The fusion.
    component
        Which one.

    Returns
    -------
    others : list
        All of them where nothing is known.
    known : bool
        Whether the faces of the simplex were found.
    """
    others = [j for j in range(result.n_components) if j != component]
    evidence = absence_evidence(result)
    if evidence is None:
        return others, False
    return [j for j in others if not evidence[component, j] >= LEAST_EVIDENCE], True


def estimate_factors(scores: Scores, result: FusionResult, name: str) -> FactorEstimate:
    """Fit the factors of a modality without constraints, with their errors.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.

    Returns
    -------
    FactorEstimate
        Linear in the data, so that the errors are those of least squares for the abundances
        found: a linear function of the noise of the data.
    """
    part, kept = scores.modalities[name], ~result.excluded
    scale = scale_of(part, int(kept.sum()))
    coordinates = result.coordinates[kept]
    fit = fit_result(scores, result, name, errors=True)
    fitted = fit.factors
    weights = turned(fit.seen, fit.weights.T).T / np.sqrt(row_divisor(scale))
    counts = part.noise in COUNTED
    if counts:
        loadings = scale[:, None] * coordinates
        without = part.offset * (weights @ weights.T)[:, :, None]
        found = factor_noise.counting_covariance(weights, loadings, fitted) + without
        found = part.gain * found
        own = part.gain * factor_noise.own_variance(weights, loadings)
    else:
        own = np.zeros(len(fitted))
        found = part.gain * (weights @ weights.T)[:, :, None] * part.divisor
    p, size = len(fitted), part.excluded.size
    factors, covariance = np.zeros((p, size)), np.zeros((p, p, size))
    factors[:, ~part.excluded], covariance[:, :, ~part.excluded] = fitted, found
    count = part.gain if counts else 0.0
    variation = fit.variation
    if variation is not None:
        spectra = np.zeros((p, size))
        spectra[:, ~part.excluded] = variation.spectra
        variation = replace(variation, spectra=spectra)
    return FactorEstimate(factors, covariance, weights, count, part.signal_shape, own, variation)


def limiting_factors(scores: Scores, result: FusionResult) -> dict[str, FactorEstimate]:
    """Estimate the factors of the modalities in which non-negativity limits a range.

    Support modalities do not: their factors are means over what else varies, such as the few
    orientations of the crystals at hand, and err more than their noise tells. Neither do those
    whose data have negative values and whose factors surely are negative themselves.

    Raises
    ------
    ValueError
        Components may be negative, or no modality limits them.
    """
    unmixing = result.options["unmixing"]
    if unmixing in SIGNED:
        raise ValueError(
            f'Components of unmixing="{unmixing}" may be negative, so non-negativity does not '
            "limit what can be subtracted. Give a modality and a region of it to purify."
        )
    estimates = {}
    for name, part in result.modalities.items():
        if part.role == "support":
            continue
        found = estimate_factors(scores, result, name)
        if scores.modalities[name].nonnegative or not feasible.surely_negative(found):
            estimates[name] = found
    if not estimates:
        raise ValueError(
            "Expected a modality besides those of role support whose factors are not negative: "
            "nothing else limits the range. Give a modality and a region of it to purify."
        )
    return estimates


def check_component(result: FusionResult, component: object, least: int) -> int:
    """Return a component that exists.

    Raises
    ------
    ValueError
        It does not, or there are fewer components than needed.
    """
    p = result.n_components
    whole = isinstance(component, int | np.integer) and not isinstance(component, bool)
    if p < least:
        raise ValueError(f"Expected a fusion of {least} components at least. Got one of {p}.")
    if not whole or component not in range(p):
        raise ValueError(
            f"Expected a component from 0 to {p - 1}: there are {p}. Got {component!r}."
        )
    return int(component)  # type: ignore[call-overload]


def find_range(scores: Scores, result: FusionResult, component: int) -> FeasibleRange:
    """Find how far a component is determined.

    Parameters
    ----------
    scores, result
        Of the fusion.
    component
        Which one, counted from 0.

    Returns
    -------
    FeasibleRange
        Of the factors as found and those at the other end.

    Raises
    ------
    ValueError
        No such component, or nothing limits the range.
    """
    component = check_component(result, component, 1)
    estimates = limiting_factors(scores, result)
    others, known = open_components(result, component)
    amounts, limit = np.zeros(result.n_components), ""
    if others:
        amounts, owner = feasible.feasible_amounts(list(estimates.values()), component, others)
        limit = list(estimates)[owner] if amounts.any() else ""
    mixing, _ = subtract(amounts, component, result.n_components)
    rows = [np.eye(result.n_components)[component], mixing[component]]
    factors, variances = {}, {}
    for name, part in result.modalities.items():
        found = estimates.get(name) or estimate_factors(scores, result, name)
        factors[name] = np.array([row @ part.factors for row in rows])
        spread = np.array([factor_noise.combined_variance(found.covariance, r) for r in rows])
        spread[:, part.excluded] = np.nan
        variances[name] = spread
    return FeasibleRange(component, amounts, tuple(others), known, limit, factors, variances)


def standing(result: FusionResult, component: int) -> str:
    """Say in words how well a component is determined."""
    others, known = open_components(result, component)
    listed = ", ".join(map(str, others))
    if not known:
        return "unknown: only the face mixture tells where components are absent"
    if others:
        return f"not identified: (almost) nowhere without component(s) {listed}"
    return "identified: seen without each of the others, its range is as wide as the noise"
