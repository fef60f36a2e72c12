"""What noise of the scores does to abundances that are fitted with constraints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from hyperfuse_hs.algorithms.abundance import simplex_abundances

Floats = NDArray[np.float64]
Solve = Callable[[Floats, Floats], Floats]

DRAWS = 64
"""Low-discrepancy draws of the noise for each position, the same for all (a power of two)."""

CHUNK = 2048
"""Positions at once."""

LEAST_SHARE = 1e-3
"""Probability of a face below which it is left out."""


def constrained_errors(
    points: Floats,
    corners: Floats,
    variance: Floats,
    solve: Solve,
    faces: Sequence[tuple[int, ...]] | None = None,
    shares: Floats | None = None,
) -> Floats:
    """Root mean square error of abundances fitted with constraints.

    Fits to points that are moved by noise are compared with what they were before. These are the
    fitted abundances themselves or, where it is known on which face of the simplex a position may
    lie, the nearest abundances on a face drawn with its probability: at a pure position, where
    noise can move the fit in one direction only, errors are smaller than inside.

    Parameters
    ----------
    points
        ``(N, K)`` scores.
    corners
        ``(p, K)`` endmembers.
    variance
        ``(N, K)`` of the noise of the points.
    solve
        Fits abundances ``(n, p)`` to points and corners.
    faces
        Components present on each face, or None.
    shares
        ``(N, F)`` probability of each face, or None.

    Returns
    -------
    ndarray
        ``(N, p)``.
    """
    normal, uniform = _even_draws(points.shape[1])
    errors = np.empty((len(points), len(corners)))
    for start in range(0, len(points), CHUNK):
        rows = slice(start, start + CHUNK)
        if faces is None or shares is None:
            bases = solve(points[rows], corners)[:, None]
            chosen = np.zeros((len(bases), DRAWS), dtype=int)
        else:
            bases = _bases(points[rows], corners, faces, shares[rows])
            sums = np.cumsum(shares[rows], axis=1)
            sums /= sums[:, -1:]
            chosen = np.sum(sums[:, None] < uniform[None, :, None], axis=2)
        spread = np.sqrt(variance[rows])
        total = np.zeros((len(bases), len(corners)))
        for index, moved in enumerate(normal):
            truth = bases[np.arange(len(bases)), chosen[:, index]]
            total += (solve(truth @ corners + spread * moved, corners) - truth) ** 2
        errors[rows] = np.sqrt(total / DRAWS)
    return errors


def _even_draws(dimensions: int) -> tuple[Floats, Floats]:
    """Points that fill a normal distribution evenly ``(DRAWS, K)``, and the unit interval."""
    # Moved by a fixed random vector: the sequence begins at the corner of the cube.
    moved = np.random.default_rng(0).random(dimensions + 1)
    draws = (qmc.Sobol(dimensions + 1, scramble=False).random(DRAWS) + moved) % 1.0
    return norm.ppf(np.clip(draws[:, :-1], 1e-6, 1 - 1e-6)), draws[:, -1]


def _bases(
    points: Floats, corners: Floats, faces: Sequence[tuple[int, ...]], shares: Floats
) -> Floats:
    """Nearest abundances on every face that is probable, ``(n, F, p)``."""
    found = np.zeros((len(points), len(faces), len(corners)))
    for number, face in enumerate(faces):
        rows = np.flatnonzero(shares[:, number] > LEAST_SHARE)
        found[:, number, face[0]] = 1.0
        if len(face) > 1 and rows.size:
            inside = simplex_abundances(points[rows], corners[list(face)])
            found[rows[:, None], number, np.array(face)] = inside
    return found


def draw_on_faces(
    points: Floats,
    corners: Floats,
    faces: Sequence[tuple[int, ...]],
    shares: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Draw the face of every position and take the nearest abundances on it.

    Parameters
    ----------
    points
        ``(N, K)`` scores.
    corners
        ``(p, K)`` endmembers.
    faces
        Components present on each face.
    shares
        ``(N, F)`` probability of each face.
    rng
        Source of randomness.

    Returns
    -------
    ndarray
        ``(N, p)``, rows sum to one.
    """
    sums = np.cumsum(shares, axis=1)
    chosen = np.sum(sums < rng.random((len(points), 1)) * sums[:, -1:], axis=1)
    drawn = np.zeros((len(points), len(corners)))
    for number in np.unique(chosen):
        rows, face = np.flatnonzero(chosen == number), list(faces[number])
        drawn[np.ix_(rows, face)] = simplex_abundances(points[rows], corners[face])
    return drawn
