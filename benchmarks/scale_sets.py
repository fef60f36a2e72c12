"""Sets of any size on disk, with known abundances, for ``benchmarks.scale``."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import hyperspy.api as hs
import numpy as np

import hyperfuse_hs as hf

NAMES = ("EELS", "EDS", "Diffraction")

CHUNKINGS = ("tiles", "patterns", "detector")
"""Chunks of 16 x 16 positions; of single positions; of all positions and part of the channels."""

SLICE_BYTES = 2**26
"""Size of one chunk of all positions [bytes]."""

HELD_BYTES = 2**28
"""What is read at a time to write such chunks [bytes]."""


@dataclass(frozen=True)
class Size:
    """What a set is made of.

    Parameters
    ----------
    scan
        Probe positions along each side.
    detector
        Pixels along each side.
    eels, eds
        Channels.
    dose
        Mean counts of a diffraction pattern.
    chunks
        One of ``CHUNKINGS``.
    """

    scan: int
    detector: int = 256
    eels: int = 2048
    eds: int = 4096
    dose: float = 5e3
    chunks: str = "tiles"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.scan}-{self.detector}-{self.eels}-{self.eds}-{self.dose:g}-{self.chunks}"

    @property
    def elements(self) -> int:
        """N x C of all modalities."""
        return self.scan**2 * (self.detector**2 + self.eels + self.eds)


@dataclass(frozen=True)
class Stored:
    """A file of a set.

    Parameters
    ----------
    raw, stored
        Bytes of the array, and on disk.
    fill
        Part of the values that are not zero.
    dtype
        Type of the values.
    """

    raw: int
    stored: int
    fill: float
    dtype: str


def write(folder: Path, size: Size, seed: int = 0) -> dict[str, Stored]:
    """Write a set, unless it is there, block by block in bounded memory.

    EELS is stored as float32, the others as unsigned integers.

    Parameters
    ----------
    folder
        Where the folder of the set goes.
    size
        Of the set.
    seed
        Of the phantom.

    Returns
    -------
    dict
        By name, what its file holds.
    """
    place = folder / size.name
    described = place / "set.json"
    if not described.exists():
        started = time.perf_counter()
        shutil.rmtree(place, ignore_errors=True)
        if size.chunks == "tiles":
            _draw(place, size, seed)
        else:
            tiles = Size(**{**asdict(size), "chunks": "tiles"})
            write(folder, tiles, seed)
            for name in NAMES:
                _store_again(folder / tiles.name / f"{name}.zspy", place, size.chunks)
            shutil.copy(folder / tiles.name / "truth.npz", place)
        found = {name: asdict(_describe(place / f"{name}.zspy")) for name in NAMES}
        described.write_text(json.dumps(found))
        print(f"wrote {place} in {time.perf_counter() - started:.0f} s", flush=True)
    return {name: Stored(**values) for name, values in json.loads(described.read_text()).items()}


def read(folder: Path, size: Size, names: tuple[str, ...] = NAMES) -> list[Any]:
    """Open the files of a set lazily."""
    return [hs.load(folder / size.name / f"{name}.zspy", lazy=True) for name in names]


def truth(folder: Path, size: Size) -> dict[str, np.ndarray]:
    """Abundances ``(N, p)``, NaN in vacuum, and where there is vacuum ``(rows, columns)``."""
    with np.load(folder / size.name / "truth.npz") as stored:
        return dict(stored)


def _draw(place: Path, size: Size, seed: int) -> None:
    phantom = hf.data.tio2_polymorphs(
        scan=(size.scan, size.scan),
        detector=(size.detector, size.detector),
        eels_channels=size.eels,
        eds_channels=size.eds,
        diffraction_dose=size.dose,
        folder=place,
        random_state=seed,
    )
    spectra = phantom.signals["EELS"]
    single = spectra._deepcopy_with_new_data(spectra.data.astype(np.float32))
    single.save(place / "single.zspy", chunks=spectra.data.chunksize)
    shutil.rmtree(place / "EELS.zspy")
    (place / "single.zspy").rename(place / "EELS.zspy")
    abundances = phantom.abundances.reshape(-1, phantom.abundances.shape[-1])
    np.savez(
        place / "truth.npz",
        abundances=abundances,
        vacuum=phantom.navigation_mask.data,
        **{name: factors.reshape(len(factors), -1) for name, factors in phantom.factors.items()},
    )


def _store_again(source: Path, place: Path, chunks: str) -> None:
    """Write a file with other chunks, in slabs that fit in memory."""
    place.mkdir(parents=True, exist_ok=True)
    signal = hs.load(source, lazy=True)
    data = signal.data
    if chunks == "patterns":
        shape = (1, 1, *data.shape[2:])
        slabs = [data[rows : rows + 16] for rows in range(0, len(data), 16)]
        axis = 0
    else:
        line = int(np.prod(data.shape[:2]) * np.prod(data.shape[3:]) * data.dtype.itemsize)
        step = max(1, SLICE_BYTES // line)
        held = max(step, HELD_BYTES // line // step * step)
        shape = (*data.shape[:2], step, *data.shape[3:])
        slabs = [data[:, :, a : a + held] for a in range(0, data.shape[2], held)]
        axis = 2
    # One slab after the other is computed and kept as one chunk of what is written.
    whole = da.concatenate([_computed_later(slab, shape) for slab in slabs], axis=axis)
    signal._deepcopy_with_new_data(whole).save(place / source.name, chunks=shape)


def _computed_later(slab: da.Array, shape: tuple[int, ...]) -> da.Array:
    joined = slab.rechunk(slab.shape)
    chunks = tuple(min(a, b) for a, b in zip(shape, slab.shape, strict=True))
    return joined.rechunk(chunks)


def _describe(path: Path) -> Stored:
    data = hs.load(path, lazy=True).data
    some = data[:: max(1, len(data) // 4)]
    fill = float((some != 0).mean().compute())
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Stored(int(data.nbytes), stored, fill, str(data.dtype))
