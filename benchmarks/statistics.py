"""Whether what is said about errors is so: ``python -m benchmarks.statistics [rows]``.

Every row prints, for each case, method and quantity, the number of seeds, the mean, the median, the
range from 10 to 90 % and the value farthest from the aim. Coverage is the part of the channels (or
of the positions) of one seed that an interval holds: its mean over the seeds is what should be as
stated, since errors within a seed have much in common.

With ``--json FILE`` results are kept, and a run that was stopped goes on where it was. Remove the
file after a change of the package.
"""

from __future__ import annotations

import argparse

from benchmarks import coverage, detector, naming, reliability, runner, transfer, unrelated
from benchmarks.records import Settings

ROWS: runner.Rows = {
    "coverage": ("1. How often errors and intervals hold the truth", coverage.units),
    "detector": ("Mean patterns of a large detector on disk", detector.units),
    "prediction": ("Half of a scan, predicted from one signal", transfer.units),
    "identification": ("Components named by powder patterns", naming.units),
    "null": ("Correlations where there are none", unrelated.null_units),
    "power": ("What goes with a shoulder of an edge", unrelated.power_units),
    "faces": ("Probabilities of faces", reliability.units),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = runner.make_parser("statistics", __doc__, ROWS, 50)
    parser.add_argument(
        "--large-seeds", type=int, default=10, help="how many of larger and of other phantoms (10)"
    )
    return runner.parse(parser, ROWS, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print one table a row."""
    options = parse(arguments)
    settings = Settings(
        runner.chosen_seeds(options), large_seeds=options.large_seeds, quick=options.quick
    )
    runner.print_rows(ROWS, options, settings)


if __name__ == "__main__":
    main()
