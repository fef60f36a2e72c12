"""Which modalities lead, how many components there are, and the subspace that they share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import coupling
from hyperfuse_hs.algorithms.hidden import hidden_directions
from hyperfuse_hs.algorithms.orthonormal import ordered
from hyperfuse_hs.algorithms.rank import unevenness
from hyperfuse_hs.algorithms.regional import refine_lead, split_scan
from hyperfuse_hs.algorithms.tall import precision
from hyperfuse_hs.projected_noise import projected_noise
from hyperfuse_hs.result import Choices, ModalityScores, Scores
from hyperfuse_hs.scaling import design_weight


def settle(
    scores: Scores, choices: Choices
) -> tuple[dict[str, tuple[str, str]], coupling.Coupling, int]:
    """Settle roles and number of components, which depend on each other."""
    wanted = choices.n_components
    guess = _first_guess(scores) if wanted is None else wanted
    for _ in range(2):
        roles = assign_roles(scores, choices, guess)
        coupled = _coupling(scores, choices, roles, guess)
        if wanted is not None:
            return roles, coupled, wanted
        found = max(1, coupling.significant_lead_rank(coupled))
        if found == guess:
            break
        guess = found
    return roles, coupled, guess


def settle_roughly(
    scores: Scores, choices: Choices
) -> tuple[dict[str, tuple[str, str]], coupling.Coupling, int]:
    """Settle the same without a second thought, before the common basis is there."""
    roles = assign_roles(scores, choices, _first_guess(scores))
    parts = [scores.modalities[n] for n, (role, _) in roles.items() if role != "passive"]
    leads = [roles[part.name][0] == "lead" for part in parts]
    coupled = _coupled(parts, leads, [max(part.rank, 1) for part in parts], choices, 1)
    return roles, coupled, max(1, coupling.significant_lead_rank(coupled))


def _first_guess(scores: Scores) -> int:
    first = next(p for p in scores.modalities.values() if p.scores.size)
    return max(first.rank, 1)


def ordered_basis(
    scores: Scores, many: Collection[str], wanted: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Orthonormal basis that spans the scores of all modalities.

    Parameters
    ----------
    scores
        Scores of every modality; the basis need not be there yet.
    many
        Names of those that have so many channels that they are projected on the first directions
        only: what all have in common, and then what varies in them.
    wanted
        ``(N, k)`` with which sums over the scan are wanted of these: what all have in common, and
        more. None for that alone.

    Returns
    -------
    ndarray
        ``(N, K)``: the intensity, then what is wanted, or the other modalities' scores, denoised by
        all, and the scores of those with many channels and of the others as they are.
    """
    parts = [part for part in scores.modalities.values() if part.scores.size]
    leads = [part.name not in many for part in parts]
    weight = design_weight(scores.scale)[:, None]
    kind = precision(len(weight), 1 + sum(part.scores.shape[1] for part in parts))
    columns: list[NDArray[Any]] = [weight.astype(kind)]
    if wanted is not None:
        columns.append(wanted.astype(kind))
    elif any(leads) and not all(leads):
        kept = [part.scores[:, : max(part.rank, 1)] for part in parts]
        columns.append(coupling.couple(kept, leads).lead_scores.astype(kind))
    columns += [part.scores for part, lead in zip(parts, leads, strict=True) if not lead]
    columns += [part.scores for part, lead in zip(parts, leads, strict=True) if lead]
    return ordered(np.hstack(columns))


def assign_roles(scores: Scores, choices: Choices, n_components: int) -> dict[str, tuple[str, str]]:
    """Decide which modalities lead, support or only receive factors.

    Parameters
    ----------
    scores
        From `compress_all`.
    choices
        Roles and weights given by the user.
    n_components
        Number of components.

    Returns
    -------
    dict
        By name, role and the reason for it in words.
    """
    roles: dict[str, tuple[str, str]] = {}
    for name, part in scores.modalities.items():
        given = choices.roles.get(name, "auto")
        leading = any(role == "lead" for role, _ in roles.values())
        if not part.scores.size:
            roles[name] = "passive", "only receives factors"
        elif choices.weights.get(name, 1.0) == 0:
            roles[name] = "passive", "its weight is 0"
        elif given != "auto":
            roles[name] = given, "as asked for"
        elif not leading and "lead" not in choices.roles.values():
            roles[name] = "lead", "the calling signal"
        elif part.rank <= n_components:
            roles[name] = "lead", f"its rank {part.rank} fits {n_components} components"
        else:
            roles[name] = "support", f"its rank {part.rank} exceeds {n_components} components"
    return roles


def _coupling(
    scores: Scores, choices: Choices, roles: dict[str, tuple[str, str]], n_components: int
) -> coupling.Coupling:
    parts = [scores.modalities[n] for n, (role, _) in roles.items() if role != "passive"]
    leads = [roles[part.name][0] == "lead" for part in parts]
    # Directions that are wanted but do not stand out are better looked for with the others' help.
    if len(parts) > 1:
        significant = [max(part.rank, 1) for part in parts]
        coupled = _coupled(parts, leads, significant, choices, 1)
        coupled = _refined(scores, parts, leads, significant, choices, coupled)
        for part, lead in zip(parts, leads, strict=True):
            # Of channels seen in bins, the projection holds the strongest directions only.
            if lead and part.projection.shape[1] > 1 and not part.bins:
                coupled = _with_hidden(scores, part, coupled, n_components)
        least = coupling.SMALLEST * coupled.lead_values.max(initial=0.0)
        if np.count_nonzero(coupled.lead_values > least) >= n_components:
            return coupled
    return _coupled(parts, leads, [None] * len(parts), choices, n_components)


def _coupled(
    parts: list[ModalityScores],
    leads: list[bool],
    kept: Sequence[int | None],
    choices: Choices,
    minimum_rank: int,
) -> coupling.Coupling:
    """Couple the first columns of the scores of every modality, all of them where None is given."""
    pairs = list(zip(parts, kept, strict=True))
    return coupling.couple(
        [_weighted(part, k, choices) for part, k in pairs],
        leads,
        minimum_rank=minimum_rank,
        variances=[None if p.variance is None else p.variance[:, :k] for p, k in pairs],
    )


def _weighted(part: ModalityScores, kept: int | None, choices: Choices) -> NDArray[Any]:
    scores, weight = part.scores[:, :kept], choices.weights.get(part.name, 1.0)
    return scores if weight == 1 else scores * scores.dtype.type(weight)


def _refined(
    scores: Scores,
    parts: list[ModalityScores],
    leads: list[bool],
    kept: list[int],
    choices: Choices,
    coupled: coupling.Coupling,
) -> coupling.Coupling:
    """Denoise the leads once more, with the support of their own region of the scan."""
    regions = split_scan(scores.navigation_shape, scores.excluded)
    if len(regions) < 2 or all(leads):
        return coupled
    chosen = {
        lead: [
            (part, k)
            for part, k, is_lead in zip(parts, kept, leads, strict=True)
            if is_lead == lead
        ]
        for lead in (True, False)
    }

    def stacked(lead: bool) -> NDArray[np.float64]:
        return np.hstack([_weighted(part, k, choices) for part, k in chosen[lead]])

    def variance(lead: bool) -> NDArray[np.float64]:
        return np.hstack(
            [
                np.ones_like(part.scores[:, :k]) if part.variance is None else part.variance[:, :k]
                for part, k in chosen[lead]
            ]
        )

    profile = variance(False)
    reach = unevenness(profile, np.eye(profile.shape[1]), profile.shape[1]).reach
    return refine_lead(coupled, stacked(True), variance(True), stacked(False), reach, regions)


def _with_hidden(
    scores: Scores, part: ModalityScores, coupled: coupling.Coupling, n_components: int
) -> coupling.Coupling:
    """Add the directions of one lead modality that only the joint subspace makes visible."""
    n_known = coupling.significant_lead_rank(coupled)
    seen, joint = part.seen(scores.basis, coupled.basis)
    gain = part.gain if part.gain > 0 else 1.0
    noise = projected_noise(part, seen, joint)
    found = hidden_directions(
        seen,
        coupled.lead_scores[:, :n_known],
        joint / np.sqrt(noise.divisor * gain),
        noise.variance,
        noise.channels,
        max(n_components - n_known, 0),
    )
    wanted = max(int(np.sum(found.values > found.edge)), n_components - n_known)
    return coupling.insert_directions(coupled, found, n_known, wanted)
