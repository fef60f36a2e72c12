"""The statistical model: compress, couple, unmix, express; arrays only.

``X_m ~ diag(s) A E_m`` for every modality m, with abundances A shared by all (rows >= 0, sum one),
factors E_m >= 0 and a local intensity s that is one everywhere unless counts follow thickness.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs import compress as compression
from hyperfuse_hs import streamed
from hyperfuse_hs.algorithms import coupling, rank
from hyperfuse_hs.algorithms.lowrank import LowRank
from hyperfuse_hs.algorithms.orthonormal import extended
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.algorithms.tall import crossed
from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.express import express, passive_scores, project_on, project_passive
from hyperfuse_hs.foresight import foresee
from hyperfuse_hs.heap import give_back
from hyperfuse_hs.joint import ordered_basis, settle
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


def survey_all(sources: list[Source]) -> dict[str, Survey]:
    """First look at every modality that is not passive."""
    return {s.modality.name: streamed.first_look(s.modality) for s in sources if not s.passive}


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
        By name, what the first look found (used up); what is found of passive modalities is added.
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
    looks = {s.modality.name: _Look(s, facts[s.modality.name], seed) for s in active}
    first = active[0].modality
    reference = looks[first.name].reduce(None)
    scales, kind = choose_scale(scale, reference, [s.modality.name for s in sources])
    common = scales[first.name]
    common = np.ones(first.n_positions) if common is None else common
    parts = {}
    for source in sources:
        name, known = source.modality.name, reference if source is active[0] else None
        parts[name] = _first_scores(source, looks.get(name), scales[name], common, known)
    del reference
    for part in parts.values():
        one_channel = part.scores.size and part.divisor.size == 1
        if scales[first.name] is not None and one_channel and part.name != first.name:
            carry_scale_noise(part, parts[first.name])
    scores = Scores(
        first.navigation_shape,
        first.excluded_positions.copy(),
        np.zeros((first.n_positions, 0)),
        common,
        kind,
        parts,
    )
    _look_again(scores, looks, seed)
    for source in sources:
        if source.passive:
            noise = partial(_noise, source)
            facts[source.modality.name] = project_passive(scores, source.modality, noise)
        elif not streamed.is_streamed(source.modality):
            project_on(scores, source.modality)
    return scores


def _first_scores(
    source: Source,
    look: _Look | None,
    own: NDArray[np.float64] | None,
    common: NDArray[np.float64],
    known: LowRank | None,
) -> ModalityScores:
    """Reduce a modality to scores; `known` are its singular triplets with rows as they are."""
    started = time.perf_counter()
    if look is None:
        part = passive_scores(source.modality)
    else:
        low = known if known is not None and own is None else look.reduce(own)
        part = _scores(look, low, own, common)
        look.forget()
        if look.on_disk:
            give_back()
    part.scale = own
    part.seconds = time.perf_counter() - started
    return part


class _Look:
    """What is known of one modality between the first look and the second."""

    def __init__(self, source: Source, facts: Survey, seed: int) -> None:
        self.modality, self.facts, self.seed = source.modality, facts, seed
        self.model = _noise(source, facts)
        self.condensed: streamed.Condensed | None = None
        self.on_disk = streamed.is_streamed(source.modality)
        self.change = np.ones(1)
        self.own: NDArray[np.float32] | None = None
        if self.on_disk:
            self.own = streamed.own_directions(facts, self.model, np.random.default_rng(seed))
            self.condensed = streamed.condense(source.modality, facts, self.model)

    def reduce(self, own: NDArray[np.float64] | None) -> LowRank:
        """Find the singular triplets of the data, or of what is in memory of them."""
        rng = np.random.default_rng(self.seed)
        rows = None if own is None else row_divisor(own)
        if self.condensed is not None:
            low = self.condensed.reduce(rows, rng)
            self.change = self.condensed.balance(low)
            return low
        return compression.compress(self.modality, self.facts, self.model, rows, rng)

    def forget(self) -> None:
        """Let go of the sums over bins of all positions: they are among the largest arrays."""
        self.condensed = None

    def again(
        self, own: NDArray[np.float64] | None, given: NDArray[np.float64]
    ) -> streamed.SecondLook:
        """Take the second look at the data."""
        rows = None if own is None else row_divisor(own)
        expected = self.model.divisor * self.change[self.facts.bins]
        return streamed.second_look(
            self.modality, self.facts, self.model, rows, expected, given, self.own
        )


def _look_again(scores: Scores, looks: dict[str, _Look], seed: int) -> None:
    """Make the common basis, with a second look at the modalities on disk."""
    parts = scores.modalities
    on_disk = {name: look for name, look in looks.items() if look.on_disk}
    many = [name for name, look in on_disk.items() if look.own is None]
    width = 1 + sum(part.scores.shape[1] for part in parts.values())
    few = [n for n in many if streamed.n_directions(on_disk[n].modality.n_channels) < width]
    given = ordered_basis(scores, many, foresee(scores, few, seed) if few else None)
    added = {}
    for name, look in on_disk.items():
        started = time.perf_counter()
        found = look.again(parts[name].scale, given)
        before = parts[name]
        if found.low is not None:
            parts[name] = _scores(look, found.low, before.scale, scores.scale)
            parts[name].scale = before.scale
        parts[name].divisor = found.divisor
        parts[name].projection = found.projection
        parts[name].passes = look.modality.passes
        parts[name].seconds = before.seconds + time.perf_counter() - started
        added[name] = found.added
    basis = given
    for columns in added.values():
        basis = np.hstack([basis, extended(basis, columns)[0].astype(basis.dtype)])
    scores.basis = basis
    for name, columns in added.items():
        count = len(parts[name].projection) - columns.shape[1]
        own = [crossed(basis, given[:, :count]), crossed(basis, columns)]
        parts[name].turn = np.hstack(own)


def _noise(source: Source, facts: Survey) -> NoiseModel:
    variance = None
    if source.variance is not None:
        found = streamed.survey_variance(source.variance)
        with concerning("noise", source.modality.name):
            _check_variance(source.variance.name, found)
        variance = found.channel_sum / source.modality.n_positions
    return noise_model(source.noise, source.modality, facts, variance)


def _check_variance(name: str, found: Survey) -> None:
    if found.n_not_finite or found.minimum < 0 or found.maximum == 0:
        raise ValueError(
            f"The {name} must be finite, not negative and not zero everywhere "
            f'(noise="none" says that there is no noise). Got {found.n_not_finite} NaN or '
            f"infinite value(s), and others from {found.minimum:g} to {found.maximum:g}."
        )


def _scores(
    look: _Look,
    low: LowRank,
    own: NDArray[np.float64] | None,
    common: NDArray[np.float64],
) -> ModalityScores:
    """Bring the noise of singular triplets to one, and rows to the weight of the common basis."""
    modality, noise = look.modality, look.model
    kept = min(low.rank + EXTRA, low.scores.shape[1])
    values = low.singular_values
    spread = rank.score_noise(values[:kept], modality.n_positions, low.channels)
    spread = np.where(spread > 0, spread, 1.0)
    variance = None
    if low.variance is not None:
        mean = low.variance[:, :kept].mean(axis=0, dtype=np.float64)
        # Below the edge, the spread is that of the scores themselves.
        strong = np.arange(kept) < low.rank
        spread = spread * np.sqrt(np.where(strong & (mean > 0), mean, 1.0))
        mean = np.where(mean > 0, mean, 1.0).astype(low.variance.dtype)
        variance = np.maximum(low.variance[:, :kept] / mean, LEAST_NOISE)
    part = ModalityScores(
        name=modality.name,
        signal_shape=modality.signal_shape,
        excluded=modality.excluded_channels.copy(),
        noise=noise.kind,
        gain=low.gain,
        nonnegative=never_negative(noise, look.facts),
        divisor=low.divisor,
        channels=low.channels,
        scores=low.scores[:, :kept] / spread.astype(low.scores.dtype),
        singular_values=values,
        rank=low.rank,
        edge=low.reach * rank.noise_edge(modality.n_positions, low.channels),
        variance=variance,
        offset=noise.offset,
        bins=0 if low.divisor.size == modality.n_channels else low.divisor.size,
    )
    _weigh_rows(part, design_weight(common) / (1.0 if own is None else design_weight(own)))
    return part


def _weigh_rows(part: ModalityScores, ratio: NDArray[np.float64]) -> None:
    """Bring the rows of a modality to the weight that those of the common basis have."""
    if np.all(ratio == 1):
        return
    even = np.ones_like(part.scores) if part.variance is None else part.variance
    part.variance = even * (ratio[:, None] ** 2).astype(even.dtype)
    part.scores = part.scores * ratio[:, None].astype(part.scores.dtype)


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
    if scores.basis.dtype == np.float32:
        give_back()
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
    whitened = np.hstack(
        [
            p.seen(scores.basis, coupled.basis)[1] / np.sqrt(p.divisor * (p.gain or 1.0))
            for p in leads
        ]
    )
    if choices.unmixing == "nmf":
        lead = lead_plane(coupled.lead_scores, coupled.lead_noise, scores.scale, n_components)
        return unmix_nonnegative(
            lead, coupled.basis, whitened, n_components, choices.abundances, choices.seed
        )
    left, values, right = np.linalg.svd(whitened, full_matrices=False)
    principal = (coupled.basis @ (left * values)) / design_weight(scores.scale)[:, None]
    return unmix_signed(principal, right, n_components, choices.unmixing)
