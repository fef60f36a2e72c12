"""How near to the best possible the package comes: ``python -m benchmarks.accuracy [rows]``.

Errors are ratios to the oracle: the same least-squares estimator given the truth (the true
abundances for factors, the true factors for abundances). Every row prints, for each case, method
and quantity, the number of values, the median, the range from 10 to 90 %, the worst, how many
failed (no value, or beyond the limit of each seed), the aim, the median time and the largest
memory. Other packages run on the same data; those absent are said to be so. espm asks for versions
of HyperSpy that this package does not take: ``pip install --no-deps espm`` puts it beside.

With ``--json FILE`` results are kept, and a run that was stopped goes on where it was. Remove the
file after a change of the package. Two runs of different rows may share the cores.
"""

from __future__ import annotations

import argparse
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import hyperspy.api as hs

from benchmarks import (
    buried,
    cases,
    counting,
    methods,
    misspecified,
    real_files,
    records,
    spectral_library,
    superx,
    titania,
)
from benchmarks.records import FLAG, Record, Settings, Unit

ROWS: dict[str, tuple[str, Callable[[Settings], Iterator[Unit]]]] = {
    "flat": ("1. TiO2 phantom, the same counts everywhere", titania.flat_units),
    "thickness": ("2. TiO2 phantom, counts proportional to thickness", titania.thickness_units),
    "buried": ("3. A component that is never seen pure", buried.units),
    "misspecified": ("4. Where the model does not hold", misspecified.units),
    "counting": ("5. The number of components", counting.units),
    "library": ("6. A hyperspectral design", spectral_library.units),
    "real": ("7. Real files", real_files.units),
}


def run_row(
    row: str, settings: Settings, known: dict[str, list[Record]], path: Path | None = None
) -> list[Record]:
    """Measure what is not known of one row.

    Parameters
    ----------
    row
        Key of `ROWS`.
    settings
        Seeds and sizes.
    known
        Records that a file has, by the name of the unit.
    path
        Of the file to which new ones are added.

    Returns
    -------
    list of Record
        All of the row. Where the package raises, one record without a value says so.
    """
    found = []
    for unit in ROWS[row][1](settings):
        name = records.key(row, unit)
        if name not in known:
            fresh = _run(unit)
            known[name] = fresh
            if path is not None:
                records.append(path, name, fresh)
        found += known[name]
    return found


def _run(unit: Unit) -> list[Record]:
    try:
        return unit.run()
    except Exception as error:
        # One seed that raises is a failure of that seed; the others are still wanted.
        print(f"{unit.name}, seed {unit.seed}:\n{traceback.format_exc(limit=-3)}", flush=True)
        return [Record(unit.name, "-", f"raised {type(error).__name__}", float("nan"), FLAG)]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; default all")
    parser.add_argument("--seeds", type=int, default=20, help="how many phantoms (20)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (0)")
    parser.add_argument(
        "--large-seeds", type=int, default=5, help="how many at 128 x 128 (5): they take minutes"
    )
    parser.add_argument(
        "--peer-seeds", type=int, default=3, help="how many with other packages (3)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--json", type=Path, help="file that keeps results, a line of JSON a unit")
    parser.add_argument("--data", type=Path, default=superx.DATA, help="folder of the real files")
    options = parser.parse_args(arguments)
    for row in options.rows:
        if row not in ROWS:
            parser.error(f"Expected rows out of {', '.join(ROWS)}. Got {row!r}.")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Print one table a row."""
    options = parse(arguments)
    hs.preferences.General.show_progressbar = False
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    seeds = tuple(range(options.first_seed, options.first_seed + options.seeds))
    settings = Settings(seeds, options.large_seeds, options.peer_seeds, options.quick, options.data)
    known = records.read(options.json) if options.json else {}
    # Compiles, so that no measurement has that in it.
    methods.fuse(cases.tio2(0, size=16), 0, n_components=3)
    for row in options.rows or ROWS:
        start = time.perf_counter()
        found = run_row(row, settings, known, options.json)
        taken = time.perf_counter() - start
        print(f"\n{ROWS[row][0]} (seeds {seeds[0]} to {seeds[-1]}, {taken:.0f} s)\n")
        print(records.table(found), flush=True)


if __name__ == "__main__":
    main()
