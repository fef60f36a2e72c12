"""Means over what varies, foreseen before the second look at data on disk.

Of a modality with many channels only so many sums over the scan can be kept. Its factors are means
with weights that are known once the maps are: see `varying`. Sums with about these weights are
worth more than those in the directions in which crystals differ, so they are made first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs import varying
from hyperfuse_hs.algorithms import faces, rank, spatial
from hyperfuse_hs.algorithms.abundance import simplex_abundances
from hyperfuse_hs.algorithms.standard_scores import choose_positions
from hyperfuse_hs.algorithms.tall import crossed, turned
from hyperfuse_hs.algorithms.varying import Fields, divide_power
from hyperfuse_hs.joint import settle_roughly
from hyperfuse_hs.lead import LeadScores, lead_plane
from hyperfuse_hs.result import Choices, ModalityScores, Scores
from hyperfuse_hs.scaling import design_weight
from hyperfuse_hs.unmixing import affine_coordinates

Floats = NDArray[np.float64]

POSITIONS = 4096
"""That the components are searched on."""

MOST_COMPONENTS = 8
"""That are searched for: these are only a guess."""

STRONGEST = 16
"""Directions of what varies that its power and its reach are taken from."""


def foresee(scores: Scores, names: Collection[str], seed: int) -> NDArray[Any] | None:
    """Guess in which directions the factors of some modalities will be found.

    Parameters
    ----------
    scores
        Scores of every modality; the common basis need not be there yet.
    names
        Of the modalities.
    seed
        Of the search.

    Returns
    -------
    ndarray or None
        ``(N, k)``, rows weighted like those of the data: the scores of the leads, denoised by all,
        and the weights that the factors will have as means over the scan. None where there are no
        such means.
    """
    choices = Choices(None, {}, {}, "face_mixture", "simplex", seed)
    roles, coupled, p = settle_roughly(scores, choices)
    p = min(p, MOST_COMPONENTS)
    lead = lead_plane(coupled.lead_scores, coupled.lead_noise, scores.scale, p)
    try:
        corners = _guess_corners(lead, p, seed)
    except ValueError:
        # A component may be where none of the chosen positions is; the fusion looks at all.
        return None
    coordinates = affine_coordinates(lead.coordinates, corners)
    abundances = np.ones_like(coordinates)
    if p > 1:
        abundances = simplex_abundances(lead.coordinates, corners)
    found = [
        _mean_weights(scores, scores.modalities[name], coordinates, abundances)
        for name in names
        if varying.averages(roles[name][0], signed=False)
    ]
    if not any(columns.size for columns in found):
        return None
    return np.hstack([coupled.lead_scores, *found])


def _guess_corners(lead: LeadScores, n_components: int, seed: int) -> Floats:
    """Corners ``(p, p - 1)`` of the simplex, from some of the positions."""
    if n_components == 1:
        return np.zeros((1, 0))
    rng = np.random.default_rng(seed)
    some = choose_positions(len(lead.noise), POSITIONS, rng)
    points, noise = lead.coordinates[some], lead.noise[some]
    return faces.face_mixture(
        points, n_components, noise, random_state=rng, max_escapes=0
    ).endmembers


def _mean_weights(
    scores: Scores, part: ModalityScores, coordinates: Floats, abundances: Floats
) -> Floats:
    """Weights ``(N, p)``, with what varies as its scores tell, in units of its noise."""
    n, weight = len(coordinates), design_weight(varying.scale_of(part, len(coordinates)))
    design = coordinates * weight[:, None]
    strength = rank.signal_strength(part.singular_values[: part.rank], n, part.channels)
    seen = part.scores[:, : part.rank] / np.linalg.norm(part.scores[:, : part.rank], axis=0)
    size = np.sqrt(strength)
    inside = crossed(seen, design)
    left, values, _ = np.linalg.svd(np.diag(size) - inside @ (np.linalg.pinv(inside) * size))
    power = float(np.sum(values**2))
    count = np.count_nonzero(values[:STRONGEST] > 1e-6 * max(values.max(initial=0.0), 1.0))
    if not count:
        return np.zeros((n, 0))
    left, values = left[:, :count], values[:count]
    # Any channels will do that hold the same squares, and the same noise.
    rest = np.diag(np.sqrt(values**2 + part.channels))
    noise = np.full(count, part.channels / count)
    amounts = abundances * weight[:, None]
    found = divide_power(seen, amounts, left, rest, noise)[0] * power / float(np.sum(values**2))
    if not found.any():
        return np.zeros((n, 0))
    scan = spatial.scan_of(scores.navigation_shape, scores.excluded)
    maps = turned(seen, left * values)
    reach = spatial.correlation_range(scan, maps, amounts * np.sqrt(found))
    fields = Fields(scan, design, amounts, weight, reach)
    return fields.mean_weights(found, part.channels * part.rank / n).T
