"""Sums of squared residuals over the variance of the noise, of every position and every channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PIECE = 2**19
"""Residuals that are held at a time."""

USUAL_SHARE = 0.5
"""Part of the variance that weighs counts which is that of the mean of the channel. Without it,
counts where none are modelled would weigh without bound, and weights follow the noise of factors.
"""


class Misfit:
    """Compares data, block by block, with a product of loadings and factors.

    Squares are weighted by the inverse variance, about.

    Parameters
    ----------
    rows
        ``(n,)`` the positions that will come, ascending.
    n_positions
        Number of positions of all parts, N.
    loadings
        ``(n, p)`` abundances times local intensity.
    factors
        ``(p, C)``.
    intensity
        ``(n,)`` local intensity, of mean 1.
    divisor
        ``(C,)`` variance of the noise of each channel at that mean, over the gain.
    offset
        Variance of the noise without counts, over the gain; None: the noise is that of `divisor`
        everywhere, else it follows the counts that the model expects.
    """

    def __init__(
        self,
        rows: NDArray[np.intp],
        n_positions: int,
        loadings: Floats,
        factors: Floats,
        intensity: Floats,
        divisor: Floats,
        offset: float | None,
    ) -> None:
        self.rows, self.loadings, self.factors = rows, loadings, factors
        self.intensity, self.divisor, self.offset = intensity, divisor, offset
        self.of_rows = np.zeros((2, n_positions))
        self.of_channels = np.zeros((2, factors.shape[1]))

    def update(
        self,
        rows: NDArray[np.intp],
        block: NDArray[np.generic],
        channels: NDArray[np.intp] | None = None,
    ) -> None:
        """Take in one block.

        Parameters
        ----------
        rows
            ``(n,)`` positions of the block.
        block
            ``(n, c)``, any real dtype.
        channels
            ``(c,)`` channels of the block; None: all of them.
        """
        part: Any = slice(None) if channels is None else channels
        step = max(1, PIECE // max(block.shape[1], 1))
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            self._compare(rows[some], block[some], part)

    def _compare(self, rows: NDArray[np.intp], block: NDArray[np.generic], part: Any) -> None:
        here = np.searchsorted(self.rows, rows)
        fitted = self.loadings[here] @ self.factors[:, part]
        usual = self.intensity[here, None] * self.divisor[part]
        expected = variance = usual
        if self.offset is not None:
            expected = np.maximum(fitted, 0.0) + self.offset
            variance = (1 - USUAL_SHARE) * expected + USUAL_SHARE * usual
        weighted = np.square(np.asarray(block, dtype=float) - fitted) / variance
        noise = expected / variance
        for k, values in enumerate((weighted, noise)):
            self.of_rows[k, rows] += values.sum(axis=1)
            self.of_channels[k, part] += values.sum(axis=0)

    def plus(self, other: Misfit) -> Misfit:
        """Join the sums of two parts of the data.

        Parameters
        ----------
        other
            Of positions or channels that this one has not seen.

        Returns
        -------
        Misfit
            A new one; both are left as they are.
        """
        n = self.of_rows.shape[1]
        nothing = np.zeros((0, 0))
        joint = Misfit(self.rows[:0], n, nothing, nothing, nothing, nothing, self.offset)
        joint.of_rows = self.of_rows + other.of_rows
        joint.of_channels = self.of_channels + other.of_channels
        return joint

    def close(self) -> None:
        """Forget what was only needed on the way."""
        self.loadings, self.factors, self.intensity = (np.zeros((0, 0)) for _ in range(3))

    def reduced(self, gain: float) -> tuple[Floats, Floats]:
        """Divide by what noise makes expect: ``(N,)`` by position, ``(C,)`` by channel."""
        found = []
        for misfit, noise in (self.of_rows, self.of_channels):
            found.append(misfit / np.where(noise > 0, gain * noise, 1.0))
        return found[0], found[1]
