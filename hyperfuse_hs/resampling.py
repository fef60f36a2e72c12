"""Parametric bootstrap: unmix what the model says with fresh noise, again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.abundance_noise import draw_on_faces
from hyperfuse_hs.algorithms.refit import FaceRefit, RepeatedFit
from hyperfuse_hs.algorithms.simplex import vertex_component_analysis
from hyperfuse_hs.lead_noise import LeadNoise, lead_noise, vertices
from hyperfuse_hs.result import Choices, FusionResult, Scores
from hyperfuse_hs.unmixing import SEARCHES, affine_coordinates, endmembers_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resampled:
    """What came out of unmixing again, in terms of what went in.

    Parameters
    ----------
    factors
        ``(n, p, p)``: factors found, as mixtures of the true ones.
    abundances
        ``(n, p, p)``: coordinates of a position without noise, ``abundances @`` this.
    noise
        Of the lead scores.
    """

    factors: Floats
    abundances: Floats
    noise: LeadNoise

    def factor_moments(self) -> Floats:
        """Second moments of the errors of every factor, ``(p, p, p)``, as mixtures of all."""
        errors = self.factors - np.eye(self.factors.shape[1])
        return np.einsum("nij,nik->ijk", errors, errors) / len(errors)

    def abundance_variance(self, abundances: Floats) -> Floats:
        """Squared errors ``(N, p)`` of abundances ``(N, p)`` that come from the endmembers."""
        errors = self.abundances - np.eye(self.abundances.shape[1])
        moments = np.einsum("nik,njk->kij", errors, errors) / len(errors)
        found = np.einsum("ni,kij,nj->nk", abundances, moments, abundances, optimize=True)
        return np.asarray(np.maximum(found, 0.0))


def resample(
    scores: Scores,
    result: FusionResult,
    choices: Choices,
    count: int,
    rng: np.random.Generator,
) -> Resampled:
    """Unmix simulated scores.

    The simulated specimen has the endmembers found, every position on a face drawn with its
    probability. Scores get noise as the joint subspace leaves it: independent from position to
    position, and in common to those that are alike. The search then starts from the endmembers
    found, so that it stays in the optimum it is in: that there may be others is not counted.

    Parameters
    ----------
    scores, result, choices
        Of the fusion.
    count
        How often, n.
    rng
        Source of randomness.

    Returns
    -------
    Resampled
        No data are read.

    Raises
    ------
    ValueError
        The components are not the corners of a simplex.
    """
    method = _method(result, choices)
    noise = lead_noise(scores, result, choices)
    p, lead = result.n_components, noise.lead
    if p == 1:
        return Resampled(np.ones((count, 1, 1)), np.ones((count, 1, 1)), noise)
    kept = ~result.excluded
    points = lead.coordinates
    found = vertices(result, noise)
    faces, shares = result.face_sets, result.face_posterior
    if faces is None or shares is None:
        faces, shares = (tuple(range(p)),), np.ones((len(result.excluded), 1))
    refit: Callable[[Floats], Floats]
    if method in SEARCHES:
        search = FaceRefit(points, lead.noise, found, faces, shares[kept].mean(axis=0))
        refit, found = search, search.first.endmembers
    else:
        refit = RepeatedFit(lambda z: _search(method, z, p, lead.noise, choices.seed), found)
    weighted = noise.basis.T * lead.weight
    factors, abundances = np.empty((count, p, p)), np.empty((count, p, p))
    for number in range(count):
        truth = draw_on_faces(points, found, faces, shares[kept], rng)
        moved = truth @ found + noise.draw(rng) @ lead.axes
        endmembers = refit(moved)
        design = weighted @ affine_coordinates(moved, endmembers)
        factors[number] = np.linalg.pinv(design) @ (weighted @ truth)
        abundances[number] = affine_coordinates(found, endmembers)
    return Resampled(factors, abundances, noise)


def _method(result: FusionResult, choices: Choices) -> object:
    """How the endmembers were found, if they can be found again."""
    named = result.options["unmixing"]
    if "purified" in result.options:
        raise ValueError(
            "Expected components as they were unmixed. Purified ones follow from what the user "
            "knows: ask the result that purify was called on."
        )
    if named == "custom" and not isinstance(choices.unmixing, str):
        return choices.unmixing
    if named not in (*SEARCHES, "vertex"):
        raise ValueError(
            'Expected components found by unmixing="face_mixture", "minimum_volume", "vertex" or '
            f'an object at hand: corners of a simplex, to be found again. Got "{named}". Use '
            "get_factor_errors and get_abundance_errors of the result."
        )
    return named


def _search(method: Any, points: Floats, p: int, noise: Floats, seed: int) -> Floats:
    if method == "vertex":
        return vertex_component_analysis(points, p, random_state=seed)
    return endmembers_of(method.fit(points, p, noise), p)
