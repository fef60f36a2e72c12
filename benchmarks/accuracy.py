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
from pathlib import Path

from benchmarks import (
    buried,
    cases,
    counting,
    methods,
    misspecified,
    real_files,
    runner,
    spectral_library,
    superx,
    titania,
)
from benchmarks.records import Settings

ROWS: runner.Rows = {
    "flat": ("1. TiO2 phantom, the same counts everywhere", titania.flat_units),
    "thickness": ("2. TiO2 phantom, counts proportional to thickness", titania.thickness_units),
    "buried": ("3. A component that is never seen pure", buried.units),
    "misspecified": ("4. Where the model does not hold", misspecified.units),
    "counting": ("5. The number of components", counting.units),
    "library": ("6. A hyperspectral design", spectral_library.units),
    "real": ("7. Real files", real_files.units),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = runner.make_parser("accuracy", __doc__, ROWS, 20)
    parser.add_argument(
        "--large-seeds", type=int, default=5, help="how many at 128 x 128 (5): they take minutes"
    )
    parser.add_argument(
        "--peer-seeds", type=int, default=3, help="how many with other packages (3)"
    )
    parser.add_argument("--data", type=Path, default=superx.DATA, help="folder of the real files")
    return runner.parse(parser, ROWS, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print one table a row."""
    options = parse(arguments)
    settings = Settings(
        runner.chosen_seeds(options),
        options.large_seeds,
        options.peer_seeds,
        options.quick,
        options.data,
    )
    # Compiles, so that no measurement has that in it.
    methods.fuse(cases.tio2(0, size=16), 0, n_components=3)
    runner.print_rows(ROWS, options, settings)


if __name__ == "__main__":
    main()
