"""What one modality would have measured, from the data of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import composition
from hyperfuse_hs.algorithms.products import RowProducts
from hyperfuse_hs.feasibility import estimate_factors
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import COUNTED
from hyperfuse_hs.regions import axis_values
from hyperfuse_hs.result import FusionResult, ModalityScores, Scores
from hyperfuse_hs.streaming import collect
from hyperfuse_hs.unmixing import SIGNED

Floats = NDArray[np.float64]

LARGEST_SHIFT = 0.5
"""Channels by which the axis of a signal may depart from that of its modality."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Mean and variance of a modality as products of low rank.

    Parameters
    ----------
    amounts
        ``(N, p)`` of the components, local intensity included.
    factors
        ``(p, C_all)`` of the predicted modality.
    squares
        ``(N, q)``; the variance is this times the next.
    spreads
        ``(q, C_all)``.
    """

    amounts: Floats
    factors: Floats
    squares: Floats
    spreads: Floats


def check_signal(name: str, template_axes: list[dict[str, Any]], signal: BaseSignal) -> None:
    """Refuse a signal that is not like those of a modality.

    Parameters
    ----------
    name
        Of the modality.
    template_axes
        Its signal axes, in numpy order.
    signal
        Another signal; its channels have to be the same.

    Raises
    ------
    ValueError
        Other channels, or no scan.
    """
    axes = signal.axes_manager.signal_axes[::-1] if template_axes else ()
    wanted = tuple(int(a.get("size", len(a.get("axis", ())))) for a in template_axes)
    got = tuple(axis.size for axis in axes)
    if wanted != got:
        raise ValueError(
            f"Expected a signal with the channels of {name}, signal shape {wanted[::-1]}. Got "
            f"{got[::-1]}. Crop or rebin it: isig, rebin, or interpolate_on_axis."
        )
    if axes and not signal.axes_manager.navigation_dimension:
        raise ValueError(
            f"Expected a signal over a scan, like {name}. Got one without navigation axes. Take it "
            "from its scan with a range, such as inav[:1, :1], which keeps them."
        )
    for axis, described in zip(axes, template_axes, strict=True):
        known, other = axis_values(described), np.asarray(axis.axis, dtype=float)
        width = float(np.median(np.abs(np.diff(known)))) if known.size > 1 else np.inf
        if np.max(np.abs(known - other)) > LARGEST_SHIFT * width:
            raise ValueError(
                f"Expected a signal on the axis of {name}, from {known[0]:g} to {known[-1]:g} "
                f"{described.get('units') or ''}. Got {other[0]:g} to {other[-1]:g}. Calibrate it, "
                "or use interpolate_on_axis."
            )


def predict(
    scores: Scores, result: FusionResult, name: str, source: str, modality: Modality
) -> Prediction:
    """Predict a modality from the data of another, in one pass over these.

    Parameters
    ----------
    scores, result
        Of the fusion.
    name
        Of the modality to predict.
    source
        Of the modality that the data are of.
    modality
        The data, of any scan.

    Returns
    -------
    Prediction
        For every position of the data; NaN where these are not finite.
    """
    part = scores.modalities[source]
    kept = ~part.excluded
    factors = result.modalities[source].factors[:, kept]
    gain = max(part.gain, np.finfo(float).tiny)
    weighted = factors / (gain * part.divisor)
    unit = np.sqrt(np.sum(weighted * factors, axis=1))
    unit = np.where(unit > 0, unit, 1.0)
    # Columns of like size keep their digits in single precision.
    products = _multiply(modality, (weighted / unit[:, None]).T) * unit
    gram = weighted @ factors.T
    usual = _usual(result, source)
    noise = _product_noise(part, factors, weighted)
    known = np.isfinite(products).all(axis=1)
    amounts = np.full(products.shape, np.nan)
    covariance = np.full((*products.shape, len(gram)), np.nan)
    amounts[known] = composition.estimate_amounts(products[known], gram, usual)
    covariance[known] = composition.amount_covariance(amounts[known], gram, noise, usual)
    return _assemble(scores, result, name, amounts, covariance)


def _usual(result: FusionResult, source: str) -> composition.Usual:
    kept = ~result.excluded
    signed = result.options["unmixing"] in SIGNED
    scale = result.modalities[source].scale[kept, None] if signed else 1.0
    return composition.usual_proportions(scale * result.abundances[kept], sums=not signed)


def _multiply(modality: Modality, vectors: Floats) -> Floats:
    """Multiply data by a few vectors, in one pass on all cores."""
    right = np.ascontiguousarray(vectors, dtype=np.float32)
    found = collect(modality, lambda rows: RowProducts(right), "prediction", sent=right.nbytes)
    return found.whole(modality.n_positions)


def _product_noise(part: ModalityScores, factors: Floats, weighted: Floats) -> Floats:
    """Covariance of the products of one spectrum, ``(p + 1, p, p)``, see `amount_covariance`."""
    gain = max(part.gain, 0.0)
    if part.noise in COUNTED:
        means = np.vstack([np.maximum(factors, 0.0), np.full(factors.shape[1], part.offset)])
    else:
        means = np.vstack([np.zeros(factors.shape), part.divisor])
    found = np.einsum("kc,ac,bc->kab", gain * means, weighted, weighted, optimize=True)
    return np.asarray(found, dtype=np.float64)


def _assemble(
    scores: Scores, result: FusionResult, name: str, amounts: Floats, covariance: Floats
) -> Prediction:
    """Carry errors of the amounts, and those of the factors, into the predicted modality."""
    factors = result.modalities[name].factors
    estimate = estimate_factors(scores, result, name)
    # What is there differs from here as other crystals of the same phases do.
    own = estimate.covariance + estimate.varying(everywhere=True)
    i, j = np.triu_indices(len(factors))
    twice = np.where(i == j, 1.0, 2.0)[:, None]
    squares = np.hstack([covariance[:, i, j], amounts[:, i] * amounts[:, j]])
    spreads = np.vstack([twice * factors[i] * factors[j], twice * own[i, j]])
    spreads[:, result.modalities[name].excluded] = np.nan
    return Prediction(amounts, factors, squares, spreads)
