"""Sums over channels of each position, put together from blocks in whatever order these come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_SHORT = 65535
"""Largest sum that is kept in two bytes."""

Part = tuple[NDArray[np.intp], int, NDArray[Any]]
"""Positions ``(n,)``, first column, and values ``(n, w)`` from there on."""


class RowParts:
    """Values of some positions in some columns, which add up where these are the same.

    Chunks of all positions with a slice of the channels each hold a part of the same sums: kept one
    beside the other, they would take as much memory as there are slices.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple[int, ...], Part] = {}

    def __iter__(self) -> Iterator[Part]:
        """Go over the parts."""
        return iter(self._parts.values())

    def add(self, rows: NDArray[np.intp], first: int, values: NDArray[Any]) -> None:
        """Add the values of a block; nothing that was given is changed."""
        if not rows.size:
            return
        key: tuple[int, ...] = (rows.size, int(rows[0]), int(rows[-1]), first, values.shape[1])
        known = self._parts.get(key)
        if known is not None and not np.array_equal(known[0], rows):
            known, key = None, (*key, len(self._parts))
        if known is not None:
            rows, values = known[0], _sum(known[2], values)
        self._parts[key] = (rows, first, values)

    def plus(self, other: RowParts) -> RowParts:
        """Join two; both are left as they are."""
        joint = RowParts()
        joint._parts = dict(self._parts)
        for part in other:
            joint.add(*part)
        return joint

    def pop(self) -> Part | None:
        """Hand over a part and forget it; None if there is none."""
        return self._parts.popitem()[1] if self._parts else None

    def without(self, excluded: NDArray[np.bool_]) -> RowParts:
        """Return the same without some positions ``(N,)``, the rest counted anew."""
        number = np.cumsum(~excluded) - 1
        left = RowParts()
        for rows, first, values in self:
            kept = ~excluded[rows]
            left.add(number[rows[kept]], first, values[kept])
        return left


def shortened(values: NDArray[Any]) -> NDArray[Any]:
    """Keep whole numbers in two bytes where they fit."""
    fits = values.min(initial=0) >= 0 and values.max(initial=0) <= LARGEST_SHORT
    return values.astype(np.uint16) if fits else values


def _sum(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    if first.dtype == second.dtype == np.uint16:
        return shortened(first.astype(np.float32) + second)
    return np.asarray(first + second)
