"""One measurement of ``benchmarks.scale``, in a process of its own, so that memory is its own.

``python -m benchmarks.scale_jobs JOB FOLDER SET`` prints one line of JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dask
import hyperspy.api as hs
import numpy as np

import hyperfuse_hs as hf
from benchmarks import scale_sets, scale_shares
from benchmarks.measure import peak_memory
from benchmarks.scale_sets import NAMES, Size
from hyperfuse_hs.algorithms.abundance import simplex_abundances
from hyperfuse_hs.algorithms.metrics import match_components, root_mean_square_error

TINY = Size(scan=16, detector=16, eels=64, eds=64)
"""Run before everything that is timed, so that nothing is compiled within."""

COMPONENTS = 3

IN_MEMORY = {"scan": (64, 64), "detector": (64, 64), "eels_channels": 1024, "eds_channels": 1024}

RANK = 10
"""Components that HyperSpy is asked for: fewer than stand out, so it has less to do."""


def bare(folder: Path, size: Size) -> dict[str, Any]:
    """Do nothing: what the imports take."""
    return {}


def total(folder: Path, size: Size) -> dict[str, Any]:
    """Sum all files once."""
    signals = scale_sets.read(folder, size)
    return _timed(lambda: dask.compute(*[s.data.sum() for s in signals]))


def total_of_patterns(folder: Path, size: Size) -> dict[str, Any]:
    """Sum the 4D file once."""
    (signal,) = scale_sets.read(folder, size, ("Diffraction",))
    return _timed(signal.data.sum().compute)


def support(folder: Path, size: Size) -> dict[str, Any]:
    """Fuse three files."""
    return _fused(folder, size, {})


def passive(folder: Path, size: Size) -> dict[str, Any]:
    """Fuse three files, the 4D one passive."""
    return _fused(folder, size, {"Diffraction": "passive"})


def spectra(folder: Path, size: Size) -> dict[str, Any]:
    """Fuse the two files of spectra."""
    return _fused(folder, size, {}, NAMES[:2])


def couple(folder: Path, size: Size) -> dict[str, Any]:
    """Write the components of two files back to the 4D one, which alone is timed."""
    signals = scale_sets.read(folder, size)
    h = _fuse(signals[:2], scale_sets.truth(folder, size)["vacuum"])
    return _timed(lambda: h.couple(signals[2], name="Diffraction"))


def hyperspy_patterns(folder: Path, size: Size) -> dict[str, Any]:
    """Decompose the 4D file alone by HyperSpy."""
    (signal,) = scale_sets.read(folder, size, ("Diffraction",))
    vacuum = scale_sets.truth(folder, size)["vacuum"]
    options = {"algorithm": "SVD", "output_dimension": RANK, "navigation_mask": vacuum}
    # HyperSpy decomposes floats only.
    signal.change_dtype("float32")
    return _timed(lambda: signal.decomposition(True, print_info=False, **options))


def held(folder: Path, size: Size) -> dict[str, Any]:
    """Fuse three signals in memory."""
    phantom = hf.data.tio2_polymorphs(**IN_MEMORY, random_state=0)
    vacuum = phantom.navigation_mask.data
    return _timed(lambda: _fuse(list(phantom.signals.values()), vacuum))


def hyperspy_held(folder: Path, size: Size) -> dict[str, Any]:
    """Decompose the concatenation of three signals in memory by HyperSpy, and unmix it."""
    signal, vacuum = _stacked()
    return _timed(lambda: _separated(signal, vacuum, output_dimension=COMPONENTS))


def hyperspy_held_whole(folder: Path, size: Size) -> dict[str, Any]:
    """Do the same with all singular values, as without further arguments."""
    signal, vacuum = _stacked()
    return _timed(lambda: _separated(signal, vacuum))


def bins(folder: Path, size: Size) -> dict[str, Any]:
    """Compare the abundances from files with those from memory, over the oracle's error."""
    known = scale_sets.truth(folder, size)
    signals = scale_sets.read(folder, size)
    lazy = _error(_fuse(signals, known["vacuum"]), known)
    for signal in signals:
        signal.compute(show_progressbar=False)
    eager = _error(_fuse(signals, known["vacuum"]), known)
    inside = ~known["vacuum"].ravel()
    spectra = signals[0].data.reshape(inside.size, -1)[inside]
    root = np.sqrt(np.maximum(spectra.mean(axis=0, dtype=np.float64), 1e-12))
    oracle = simplex_abundances(spectra / root, known["EELS"] / root)
    error = root_mean_square_error(oracle, known["abundances"][inside])
    return {"lazy": lazy, "eager": eager, "oracle": error}


def shares(folder: Path, size: Size) -> dict[str, Any]:
    """Tell what reading some chunks of each file takes, step by step."""
    return {"files": scale_shares.shares(folder, size)}


JOBS: dict[str, Callable[[Path, Size], dict[str, Any]]] = {
    job.__name__: job
    for job in (
        bare,
        total,
        total_of_patterns,
        support,
        passive,
        spectra,
        couple,
        hyperspy_patterns,
        held,
        hyperspy_held,
        hyperspy_held_whole,
        bins,
        shares,
    )
}


def _timed(call: Callable[[], Any]) -> dict[str, Any]:
    started, busy = time.perf_counter(), time.process_time()
    call()
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - busy}


def _fuse(signals: list[Any], vacuum: Any, **options: Any) -> Any:
    names = list(NAMES[: len(signals)])
    return hf.fuse(
        signals,
        names=names,
        n_components=COMPONENTS,
        navigation_mask=vacuum,
        random_state=0,
        show_progressbar=False,
        **options,
    )


def _fused(
    folder: Path, size: Size, roles: dict[str, str], names: tuple[str, ...] = NAMES
) -> dict[str, Any]:
    """Fuse files, and tell how good the abundances are and how often each file was read."""
    signals, known = scale_sets.read(folder, size, names), scale_sets.truth(folder, size)
    found: list[Any] = []
    taken = _timed(lambda: found.append(_fuse(signals, known["vacuum"], roles=roles or "auto")))
    h = found[0]
    parts = h._fusion().modalities
    return taken | {
        "rmse": _error(h, known),
        "passes": {name: part.passes for name, part in parts.items()},
        "rank": {name: part.rank for name, part in parts.items()},
    }


def _error(h: Any, known: dict[str, Any]) -> float:
    """Root mean square error of the abundances."""
    order = match_components(h.get_factors("EELS").data, known["EELS"])
    maps = h.data.reshape(-1, h.data.shape[-1])[:, order]
    return root_mean_square_error(maps, known["abundances"])


def _stacked() -> tuple[Any, Any]:
    phantom = hf.data.tio2_polymorphs(**IN_MEMORY, random_state=0)
    scan = IN_MEMORY["scan"]
    arrays = [s.data.reshape(*scan, -1) for s in phantom.signals.values()]
    signal = hs.signals.Signal1D(np.concatenate(arrays, axis=-1).astype(np.float32))
    return signal, phantom.navigation_mask.data


def _separated(signal: Any, vacuum: Any, **options: Any) -> None:
    signal.decomposition(True, navigation_mask=vacuum, print_info=False, **options)
    signal.blind_source_separation(COMPONENTS, print_info=False)


def main(arguments: list[str]) -> None:
    """Run one job."""
    job, folder, size = arguments[0], Path(arguments[1]), Size(**json.loads(arguments[2]))
    hs.preferences.General.show_progressbar = False
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    if job in ("support", "passive", "spectra", "couple", "held"):
        signals = scale_sets.read(folder, TINY)
        _fuse(signals, None)
        h = _fuse(
            [signal.compute(show_progressbar=False) or signal for signal in signals[:2]], None
        )
        h.couple(signals[2], name="Diffraction")
    found = JOBS[job](folder, size)
    print(json.dumps({"job": job, **asdict(size), **found, "peak": peak_memory()}))


if __name__ == "__main__":
    main(sys.argv[1:])
