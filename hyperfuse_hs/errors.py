"""Standard errors of factors and abundances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import abundance_noise, spatial
from hyperfuse_hs.algorithms.abundance import nonnegative_abundances, simplex_abundances
from hyperfuse_hs.algorithms.factor_noise import FactorEstimate
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.lead_noise import LeadNoise, corners
from hyperfuse_hs.result import FusionResult, Scores
from hyperfuse_hs.unmixing import SIGNED
from hyperfuse_hs.varying import scale_of

Floats = NDArray[np.float64]


def factor_errors(
    scores: Scores,
    result: FusionResult,
    name: str,
    noise: LeadNoise | None,
    mixing: Floats | None = None,
    estimate: FactorEstimate | None = None,
) -> Floats:
    """Add up the errors of the factors of a modality.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    noise
        Of the lead scores; needed without `mixing`, and where something varies.
    mixing
        ``(p, p, p)`` second moments of how each factor (first index) mixes with all; None for
        what the noise of the abundances does, the endmembers being what they are.
    estimate
        Of the factors, if it is known already.

    Returns
    -------
    ndarray
        ``(p, C_all)``, NaN in excluded channels. The variances of three errors are added: noise of
        the data, errors of the abundances, and what the modality has in store besides the
        components (see `misfit_variance`). Noise of the abundances mixes not only the factors but
        also what varies about them, from place to place.
    """
    estimate = estimate or estimate_factors(scores, result, name)
    if mixing is None:
        assert noise is not None
        mixing = _abundance_mixing(scores, name, estimate.weights, noise)
    variance = estimate.covariance.diagonal().T.copy()
    for component, moments in enumerate(mixing):
        variance[component] += spatial.squared_form(moments, estimate.factors)
    if noise is not None and estimate.variation is not None:
        coordinates = result.coordinates[~result.excluded]
        share = _varying_mixing(scores, name, estimate.weights, noise, coordinates)
        variance += share @ estimate.variation.spectra
    variance += misfit_variance(estimate)
    variance[:, result.modalities[name].excluded] = np.nan
    return np.sqrt(variance)


def _abundance_mixing(scores: Scores, name: str, weights: Floats, noise: LeadNoise) -> Floats:
    """Second moments ``(p, p, p)`` of what noise of the abundances mixes into each factor."""
    across = noise.mixing @ noise.coordinates
    spread = _relative(scores, name, weights, noise) ** 2 @ noise.raw
    return np.einsum("il,lj,lk->ijk", spread, across, across, optimize=True)


def _varying_mixing(
    scores: Scores, name: str, weights: Floats, noise: LeadNoise, coordinates: Floats
) -> Floats:
    """Part ``(p, p)`` of what varies about each component that is mixed into each factor.

    It differs from place to place, so that every position adds its own square, as far as the
    component is there.
    """
    across = noise.mixing @ noise.coordinates
    there = np.clip(coordinates, 0.0, 1.0)
    squares = _relative(scores, name, weights, noise) ** 2
    return np.asarray(squares @ (there * (noise.raw @ across**2)))


def _relative(scores: Scores, name: str, weights: Floats, noise: LeadNoise) -> Floats:
    """Weights ``(p, N)`` of the abundances, in units of the lead scores."""
    # Weights are those of the data as they are: here abundances take their place.
    scale = scale_of(scores.modalities[name], weights.shape[1])
    return np.asarray(weights * scale / noise.lead.weight)


def misfit_variance(estimate: FactorEstimate, *, everywhere: bool = False) -> Floats:
    """Variance of the factors that comes from what varies besides the components.

    The diffraction pattern of a phase is the mean over the crystals in the scan, by their amount.
    What the components leave of a modality in the joint subspace, where it stands out of the
    noise, tells how much the crystals differ, and over which distance positions are alike.

    Parameters
    ----------
    estimate
        Of the factors of a modality.
    everywhere
        As estimates of the mean over crystals elsewhere, such as those of a powder; False: over
        those of this scan.

    Returns
    -------
    ndarray
        ``(p, C_all)``, zero where the components describe all there is.
    """
    return np.maximum(estimate.varying(everywhere=everywhere).diagonal().T, 0.0)


def abundance_errors(result: FusionResult, noise: LeadNoise) -> Floats:
    """Root mean square errors of the abundances, ``(N_all, p)``, NaN where excluded.

    Parameters
    ----------
    result
        Of the fusion.
    noise
        Of its lead scores.
    """
    kept, options = ~result.excluded, result.options
    errors = np.full(result.abundances.shape, np.nan)
    variance = noise.position_variance
    signed = options["unmixing"] in SIGNED or options["abundances"] == "none"
    if signed or "purified" in options or result.n_components == 1:
        errors[kept] = np.sqrt(variance @ noise.coordinates**2)
        if result.n_components == 1 and options["abundances"] == "simplex":
            errors[kept] = 0.0
        return errors
    faces, shares = result.face_sets, result.face_posterior
    simplex = options["abundances"] == "simplex"
    errors[kept] = abundance_noise.constrained_errors(
        noise.lead.whitened,
        corners(result, noise),
        variance,
        simplex_abundances if simplex else nonnegative_abundances,
        faces if simplex else None,
        None if shares is None or not simplex else shares[kept],
    )
    return errors
