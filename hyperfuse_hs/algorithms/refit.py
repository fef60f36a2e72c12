"""Fit the endmembers once more to scores that differ from the first ones by noise only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from hyperfuse_hs.algorithms.face_geometry import Face, Floats, pad_faces
from hyperfuse_hs.algorithms.face_problem import FaceProblem
from hyperfuse_hs.algorithms.face_search import Climb, background_density, climb
from hyperfuse_hs.algorithms.standard_scores import standardise

LEAST_WEIGHT = 1e-3
"""Share of a face in the start of a climb."""

TOLERANCE = 0.02
"""Gain of the log-likelihood that is not worth a step; a standard error of a parameter is 0.5."""

STEPS = 30


class FaceRefit:
    """Climbs from the endmembers of a first fit, whose faces are known.

    Parameters
    ----------
    points
        ``(N, q)`` scores of the first fit.
    noise
        ``(N,)`` variance of their noise.
    endmembers
        ``(p, q)`` of the first fit.
    faces
        Components present on each face.
    shares
        ``(F,)`` share of the positions on each face.
    """

    def __init__(
        self,
        points: Floats,
        noise: Floats,
        endmembers: Floats,
        faces: Sequence[Face],
        shares: Floats,
    ) -> None:
        self.noise, self.faces = noise, pad_faces(faces)
        weights = shares + LEAST_WEIGHT
        groups = np.unique(self.faces[1][self.faces[1] > 1])
        start = Climb(endmembers, weights / weights.sum(), np.ones(len(groups)), -np.inf, False, 0)
        self.first = self._climb(points, start)

    def __call__(self, points: Floats) -> Floats:
        """Fit endmembers ``(p, q)`` to other points ``(N, q)``."""
        return self._climb(points, self.first).endmembers

    def _climb(self, points: Floats, start: Climb) -> Climb:
        data = standardise(points, len(start.endmembers), self.noise)
        background = background_density(data.scores)
        problem = FaceProblem(data.scores, data.noise, *self.faces, background)
        moved = (start.endmembers - data.mean) @ data.axes.T / data.scale
        begin = replace(start, endmembers=np.ascontiguousarray(moved))
        found = climb(problem, begin, max_iter=STEPS, tolerance=TOLERANCE)
        return replace(found, endmembers=data.restore(found.endmembers))


class RepeatedFit:
    """Runs a search again, and puts its endmembers in the order of the first ones.

    Parameters
    ----------
    search
        Fits endmembers ``(p, q)`` to points ``(N, q)``.
    endmembers
        ``(p, q)`` of the first fit.
    """

    def __init__(self, search: Callable[[Floats], Floats], endmembers: Floats) -> None:
        self.search, self.endmembers = search, endmembers

    def __call__(self, points: Floats) -> Floats:
        """Fit endmembers ``(p, q)`` to other points ``(N, q)``."""
        found = self.search(points)
        distance = np.sum((self.endmembers[:, None] - found) ** 2, axis=2)
        return np.asarray(found[linear_sum_assignment(distance)[1]])
