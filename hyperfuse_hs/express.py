"""From abundances to the factors of every modality."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs import varying
from hyperfuse_hs.algorithms import coupling, rank, regression
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.algorithms.tall import crossed, mixed
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import COUNTED, NoiseModel, never_negative, noise_model
from hyperfuse_hs.projection import back_project
from hyperfuse_hs.result import Choices, FusionResult, ModalityResult, ModalityScores, Scores
from hyperfuse_hs.scaling import design_weight, row_divisor
from hyperfuse_hs.streamed import n_directions, project_unseen
from hyperfuse_hs.unmixing import SIGNED, FacePosterior, Unmixed

PRINCIPAL = 2**21
"""Scores of the coupled principal components that a signal gets, but for the next number."""

LEAST_PRINCIPAL = 32
"""Coupled principal components that a signal gets of however many positions."""


def passive_scores(modality: Modality) -> ModalityScores:
    """Make the entry of a modality of which nothing is read before its projection."""
    n, channels = modality.n_positions, modality.n_channels
    return ModalityScores(
        name=modality.name,
        signal_shape=modality.signal_shape,
        excluded=modality.excluded_channels.copy(),
        noise="none",
        gain=1.0,
        nonnegative=True,
        divisor=np.ones(channels),
        channels=float(channels),
        scores=np.zeros((n, 0)),
        singular_values=np.zeros(0),
        rank=0,
        edge=rank.noise_edge(n, channels),
    )


def project_on(scores: Scores, modality: Modality) -> None:
    """Give a modality in memory its projection on the common basis.

    Parameters
    ----------
    scores
        Changed in place: the entry of the modality gets its projection.
    modality
        The data.
    """
    started = time.perf_counter()
    part = scores.modalities[modality.name]
    rows = None if part.scale is None else row_divisor(part.scale)
    part.projection = back_project(modality, scores.basis, rows)
    part.passes = modality.passes
    part.seconds += time.perf_counter() - started


def project_passive(
    scores: Scores, modality: Modality, noise: Callable[[Survey], NoiseModel]
) -> Survey:
    """Project a modality that nobody has looked at yet, in one pass.

    Parameters
    ----------
    scores
        Changed in place: the entry of the modality gets its projection and its noise.
    modality
        The data.
    noise
        Says what is known of the noise after the pass.

    Returns
    -------
    Survey
        What a first look would have found.
    """
    started = time.perf_counter()
    part = scores.modalities[modality.name]
    rows = None if part.scale is None else row_divisor(part.scale)
    most = n_directions(modality.n_channels)
    part.projection, facts = project_unseen(modality, scores.basis[:, :most], rows)
    if most < scores.basis.shape[1]:
        part.turn = np.eye(scores.basis.shape[1], most)
    if not facts.n_not_finite:
        estimate_noise(part, modality, facts, noise(facts))
    part.passes = modality.passes
    part.seconds += time.perf_counter() - started
    return facts


def estimate_noise(
    part: ModalityScores, modality: Modality, facts: Survey, found: NoiseModel
) -> None:
    """Give a passive modality its noise, of unknown size what the common basis leaves of the data.

    This includes what only this modality sees, so its residual is 1 on average where nothing
    better is known, and tells where it fits worse than elsewhere.

    Parameters
    ----------
    part
        Changed in place; projected already.
    modality, facts
        The data and what the pass found.
    found
        What is known of the noise.
    """
    part.noise, part.divisor, part.channels = found.kind, found.divisor, found.channels
    part.offset, part.nonnegative = found.offset, never_negative(found, facts)
    if found.gain is None:
        squares = np.einsum("ij,ij->j", part.projection, part.projection, dtype=np.float64)
        left = float(np.sum(np.maximum(facts.channel_square - squares, 0.0) / part.divisor))
        # Noise that does not follow counts is less where rows were divided by more.
        rows = 1.0
        if part.scale is not None and found.kind not in COUNTED:
            rows = float(np.mean(1 / row_divisor(part.scale)))
        freedom = max(modality.n_positions - len(part.projection), 1) * part.channels
        part.gain = left / (freedom * rows)
    else:
        part.gain = found.gain


def express(
    scores: Scores,
    choices: Choices,
    roles: dict[str, tuple[str, str]],
    coupled: coupling.Coupling,
    unmixed: Unmixed,
) -> FusionResult:
    """Fit the factors of every modality to the abundances, from the cached projections."""
    n_components = unmixed.abundances.shape[1]
    shares = _variance_shares(scores, roles)
    signed = choices.unmixing in SIGNED if isinstance(choices.unmixing, str) else False
    modalities = {
        name: express_one(
            scores,
            part,
            coupled.basis,
            unmixed.coordinates,
            unmixed.abundances,
            roles[name],
            shares[name],
            signed=signed,
        )
        for name, part in scores.modalities.items()
    }
    later = unmixed.face_posterior
    return FusionResult(
        navigation_shape=scores.navigation_shape,
        excluded=scores.excluded,
        n_components=n_components,
        abundances=expand(unmixed.abundances.T, scores.excluded).T,
        coordinates=expand(unmixed.coordinates.T, scores.excluded).T,
        basis=expand(_unweighted(coupled.basis, scores).T, scores.excluded).T,
        singular_values=coupled.singular_values,
        edge=coupled.edge,
        lead_values=coupled.lead_values,
        lead_edges=coupled.lead_edges,
        face_sets=unmixed.face_sets,
        face_posterior=later and partial(_posterior, later, scores.excluded),
        facet_support=unmixed.facet_support,
        log_likelihood=unmixed.log_likelihood,
        start_log_likelihoods=unmixed.start_log_likelihoods,
        options={
            "unmixing": choices.unmixing if isinstance(choices.unmixing, str) else "custom",
            "abundances": choices.abundances,
            "scale": scores.scale_kind,
            "seed": choices.seed,
        },
        modalities=modalities,
    )


def _posterior(later: FacePosterior, excluded: NDArray[np.bool_]) -> NDArray[np.float64]:
    return expand(later().T, excluded).T


def _unweighted(basis: NDArray[Any], scores: Scores) -> NDArray[Any]:
    return np.asarray(basis / design_weight(scores.scale)[:, None].astype(basis.dtype))


def express_one(
    scores: Scores,
    part: ModalityScores,
    basis: NDArray[np.float64],
    coordinates: NDArray[np.float64],
    abundances: NDArray[np.float64],
    role: tuple[str, str],
    share: float,
    *,
    signed: bool,
) -> ModalityResult:
    """Fit the factors of one modality to the coordinates, from its cached projection.

    Parameters
    ----------
    scores, part
        All scores, and those of the modality.
    basis
        ``(N, R)`` coupled scores.
    coordinates
        ``(N, p)`` abundances without constraints.
    abundances
        ``(N, p)`` as they are returned.
    role
        Role of the modality and the reason for it.
    share
        Part of the variance that is this modality's.
    signed
        Whether factors may be negative although the data are not.

    Returns
    -------
    ModalityResult
        With factors and coupled principal components in the units of the data.
    """
    scale = varying.scale_of(part, len(basis))
    weight = design_weight(scale)[:, None]
    design, joint = part.through(scores.basis, basis, coordinates * weight)
    nonnegative = part.nonnegative and not signed
    if varying.averages(role[0], signed=signed):
        factors = varying.fit(
            scores, part, basis, coordinates, abundances, average=True, errors=False
        ).factors
    else:
        factors = regression.factors_from_design(design, joint, nonnegative=False)
    cost = 0.0
    if nonnegative:
        free, factors = factors, regression.nearest_nonnegative(design, factors)
        noise = part.gain * part.divisor
        cost = regression.cost_of_signs(design, free, factors, noise, len(basis))
    # Rows of a modality with an intensity of its own are those of the basis times this ratio.
    ratio = weight / design_weight(scores.scale)[:, None]
    most = slice(
        min(len(joint), len(part.projection), max(PRINCIPAL // len(basis), LEAST_PRINCIPAL))
    )
    principal: NDArray[Any] = joint[most]
    if np.any(ratio != 1):
        leading = basis[:, most]
        principal = mixed(np.linalg.inv(crossed(leading, leading, ratio[:, 0])), principal)
    return ModalityResult(
        name=part.name,
        role=role[0],
        reason=role[1],
        noise=part.noise,
        gain=part.gain,
        signal_shape=part.signal_shape,
        excluded=part.excluded,
        factors=expand(factors, part.excluded),
        basis_factors=expand(principal, part.excluded),
        scale=expand(scale, scores.excluded),
        singular_values=part.singular_values,
        edge=part.edge,
        rank=part.rank,
        variance_share=share,
        passes=part.passes,
        seconds=part.seconds,
        cost_of_signs=cost,
    )


def with_passive(scores: Scores, modality: Modality) -> tuple[Survey, Scores]:
    """Project a further modality on the scores, in one pass.

    Parameters
    ----------
    scores
        Of the fusion; not changed.
    modality
        The data.

    Returns
    -------
    facts : Survey
        What the pass found in the data.
    wider : Scores
        The scores with the modality.
    """
    part = passive_scores(modality)
    part.scale = None if np.allclose(scores.scale, 1.0) else scores.scale
    wider = replace(scores, modalities={**scores.modalities, modality.name: part})
    facts = project_passive(
        wider, modality, lambda found: noise_model("auto", modality, found, None)
    )
    return facts, wider


def fit_passive(wider: Scores, result: FusionResult, name: str) -> FusionResult:
    """Fit the factors of a modality that was added to the scores.

    Parameters
    ----------
    wider
        From `with_passive`.
    result
        Of the fusion; not changed.
    name
        Of the added modality.

    Returns
    -------
    FusionResult
        With the modality.
    """
    kept = ~result.excluded
    one = express_one(
        wider,
        wider.modalities[name],
        result.basis[kept] * design_weight(wider.scale)[:, None],
        result.coordinates[kept],
        result.abundances[kept],
        ("passive", "only receives factors"),
        0.0,
        signed=result.options["unmixing"] in SIGNED,
    )
    return replace(result, modalities={**result.modalities, name: one})


def expand(values: NDArray[Any], excluded: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Put values back where they belong along the last axis, NaN where excluded."""
    kind = np.result_type(values.dtype, np.float32)
    full = np.full((*values.shape[:-1], excluded.size), np.nan, dtype=kind)
    full[..., ~excluded] = values
    return full


def _variance_shares(scores: Scores, roles: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    energy = dict.fromkeys(scores.modalities, 0.0)
    for name, part in scores.modalities.items():
        if roles[name][0] != "passive":
            n = len(part.scores)
            strength = rank.signal_strength(part.singular_values[: part.rank], n, part.channels)
            energy[name] = float(strength.sum())
    total = sum(energy.values())
    return {name: value / total if total else 0.0 for name, value in energy.items()}
