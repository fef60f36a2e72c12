"""What one first pass over the data collects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.count_kernels import fill, gather
from hyperfuse_hs.algorithms.float_kernels import add_squares, gather_floats
from hyperfuse_hs.algorithms.list_kernels import SPARSE_GRAM_FILL, add_gram, summarise
from hyperfuse_hs.algorithms.listing import Listed, Listing
from hyperfuse_hs.algorithms.noise import one_count
from hyperfuse_hs.algorithms.row_choice import Block, some_rows, together
from hyperfuse_hs.algorithms.row_parts import LARGEST_SHORT, RowParts, shortened
from hyperfuse_hs.algorithms.tall import added

PAIRS = 64
"""Pairs of neighbouring positions kept of a block, to see the noise by their differences."""

MOST_PAIRS = 256
"""Pairs kept in all."""

MOST_CHANNELS = 512
"""Channels kept of a pair, evenly spread."""

STRIPE = 512
"""Rows of the covariance that are mirrored at a time."""


class Survey:
    """Sums, extremes and, where wanted, the channel covariance and sums over bins of channels.

    Parameters
    ----------
    n_positions, n_channels
        Size of the unfolded data, N x C.
    row_weight
        ``(N,)`` weight of every position in the sums of squares; None for ones.
    squares
        Whether to sum the squares of every channel.
    gram
        Whether to sum ``X^T X`` instead, ``(C, C)``.
    bins
        ``(C,)`` bin of each channel, to keep the sums over bins of every position; None: no bins.
    """

    def __init__(
        self,
        n_positions: int,
        n_channels: int,
        row_weight: NDArray[np.float64] | None = None,
        *,
        squares: bool = True,
        gram: bool = False,
        bins: NDArray[np.int32] | None = None,
    ) -> None:
        self.channel_sum = np.zeros(n_channels)
        self.channel_square = np.zeros(n_channels)
        self.n_positions = n_positions
        self._totals = RowParts()
        self.minimum = np.inf
        self.maximum = -np.inf
        self.n_not_finite = 0
        self.first_not_finite: tuple[int, int] | None = None
        self.whole_numbers = True
        self.count = 0.0
        self.pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self.n_pairs = 0
        self.row_weight = row_weight
        self.squares = squares
        self.bins = bins
        self.n_bins = 0 if bins is None else int(bins.max(initial=-1)) + 1
        self._with_gram = gram
        self._upper: NDArray[np.float32] | None = None
        self._binned = RowParts()
        self._listing = Listing()

    def close(self) -> None:
        """Forget what was only needed on the way."""
        self._listing = Listing()

    def update(
        self,
        rows: NDArray[np.intp],
        block: Block,
        channels: NDArray[np.intp] | None = None,
        listed: Listed | None = None,
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
        listed
            What is not zero in it, if that is known and the block holds integers.
        """
        part: Any = slice(None) if channels is None else channels
        if block.dtype.kind == "f":
            block = together(block)
            if not self._sum_floats(rows, block, part):
                self._note_not_finite(rows, np.isfinite(block), channels)
                return
        elif listed is not None and self.bins is None and not self._with_gram:
            self._sum_listed(rows, listed, part)
        else:
            self._sum_counts(rows, block, part)
        if not self.count:
            self.count = 1.0 if self.whole_numbers else one_count(together(block))
        if channels is None or channels[0] == 0:
            self._keep_pairs(block)
        if listed is None or self._with_gram:
            self._square(rows, block, part)

    def _sum_floats(self, rows: NDArray[np.intp], block: NDArray[Any], part: Any) -> bool:
        first, bins, n_bins = self._bins_of(block, part)
        found = gather_floats(block, bins, n_bins)
        if found is None:
            return False
        self.whole_numbers = self.whole_numbers and found.whole
        self._take_sums(rows, part, found.channel_sum, found.total)
        self._take_extremes(found.minimum, found.maximum)
        if self.bins is not None:
            self._binned.add(rows, first, self._short(found.binned))
        return True

    def _sum_counts(self, rows: NDArray[np.intp], block: Block, part: Any) -> None:
        first, bins, n_bins = self._bins_of(block, part)
        sums = np.zeros(block.shape[1])
        total, binned, low, high = gather(block, bins, n_bins, sums)
        self._take_sums(rows, part, sums, total)
        self._take_extremes(low, high)
        if self.bins is not None:
            self._binned.add(rows, first, self._short(binned))

    def _sum_listed(self, rows: NDArray[np.intp], listed: Listed, part: Any) -> None:
        found = summarise(listed, self._weights(rows))
        self._take_sums(rows, part, found.channel_sum, found.total)
        self._take_extremes(found.minimum, found.maximum)
        if self.squares:
            self.channel_square[part] += found.channel_square

    def _bins_of(self, block: Block, part: Any) -> tuple[int, NDArray[np.int32], int]:
        """First bin, bins counted from that, and number of bins that the block has part in."""
        if self.bins is None:
            return 0, np.zeros(block.shape[1], np.int32), 1
        bins = self.bins[part]
        first = int(bins.min(initial=self.n_bins))
        return first, bins - np.int32(first), int(bins.max(initial=first)) + 1 - first

    def _take_sums(
        self,
        rows: NDArray[np.intp],
        part: Any,
        sums: NDArray[np.float64],
        total: NDArray[np.float64],
    ) -> None:
        self.channel_sum[part] += sums
        self._totals.add(rows, 0, total[:, None])

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum over the channels of each position, ``(N,)``: 0 where nothing has come yet."""
        # Only now as long as the scan: tasks are sent empty, and bring back what they have read.
        total = np.zeros(self.n_positions)
        for rows, _, sums in self._totals:
            total[rows] += sums[:, 0]
        return total

    def _take_extremes(self, low: float, high: float) -> None:
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)

    def _weights(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.ones(rows.size) if self.row_weight is None else self.row_weight[rows]

    def _square(self, rows: NDArray[np.intp], block: Block, part: Any) -> None:
        if not self._with_gram:
            if self.squares:
                squares = np.zeros(block.shape[1])
                add_squares(together(block), self._weights(rows), squares)
                self.channel_square[part] += squares
            return
        self._upper = self._empty_gram() if self._upper is None else self._upper
        if self.row_weight is None and _is_sparse(block):
            add_gram(self._listing.of(block), self._upper)
            return
        values = together(block).astype(np.float32, copy=False)
        if self.row_weight is not None:
            values = values * np.sqrt(self.row_weight[rows, None]).astype(np.float32)
        self._upper += values.T @ values

    def _empty_gram(self) -> NDArray[np.float32]:
        return np.zeros((self.channel_sum.size, self.channel_sum.size), dtype=np.float32)

    def take_gram(self) -> NDArray[np.float32]:
        """Hand over ``X^T X``, ``(C, C)``, and forget it."""
        assert self._upper is not None
        gram, self._upper = self._upper, None
        # Of sparse counts, only the upper triangle has been summed.
        for start in range(0, len(gram), STRIPE):
            stop = min(start + STRIPE, len(gram))
            gram[start:stop, :start] = gram[:start, start:stop].T
            corner = np.triu(gram[start:stop, start:stop])
            gram[start:stop, start:stop] = corner + np.triu(corner, 1).T
        return gram

    @property
    def has_gram(self) -> bool:
        """Whether there is an ``X^T X`` to take."""
        return self._upper is not None

    def _short(self, sums: NDArray[np.float32]) -> NDArray[Any]:
        """Keep counts in two bytes where they fit."""
        return shortened(sums) if self.whole_numbers else sums

    def plus(self, other: Survey) -> Survey:
        """Join what was collected of two parts of the data.

        Parameters
        ----------
        other
            Of positions or channels that this one has not seen.

        Returns
        -------
        Survey
            A new one; both are left as they are.
        """
        joint = Survey(
            self.n_positions,
            self.channel_sum.size,
            self.row_weight,
            squares=self.squares,
            gram=self._with_gram,
            bins=self.bins,
        )
        joint._totals = self._totals.plus(other._totals)
        for name in ("channel_sum", "channel_square", "n_not_finite"):
            setattr(joint, name, getattr(self, name) + getattr(other, name))
        joint.minimum = min(self.minimum, other.minimum)
        joint.maximum = max(self.maximum, other.maximum)
        joint.first_not_finite = self.first_not_finite or other.first_not_finite
        joint.whole_numbers = self.whole_numbers and other.whole_numbers
        joint.count = self.count or other.count
        joint._take_pairs(self, other)
        grams = [part._upper for part in (self, other) if part._upper is not None]
        joint._upper = sum(grams[1:], start=grams[0]) if grams else None
        joint._binned = self._binned.plus(other._binned)
        return joint

    def absorb(self, other: Survey) -> Survey:
        """Join the same as `plus`, in the memory of the two, which are used up."""
        grams = self._upper, other._upper
        self._upper = other._upper = None
        joint = self.plus(other)
        joint._upper = added(*grams)
        return joint

    def _take_pairs(self, *parts: Survey) -> None:
        width = next((part.pairs[0][0].shape[1] for part in parts if part.pairs), 0)
        for part in parts:
            for first, second in part.pairs:
                count = min(len(first), MOST_PAIRS - self.n_pairs)
                if count > 0 and first.shape[1] == width:
                    self.pairs.append((first[:count], second[:count]))
                    self.n_pairs += count

    def take_binned(self) -> NDArray[Any]:
        """Put the sums over bins of all positions together, ``(N, n_bins)``, and forget them."""
        # Parts of a bin that were read one after the other may need more than two bytes.
        seen = sum(sums.size for _, _, sums in self._binned)
        # No bin has more than its position.
        once = seen <= self.n_positions * self.n_bins or self.total.max() <= LARGEST_SHORT
        short = once and all(sums.dtype == np.uint16 for _, _, sums in self._binned)
        whole = np.zeros((self.n_positions, self.n_bins), dtype=np.uint16 if short else np.float32)
        # Forgotten one by one: all of them at once are as large as the whole.
        while (part := self._binned.pop()) is not None:
            rows, first, sums = part
            whole[rows, first : first + sums.shape[1]] += sums
        return whole

    def without(self, empty: NDArray[np.bool_]) -> None:
        """Forget positions where nothing was recorded.

        Parameters
        ----------
        empty
            ``(N,)``, True = forget.
        """
        self.n_positions = int(np.count_nonzero(~empty))
        self._totals = self._totals.without(empty)
        self._binned = self._binned.without(empty)

    def _keep_pairs(self, block: Block) -> None:
        n, n_channels = block.shape
        count = min(PAIRS, MOST_PAIRS - self.n_pairs, n // 2)
        if count <= 0:
            return
        first = np.linspace(0, n - 2, count).astype(int)
        step = max(1, n_channels // MOST_CHANNELS)
        pair = [some_rows(block, at)[:, ::step].astype(np.float32) for at in (first, first + 1)]
        self.pairs.append((pair[0], pair[1]))
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

    def _note_not_finite(
        self,
        rows: NDArray[np.intp],
        finite: NDArray[np.bool_],
        channels: NDArray[np.intp] | None,
    ) -> None:
        self.n_not_finite += int(finite.size - np.count_nonzero(finite))
        if self.first_not_finite is None:
            row, channel = np.argwhere(~finite)[0]
            number = channel if channels is None else channels[channel]
            self.first_not_finite = int(rows[row]), int(number)


def _is_sparse(block: Block) -> bool:
    return block.dtype.kind in "biu" and fill(block) < SPARSE_GRAM_FILL
