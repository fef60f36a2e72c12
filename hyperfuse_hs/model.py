"""The statistical model: compress, couple, unmix, express; arrays only.

``X_m ~ diag(s) A E_m`` for every modality m, with abundances A shared by all (rows >= 0, sum one),
factors E_m >= 0 and a local intensity s that is one everywhere unless counts follow thickness.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs import compress as compression
from hyperfuse_hs.algorithms import coupling, rank
from hyperfuse_hs.algorithms.lowrank import LowRank
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.express import estimate_noise, express, passive_scores, project_on
from hyperfuse_hs.joint import settle
from hyperfuse_hs.lead import lead_plane
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import NoiseModel, never_negative, noise_model
from hyperfuse_hs.result import Choices, FusionResult, ModalityScores, Scores
from hyperfuse_hs.scaling import carry_scale_noise, choose_scale, design_weight, row_divisor
from hyperfuse_hs.unmixing import (
    SIGNED,
    Unmixed,
    unmix_nonnegative,
    unmix_signed,
    unmix_simplex,
)

EXTRA = 3
"""Columns of scores kept below the edge of a modality: together they may stand out."""

LEAST_NOISE = 0.05
"""Least variance of the noise of a score over its mean: predicted ones may even be negative."""


@dataclass(frozen=True, eq=False)
class Source:
    """One modality to fuse and what the user says about it.

    Parameters
    ----------
    modality
        The data.
    noise
        One of ``noise_model.NOISE_KINDS``.
    variance
        Variance of the noise in the shape of the data (a view), read like a modality; or None.
    passive
        Whether it only receives factors, so that nothing is read before the last pass.
    """

    modality: Modality
    noise: str = "auto"
    variance: Modality | None = None
    passive: bool = False


def survey_all(sources: list[Source], seed: int) -> dict[str, Survey]:
    """First pass over every modality that is not passive."""
    rng = np.random.default_rng(seed)
    return {s.modality.name: compression.survey(s.modality, rng) for s in sources if not s.passive}


def compress_all(
    sources: list[Source],
    facts: dict[str, Survey],
    scale: str | Mapping[str, NDArray[np.float64] | None],
    seed: int,
) -> Scores:
    """Reduce every modality to scores and project all of them on the common basis.

    Parameters
    ----------
    sources
        In the order of fusion; the first that is not passive is taken as reference for the scale.
    facts
        By name, what the first pass found; what is found of passive modalities is added.
    scale
        ``"auto"``, ``"none"``, ``"total"``, or by name ``(N,)`` maps (None: the same everywhere).
    seed
        Of the random starts.

    Returns
    -------
    Scores
        Everything that unmixing needs.
    """
    active = [s for s in sources if not s.passive]
    noise = {s.modality.name: _noise(s, facts[s.modality.name]) for s in active}
    first = active[0].modality

    def reduce(source: Source, own: NDArray[np.float64] | None) -> LowRank:
        name = source.modality.name
        rng = np.random.default_rng(seed)
        rows = None if own is None else row_divisor(own)
        return compression.compress(source.modality, facts[name], noise[name], rows, rng)

    reference = reduce(active[0], None)
    scales, kind = choose_scale(
        scale, reference, noise[first.name], [s.modality.name for s in sources]
    )
    common = scales[first.name]
    common = np.ones(first.n_positions) if common is None else common
    parts = []
    for source in sources:
        started = time.perf_counter()
        name = source.modality.name
        flat = scales[name] is None
        if source.passive:
            part = passive_scores(source.modality)
        else:
            own = scales[name]
            low = reference if source is active[0] and flat else reduce(source, own)
            part = _scores(source.modality, facts[name], noise[name], low)
            ratio = design_weight(common) / (1.0 if own is None else design_weight(own))
            _weigh_rows(part, ratio)
        part.scale = scales[name]
        part.seconds = time.perf_counter() - started
        parts.append(part)
    if scales[first.name] is not None:
        leading = next(part for part in parts if part.name == first.name)
        for part in parts:
            if part.scores.size and part is not leading and part.divisor.size == 1:
                carry_scale_noise(part, leading)
    basis = _common_basis(parts, common)
    scores = Scores(
        first.navigation_shape,
        first.excluded_positions.copy(),
        basis,
        common,
        kind,
        {part.name: part for part in parts},
    )
    for source in sources:
        if source.passive:
            facts[source.modality.name] = _project_passive(scores, source)
        else:
            project_on(scores, source.modality)
    return scores


def _project_passive(scores: Scores, source: Source) -> Survey:
    """Project a modality that nobody has looked at yet, and collect what a survey would."""
    modality = source.modality
    facts = Survey(modality.n_positions, modality.n_channels)
    project_on(scores, modality, facts)
    if not facts.n_not_finite:
        part = scores.modalities[modality.name]
        estimate_noise(part, modality, facts, _noise(source, facts))
    return facts


def _noise(source: Source, facts: Survey) -> NoiseModel:
    variance = None
    if source.variance is not None:
        rng = np.random.default_rng(0)
        found = compression.survey(source.variance, rng)
        if found.n_not_finite or found.minimum < 0 or found.maximum == 0:
            raise ValueError(
                f"The {source.variance.name} must be finite, not negative and not zero everywhere "
                f'(noise="none" says that there is no noise). Got {found.n_not_finite} NaN or '
                f"infinite value(s), and others from {found.minimum:g} to {found.maximum:g}."
            )
        variance = found.channel_sum / source.modality.n_positions
    return noise_model(source.noise, source.modality, facts, variance)


def _scores(modality: Modality, facts: Survey, noise: NoiseModel, low: LowRank) -> ModalityScores:
    kept = min(low.rank + EXTRA, low.scores.shape[1])
    values = low.singular_values
    spread = rank.score_noise(values[:kept], modality.n_positions, low.channels)
    spread = np.where(spread > 0, spread, 1.0)
    variance = None
    if low.variance is not None:
        mean = low.variance[:, :kept].mean(axis=0)
        # Below the edge, the spread is that of the scores themselves.
        strong = np.arange(kept) < low.rank
        spread = spread * np.sqrt(np.where(strong & (mean > 0), mean, 1.0))
        variance = np.maximum(low.variance[:, :kept] / np.where(mean > 0, mean, 1.0), LEAST_NOISE)
    return ModalityScores(
        name=modality.name,
        signal_shape=modality.signal_shape,
        excluded=modality.excluded_channels.copy(),
        noise=noise.kind,
        gain=low.gain,
        nonnegative=never_negative(noise, facts),
        divisor=low.divisor,
        channels=low.channels,
        scores=low.scores[:, :kept] / spread,
        singular_values=values,
        rank=low.rank,
        edge=low.reach * rank.noise_edge(modality.n_positions, low.channels),
        variance=variance,
        offset=noise.offset,
    )


def _weigh_rows(part: ModalityScores, ratio: NDArray[np.float64]) -> None:
    """Bring the rows of a modality to the weight that those of the common basis have."""
    if part.variance is not None or np.any(ratio != 1):
        even = np.ones(part.scores.shape) if part.variance is None else part.variance
        part.variance = even * ratio[:, None] ** 2
    part.scores = part.scores * ratio[:, None]


def _common_basis(parts: list[ModalityScores], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = np.hstack([design_weight(scale)[:, None], *(part.scores for part in parts)])
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), np.finfo(float).tiny)
    left, values, _ = coupling.tall_svd(columns)
    return left[:, values > 1e-5 * values[0]]


def unmix(scores: Scores, choices: Choices) -> FusionResult:
    """Couple the scores, unmix the lead and express the components in every modality.

    Parameters
    ----------
    scores
        From `compress_all`.
    choices
        How to unmix.

    Returns
    -------
    FusionResult
        No data are read for it.
    """
    roles, coupled, n_components = settle(scores, choices)
    if choices.unmixing in SIGNED or choices.unmixing == "nmf":
        unmixed = _unmix_in_channels(scores, choices, roles, coupled, n_components)
    else:
        lead = lead_plane(coupled.lead_scores, coupled.lead_noise, scores.scale, n_components)
        unmixed = unmix_simplex(
            lead, n_components, choices.unmixing, choices.abundances, choices.seed
        )
    choices = replace(choices, n_components=n_components)
    return express(scores, choices, roles, coupled, unmixed)


def _unmix_in_channels(
    scores: Scores,
    choices: Choices,
    roles: dict[str, tuple[str, str]],
    coupled: coupling.Coupling,
    n_components: int,
) -> Unmixed:
    """Run the methods that look at factors, on whitened and denoised lead channels."""
    leads = [p for n, p in scores.modalities.items() if roles[n][0] == "lead"]
    rotation = coupled.basis.T @ scores.basis
    whitened = np.hstack(
        [(rotation @ p.projection) / np.sqrt(p.divisor * (p.gain or 1.0)) for p in leads]
    )
    if choices.unmixing == "nmf":
        lead = lead_plane(coupled.lead_scores, coupled.lead_noise, scores.scale, n_components)
        return unmix_nonnegative(
            lead, coupled.basis, whitened, n_components, choices.abundances, choices.seed
        )
    left, values, right = np.linalg.svd(whitened, full_matrices=False)
    principal = (coupled.basis @ (left * values)) / design_weight(scores.scale)[:, None]
    return unmix_signed(principal, right, n_components, choices.unmixing)
