"""Confidence intervals of factors and abundances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hyperfuse_hs.algorithms.confidence import bounded_interval
from hyperfuse_hs.algorithms.factor_noise import FactorEstimate
from hyperfuse_hs.lead_noise import LeadNoise
from hyperfuse_hs.result import FusionResult, Scores
from hyperfuse_hs.unmixing import SIGNED

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.999)
"""Lowest and highest level: what is further out, nobody has checked."""


MOST_FREEDOM = 1e6
"""Degrees of freedom from which Student's distribution is the normal one."""


def check_level(level: object) -> float:
    """Refuse what is no probability that an interval can have.

    Raises
    ------
    TypeError, ValueError
        It is no number, or not within `LEVELS`.
    """
    if isinstance(level, bool) or not isinstance(level, float | int | np.floating | np.integer):
        raise TypeError(f"Expected level as a number such as 0.95. Got {type(level).__name__}.")
    low, high = LEVELS
    if not low <= level <= high:
        hint = f" Did you mean {level / 100:g}?" if 1 < level < 100 else ""
        raise ValueError(
            f"Expected level, the part of the intervals that holds the truth, from {low} to "
            f"{high}. Got {level:g}.{hint}"
        )
    return float(level)


def abundance_interval(
    result: FusionResult, noise: LeadNoise, more: Floats | None, level: float
) -> tuple[Floats, Floats]:
    """Confidence intervals of the abundances.

    Parameters
    ----------
    result, noise
        Of the fusion, and of its lead scores.
    more
        ``(N_all, p)`` variance besides that of the lead scores, or None.
    level
        Part of the intervals that shall hold the truth.

    Returns
    -------
    lower, upper : ndarray
        ``(N_all, p)``, NaN where excluded. They follow from abundances fitted without constraints,
        whose errors are normal, and from what is known of the true ones: between 0 and 1, or not
        negative, as they were asked for.
    """
    kept, options = ~result.excluded, result.options
    low, high = -np.inf, np.inf
    if options["unmixing"] not in SIGNED and options["abundances"] != "none":
        low, high = 0.0, (1.0 if options["abundances"] == "simplex" else np.inf)
    errors = np.full(result.coordinates.shape, np.nan)
    errors[kept] = noise.position_variance @ noise.coordinates**2
    errors = np.sqrt(errors if more is None else errors + more)
    return bounded_interval(result.coordinates, errors, level, low, high)


def factor_interval(
    scores: Scores,
    result: FusionResult,
    name: str,
    errors: Floats,
    estimate: FactorEstimate,
    level: float,
) -> tuple[Floats, Floats]:
    """Confidence intervals of the factors of a modality.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    errors
        ``(p, C_all)`` standard errors.
    estimate
        Of the factors: what variance an intensity brings with it, and what varies.
    level
        Part of the intervals that shall hold the truth.

    Returns
    -------
    lower, upper : ndarray
        ``(p, C_all)``, NaN in excluded channels: what the factors found agree with, given the
        variance that they would have if it were true (as the score interval of E. B. Wilson,
        J. Am. Stat. Assoc. 22, 209 (1927)); not negative where the data never are. Where there are
        many counts, these are so many standard errors either way. Where there are few, they reach
        higher, and hold the truth too often rather than not often enough. What varies is known from
        so many crystals only: the deviates are those of Student's distribution.
    """
    signed = result.options["unmixing"] in SIGNED
    low = 0.0 if scores.modalities[name].nonnegative and not signed else -np.inf
    factors = result.modalities[name].factors
    freedom = np.full(errors.shape, MOST_FREEDOM)
    if estimate.variation is not None:
        freedom = np.minimum(estimate.variation.freedom_of(errors**2), MOST_FREEDOM)
    deviate = stdtrit(np.maximum(freedom, 1.0), (1 + level) / 2)
    rise = deviate**2 * np.broadcast_to(estimate.own, len(factors))[:, None] / 2
    reach = np.hypot(deviate * errors, rise)
    return np.maximum(factors + rise - reach, low), factors + rise + reach
