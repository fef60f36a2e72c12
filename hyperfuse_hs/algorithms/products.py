"""What the second pass over the data collects: products with a few vectors on either side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.count_kernels import fill
from hyperfuse_hs.algorithms.float_kernels import add_squares
from hyperfuse_hs.algorithms.list_kernels import (
    SPARSE_PRODUCT_FILL,
    add_products,
    multiply,
    summarise,
)
from hyperfuse_hs.algorithms.listing import Listed, Listing, lanes, widened
from hyperfuse_hs.algorithms.row_choice import Block, together
from hyperfuse_hs.algorithms.survey import Survey
from hyperfuse_hs.algorithms.tall import added

STRIPE = 4096
"""Channels that are cast to single precision at a time."""


class Products:
    r"""Products of data X, N x C, with vectors on the right, the left, and both.

    With :math:`\hat X = D^{-1/2} X`, D the diagonal variance of the rows:

    - scores :math:`S = \hat X V` for given vectors V;
    - projections :math:`L^T \hat X` for given rows L, and :math:`S^T \hat X` for those scores;
    - sums of :math:`D^{-1} X` and of :math:`D^{-1} X^2` over the positions.

    Parameters
    ----------
    rows
        ``(n,)`` the positions that will come, ascending.
    n_channels
        Number of channels, C.
    left
        ``(n, K)`` rows L.
    row_scale
        ``(n,)`` diagonal of D; None for ones.
    vectors
        ``(C, k)`` vectors V; None for none, and then no squares are summed.
    facts
        Takes in what passes, for data that nobody has looked at yet.
    """

    def __init__(
        self,
        rows: NDArray[np.intp],
        n_channels: int,
        left: NDArray[np.floating],
        row_scale: NDArray[np.float64] | None = None,
        vectors: NDArray[np.float32] | None = None,
        facts: Survey | None = None,
    ) -> None:
        self.rows = rows
        self.n_channels = n_channels
        self.left = np.asarray(left, dtype=np.float32)
        self.row_scale = row_scale
        self.vectors = vectors
        self.facts = facts
        self.parts: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []
        self.width = 0
        self._sums: NDArray[np.float32] | None = None
        self.squares: NDArray[np.float64] | None = None
        self._wide: NDArray[np.float32] | None = None
        self._listing = Listing()

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
            ``(c,)`` channels of the block; None: all of them. Must be None with vectors.
        """
        sparse = block.dtype.kind in "biu" and fill(block) < SPARSE_PRODUCT_FILL
        listed = self._listing.of(block) if sparse else None
        block = block if sparse else together(block)
        if self.facts is not None:
            self.facts.update(rows, block, channels, listed)
        here = np.searchsorted(self.rows, rows)
        inverse = np.ones(rows.size) if self.row_scale is None else 1 / self.row_scale[here]
        root = np.sqrt(inverse)[:, None].astype(np.float32)
        given, own = self.left.shape[1], 0 if self.vectors is None else self.vectors.shape[1]
        left = np.empty((rows.size, given + own + 1), dtype=np.float32)
        np.multiply(self.left[here], root, out=left[:, :given])
        if self.vectors is not None:
            scores = self._multiply(block, listed) * root
            self.parts.append((rows, scores))
            np.multiply(scores, root, out=left[:, given:-1])
            self._square(block, listed, inverse)
        left[:, -1] = root[:, 0] ** 2
        self._project(block, listed, left, slice(None) if channels is None else channels)

    def _multiply(self, block: Block, listed: Listed | None) -> NDArray[np.float32]:
        assert self.vectors is not None
        if listed is None:
            found: NDArray[np.float32] = (
                together(block).astype(np.float32, copy=False) @ self.vectors
            )
            return found
        if self._wide is None:
            self._wide = widened(self.vectors)
        return multiply(listed, self._wide)[:, : self.vectors.shape[1]]

    def _square(self, block: Block, listed: Listed | None, weight: NDArray[np.float64]) -> None:
        if self.squares is None:
            self.squares = np.zeros(self.n_channels)
        if listed is None:
            add_squares(together(block), weight, self.squares)
        else:
            self.squares += summarise(listed, weight).channel_square

    def _project(
        self,
        block: Block,
        listed: Listed | None,
        left: NDArray[np.float32],
        channels: Any,
    ) -> None:
        width = left.shape[1]
        if self._sums is None:
            self._sums = np.zeros((self.n_channels, lanes(width)), dtype=np.float32)
            self.width = width
        if listed is not None:
            if isinstance(channels, slice):
                add_products(listed, widened(left), self._sums)
            else:
                part_sums = np.zeros((block.shape[1], lanes(width)), dtype=np.float32)
                add_products(listed, widened(left), part_sums)
                self._sums[channels] += part_sums
            return
        values = together(block)
        for start in range(0, values.shape[1], STRIPE):
            part = slice(start, start + STRIPE)
            place = part if isinstance(channels, slice) else channels[part]
            self._sums[place, :width] += values[:, part].astype(np.float32, copy=False).T @ left

    @property
    def sums(self) -> NDArray[np.float32] | None:
        """Products with the left rows, with the scores, and the weighted sum, ``(C, width)``."""
        return None if self._sums is None else self._sums[:, : self.width]

    def plus(self, other: Products) -> Products:
        """Join the products of two parts of the data.

        Parameters
        ----------
        other
            Of positions or channels that this one has not seen.

        Returns
        -------
        Products
            A new one; both are left as they are.
        """
        joint = Products(self.rows[:0], self.n_channels, self.left[:0])
        joint.parts = self.parts + other.parts
        joint.width = max(self.width, other.width)
        for name in ("_sums", "squares"):
            both = [v for v in (getattr(self, name), getattr(other, name)) if v is not None]
            setattr(joint, name, sum(both[1:], start=both[0]) if both else None)
        if self.facts is not None and other.facts is not None:
            joint.facts = self.facts.plus(other.facts)
        return joint

    def absorb(self, other: Products) -> Products:
        """Join the same as `plus`, in the memory of the two, which are used up."""
        sums = self._sums, other._sums
        self._sums = other._sums = None
        joint = self.plus(other)
        joint._sums = added(*sums)
        return joint

    def close(self) -> None:
        """Forget what was only needed on the way."""
        self.left, self.vectors, self.row_scale = self.left[:0], None, None
        self._wide, self._listing = None, Listing()
        if self.facts is not None:
            self.facts.close()

    def scores(self, n_positions: int) -> NDArray[np.float64]:
        """Put the scores of all positions together, ``(N, k)``."""
        rows = np.concatenate([rows for rows, _ in self.parts])
        whole = np.empty((n_positions, self.parts[0][1].shape[1]))
        whole[rows] = np.concatenate([scores for _, scores in self.parts])
        return whole


class RowProducts:
    """Products of each position's data, a row of X, with a few vectors.

    Parameters
    ----------
    vectors
        ``(C, k)``.
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors
        self.parts: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []

    def update(
        self,
        rows: NDArray[np.intp],
        block: Block,
        channels: NDArray[np.intp] | None = None,
    ) -> None:
        """Take in one block ``(n, C)`` of the positions `rows`; all channels."""
        values = together(block).astype(np.float32)
        known: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
        if not known.all():
            values = np.where(known[:, None], values, 0.0).astype(np.float32)
        found = values @ self.vectors
        found[~known] = np.nan
        self.parts.append((rows, found))

    def plus(self, other: RowProducts) -> RowProducts:
        """Join the products of two parts of the data."""
        joint = RowProducts(self.vectors)
        joint.parts = self.parts + other.parts
        return joint

    def whole(self, n_positions: int) -> NDArray[np.float64]:
        """Put all positions together, ``(N, k)``; NaN where the data are not finite."""
        result = np.full((n_positions, self.vectors.shape[1]), np.nan)
        for rows, found in self.parts:
            result[rows] = found
        return result
