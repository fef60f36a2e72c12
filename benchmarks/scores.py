"""How far an estimate is from the truth, in units of how far the oracle is.

The oracle is the same least-squares estimator given the truth: the true abundances for factors,
the true factors for abundances. Ratios of one are as good as it gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Case, Values
from hyperfuse_hs.algorithms.abundance import (
    nonnegative_abundances,
    nonnegative_least_squares,
    simplex_abundances,
)
from hyperfuse_hs.algorithms.metrics import match_components, root_mean_square_error, spectral_angle

SAME = 1.0
"""Degrees within which two factors are the same."""

_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a method finds.

    Parameters
    ----------
    abundances
        ``(n, k)`` at the positions inside.
    factors
        By name of the modality, ``(k, C)``.
    """

    abundances: Values
    factors: dict[str, Values]


def oracle_factors(case: Case, name: str) -> Values:
    """Non-negative least squares of one modality on the true abundances.

    Rows are weighted by their noise: for counts, one over the local intensity.

    Parameters
    ----------
    case
        Data and truth.
    name
        Of the modality.

    Returns
    -------
    ndarray
        ``(p, C)``.
    """
    abundances, scale = case.abundances[case.inside], case.scale[case.inside]
    gram = abundances.T @ (scale[:, None] * abundances)
    counts = case.counts(name)
    cross = np.zeros((abundances.shape[1], counts.shape[1]))
    for start in range(0, len(counts), _BLOCK):
        rows = slice(start, start + _BLOCK)
        cross += abundances[rows].T @ counts[rows].astype(np.float64)
    return nonnegative_least_squares(gram, cross)


def oracle_abundances(case: Case, names: Sequence[str]) -> Values:
    """Least squares of the abundances with the true factors of some modalities.

    Channels are weighted by the noise of their mean. Where all counts are alike the abundances
    are not negative and sum to one; where they follow the thickness they are not negative, and
    divided by their sum afterwards.

    Parameters
    ----------
    case
        Data and truth.
    names
        Of the modalities.

    Returns
    -------
    ndarray
        ``(n, p)``, at the positions inside.
    """
    data, factors = [], []
    for name in names:
        counts = case.counts(name).astype(np.float64)
        root = np.sqrt(np.maximum(counts.mean(axis=0), 1e-12))
        seen = counts.any(axis=0)
        data.append(counts[:, seen] / root[seen])
        factors.append(case.factors[name][:, seen] / root[seen])
    rows, corners = np.hstack(data), np.hstack(factors)
    if not case.varies:
        return simplex_abundances(rows, corners)
    return closed(nonnegative_abundances(rows, corners))


def closed(values: Values) -> Values:
    """Divide each row by its sum."""
    total = values.sum(axis=1, keepdims=True)
    return np.asarray(values / np.where(total > 0, total, 1.0))


def count_fractions(case: Case, abundances: Values) -> Values:
    """Turn fractions of the path into fractions of the counts of the lead."""
    return closed(abundances * case.factors[case.lead].sum(axis=1))


def order_of(case: Case, factors: dict[str, Values]) -> NDArray[np.intp]:
    """Match found components to the true ones by all modalities together.

    Parameters
    ----------
    case
        The truth.
    factors
        By name, ``(k, C)`` of what was found.

    Returns
    -------
    ndarray of int
        ``(p,)``: which found component is which true one; -1 where too few were found.
    """
    found, truth = _stacked(case, factors), _stacked(case, case.factors)
    if len(found) >= len(truth):
        return match_components(found, truth)
    order = np.full(len(truth), -1)
    order[match_components(truth, found)] = np.arange(len(found))
    return order


def _stacked(case: Case, factors: dict[str, Values]) -> Values:
    parts = []
    for name, truth in case.factors.items():
        if truth.shape[1] > 1 and name in factors:
            mean = truth.mean(axis=0)
            root = np.sqrt(np.maximum(mean, 1e-6 * mean.max()))
            part = np.nan_to_num(factors[name]) / root
            norms = np.linalg.norm(part, axis=1, keepdims=True)
            parts.append(part / np.where(norms > 0, norms, 1.0))
    return np.hstack(parts)


def taken(values: Values, order: NDArray[np.intp]) -> Values:
    """Rows of `values` in an order; NaN for -1."""
    missing = (order < 0)[:, None]
    return np.where(missing, np.nan, np.asarray(values)[np.maximum(order, 0)])


def angles(case: Case, name: str, factors: Values, order: NDArray[np.intp]) -> Values:
    """Angles between found and true factors of a modality [degrees], ``(p,)``."""
    return spectral_angle(taken(factors, order), case.factors[name])


def angle_ratios(
    case: Case, estimate: Estimate, oracles: dict[str, Values], order: NDArray[np.intp]
) -> dict[str, Values]:
    """Angles to the true factors over those of the oracle.

    Parameters
    ----------
    case
        The truth.
    estimate
        What was found.
    oracles
        By name, what `oracle_factors` returns.
    order
        From `order_of`.

    Returns
    -------
    dict
        By name, ``(p,)``; images, which have no angle, are left out.
    """
    return {
        name: angles(case, name, estimate.factors[name], order)
        / spectral_angle(oracle, case.factors[name])
        for name, oracle in oracles.items()
        if name in estimate.factors and oracle.shape[1] > 1
    }


def all_oracles(case: Case) -> dict[str, Values]:
    """Oracle factors of every modality that has a spectrum or pattern."""
    return {
        name: oracle_factors(case, name)
        for name, truth in case.factors.items()
        if truth.shape[1] > 1
    }


def abundance_error(found: Values, truth: Values, order: NDArray[np.intp]) -> float:
    """Root mean square error of the matched abundances; a missing component counts as zero."""
    return root_mean_square_error(np.nan_to_num(taken(found.T, order).T), truth)


def collapsed(case: Case, estimate: Estimate, order: NDArray[np.intp]) -> bool:
    """Whether two found components are one and the same, although the true ones are not.

    Parameters
    ----------
    case
        The truth.
    estimate
        What was found.
    order
        From `order_of`.

    Returns
    -------
    bool
        True if two factors lie within `SAME` in every modality and the true ones do not.
    """
    names = [n for n in estimate.factors if case.factors[n].shape[1] > 1]
    for i, j in combinations(np.flatnonzero(order >= 0), 2):
        found = [_pair(estimate.factors[n], order[i], order[j]) for n in names]
        truth = [_pair(case.factors[n], i, j) for n in names]
        if max(found) < SAME <= max(truth):
            return True
    return False


def _pair(factors: Values, i: int, j: int) -> float:
    return float(np.nan_to_num(spectral_angle(factors[i], factors[j])))
