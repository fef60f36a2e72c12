"""What a modality has in store besides the components, and factors that are means over it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import regression, spatial, varying
from hyperfuse_hs.algorithms.rank import noise_edge, signal_strength, unevenness
from hyperfuse_hs.algorithms.tall import crossed, mixed, stripes, turned
from hyperfuse_hs.algorithms.varying import Variation
from hyperfuse_hs.projected_noise import projected_noise
from hyperfuse_hs.result import FusionResult, ModalityScores, Scores
from hyperfuse_hs.scaling import design_weight
from hyperfuse_hs.unmixing import SIGNED

Floats = NDArray[np.float64]

LEAST_SHARE = 0.1
"""Part of a direction that has to be in the joint subspace for it to be looked at."""

MOST = 64
"""Directions of what varies that are looked at in any scan, the strongest."""

ELEMENTS = 2**22
"""Of their maps, and of what is in them, up to which there may be more."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Factors of a modality by a linear fit to its projection.

    Parameters
    ----------
    seen
        ``(N, K)`` directions that the data are projected on.
    factors
        ``(p, C)``, of either sign.
    weights
        ``(p, K)`` of the projected data in the factors.
    variation
        What varies, or None.
    """

    seen: Floats
    factors: Floats
    weights: Floats
    variation: Variation | None = None


def scale_of(part: ModalityScores, n_positions: int) -> Floats:
    """Local intensity of a modality, ``(N,)``."""
    return np.ones(n_positions) if part.scale is None else part.scale


def joint_basis(scores: Scores, result: FusionResult) -> Floats:
    """Orthonormal basis ``(N, R)`` of the joint subspace of a result."""
    return np.asarray(result.basis[~result.excluded] * design_weight(scores.scale)[:, None])


def look(scores: Scores, part: ModalityScores, basis: Floats) -> tuple[Floats, Floats]:
    """Look at the data of a modality through the directions that it shares with a subspace.

    Parameters
    ----------
    scores, part
        All scores, and those of the modality.
    basis
        ``(N, R)`` orthonormal.

    Returns
    -------
    seen : ndarray
        ``(N, R')`` orthonormal: `basis`, or the part of it that the data are projected on.
    joint : ndarray
        ``(R', C)``, ``seen^T X``.
    """
    if part.turn is None:
        return part.seen(scores.basis, basis)
    own = part.directions(scores.basis)
    left, values, _ = np.linalg.svd(crossed(own, basis), full_matrices=False)
    kept = left[:, values > LEAST_SHARE]
    return turned(own, kept), mixed(kept.T, part.projection)


def averages(role: str, *, signed: bool) -> bool:
    """Tell whether factors are means over what varies: of modalities that define no components."""
    return role != "lead" and not signed


def fit(
    scores: Scores,
    part: ModalityScores,
    basis: Floats,
    coordinates: Floats,
    abundances: Floats,
    *,
    average: bool,
    errors: bool,
) -> Fit:
    """Fit the factors of a modality.

    Where a modality varies in more ways than the components do, such as diffraction of crystals
    that lie differently, its factors are the means over the scan, by amount: see
    `algorithms.varying`. Least squares otherwise, and where the components are defined by the
    modality itself.

    Parameters
    ----------
    scores, part
        All scores, and those of the modality.
    basis
        ``(N, R)`` coupled scores.
    coordinates
        ``(N, p)`` abundances without constraints, which factors are fitted to.
    abundances
        ``(N, p)`` with them: noise in what is next to nothing there would count as what varies.
    average
        Whether factors are means over what varies; otherwise they are least squares, and only
        their errors follow from it.
    errors
        Whether to say what varies.

    Returns
    -------
    Fit
        Linear in the data.
    """
    weight = design_weight(scale_of(part, len(basis)))
    design = coordinates * weight[:, None]
    found = _least_squares(scores, part, basis, design)
    if not errors and not average:
        return found
    factors, rows = found.factors, turned(found.seen, found.weights.T).T
    # Made again where it is wanted: what it holds is among the largest arrays.
    del found
    seen, joint = look(scores, part, basis)
    rest = _Rest(part, seen, joint, design)
    amounts = np.maximum(abundances, 0.0) * weight[:, None]
    power, spectra, maps = rest.divided(seen, amounts, factors)
    if not power.any():
        return _least_squares(scores, part, basis, design)
    scan = spatial.scan_of(scores.navigation_shape, scores.excluded)
    reach = spatial.correlation_range(scan, maps, amounts * np.sqrt(power))
    fields = varying.Fields(scan, design, amounts, weight, reach)
    del maps
    if average:
        # The directions follow what varies: what is in none of them is not there.
        noise = float(rest.noise.sum()) * seen.shape[1] / len(seen)
        rows = fields.mean_weights(power, noise)
        weights = crossed(rows.T, seen)
        lacking = np.eye(len(weights)) - weights @ rest.design
        weights = weights + lacking @ np.linalg.pinv(rest.design)
        found = Fit(seen, mixed(weights, rest.joint), weights)
        if not errors:
            return found
        if part.turn is not None:
            # What varies lies in the joint subspace, and is only seen in some directions of it.
            unseen = turned(basis, crossed(basis, rows.T)) - turned(seen, crossed(seen, rows.T))
            rows = rows - unseen.T
        _, spectra, _ = rest.divided(seen, amounts, found.factors)
    else:
        found = _least_squares(scores, part, basis, design)
    spectra *= _over_seen(part, seen, design)
    return replace(found, variation=Variation(fields.spread_of(rows), spectra, fields.freedom))


def _least_squares(scores: Scores, part: ModalityScores, basis: Floats, design: Floats) -> Fit:
    seen, joint = part.seen(scores.basis, basis)
    weights = regression.projection_weights(seen, design)
    factors = regression.factors_from_projection(seen, joint, design, nonnegative=False)
    return Fit(seen, factors, weights)


def fit_result(scores: Scores, result: FusionResult, name: str, *, errors: bool) -> Fit:
    """Fit the factors of a modality of a result again, see `fit`: without constraints."""
    return fit(
        scores,
        scores.modalities[name],
        joint_basis(scores, result),
        result.coordinates[~result.excluded],
        result.abundances[~result.excluded],
        average=averages(result.modalities[name].role, signed=result.options["unmixing"] in SIGNED),
        errors=errors,
    )


def _over_seen(part: ModalityScores, seen: Floats, design: Floats) -> float:
    """All that varies of a modality over what does in the directions that are seen of it.

    What is in the others is taken to be alike.
    """
    if part.turn is None:
        return 1.0
    columns = part.scores[:, : part.rank]
    size = np.linalg.norm(columns, axis=0)
    strength = signal_strength(part.singular_values[: part.rank], len(columns), part.channels)

    def within(basis: Floats) -> Floats:
        return np.asarray(np.sum((crossed(basis, columns) / size) ** 2, axis=0))

    known = within(np.linalg.qr(design)[0])
    varies = float(strength @ np.maximum(1 - known, 0.0))
    found = float(strength @ np.maximum(within(seen) - known, 0.0))
    return varies / found if found > 0 else 1.0


class _Rest:
    """What the components leave of a modality in the joint subspace, in units of its noise."""

    def __init__(self, part: ModalityScores, seen: Floats, joint: Floats, design: Floats) -> None:
        self.joint, self.design = joint, crossed(seen, design)
        self.gain = max(part.gain, np.finfo(float).tiny)
        found = projected_noise(part, seen, joint)
        self.noise = found.divisor * self.gain
        self.edge = noise_edge(max(len(joint) - design.shape[1], 1), found.channels)
        if found.variance is not None:
            profile = np.eye(len(joint)), found.variance.T
            self.edge *= unevenness(*profile, found.channels).allowed.reach

    def divided(
        self, seen: Floats, amounts: Floats, factors: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Divide what stands out of the noise among the components, see `varying.divide_power`.

        Returns
        -------
        power, spectra : ndarray
            As there.
        maps : ndarray
            ``(N, f)`` of what stands out, by the strongest directions.
        """
        left, power = self._found(factors)
        most = slice(max(MOST, ELEMENTS // max(len(seen), self.noise.size)))
        # What is in too many directions to look at is taken to be where the strongest are.
        more = float(power.sum()) / max(float(power[most].sum()), np.finfo(float).tiny)
        left, power = left[:, most], power[most]
        if not power.size:
            return np.zeros(len(factors)), np.zeros_like(factors), np.zeros((len(seen), 0))
        right = mixed(left.T, self.joint) - (left.T @ self.design) @ factors
        found, spectra = varying.divide_power(seen, amounts, left, right, self.noise)
        maps = turned(seen, left * np.sqrt(np.maximum(power, 0.0)))
        return found * more, spectra * more, maps

    def _found(self, factors: Floats) -> tuple[Floats, Floats]:
        """Find directions that stand out of the noise, the strongest first, and their power."""
        white, whole = np.zeros((2, len(self.joint), len(self.joint)))
        # Some channels at a time: all of what is left would be among the largest arrays.
        for some in stripes(self.noise.size):
            rest = self.joint[:, some] - self.design @ factors[:, some]
            whole += rest @ rest.T
            rest /= np.sqrt(self.noise[some])
            white += rest @ rest.T
        values, left = np.linalg.eigh(white)
        count = np.count_nonzero(np.sqrt(np.maximum(values, 0.0)) > self.edge)
        left = left[:, ::-1][:, :count]
        return left, np.einsum("rf,rs,sf->f", left, whole, left) - float(self.noise.sum())
