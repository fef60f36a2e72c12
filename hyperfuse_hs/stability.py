"""Which components come out again: with other numbers of them, other starts, other positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import faces
from hyperfuse_hs.algorithms.abundance import simplex_abundances
from hyperfuse_hs.algorithms.coupling import Coupling, significant_lead_rank
from hyperfuse_hs.algorithms.metrics import match_components
from hyperfuse_hs.joint import settle
from hyperfuse_hs.lead import LeadScores, check_directions, lead_plane
from hyperfuse_hs.modality import Watch
from hyperfuse_hs.result import Choices, Scores
from hyperfuse_hs.unmixing import unmix_simplex

Floats = NDArray[np.float64]

RESAMPLED_STARTS = 3
"""Starts of the search on a part of the positions."""


@dataclass(frozen=True, eq=False)
class RankStability:
    """What comes out again with one number of components.

    Parameters
    ----------
    abundances
        ``(N, p)`` of all positions with all of the data.
    seeds
        ``(s, p)`` correlation of each map with that found from another random start.
    resamples
        ``(r, p)`` the same, with that found from a random half of the positions.
    """

    abundances: Floats
    seeds: Floats
    resamples: Floats

    @property
    def reproducibility(self) -> Floats:
        """The lower of the two mean correlations of each component, ``(p,)``."""
        means = [part.mean(axis=0) for part in (self.seeds, self.resamples) if len(part)]
        return np.asarray(np.min(means, axis=0), dtype=np.float64)


def rank_stability(
    scores: Scores,
    choices: Choices,
    n_components: int,
    n_seeds: int,
    n_resamples: int,
    rng: np.random.Generator,
    watch: Watch,
) -> RankStability:
    """Unmix with one number of components, again and again.

    A half of the positions has noise of its own. What stands out of the noise with all of the
    positions is taken as known, and unmixed from those of the half. Where more components are
    asked for, the directions that tell them apart are looked for in the half anew, among those of
    the lead modalities that are next to stand out: noise points somewhere else each time.

    Parameters
    ----------
    scores, choices
        Of a fusion; the method must give corners of a simplex.
    n_components
        Number of components, p.
    n_seeds, n_resamples
        How many other starts, and halves of the positions.
    rng
        Draws them.
    watch
        Shows progress.

    Returns
    -------
    RankStability
        No data are read.
    """
    roles, coupled, _ = settle(scores, replace(choices, n_components=n_components))
    lead = lead_plane(coupled.lead_scores, coupled.lead_noise, scores.scale, n_components)
    leads = [name for name, (role, _) in roles.items() if role == "lead"]
    pool = _Pool(scores, coupled, leads, n_components)
    method, kind = choices.unmixing, choices.abundances
    with watch(1 + n_seeds + n_resamples, f"{n_components} components") as tick:
        first = unmix_simplex(lead, n_components, method, kind, choices.seed).abundances
        tick(1)
        seeds, halves = np.empty((n_seeds, n_components)), np.empty((n_resamples, n_components))
        for number in range(n_seeds):
            seed = int(rng.integers(2**31))
            again = unmix_simplex(lead, n_components, method, kind, seed).abundances
            seeds[number] = map_correlations(first, again)
            tick(1)
        for number in range(n_resamples):
            rows = np.sort(rng.permutation(len(first))[: max(len(first) // 2, n_components)])
            again = pool.unmix(rows, method, int(rng.integers(2**31)))
            halves[number] = map_correlations(first, again)
            tick(1)
    return RankStability(first, seeds, halves)


class _Pool:
    """Lead scores, and those that are next to stand out of the noise."""

    def __init__(
        self, scores: Scores, coupled: Coupling, leads: Sequence[str], n_components: int
    ) -> None:
        self.p, self.scale = n_components, scores.scale
        known = min(max(significant_lead_rank(coupled), 1), coupled.lead_scores.shape[1])
        self.known = coupled.lead_scores[:, :known]
        self.noise = coupled.lead_noise[:, :known]
        self.more = max(n_components - known, 0)
        parts = [scores.modalities[name] for name in leads]
        rest = np.hstack([part.scores[:, part.rank :] for part in parts])
        check_directions(known + rest.shape[1], n_components)
        # What they share with the known ones must not come in by the back door.
        axes = np.linalg.qr(self.known)[0]
        self.rest = rest - axes @ (axes.T @ rest)

    def unmix(self, rows: NDArray[np.intp], method: object, seed: int) -> Floats:
        """Find the endmembers from some positions, and the abundances ``(N, p)`` of all."""
        columns, noise = self.known, self.noise
        if self.more:
            axes = np.linalg.svd(self.rest[rows], full_matrices=False)[2][: self.more]
            columns = np.hstack([columns, self.rest @ axes.T])
            noise = np.hstack([noise, np.ones((len(noise), self.more))])
        lead = lead_plane(columns[rows], noise[rows], self.scale[rows], self.p)
        corners = _search(lead, self.p, method, seed)
        whole = lead_plane(columns, noise, self.scale, self.p)
        points = (whole.whitened - lead.centre) @ lead.axes
        if self.p == 1:
            return np.ones((len(points), 1))
        return simplex_abundances(points, corners)


def _search(lead: LeadScores, p: int, method: object, seed: int) -> Floats:
    if method == "face_mixture" and p > 1:
        # Where all positions led can be seen from half of them without the last effort.
        return faces.face_mixture(
            lead.coordinates,
            p,
            lead.noise,
            random_state=seed,
            n_starts=RESAMPLED_STARTS,
            max_escapes=0,
        ).endmembers
    found = unmix_simplex(lead, p, method, "none", seed).coordinates
    corners = np.linalg.lstsq(found, lead.coordinates, rcond=None)[0]
    return np.asarray(corners, dtype=np.float64)


def map_correlations(first: Floats, again: Floats) -> Floats:
    """Correlation of each map with the one that is matched to it.

    Parameters
    ----------
    first, again
        ``(N, p)`` and ``(N, q)`` with q >= p.

    Returns
    -------
    ndarray
        ``(p,)``; maps are matched by the angles between them (Hungarian algorithm). Zero for a map
        without contrast, but one for that of a single component.
    """
    if first.shape[1] == again.shape[1] == 1:
        return np.ones(1)
    matched = again[:, match_components(again.T, first.T)]
    left, right = first - first.mean(axis=0), matched - matched.mean(axis=0)
    size = np.linalg.norm(left, axis=0) * np.linalg.norm(right, axis=0)
    product = np.sum(left * right, axis=0)
    return np.asarray(np.divide(product, size, out=np.zeros(len(size)), where=size > 1e-12))


def chain(maps: Sequence[Floats]) -> list[tuple[NDArray[np.intp], Floats]]:
    """Follow components from each number of them to the next.

    Parameters
    ----------
    maps
        Abundances ``(N, p)`` for ascending p.

    Returns
    -------
    list of tuple
        For each p: the track of every component ``(p,)``, and the correlation of its map with that
        of the same track before ``(p,)``, NaN where the track begins. Tracks count from 0.
    """
    first = maps[0].shape[1]
    tracks, found = np.arange(first), [(np.arange(first), np.full(first, np.nan))]
    for before, after in zip(maps[:-1], maps[1:], strict=True):
        order = match_components(after.T, before.T)
        alike = np.full(after.shape[1], np.nan)
        alike[order] = map_correlations(before, after)
        new = np.full(after.shape[1], -1)
        new[order] = tracks
        new[new < 0] = np.arange(len(before.T), after.shape[1])
        tracks = new
        found.append((tracks, alike))
    return found
