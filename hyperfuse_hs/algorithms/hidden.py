"""Directions of a lead modality that only the other modalities make visible."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.rank import noise_edge, score_noise, unevenness
from hyperfuse_hs.algorithms.tall import crossed, squared_norms, turned


class Hidden(NamedTuple):
    """Directions of one modality within a joint subspace, beyond those that are known.

    Attributes
    ----------
    scores
        ``(N, k)``, in units of the noise that they would have if it were known what they look like
        in the channels.
    noise
        ``(N, k)`` variance of the noise of each score: of one that stands out more than one, as
        what the direction looks like in the channels is itself estimated.
    values
        ``(k,)`` norms of the scores, descending.
    edge
        Largest norm that noise alone would give.
    """

    scores: NDArray[np.float64]
    noise: NDArray[np.float64]
    values: NDArray[np.float64]
    edge: float


def hidden_directions(
    basis: NDArray[np.float64],
    known: NDArray[np.float64],
    projection: NDArray[np.float64],
    variance: NDArray[np.float64] | None,
    n_channels: float,
    least: int | None = None,
) -> Hidden:
    r"""Look at a modality through the joint subspace.

    A map with strength :math:`\theta` stands out of unit noise of N positions and C channels where
    :math:`\theta^4 > NC`. What other modalities know of the maps reduces N positions to the R
    dimensions of the joint subspace, and this bound to :math:`RC`: a component too weak to be seen
    by the modality alone is seen with their help.

    Parameters
    ----------
    basis
        ``(N, R)`` orthonormal basis U of the joint subspace.
    known
        ``(N, f)`` maps that are found already.
    projection
        ``(R, C)`` whitened data projected on the basis, ``U^T X``.
    variance
        ``(R, C)`` variance of its noise; None for ones.
    n_channels
        Number of channels counted by the noise they hold.
    least
        Directions that are wanted although they do not stand out; None: all there are.

    Returns
    -------
    Hidden
        Directions in the joint subspace, orthogonal to the known maps and to what these look like
        in the channels, by descending norm.
    """
    n, r = basis.shape
    inside = crossed(basis, known)
    axes = np.linalg.qr(inside)[0] if inside.size else np.zeros((r, 0))
    # What errors of a known map leave of it has still its channels.
    found = axes.T @ projection
    rest = projection - axes @ found
    channels = np.linalg.qr(found.T)[0]
    rest = rest - (rest @ channels) @ channels.T
    # Of few rows, by their Gram matrix: what it loses is far below the noise.
    squares, left = np.linalg.eigh(rest @ rest.T)
    free = max(r - axes.shape[1], 0)
    there = slice(min(free, rest.shape[1]))
    left, values = left[:, ::-1][:, there], np.sqrt(np.maximum(squares[::-1], 0.0))[there]
    edge = noise_edge(free, n_channels)
    if variance is not None:
        edge *= unevenness(np.eye(r), variance.T, n_channels).allowed.reach
    # A noise of one in each of the R dimensions is R / N at a position.
    spread = np.sqrt(r / n)
    leverage = squared_norms(basis) * n / max(r, 1)
    if least is not None:
        kept = max(int(np.count_nonzero(values > edge)), least)
        left, values = left[:, :kept], values[:kept]
    # Directions that do not stand out are taken as they are: nothing is known of their signal.
    estimated = np.where(values > edge, score_noise(values, max(free, 1), n_channels) ** 2, 1.0)
    return Hidden(
        turned(basis, left * (values / spread)),
        leverage[:, None] * estimated,
        values / spread,
        edge / spread,
    )
