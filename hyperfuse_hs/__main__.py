"""Command line: ``python -m hyperfuse_hs`` for the demonstration, or with files to fuse them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hyperfuse_hs import demo, files
from hyperfuse_hs.fusion import fuse
from hyperfuse_hs.options import name_signals
from hyperfuse_hs.result import ROLES

FORMATS = (".hspy", ".zspy")
DESCRIPTION = """\
Fuse the signals of one scan. Without files: the demonstration, EELS, EDX and 4D-STEM of a TiO2
phantom. With files: all their datasets that share a scan; spectra come before diffraction and
images, and the first one leads. OUT.png shows the components. OUT and OUT.png are replaced."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="hyperfuse_hs", description=DESCRIPTION)
    parser.add_argument(
        "files", nargs="*", metavar="FILE", type=Path, help="in any format RosettaSciIO reads"
    )
    parser.add_argument("-o", "--out", type=Path, help=f"file of the result ({', '.join(FORMATS)})")
    parser.add_argument("--random-state", type=int, default=0, help="seed (default: 0)")
    only = parser.add_argument_group("with files")
    only.add_argument(
        "-n", "--n-components", type=_count, help='number of components (default: "auto")'
    )
    only.add_argument("--lazy", action="store_true", help="leave the data on disk")
    only.add_argument("--names", nargs="+", metavar="NAME", help="of what is taken, in its order")
    only.add_argument(
        "--leave-out",
        action="append",
        metavar="TITLE",
        help="leave datasets with this title out; may be repeated",
    )
    only.add_argument(
        "--crop",
        nargs=3,
        action="append",
        metavar=("NAME", "LOW", "HIGH"),
        help="keep this range of the signal axis, in its units; may be repeated",
    )
    only.add_argument(
        "--role",
        nargs=2,
        action="append",
        metavar=("NAME", "ROLE"),
        help=f"{', '.join(ROLES)} (default: automatic); may be repeated",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Without the name of the program; by default those of the process.

    Returns
    -------
    int
        Exit code: 0, or 2 after a mistake in what was asked.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    given = [
        name
        for name in ("n_components", "names", "leave_out", "crop", "role")
        if getattr(options, name) is not None
    ]
    if not options.files and (given or options.lazy):
        parser.error("options other than --out and --random-state need a FILE")
    out = options.out or Path("hyperfuse_fused.hspy" if options.files else "hyperfuse_tio2.hspy")
    try:
        check_out(out, options.files)
        if options.files:
            fuse_files(options, out)
        else:
            demo.run(out, random_state=options.random_state)
    except ValueError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


def check_out(out: Path, sources: Sequence[Path]) -> None:
    """Refuse, before any work, a file to which the result cannot go.

    Raises
    ------
    ValueError
        Another format, a folder that does not exist, or one of the sources.
    """
    if out.suffix not in FORMATS:
        raise ValueError(f"Expected an output file {' or '.join(FORMATS)}. Got {out}.")
    if not out.parent.is_dir():
        raise ValueError(f"Expected an output folder that exists. Got {out.parent}. Make it first.")
    if out.resolve() in {path.resolve() for path in sources}:
        raise ValueError(f"Expected an output file other than the data. Got {out} for both.")


def fuse_files(options: argparse.Namespace, out: Path) -> None:
    """Fuse what belongs together in files; say what was taken and what was left.

    Parameters
    ----------
    options
        Of the command line.
    out
        File of the result.

    Raises
    ------
    ValueError
        Something does not fit; the message says what.
    """
    datasets = files.load_datasets(list(dict.fromkeys(options.files)), options.lazy)
    titles = set(options.leave_out or [])
    unknown = titles - {data.signal.metadata.General.title for data in datasets}
    if unknown:
        known = [data.signal.metadata.General.title for data in datasets]
        raise ValueError(f"Expected titles out of {known} to leave out. Got {sorted(unknown)}.")
    kept = [data for data in datasets if data.signal.metadata.General.title not in titles]
    selection = files.select(kept)
    signals = selection.signals()
    names = name_signals(signals, options.names)
    print(f"Scan of {' x '.join(map(str, selection.grid))} probe positions")
    for name, (data, frames) in zip(names, selection.taken, strict=True):
        print(f"  took  {name}: {data}{', frames summed' if frames else ''}")
    for data, reason in selection.left:
        print(f"  left  {data}: {reason}")
    for data in datasets:
        if data not in kept:
            print(f"  left  {data}: as asked")
    for name, low, high in options.crop or []:
        position = _position(name, names, "--crop")
        limits = (_number(value, "--crop") for value in (low, high))
        signals[position] = files.crop(signals[position], name, *limits)
        print(f"  cropped {name} to {low} ... {high}")
    roles = {names[_position(name, names, "--role")]: role for name, role in options.role or []}
    start = time.perf_counter()
    h = fuse(
        signals,
        names=names,
        n_components=options.n_components or "auto",
        roles=roles or "auto",
        random_state=options.random_state,
        show_progressbar=True,
    )
    print(f"{h.summary()}\n  fused in {time.perf_counter() - start:.1f} s, compilation included")
    demo.write(h, out)


def _count(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number from 1 or "auto", got {text!r}')
    return int(text)


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"Expected a number for {option}. Got {text!r}.") from None


def _position(name: str, names: Sequence[str], option: str) -> int:
    if name not in names:
        raise ValueError(f"Expected one of {list(names)} for {option}. Got {name!r}.")
    return list(names).index(name)


if __name__ == "__main__":
    sys.exit(main())
