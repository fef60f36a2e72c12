"""What one first pass over the data collects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Survey:
    """Sums, extremes and, where wanted, a sketch of the channel covariance.

    Parameters
    ----------
    n_positions, n_channels
        Size of the unfolded data, N x C.
    probe
        ``(C, l)`` directions for the sketch ``X^T X probe`` of the raw data, or None. With the
        identity the sketch is the exact Gram matrix of the channels.
    """

    def __init__(
        self, n_positions: int, n_channels: int, probe: NDArray[np.float32] | None = None
    ) -> None:
        self.channel_sum = np.zeros(n_channels)
        self.total = np.zeros(n_positions)
        self.minimum = np.inf
        self.maximum = -np.inf
        self.n_not_finite = 0
        self.first_not_finite: tuple[int, int] | None = None
        self.whole_numbers = True
        self.probe = probe
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
        self.channel_sum += block.sum(axis=0, dtype=np.float64)
        self.total[rows] = block.sum(axis=1, dtype=np.float64)
        self.minimum = min(self.minimum, float(block.min()))
        self.maximum = max(self.maximum, float(block.max()))
        if self.probe is not None and self.sketch is not None:
            values = block.astype(np.float32)
            self.sketch += values.T @ (values @ self.probe)

    def _note_not_finite(self, rows: NDArray[np.intp], finite: NDArray[np.bool_]) -> None:
        self.n_not_finite += int(finite.size - np.count_nonzero(finite))
        if self.first_not_finite is None:
            row, channel = np.argwhere(~finite)[0]
            self.first_not_finite = int(rows[row]), int(channel)
