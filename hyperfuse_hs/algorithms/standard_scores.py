"""Scores checked and brought to a standard frame, in which every search runs."""

from dataclasses import dataclass

import numpy as np

from hyperfuse_hs.algorithms.face_geometry import Floats, Integers

# Smallest noise standard deviation, relative to the spread of the scores. Below it the squared
# distances of the likelihood drown in rounding.
NOISE_FLOOR = 1e-5


@dataclass(frozen=True)
class StandardScores:
    """Scores moved to their mean, turned to their principal axes and scaled to unit spread.

    Searches then give the same answer for moved, turned and rescaled scores.

    Attributes
    ----------
    scores
        ``(N, q)``.
    noise
        Noise variance of each position in this frame, floored, ``(N,)``.
    mean
        ``(q,)``.
    axes
        Principal axes in rows, ``(q, q)``.
    scale
        Original length of a unit in this frame.
    """

    scores: Floats
    noise: Floats
    mean: Floats
    axes: Floats
    scale: float

    @property
    def log_jacobian(self) -> float:
        """What to add to a log-density in this frame for one in the original frame."""
        return -float(self.scores.shape[1] * np.log(self.scale))

    def restore(self, points: Floats) -> Floats:
        """Bring points ``(n, q)`` back to the original frame."""
        return np.asarray(points @ self.axes * self.scale + self.mean)


def check_scores(scores: Floats, n_components: int) -> None:
    """Refuse scores that cannot hold ``n_components`` vertices.

    Parameters
    ----------
    scores
        ``(N, q)``.
    n_components
        Number of vertices ``p``.

    Raises
    ------
    ValueError
        If shapes or values do not allow a simplex with ``p`` vertices.
    """
    if scores.ndim != 2:
        raise ValueError(
            f"Scores must have two dimensions (positions, coordinates). Got {scores.ndim}."
        )
    n_positions, q = scores.shape
    if n_components < 2 or q < n_components - 1:
        raise ValueError(
            f"A simplex in {q} coordinates has between 2 and {q + 1} components. "
            f"Got n_components={n_components}."
        )
    if n_positions < n_components:
        raise ValueError(
            f"At least as many probe positions as components are needed. Got {n_positions} "
            f"positions for {n_components} components. Ask for fewer components."
        )
    n_bad = np.count_nonzero(~np.isfinite(scores).all(axis=1))
    if n_bad:
        raise ValueError(
            f"Scores must be finite. {n_bad} of {n_positions} probe positions hold NaN or "
            "infinity. Exclude them first."
        )


def standardise(scores: Floats, n_components: int, noise: Floats) -> StandardScores:
    """Check scores and noise and bring them to the standard frame.

    Parameters
    ----------
    scores
        ``(N, q)``, ``q = n_components - 1``.
    n_components
        Number of components ``p``.
    noise
        Noise variance of each position, ``(N,)``.

    Returns
    -------
    StandardScores

    Raises
    ------
    ValueError
        If shapes disagree, noise is negative or not finite, or the positions do not span
        ``q`` directions.
    """
    check_scores(scores, n_components)
    n_positions, q = scores.shape
    if q != n_components - 1:
        raise ValueError(
            f"{n_components} components need scores with {n_components - 1} coordinates. Got {q}."
        )
    if noise.shape != (n_positions,):
        raise ValueError(
            f"Noise must hold one variance for each of the {n_positions} probe positions. "
            f"Got shape {noise.shape}."
        )
    if not np.all(np.isfinite(noise)) or noise.min() < 0:
        raise ValueError("Noise variances must be finite and not negative.")
    mean = scores.mean(axis=0)
    centred = scores - mean
    _, singular_values, axes = np.linalg.svd(centred, full_matrices=False)
    if singular_values[-1] <= 1e-10 * singular_values[0] or singular_values[0] == 0:
        rank = int(np.count_nonzero(singular_values > 1e-10 * singular_values[0]))
        raise ValueError(
            f"The probe positions span only {rank} directions, {n_components} components need "
            f"{q}. Ask for fewer components."
        )
    turned = centred @ axes.T
    # The third moment fixes the sign of each axis, whatever the sign of the input.
    signs = np.where(np.sum(turned**3, axis=0) < 0, -1.0, 1.0)
    axes = axes * signs[:, None]
    scale = float(singular_values[0] / np.sqrt(n_positions))
    floor = (NOISE_FLOOR * singular_values[-1] / singular_values[0]) ** 2
    return StandardScores(
        np.ascontiguousarray(turned * signs / scale),
        np.maximum(noise / scale**2, max(floor, NOISE_FLOOR**4)),
        mean,
        axes,
        scale,
    )


def choose_positions(n_positions: int, n_chosen: int, rng: np.random.Generator) -> Integers:
    """Draw positions at random, all of them where there are few.

    Parameters
    ----------
    n_positions
        Number of positions there are.
    n_chosen
        Number of positions wanted.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Sorted indices, ``(min(n_positions, n_chosen),)``.
    """
    if n_positions <= n_chosen:
        return np.arange(n_positions)
    return np.sort(rng.choice(n_positions, n_chosen, replace=False))
