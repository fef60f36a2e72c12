"""Standard errors of factors and abundances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import abundance_noise, factor_noise, spatial
from hyperfuse_hs.algorithms.abundance import nonnegative_abundances, simplex_abundances
from hyperfuse_hs.algorithms.factor_noise import FactorEstimate
from hyperfuse_hs.algorithms.noise import FEW_COUNTS
from hyperfuse_hs.algorithms.rank import noise_edge, unevenness
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.lead_noise import LeadNoise, vertices
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.result import FusionResult, ModalityScores, Scores
from hyperfuse_hs.scaling import design_weight, row_divisor
from hyperfuse_hs.unmixing import SIGNED

Floats = NDArray[np.float64]


LEAST_SHARE = 0.1
"""Part of a direction that has to be in the joint subspace for it to be looked at."""


def look(scores: Scores, part: ModalityScores, basis: Floats) -> tuple[Floats, Floats]:
    """Look at the data of a modality through the directions that it shares with a subspace.

    Parameters
    ----------
    scores, part
        All scores, and those of the modality.
    basis
        ``(N, R)`` orthonormal.

    Returns
    -------
    seen : ndarray
        ``(N, R')`` orthonormal: `basis`, or the part of it that the data are projected on.
    joint : ndarray
        ``(R', C)``, ``seen^T X``.
    """
    if part.turn is None:
        return part.seen(scores.basis, basis)
    own = part.directions(scores.basis)
    left, values, _ = np.linalg.svd(own.T @ basis, full_matrices=False)
    kept = left[:, values > LEAST_SHARE]
    return own @ kept, kept.T @ part.projection


def joint_basis(scores: Scores, result: FusionResult) -> Floats:
    """Orthonormal basis ``(N, R)`` of the joint subspace of a result."""
    return np.asarray(result.basis[~result.excluded] * design_weight(scores.scale)[:, None])


def scale_of(part: ModalityScores, n_positions: int) -> Floats:
    """Local intensity of a modality, ``(N,)``."""
    return np.ones(n_positions) if part.scale is None else part.scale


def factor_errors(
    scores: Scores,
    result: FusionResult,
    name: str,
    noise: LeadNoise | None,
    mixing: Floats | None = None,
) -> Floats:
    """Add up the errors of the factors of a modality.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    noise
        Of the lead scores; needed without `mixing`.
    mixing
        ``(p, p, p)`` second moments of how each factor (first index) mixes with all; None for
        what the noise of the abundances does, the endmembers being what they are.

    Returns
    -------
    ndarray
        ``(p, C_all)``, NaN in excluded channels. The variances of three errors are added: noise of
        the data, errors of the abundances, and what the modality has in store besides the
        components (see `misfit_variance`).
    """
    estimate = estimate_factors(scores, result, name)
    if mixing is None:
        assert noise is not None
        mixing = _abundance_mixing(scores, result, name, noise)
    variance = estimate.covariance.diagonal().T.copy()
    for component, moments in enumerate(mixing):
        variance[component] += spatial.squared_form(moments, estimate.factors)
    variance += misfit_variance(scores, result, name, estimate)
    variance[:, result.modalities[name].excluded] = np.nan
    return np.sqrt(variance)


def _weighted_regression(scores: Scores, result: FusionResult, name: str) -> tuple[Floats, Floats]:
    """Weight ``(p, N)`` of weighted rows in the factors, and the design ``(N, p)``."""
    part, kept = scores.modalities[name], ~result.excluded
    weight = design_weight(scale_of(part, int(kept.sum())))[:, None]
    design = result.coordinates[kept] * weight
    seen, _ = part.seen(scores.basis, joint_basis(scores, result))
    return factor_noise.regression_weights(seen, design, np.ones(len(design))), design


def _abundance_mixing(scores: Scores, result: FusionResult, name: str, noise: LeadNoise) -> Floats:
    """Second moments ``(p, p, p)`` of what noise of the abundances mixes into each factor."""
    weights, _ = _weighted_regression(scores, result, name)
    part = scores.modalities[name]
    ratio = design_weight(scale_of(part, weights.shape[1])) / noise.lead.weight
    across = noise.mixing @ noise.coordinates
    spread = (weights * ratio) ** 2 @ noise.raw
    return np.einsum("il,lj,lk->ijk", spread, across, across, optimize=True)


def misfit_variance(
    scores: Scores, result: FusionResult, name: str, estimate: FactorEstimate
) -> Floats:
    """Variance of the factors that comes from what varies besides the components.

    The diffraction pattern of a phase is the mean over the crystals in the scan, by their amount.
    Least squares give them other weights. What the components leave of a modality in the joint
    subspace, where it stands out of the noise, tells how much that may matter, and over which
    distance positions are alike.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality.
    estimate
        Of its factors.

    Returns
    -------
    ndarray
        ``(p, C_all)``, zero where the components describe all there is.
    """
    part = scores.modalities[name]
    weights, design = _weighted_regression(scores, result, name)
    seen, joint = look(scores, part, joint_basis(scores, result))
    kept = ~part.excluded
    rest = joint - (seen.T @ design) @ estimate.factors[:, kept]
    gain = max(part.gain, np.finfo(float).tiny)
    divisor, variance = _projected_noise(part, seen, joint, gain)
    white = rest / np.sqrt(divisor * gain)
    channels = part.channels * float(np.mean(part.divisor / divisor))
    edge = noise_edge(max(len(rest) - len(weights), 1), channels)
    if variance is not None:
        edge *= unevenness(np.eye(len(rest)), variance.T, channels).allowed.reach
    left, values, right = np.linalg.svd(white, full_matrices=False)
    found = int(np.count_nonzero(values > edge))
    total = np.zeros(estimate.factors.shape)
    if found == 0:
        return total
    scan = spatial.scan_of(result.navigation_shape, result.excluded)
    maps = seen @ (left[:, :found] * values[:found])
    reach = spatial.correlation_range(scan, maps)
    shapes = right[:found] * np.sqrt(divisor * gain)
    for component, weight in enumerate(weights):
        matrix = spatial.neighbour_products(scan, weight[:, None] * maps, reach)
        total[component, kept] = spatial.squared_form(matrix, shapes)
    return total


def _projected_noise(
    part: ModalityScores, seen: Floats, joint: Floats, gain: float
) -> tuple[Floats, Floats | None]:
    """Return what to divide channels by, and the variance ``(R, C)`` of their noise then."""
    if part.noise not in COUNTED:
        return part.divisor, None
    rows = row_divisor(scale_of(part, len(seen)))[:, None]
    squares = seen**2
    divisor = np.maximum(part.divisor, FEW_COUNTS * gain * squares.shape[1] / len(squares))
    through = (squares / np.sqrt(rows)).T @ seen
    constant = np.sum(squares / rows, axis=0)[:, None] * part.offset / divisor
    return divisor, np.maximum(through @ (joint / divisor), 0.0) + constant


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


def corners(result: FusionResult, noise: LeadNoise) -> Floats:
    """Endmembers as rows of lead scores without weight, ``(p, K)``."""
    if result.options["unmixing"] == "nmf":
        return np.asarray(np.linalg.pinv(noise.coordinates), dtype=np.float64)
    return noise.lead.lift(vertices(result, noise))
