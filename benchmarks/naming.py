"""How often the polymorphs are named by their mean diffraction patterns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import hyperfuse_hs as hf
from benchmarks import methods
from benchmarks.cases import Case, tio2
from benchmarks.records import FLAG, Aim, Record, Settings, Unit
from hyperfuse_hs import identification, profiles, references
from hyperfuse_hs.data.crystal import ANATASE, RUTILE, Crystal

DISK = 0.05
"""Radius of the disks of the phantom, 1/Å."""

NAMED = Aim(each=1.0, large_is_good=True)


def units(settings: Settings) -> Iterator[Unit]:
    """Yield seeds of two sizes."""
    for size in (24,) if settings.quick else (48, 64):
        for seed in settings.seeds:
            yield Unit(f"naming {size}", seed, partial(measure, seed, size))


def measure(seed: int, size: int) -> list[Record]:
    """Name the components of one phantom by each kind of reference.

    Parameters
    ----------
    seed, size
        Of the TiO2 phantom.

    Returns
    -------
    list of Record
        For each polymorph that its true pattern names, whether the factor does; and whether carbon
        is taken for a crystal.
    """
    case = tio2(seed, size=size)
    h = methods.fuse(case, seed, n_components=len(case.components))
    order = hf.metrics.match_components(h.get_factors("EELS").data, case.factors["EELS"])
    records = []
    for kind, library in libraries().items():
        found = h.identify("Diffraction", library, random_state=seed)
        truth = name_truth(h, case, library)
        for k, name in enumerate(case.components):
            best = found.best[order[k]]
            if name not in library:
                wrong = float(best is not None)
                records.append(Record(case.name, kind, f"{name} is called a crystal", wrong, FLAG))
                continue
            score = float(found.scores[order[k], list(library).index(name)])
            records.append(Record(case.name, kind, f"score of {name}", score))
            records.append(Record(case.name, kind, f"{name} by the truth", float(truth[k] == name)))
            if truth[k] == name:
                named = float(best == name)
                records.append(Record(case.name, kind, f"{name} where the truth is", named, NAMED))
    return records


def libraries() -> dict[str, dict[str, Any]]:
    """Return powder patterns of the package and, with diffsims, crystals to be simulated."""
    found: dict[str, dict[str, Any]] = {"powder patterns": hf.data.reference_patterns()}
    if find_spec("diffsims"):
        found["crystal structures"] = {c.name: structure_of(c) for c in (ANATASE, RUTILE)}
    return found


def structure_of(crystal: Crystal) -> Any:
    """Describe a crystal for diffpy."""
    from diffpy.structure import Atom, Lattice, Structure

    atoms = [Atom(e, xyz) for e, xyz in zip(crystal.elements, crystal.positions, strict=True)]
    return Structure(atoms, Lattice(crystal.a, crystal.a, crystal.c, 90, 90, 90))


def name_truth(h: Any, case: Case, library: dict[str, Any]) -> list[str | None]:
    """Name the true patterns, which have no errors, as factors are named."""
    signal = case.signals["Diffraction"]
    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager.signal_axes[::-1]]
    shape = (-1, *signal.axes_manager.signal_shape[::-1])
    patterns = case.factors["Diffraction"].reshape(shape)
    nothing = np.zeros_like(patterns)
    subject = profiles.radial_subject(axes, patterns, nothing, nothing, DISK)
    largest = float(subject.edges[-1, 1]) + 2 * DISK
    curves = [references.pattern(n, r, axes[0]["units"], largest) for n, r in library.items()]
    allowed = identification.check_tolerance(None, subject)
    rng = np.random.default_rng(0)
    return identification.identify(subject, curves, "truth", allowed, rng).best
