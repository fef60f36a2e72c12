"""From denoised lead scores to endmembers and abundances, by any of the methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import face_posterior, faces, nmf, rotation, simplex
from hyperfuse_hs.algorithms.abundance import (
    nonnegative_abundances,
    simplex_abundances,
    unconstrained_abundances,
)
from hyperfuse_hs.concerns import concerning
from hyperfuse_hs.lead import LeadScores, check_directions

UNMIXING = ("face_mixture", "minimum_volume", "vertex", "nmf", "orthomax", "none")
ABUNDANCES = ("simplex", "nonnegative", "none")
SIGNED = ("orthomax", "none")
"""Methods whose components may be negative and do not span a simplex."""

SEARCHES = ("face_mixture", "minimum_volume")
"""Methods that search for the most likely simplex."""

MOST_SEARCHED = 20
"""Components up to which they do."""


@dataclass(frozen=True, eq=False)
class FacePosterior:
    """Probabilities of the faces of a simplex that was found, computed when it is called.

    Parameters
    ----------
    points, noise
        ``(N, p - 1)`` and ``(N,)``, as in `LeadScores`.
    found
        By the search.
    seed
        Of the positions that are learnt from.
    """

    points: NDArray[np.float64]
    noise: NDArray[np.float64]
    found: faces.FaceMixture
    seed: int

    def __call__(self) -> NDArray[np.float64]:
        """Compute them, ``(N, F)``."""
        found, rng = self.found, np.random.default_rng(self.seed)
        return face_posterior.face_probabilities(
            self.points, found.endmembers, self.noise, found.faces, found.weights, rng
        ).posterior


@dataclass(frozen=True, eq=False)
class Unmixed:
    """Abundances, and what the method knows besides.

    Parameters
    ----------
    abundances
        ``(N, p)``.
    coordinates
        ``(N, p)`` the same without constraints. Noise takes them below zero as often as above,
        so that factors fitted to them are not biased: abundances clipped at zero are too small
        on average where a component is pure, and would push its factor away from the others.
    face_sets, facet_support
        As in `FusionResult`, for the N positions.
    face_posterior
        Computes the probabilities of the faces, ``(N, F)``; None where there are none.
    log_likelihood
        Mean per position; NaN where the method has none.
    start_log_likelihoods
        ``(s,)`` what each start of the search reached; None where there are none.
    """

    abundances: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    face_sets: tuple[tuple[int, ...], ...] | None = None
    face_posterior: FacePosterior | None = None
    facet_support: NDArray[np.float64] | None = None
    log_likelihood: float = float("nan")
    start_log_likelihoods: NDArray[np.float64] | None = None


def unmix_simplex(
    lead: LeadScores, n_components: int, method: Any, abundances: str, seed: int
) -> Unmixed:
    """Find the vertices of the simplex and the abundances of every position.

    Parameters
    ----------
    lead
        Scores in their plane.
    n_components
        Number of components, p.
    method
        ``"face_mixture"``, ``"minimum_volume"``, ``"vertex"``, or an object with
        ``fit(scores, n_components, noise)``.
    abundances
        One of ``ABUNDANCES``.
    seed
        Of the random starts.

    Returns
    -------
    Unmixed
        Abundances ``(N, p)``.

    Raises
    ------
    ValueError
        There are too many components to search for.
    """
    if isinstance(method, str) and method in SEARCHES and n_components > MOST_SEARCHED:
        with concerning("n_components"):
            raise ValueError(
                f'Expected at most {MOST_SEARCHED} components for unmixing="{method}". Got '
                f"{n_components}. If they were counted automatically, something varies that is not "
                "the composition, such as drift, shifts or artefacts of a detector: give "
                'n_components, mask it, or look at unmixing="none" first.'
            )
    points, noise = lead.coordinates, lead.noise
    extra: dict[str, Any] = {}
    if n_components == 1:
        endmembers = np.zeros((1, 0))
    elif method == "face_mixture":
        found = faces.face_mixture(points, n_components, noise, random_state=seed)
        endmembers = found.endmembers
        extra = {
            "face_sets": found.faces,
            "face_posterior": FacePosterior(points, noise, found, seed),
            "facet_support": found.facet_support,
            "log_likelihood": found.log_likelihood,
            "start_log_likelihoods": found.start_log_likelihoods,
        }
    elif method == "minimum_volume":
        fit = simplex.minimum_volume(points, n_components, noise, random_state=seed)
        endmembers = fit.endmembers
        extra = {
            "log_likelihood": fit.log_likelihood,
            "start_log_likelihoods": fit.start_log_likelihoods,
        }
    elif method == "vertex":
        endmembers = simplex.vertex_component_analysis(points, n_components, random_state=seed)
    else:
        with concerning("unmixing"):
            endmembers = endmembers_of(method.fit(points, n_components, noise), n_components)
    coordinates = affine_coordinates(points, endmembers)
    return Unmixed(_abundances(lead, endmembers, abundances), coordinates, **extra)


def affine_coordinates(
    points: NDArray[np.float64], endmembers: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coordinates of points in the simplex, of any sign, that sum to one.

    Parameters
    ----------
    points
        ``(N, p - 1)``.
    endmembers
        ``(p, p - 1)``.

    Returns
    -------
    ndarray
        ``(N, p)``; of least norm where the endmembers span less.
    """
    lifted = np.hstack([endmembers, np.ones((len(endmembers), 1))])
    rows = np.hstack([points, np.ones((len(points), 1))])
    return rows @ np.linalg.pinv(lifted)


def endmembers_of(fitted: Any, n_components: int) -> NDArray[np.float64]:
    """Read the vertices from what the ``fit`` of a user's own object returned.

    Parameters
    ----------
    fitted
        Array ``(p, p - 1)``, or an object with such an attribute ``endmembers_``.
    n_components
        Number of components, p.

    Returns
    -------
    ndarray
        ``(p, p - 1)``.

    Raises
    ------
    TypeError
        There is no such array.
    ValueError
        It has another shape or values that are not finite.
    """
    found = getattr(fitted, "endmembers_", fitted)
    try:
        endmembers = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            "The fit(scores, n_components, noise) of unmixing= is expected to return the "
            f"endmembers, or an object with them as endmembers_. Got {type(fitted).__name__}."
        ) from None
    expected = (n_components, n_components - 1)
    if endmembers.shape != expected or not np.isfinite(endmembers).all():
        raise ValueError(
            f"The endmembers from unmixing= are expected to be finite and of shape {expected}: "
            "one row a component, in the coordinates of the scores given to fit. "
            f"Got shape {endmembers.shape}."
        )
    return endmembers


def _abundances(
    lead: LeadScores, endmembers: NDArray[np.float64], kind: str
) -> NDArray[np.float64]:
    if kind == "simplex":
        if len(endmembers) == 1:
            return np.ones((len(lead.whitened), 1))
        return simplex_abundances(lead.coordinates, endmembers)
    lifted = lead.lift(endmembers)
    solve = nonnegative_abundances if kind == "nonnegative" else unconstrained_abundances
    return solve(lead.whitened, lifted)


def unmix_nonnegative(
    lead: LeadScores,
    scores: NDArray[np.float64],
    basis: NDArray[np.float64],
    n_components: int,
    abundances: str,
    seed: int,
) -> Unmixed:
    """Factorise the denoised, whitened lead data into non-negative matrices.

    Parameters
    ----------
    lead
        Scores in their plane, for the abundances.
    scores, basis
        ``(N, R)`` and ``(R, C)``, their product approximates the whitened lead data.
    n_components
        Number of components, p.
    abundances
        One of ``ABUNDANCES``.
    seed
        Of the random starts.

    Returns
    -------
    Unmixed
        Components scaled so that the abundances sum to one as nearly as they can.
    """
    found = nmf.nonnegative_factorization(scores, basis, n_components, random_state=seed)
    root = lead.weight
    loadings = found.abundances
    sums = nonnegative_abundances(root[None], loadings.T)[0]
    sums = np.where(sums > 0, sums, 1 / np.maximum(loadings.mean(axis=0), 1e-300))
    scaled = loadings * sums / root[:, None]
    weighted = scaled * root[:, None]
    rows = np.linalg.lstsq(weighted, lead.whitened * root[:, None], rcond=None)[0]
    coordinates = unconstrained_abundances(lead.whitened, rows)
    if abundances == "nonnegative":
        return Unmixed(scaled, coordinates)
    if abundances == "simplex":
        return Unmixed(simplex_abundances(lead.whitened, rows), coordinates)
    return Unmixed(coordinates, coordinates)


def unmix_signed(
    lead_scores: NDArray[np.float64], basis: NDArray[np.float64], n_components: int, method: str
) -> Unmixed:
    """Take the leading principal components, as they are or rotated.

    Parameters
    ----------
    lead_scores
        ``(N, K)`` by descending singular value.
    basis
        ``(K, C)`` what each score stands for in the whitened lead channels.
    n_components
        Number of components, p.
    method
        ``"orthomax"`` (varimax of the factors) or ``"none"``.

    Returns
    -------
    Unmixed
        Signed scores in place of abundances.

    Raises
    ------
    ValueError
        There are fewer scores than components.
    """
    check_directions(lead_scores.shape[1], n_components)
    kept = lead_scores[:, :n_components]
    if method == "orthomax":
        kept = kept @ rotation.orthomax(basis[:n_components].T)
    return Unmixed(kept, kept)
