"""What the commands of the benchmarks share: rows of units, run once each and printed as tables."""

from __future__ import annotations

import argparse
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hyperspy.api as hs

from benchmarks import records
from benchmarks.records import FLAG, Record, Settings, Unit

Rows = Mapping[str, tuple[str, Callable[[Settings], Iterator[Unit]]]]
"""By the word that asks for it: title of a row, and what makes its units."""


def run_row(
    rows: Rows,
    row: str,
    settings: Settings,
    known: dict[str, list[Record]],
    path: Path | None = None,
) -> list[Record]:
    """Measure what is not known of one row.

    Parameters
    ----------
    rows, row
        All rows, and the key of this one.
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
    for unit in rows[row][1](settings):
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


def make_parser(
    command: str, description: str | None, rows: Rows, seeds: int
) -> argparse.ArgumentParser:
    """Make the parser of a command, with the options that all have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(rows)}; default all")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"how many phantoms ({seeds})")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--json", type=Path, help="file that keeps results, a line of JSON a unit")
    return parser


def parse(
    parser: argparse.ArgumentParser, rows: Rows, arguments: list[str] | None
) -> argparse.Namespace:
    """Read the command line; a row that does not exist ends the program."""
    options = parser.parse_args(arguments)
    for row in options.rows:
        if row not in rows:
            parser.error(f"Expected rows out of {', '.join(rows)}. Got {row!r}.")
    return options


def print_rows(rows: Rows, options: argparse.Namespace, settings: Settings) -> None:
    """Run the rows asked for, and print a table of each."""
    hs.preferences.General.show_progressbar = False
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    known = records.read(options.json) if options.json else {}
    for row in options.rows or rows:
        start = time.perf_counter()
        found = run_row(rows, row, settings, known, options.json)
        taken = time.perf_counter() - start
        seeds = settings.seeds
        print(f"\n{rows[row][0]} (seeds {seeds[0]} to {seeds[-1]}, {taken:.0f} s)\n")
        print(records.table(found), flush=True)


def chosen_seeds(options: argparse.Namespace) -> tuple[int, ...]:
    """Seeds that the command line asks for."""
    return tuple(range(options.first_seed, options.first_seed + options.seeds))
