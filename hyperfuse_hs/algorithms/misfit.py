"""Sums of squared residuals over the variance of the noise, of every position and every channel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.row_choice import Block, together

Floats = NDArray[np.float64]

PIECE = 2**19
"""Residuals that are held at a time."""

USUAL_SHARE = 0.5
"""Least part of the variance that weighs counts which is that of the mean of the channel: without
it, counts where none are modelled would weigh without bound."""

USUAL_COUNTS = 20.0
"""Counts of a channel in the whole scan at which this part is half, if it is not more anyway:
factors follow the noise of few counts, and weights must not."""

LEAST_TOTAL = 0.5
"""Least variance of a position over the one that factors without negative values make expect."""


def usual_share(counts: Floats) -> Floats:
    """Part of the mean of a channel in the variance that weighs its counts.

    Parameters
    ----------
    counts
        ``(C,)`` in the whole scan.

    Returns
    -------
    ndarray
        ``(C,)`` from `USUAL_SHARE` to 1.
    """
    share: Floats = np.maximum(USUAL_COUNTS / (USUAL_COUNTS + np.maximum(counts, 0.0)), USUAL_SHARE)
    return share


class Counting(NamedTuple):
    """Noise that follows the counts.

    Attributes
    ----------
    offset
        Variance of the noise without counts, over the gain; less than nothing above a dark level.
    linear
        ``(p, C)`` factors fitted without constraints.
    share
        ``(C,)`` see `usual_share`.
    """

    offset: float
    linear: Floats
    share: Floats


class Misfit:
    """Compares data, block by block, with a product of loadings and factors.

    Squares are weighted by the inverse variance, about. The variance that they are compared with is
    not that of the factors themselves where these are never negative: such a fit expects too many
    counts where there are few. It is, summed over the channels of a position, that of factors
    without constraints, and, summed over the positions of a channel, that of the counts: neither
    is off on average, however few counts there are.

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
    level
        ``(n,)`` usual variance of each position, over that of all: of counts, the local intensity.
    divisor
        ``(C,)`` variance of the noise of each channel at level 1, over the gain.
    counting
        How the noise follows the counts; None: it is that of `divisor` everywhere.
    """

    def __init__(
        self,
        rows: NDArray[np.intp],
        n_positions: int,
        loadings: Floats,
        factors: Floats,
        level: Floats,
        divisor: Floats,
        counting: Counting | None,
    ) -> None:
        self.rows, self.loadings, self.factors = rows, loadings, factors
        self.level, self.divisor, self.counting = level, divisor, counting
        # Squares, their expectation, and for positions the least one.
        self.of_rows = np.zeros((3, n_positions))
        self.of_channels = np.zeros((2, factors.shape[1]))

    def update(
        self,
        rows: NDArray[np.intp],
        block: Block,
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
        values = together(block)
        step = max(1, PIECE // max(values.shape[1], 1))
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            self._compare(rows[some], np.asarray(values[some], dtype=float), part)

    def _compare(self, rows: NDArray[np.intp], block: Floats, part: Any) -> None:
        here = np.searchsorted(self.rows, rows)
        fitted = self.loadings[here] @ self.factors[:, part]
        usual = self.level[here, None] * self.divisor[part]
        if self.counting is None:
            weight = 1 / usual
            self.of_rows[1, rows] += block.shape[1]
            self.of_channels[1, part] += len(rows)
        else:
            offset, linear, share = self.counting
            expected = np.maximum(np.maximum(fitted, 0.0) + offset, 0.0)
            weight = 1 / ((1 - share[part]) * expected + share[part] * usual)
            unbiased = self.loadings[here] @ linear[:, part] + offset
            self.of_rows[1, rows] += np.einsum("ij,ij->i", weight, unbiased)
            self.of_rows[2, rows] += LEAST_TOTAL * np.einsum("ij,ij->i", weight, expected)
            self.of_channels[1, part] += np.einsum("ij,ij->j", weight, block + offset)
        weighted = np.square(block - fitted) * weight
        self.of_rows[0, rows] += weighted.sum(axis=1)
        self.of_channels[0, part] += weighted.sum(axis=0)

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
        joint = Misfit(self.rows[:0], n, nothing, nothing, nothing, nothing, None)
        joint.of_rows = self.of_rows + other.of_rows
        joint.of_channels = self.of_channels + other.of_channels
        return joint

    def close(self) -> None:
        """Forget what was only needed on the way."""
        self.loadings, self.factors, self.level = (np.zeros((0, 0)) for _ in range(3))
        self.counting = None

    def reduced(self, gain: float, leverage: Floats) -> tuple[Floats, Floats]:
        """Divide by what noise makes expect.

        Parameters
        ----------
        gain
            Variance of the noise over the one that the kind implies.
        leverage
            ``(N,)`` part of the noise of each position that factors follow.

        Returns
        -------
        positions, channels : ndarray
            ``(N,)`` and ``(C,)``; NaN where no noise is expected, as of a channel without counts.
        """
        expected = np.maximum(self.of_rows[1], self.of_rows[2]) * (1 - leverage)
        of_channels = self.of_channels[1] * (1 - leverage.mean())
        found = []
        for squares, noise in ((self.of_rows[0], expected), (self.of_channels[0], of_channels)):
            known = noise > 0
            ratio = squares / np.where(known, gain * noise, 1.0)
            found.append(np.where(known, ratio, np.nan))
        return found[0], found[1]
