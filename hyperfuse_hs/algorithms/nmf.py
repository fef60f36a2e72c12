r"""Non-negative matrix factorisation of data that are known as a product of low rank."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfuse_hs.algorithms.abundance import nonnegative_least_squares
from hyperfuse_hs.algorithms.compiled import compiled

Floats = NDArray[np.float64]

# Sweeps over the components before the other matrix has its turn: they cost far less than the
# products with scores and basis that each turn needs (Gillis and Glineur, 2012).
INNER_SWEEPS = 4
# Rounds each start gets before the best one goes on.
TRIAL_ROUNDS = 10
# A loss below this share of the data is rounding.
EXACT = 1e-13


@dataclass(frozen=True, eq=False)
class Factorization:
    """Non-negative factors of ``scores @ basis``.

    Attributes
    ----------
    abundances
        ``(N, p)``, A.
    factors
        ``(p, C)``, E, each of Euclidean norm one (or zero, if the data have no more to give).
    loss
        ``|scores @ basis - A E|^2``, summed over all elements.
    n_iter
        Rounds done, each an update of both matrices.
    converged
        Whether the loss came to rest within ``max_iter`` rounds.
    """

    abundances: Floats
    factors: Floats
    loss: float
    n_iter: int
    converged: bool


class _Data(NamedTuple):
    scores: Floats
    basis: Floats
    square: float


class _State(NamedTuple):
    abundances: Floats
    factors: Floats
    loss: float


def nonnegative_factorization(
    scores: ArrayLike,
    basis: ArrayLike,
    n_components: int,
    *,
    random_state: int | np.random.Generator | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
) -> Factorization:
    r"""Factorise a low-rank product into non-negative matrices.

    .. math:: \min_{A \ge 0, E \ge 0} |S B - A E|^2

    by hierarchical alternating least squares (Cichocki and Phan, IEICE Trans. E92-A (2009) 708;
    several sweeps per turn: Gillis and Glineur, Neural Comput. 24 (2012) 1085). Only products
    with S and B are needed, so that ``N x C`` data are never formed and a round costs
    ``(N + C) R p``. Each update of one component is the exact minimum over it, hence the loss
    never rises. There are three starts, of which the one of lowest loss after ten rounds goes on:
    the extreme positions (successive projection), the singular vectors (NNDSVD) and positions
    drawn at random.

    Parameters
    ----------
    scores
        ``(N, R)``, S.
    basis
        ``(R, C)``, B.
    n_components
        Number of components p.
    random_state
        Seed or generator of the random start.
    max_iter
        Most rounds after the start has been chosen.
    tol
        Stop once a round lowers the loss by less than this share of it.

    Returns
    -------
    Factorization
        A local minimum, as near as `tol` and `max_iter` allow.

    Raises
    ------
    ValueError
        If the shapes do not fit together, a value is not finite, or a number is out of range.
    """
    data = _check(scores, basis, n_components, max_iter, tol)
    rng = np.random.default_rng(random_state)
    state = _best_start(data, n_components, rng)
    converged = False
    n_iter = 0
    while n_iter < max_iter and not converged:
        before = state.loss
        state = _round(data, state, rng)
        n_iter += 1
        converged = before - state.loss <= tol * before or state.loss <= EXACT * data.square
    norms = np.linalg.norm(state.factors, axis=1)
    units = np.where(norms > 0, norms, 1.0)
    abundances, factors = state.abundances * units, state.factors / units[:, None]
    loss = _exact_loss(data, abundances, factors)
    return Factorization(abundances, factors, loss, n_iter, converged)


def _check(
    scores: ArrayLike, basis: ArrayLike, n_components: int, max_iter: int, tol: float
) -> _Data:
    left = np.ascontiguousarray(scores, dtype=np.float64)
    right = np.ascontiguousarray(basis, dtype=np.float64)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        raise ValueError(
            "scores are expected to be (N, R) and basis (R, C) with the same R. "
            f"Got {left.shape} and {right.shape}."
        )
    if left.size == 0 or right.size == 0:
        raise ValueError(
            "scores and basis are expected to have elements. "
            f"Got shapes {left.shape} and {right.shape}."
        )
    for name, values in (("scores", left), ("basis", right)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name} are expected to be finite. Got values that are not: leave out the "
                "excluded probe positions or channels first."
            )
    for name, number, least in (("n_components", n_components, 1), ("max_iter", max_iter, 1)):
        if number < least:
            raise ValueError(f"{name} is expected to be at least {least}. Got {number}.")
    if not tol >= 0:
        raise ValueError(f"tol is expected to be zero or positive. Got {tol}.")
    return _Data(left, right, float(np.sum((left.T @ left) * (right @ right.T))))


def _best_start(data: _Data, n_components: int, rng: np.random.Generator) -> _State:
    best = None
    for factors in (
        _extreme_rows(data, n_components, rng),
        _singular_rows(data, n_components, rng),
        _random_rows(data, n_components, rng),
    ):
        gram, cross = factors @ factors.T, (factors @ data.basis.T) @ data.scores.T
        abundances = np.ascontiguousarray(nonnegative_least_squares(gram, cross).T)
        state = _State(abundances, factors, np.inf)
        for _ in range(TRIAL_ROUNDS):
            state = _round(data, state, rng)
        if best is None or state.loss < best.loss:
            best = state
    assert best is not None
    return best


def _random_rows(data: _Data, count: int, rng: np.random.Generator) -> Floats:
    """Take positions drawn at random, without what is negative in them."""
    rows = data.scores[rng.integers(len(data.scores), size=count)] @ data.basis
    return np.maximum(rows, 0.0)


def _extreme_rows(data: _Data, count: int, rng: np.random.Generator) -> Floats:
    """Take the positions farthest from the span of those taken before.

    Successive projection (Araújo et al., Chemom. Intell. Lab. Syst. 57 (2001) 65), on
    coordinates in which distances are those of the data.
    """
    rest = data.scores @ _triangle(data.basis.T).T
    chosen: list[int] = []
    largest = 0.0
    for _ in range(min(count, *rest.shape)):
        squares = np.einsum("nr,nr->n", rest, rest)
        best = int(np.argmax(squares))
        largest = max(largest, squares[best])
        if squares[best] <= 1e-24 * largest:
            break
        chosen.append(best)
        direction = rest[best] / np.sqrt(squares[best])
        rest = rest - np.outer(rest @ direction, direction)
    rows = np.maximum(data.scores[chosen] @ data.basis, 0.0)
    return np.vstack([rows, _random_rows(data, count - len(chosen), rng)])


def _singular_rows(data: _Data, count: int, rng: np.random.Generator) -> Floats:
    """Take the larger same-sign part of each singular pair.

    NNDSVD (Boutsidis and Gallopoulos, Pattern Recognit. 41 (2008) 1350), from the SVD of the
    small product of two triangles.
    """
    left_axes, left = np.linalg.qr(data.scores)
    right_axes, right = np.linalg.qr(data.basis.T)
    inner_left, _, inner_right = np.linalg.svd(left @ right.T, full_matrices=False)
    columns = (left_axes @ inner_left[:, :count]).T
    rows = (right_axes @ inner_right[:count].T).T
    for column, row in zip(columns, rows, strict=True):
        up = np.linalg.norm(np.maximum(column, 0)) * np.linalg.norm(np.maximum(row, 0))
        down = np.linalg.norm(np.minimum(column, 0)) * np.linalg.norm(np.minimum(row, 0))
        row *= 1.0 if up >= down else -1.0
    return np.vstack([np.maximum(rows, 0.0), _random_rows(data, count - len(rows), rng)])


def _round(data: _Data, state: _State, rng: np.random.Generator) -> _State:
    """Update both matrices, and the loss from products of size p."""
    abundances, factors = state.abundances.copy(), state.factors.T.copy()
    _sweep(abundances.T @ abundances, data.basis.T @ (data.scores.T @ abundances), factors)
    empty = ~factors.any(axis=0)
    if empty.any():
        # Such a component adds nothing, so a new one in its place cannot raise the loss.
        abundances[:, empty] = 0.0
        factors[:, empty] = _random_rows(data, int(empty.sum()), rng).T
    gram, cross = factors.T @ factors, data.scores @ (data.basis @ factors)
    _sweep(gram, cross, abundances)
    fitted = float(np.sum((abundances.T @ abundances) * gram))
    loss = data.square - 2 * float(np.vdot(abundances, cross)) + fitted
    return _State(abundances, np.ascontiguousarray(factors.T), max(loss, 0.0))


def _exact_loss(data: _Data, abundances: Floats, factors: Floats) -> float:
    """Sum the squares of the residual from two triangles, without cancellation."""
    left = _triangle(np.hstack([data.scores, -abundances]))
    right = _triangle(np.vstack([data.basis, factors]).T)
    return float(np.sum((left @ right.T) ** 2))


def _triangle(matrix: Floats) -> Floats:
    """Return R of the QR factorisation: the same products of columns, in fewer rows."""
    return np.asarray(np.linalg.qr(matrix, mode="r"), dtype=np.float64)


@compiled()
def _sweep(gram: Floats, cross: Floats, x: Floats) -> None:
    """Lower ``x G x / 2 - c x`` of each row over ``x >= 0``, in place, one element at a time."""
    n_rows, p = x.shape
    for t in range(n_rows):
        for _ in range(INNER_SWEEPS):
            for k in range(p):
                if gram[k, k] > 0.0:
                    slope = cross[t, k]
                    for i in range(p):
                        slope -= gram[k, i] * x[t, i]
                    x[t, k] = max(x[t, k] + slope / gram[k, k], 0.0)
