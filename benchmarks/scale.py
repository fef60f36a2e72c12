"""What fusing large files takes, next to reading them: ``python -m benchmarks.scale``.

Writes sets of EELS (float32), EDX and 4D-STEM (unsigned integers) with ``hyperfuse_hs.data`` to a
folder, block by block, and measures on them, each in a process of its own: one pass of
``dask.array.sum``, whole fusions, the projection of a passive modality alone, and HyperSpy's lazy
decomposition of the 4D file alone; in memory at 64 x 64, a fusion next to HyperSpy's decomposition
and blind source separation of the concatenation. The files are in the cache of the operating system
where they fit in it, for all alike. Everything that is compiled has been before.

Memory is the peak of the resident one above that of a process which has only imported
``hyperspy.api`` and ``hyperfuse_hs``. Times are the best of a few runs; next to their ratios stand
those of the time of all processors, which depend less on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import hyperspy.api as hs
import numpy as np

from benchmarks import scale_sets
from benchmarks.scale_jobs import RANK, TINY
from benchmarks.scale_sets import CHUNKINGS, NAMES, Size

Found = dict[str, Any]
Run = Callable[..., Found]

TABLES = ("sizes", "ratios", "memory", "bins", "shares")

HELD = 64
"""Positions along each side of the scan where bins are compared with all channels."""

HELD_DETECTOR = 128
"""Pixels along each side of the detector there: just too many for lazy data to be kept."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "tables", nargs="*", metavar="table", help=f"of {', '.join(TABLES)}; default all"
    )
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="*",
        default=[64, 96, 128, 256],
        help="positions along each side of the scan, ascending (64 96 128 256)",
    )
    parser.add_argument("--detector", type=int, default=256, help="pixels along each side (256)")
    parser.add_argument("--eels", type=int, default=2048, help="channels (2048)")
    parser.add_argument("--eds", type=int, default=4096, help="channels (4096)")
    parser.add_argument("--dose", type=float, default=5e3, help="counts of a pattern (5e3)")
    parser.add_argument("--chunks", choices=CHUNKINGS, default="tiles", help="of the files (tiles)")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each measurement (2)")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds HyperSpy's lazy decomposition gets (300)"
    )
    parser.add_argument("--folder", type=Path, help="where the sets are kept; default: removed")
    parser.add_argument("--json", type=Path, help="file that all measurements are added to")
    options = parser.parse_args(arguments)
    for table in options.tables:
        if table not in TABLES:
            parser.error(f"Expected tables out of {', '.join(TABLES)}. Got {table!r}.")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    hs.preferences.General.show_progressbar = False
    warnings.simplefilter("ignore")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="scale-"))
    largest = Size(
        max(options.sizes),
        options.detector,
        options.eels,
        options.eds,
        options.dose,
        options.chunks,
    )
    sizes = [replace(largest, scan=scan) for scan in options.sizes]

    def run(job: str, size: Size, repeats: int = options.repeats, limit: float = 7200) -> Found:
        found = best([measure(job, folder, size, limit) for _ in range(repeats)])
        if options.json is not None:
            with options.json.open("a") as lines:
                lines.write(json.dumps(found) + "\n")
        return found

    try:
        scale_sets.write(folder, TINY)
        bare = run("bare", TINY)["peak"]
        scale_sets.write(folder, largest)
        tables: dict[str, Callable[[], None]] = {
            "sizes": lambda: table_of_sizes(folder, sizes, run, bare),
            "ratios": lambda: table_of_ratios(largest, run, bare, options.limit),
            "memory": lambda: table_in_memory(run, bare),
            "bins": lambda: table_of_bins(folder, run),
            "shares": lambda: table_of_shares(largest, run),
        }
        for table in options.tables or TABLES:
            tables[table]()
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def measure(job: str, folder: Path, size: Size, limit: float) -> Found:
    """Run a job in a process of its own.

    Returns
    -------
    dict
        What it printed; without ``seconds`` where it took longer than the limit or failed, and
        then with the reason as ``failed``.
    """
    command = [sys.executable, "-m", "benchmarks.scale_jobs", job, str(folder)]
    command.append(json.dumps(asdict(size)))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"job": job, "failed": f"not done after {limit:.0f} s", "seconds": np.inf}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return {"job": job, "failed": last, "seconds": np.inf}
    found: Found = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def best(found: list[Found]) -> Found:
    """Take the fastest of several runs, and the largest memory of all."""
    fastest = min(found, key=lambda one: one.get("seconds", 0.0))
    return fastest | {"peak": max(one.get("peak", np.nan) for one in found)}


def table_of_sizes(folder: Path, sizes: list[Size], run: Run, bare: float) -> None:
    """Print time and memory at several sizes, and how they grow with N x C."""
    print(f"\nOne fusion of three files, 4D in support ({os.cpu_count()} cores)\n")
    print("scan         values   array   files   sum of all   fusion  ratio   CPUs  memory RMSE")
    times, memories = [], []
    for size in sizes:
        files = scale_sets.write(folder, size)
        total, found = run("total", size), run("support", size)
        raw, stored = (sum(getattr(f, k) for f in files.values()) for k in ("raw", "stored"))
        times.append(found["seconds"])
        memories.append(found["peak"] - bare)
        print(
            f"{size.scan:3d} x {size.scan:3d} {size.elements:10.2e} {raw / 1e9:5.2f} GB "
            f"{stored / 1e9:5.2f} GB {total['seconds']:9.2f} s {found['seconds']:6.1f} s "
            f"{found['seconds'] / total['seconds']:6.2f} {_busy(found, total):>6s} "
            f"{memories[-1]:4.0f} MiB "
            f"{found.get('rmse', np.nan):.4f}",
            flush=True,
        )
        if "failed" in found:
            print(f"    {found['failed']}")
    if len(sizes) > 1 and np.isfinite(times).all():
        slope = np.polyfit(np.log([s.elements for s in sizes]), np.log(times), 1)[0]
        print(f"Slope of log time over log (N x C): {slope:.2f}")
    print("Fill and compression of the largest:")
    for name, file in files.items():
        print(
            f"    {name:12s} {file.dtype:8s} {100 * file.fill:3.0f} % not zero, "
            f"{file.raw / 1e9:.2f} GB stored in {file.stored / 1e9:.2f} GB"
        )


def table_of_ratios(size: Size, run: Run, bare: float, limit: float) -> None:
    """Print all that is compared with a pass over the files of the largest set."""
    total, patterns = run("total", size), run("total_of_patterns", size)
    rows = [
        ("one sum of all files", total, None, ""),
        ("fusion, 4D in support", run("support", size), total, "<= 4"),
        ("fusion, 4D passive", run("passive", size), total, "<= 2.5"),
        ("fusion of the spectra alone", run("spectra", size), total, ""),
        ("one sum of the 4D file", patterns, None, ""),
        ("passive write-back of the 4D file alone", run("couple", size), patterns, "<= 1.3"),
        (
            f"HyperSpy's lazy SVD of the 4D file, {RANK} components",
            run("hyperspy_patterns", size, 1, limit),
            patterns,
            "",
        ),
    ]
    print(f"\n{size.scan} x {size.scan}, next to one pass of dask.array.sum over the same files\n")
    print_rows(rows, bare)


def table_in_memory(run: Run, bare: float) -> None:
    """Print the fusion of signals in memory next to HyperSpy's way."""
    peer = run("hyperspy_held", TINY)
    rows = [
        ("HyperSpy SVD (3) + BSS of the concatenation", peer, None, ""),
        ("the same after a whole SVD", run("hyperspy_held_whole", TINY, 1), peer, ""),
        ("fusion of three signals", run("held", TINY), peer, "<= 0.33"),
    ]
    print("\nIn memory, 64 x 64, three modalities of 1024, 1024 and 64 x 64 channels\n")
    print_rows(rows, bare)


def print_rows(rows: list[tuple[str, Found, Found | None, str]], bare: float) -> None:
    """Print times, ratios with their goals, and memory."""
    print(
        f"{'':54s} {'time':>9s} {'CPU':>8s} {'ratio':>7s} {'CPUs':>7s} {'goal':>7s} "
        f"{'memory':>9s} passes"
    )
    for label, found, reference, goal in rows:
        if "failed" in found:
            print(f"{label:54s} {found['failed']}")
            continue
        ratio = "" if reference is None else f"{found['seconds'] / reference['seconds']:.2f}"
        passes = ", ".join(f"{k} {v}" for k, v in found.get("passes", {}).items())
        print(
            f"{label:54s} {found['seconds']:7.2f} s {found['cpu']:6.1f} s {ratio:>7s} "
            f"{'' if reference is None else _busy(found, reference):>7s} {goal:>7s} "
            f"{found['peak'] - bare:5.0f} MiB {passes}",
            flush=True,
        )


def _busy(found: Found, reference: Found) -> str:
    """Ratio of the time of all processors, which other programs hardly change."""
    if "cpu" not in found or not reference.get("cpu"):
        return ""
    return f"{found['cpu'] / reference['cpu']:.2f}"


def table_of_bins(folder: Path, run: Run) -> None:
    """Print what it costs to see the detector in bins."""
    size = Size(HELD, HELD_DETECTOR, 1024, 1024)
    scale_sets.write(folder, size)
    found = run("bins", size, 1)
    print(
        f"\nError of the abundances over that of the true spectra on EELS alone ({HELD} x {HELD}, "
        f"{HELD_DETECTOR} x {HELD_DETECTOR} pixels)\n"
    )
    for way, kind in (("lazy", "4D from disk, seen in bins"), ("eager", "in memory")):
        print(f"    {kind:28s} {found[way]:.4f} / {found['oracle']:.4f} = ", end="")
        print(f"{found[way] / found['oracle']:.3f}")


def table_of_shares(size: Size, run: Run) -> None:
    """Print where the time of a pass goes."""
    found = run("shares", size, 1)["files"]
    steps = list(found[NAMES[0]])
    print("\nSeconds for each GB of the array, on one core\n")
    print(f"{'':12s} " + " ".join(f"{step:>12s}" for step in steps))
    for name, taken in found.items():
        print(f"{name:12s} " + " ".join(f"{taken[step]:12.3f}" for step in steps))


if __name__ == "__main__":
    main()
