"""What one first pass over the data collects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PAIRS = 64
"""Pairs of neighbouring positions kept of a block, to see the noise by their differences."""

MOST_PAIRS = 256
"""Pairs kept in all."""

MOST_CHANNELS = 512
"""Channels kept of a pair, evenly spread."""


class Survey:
    """Sums, extremes and, where wanted, a sketch of the channel covariance.

    Parameters
    ----------
    n_positions, n_channels
        Size of the unfolded data, N x C.
    probe
        ``(C, l)`` directions for the sketch ``X^T W X probe`` of the raw data, or None. With the
        identity the sketch is the exact Gram matrix of the channels.
    row_weight
        ``(N,)`` diagonal of W; None for ones.
    """

    def __init__(
        self,
        n_positions: int,
        n_channels: int,
        probe: NDArray[np.float32] | None = None,
        row_weight: NDArray[np.float64] | None = None,
    ) -> None:
        self.channel_sum = np.zeros(n_channels)
        self.channel_square = np.zeros(n_channels)
        self.weighted_sum = np.zeros(n_channels)
        self.total = np.zeros(n_positions)
        self.minimum = np.inf
        self.maximum = -np.inf
        self.n_not_finite = 0
        self.first_not_finite: tuple[int, int] | None = None
        self.whole_numbers = True
        self.count = 0.0
        self.pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self.n_pairs = 0
        self.probe = probe
        self.row_weight = row_weight
        self.sketch = None if probe is None else np.zeros(probe.shape, dtype=np.float64)

    def update(self, rows: NDArray[np.intp], block: NDArray[np.generic]) -> None:
        """Take in one block.

        Parameters
        ----------
        rows
            ``(n,)`` positions of the block.
        block
            ``(n, C)``, any real dtype.
        """
        if block.dtype.kind == "f":
            finite = np.isfinite(block)
            if not finite.all():
                self._note_not_finite(rows, finite)
                return
            if self.whole_numbers:
                self.whole_numbers = bool(np.array_equal(block, np.rint(block)))
        if not self.count:
            self.count = 1.0 if self.whole_numbers else one_count(block)
        self._keep_pairs(block)
        self.channel_sum += block.sum(axis=0, dtype=np.float64)
        self.total[rows] = block.sum(axis=1, dtype=np.float64)
        self.minimum = min(self.minimum, float(block.min()))
        self.maximum = max(self.maximum, float(block.max()))
        values = block.astype(np.float32)
        if self.row_weight is not None:
            self.weighted_sum += self.row_weight[rows] @ values
            values *= np.sqrt(self.row_weight[rows, None]).astype(np.float32)
        self.channel_square += np.einsum("ij,ij->j", values, values, dtype=np.float64)
        if self.probe is not None and self.sketch is not None:
            self.sketch += values.T @ (values @ self.probe)

    def _keep_pairs(self, block: NDArray[np.generic]) -> None:
        count = min(PAIRS, MOST_PAIRS - self.n_pairs, len(block) // 2)
        if count <= 0:
            return
        first = np.linspace(0, len(block) - 2, count).astype(int)
        part = block[:, :: max(1, block.shape[1] // MOST_CHANNELS)]
        self.pairs.append((part[first].astype(np.float32), part[first + 1].astype(np.float32)))
        self.n_pairs += count

    @property
    def neighbours(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Values at pairs of neighbouring positions, two arrays ``(n, C')``."""
        if not self.pairs:
            empty = np.zeros((0, 0), dtype=np.float32)
            return empty, empty
        return np.concatenate([a for a, _ in self.pairs]), np.concatenate(
            [b for _, b in self.pairs]
        )

    def _note_not_finite(self, rows: NDArray[np.intp], finite: NDArray[np.bool_]) -> None:
        self.n_not_finite += int(finite.size - np.count_nonzero(finite))
        if self.first_not_finite is None:
            row, channel = np.argwhere(~finite)[0]
            self.first_not_finite = int(rows[row]), int(channel)


def one_count(block: NDArray[np.generic]) -> float:
    """Guess the value of one count in data that are not whole numbers.

    Parameters
    ----------
    block
        ``(n, C)``.

    Returns
    -------
    float
        Variance over mean, from how much neighbouring channels differ; structure of the spectra
        makes the guess too large. 1 where nothing can be said.
    """
    values = np.asarray(block, dtype=np.float64)
    differences = np.sum(np.diff(values, axis=1) ** 2)
    sums = np.sum(values[:, 1:] + values[:, :-1])
    return float(differences / sums) if differences > 0 and sums > 0 else 1.0
