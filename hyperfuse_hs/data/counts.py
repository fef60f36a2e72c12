"""Poisson counts, tile by tile, so that a data set larger than memory has the same counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Probe positions along each side of a tile. Random numbers are seeded tile by tile: another size
# gives other counts.
TILE = 16


@dataclass(frozen=True)
class CountModel:
    """
    Mean counts as a sum of sources: ``weights @ sources + spot_weights @ spots``.

    Parameters
    ----------
    weights
        Shape ``(N, q)``.
    sources
        Shape ``(q, C)``, in counts.
    spot_weights, spots
        Sparse arrays of shapes ``(N, n)`` and ``(n, C)``, for patterns of single particles;
        or None.
    """

    weights: NDArray[np.float64]
    sources: NDArray[np.float64]
    spot_weights: sparse.csr_array | None = None
    spots: sparse.csr_array | None = None

    def mean(self, positions: NDArray[np.intp]) -> NDArray[np.float64]:
        """
        Mean counts at some probe positions.

        Parameters
        ----------
        positions
            Flat indices, shape ``(n,)``.

        Returns
        -------
        ndarray
            Shape ``(n, C)``.
        """
        mean = self.weights[positions] @ self.sources
        if self.spot_weights is not None and self.spots is not None:
            bragg = (self.spot_weights[positions] @ self.spots).tocoo()
            mean[bragg.row, bragg.col] += bragg.data
        return mean

    @property
    def largest(self) -> float:
        """An upper bound of the mean counts of any channel."""
        bound = np.max(self.weights.sum(axis=1)) * np.max(self.sources)
        if self.spot_weights is not None and self.spots is not None:
            bound += self.spot_weights.sum(axis=1).max() * self.spots.max()
        return float(bound)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Smallest of uint16 and uint32 that no count exceeds (12 standard deviations)."""
        bound = self.largest + 12.0 * np.sqrt(self.largest)
        return np.dtype(np.uint16 if bound <= np.iinfo(np.uint16).max else np.uint32)


def poisson_counts(
    model: CountModel,
    scan: tuple[int, int],
    signal_shape: tuple[int, ...],
    entropy: int,
    stream: int,
) -> da.Array:
    """
    Poisson counts of a modality, as a dask array that draws a tile when it is asked for it.

    Parameters
    ----------
    model
        Mean counts.
    scan
        Probe positions, (rows, columns).
    signal_shape
        Shape of the C channels; empty for one number at each position.
    entropy
        Seed of the phantom.
    stream
        Number of the modality, so that each has its own random numbers.

    Returns
    -------
    dask array
        Shape ``scan + signal_shape``, unsigned integers; computing it twice gives the same.
    """
    positions = np.arange(scan[0] * scan[1]).reshape(scan)
    tiles = da.from_array(positions, chunks=(TILE, TILE))
    dtype = model.dtype

    def draw(tile: NDArray[np.intp], block_id: tuple[int, ...]) -> NDArray[Any]:
        seed = np.random.SeedSequence(entropy, spawn_key=(stream, *block_id[:2]))
        rng = np.random.default_rng(seed)
        counts = np.empty((*tile.shape, model.sources.shape[1]), dtype=dtype)
        # Row by row: the mean and the draws are eight bytes each.
        for row, row_positions in enumerate(tile):
            counts[row] = rng.poisson(model.mean(row_positions))
        return counts.reshape(tile.shape + signal_shape)

    return da.map_blocks(
        draw,
        tiles,
        dtype=dtype,
        chunks=tiles.chunks + tuple((n,) for n in signal_shape),
        new_axis=list(range(2, 2 + len(signal_shape))) or None,
        name=f"phantom-{entropy}-{stream}-{id(model)}",
        meta=np.empty((0,) * (2 + len(signal_shape)), dtype=dtype),
    )
