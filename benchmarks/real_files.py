"""Real files: is the noise predicted, are the factors kept at a low dose, is a truth found."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from hyperspy.signal import BaseSignal

from benchmarks import methods, peers, scores, superx
from benchmarks.cases import Case, Values
from benchmarks.records import FLAG, Aim, Record, Settings, Unit

BRUKER = Path("bruker_sem_eds_bse") / "30x30_instructively_packed_16bit_compressed.bcf"
PARTICLES = Path("espm_particles") / "espm_particles_N500_seed91.npz"
PARTICLES_TRUTH = Path("espm_particles") / "espm_particles_ground_truth.npz"

MOST_COMPONENTS = 5
SEM_COMPONENTS = 3
THINNED = (0.01, 0.1)
BETTER = ("EDX alone", "HS NMF", "HS SVD")
"""Columns of `benchmarks.superx` that fusion should beat at every rank."""


def units(settings: Settings) -> Iterator[Unit]:
    """Files that are there; those that are not are said to be absent."""
    data = settings.data
    most = 2 if settings.quick else MOST_COMPONENTS
    for path, name, run, seeds in (
        (superx.FILE, "superx", partial(_superx, data, most), settings.seeds[:1]),
        (BRUKER, "bruker", partial(_bruker, data), settings.seeds),
        (PARTICLES, "particles", partial(_particles, data), settings.seeds[:1]),
    ):
        if (data / path).exists():
            for seed in seeds:
                yield Unit(name, seed, partial(run, seed))
        else:
            yield Unit(f"{name} is not there", 0, partial(_absent, name))


def _absent(name: str) -> list[Record]:
    return [Record(name, "-", "file is not there", 0.0)]


def _superx(data: Path, most: int, seed: int) -> list[Record]:
    halves = superx.read_halves(data / superx.FILE, superx.BIN)
    rows, raw = superx.measure(*halves, superx.BIN, most)
    records = [Record("Cr/Fe/Ni layers", "even frames", "deviance", raw)]
    for rank, row in enumerate(rows, 1):
        for method, values in row.items():
            title = f"deviance, {rank} components"
            records.append(Record("Cr/Fe/Ni layers", method, title, float(values.mean())))
        ours = row["EDX+HAADF"].mean()
        for method in BETTER:
            beaten = float(ours >= row[method].mean())
            title = f"no worse than EDX+HAADF, {rank} components"
            records.append(Record("Cr/Fe/Ni layers", method, title, beaten, FLAG))
    return records


def _bruker(data: Path, seed: int) -> list[Record]:
    """Thin the counts; the factors of all counts are the truth, their abundances the oracle's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bse, eds = hs.load(data / BRUKER)
    whole = _reference(eds, bse)
    records = []
    for share in THINNED:
        thin = eds.deepcopy()
        rng = np.random.default_rng([seed, round(1 / share)])
        thin.data = rng.binomial(np.asarray(eds.data), share).astype(np.uint16)
        factors = {name: f * share for name, f in whole.factors.items()}
        case = Case(
            f"SEM EDX, {share:.0%} of the counts",
            {"EDS": thin, "BSE": bse},
            whole.components,
            whole.abundances,
            {"EDS": factors["EDS"]},
            whole.scale,
            whole.inside,
        )
        records += _thinned(case, seed)
    return records


def _reference(eds: BaseSignal, bse: BaseSignal) -> Case:
    signals = {"EDS": eds, "BSE": bse}
    scan = eds.data.shape[:2]
    n = int(np.prod(scan))
    names = tuple(map(str, range(SEM_COMPONENTS)))
    case = Case("", signals, names, np.zeros((n, 0)), {}, np.ones(n), np.ones(n, dtype=bool))
    h = methods.fuse(case, 0, n_components=SEM_COMPONENTS)
    found = methods.estimate(h, case)
    total = np.asarray(h.get_model("EDS").data.sum(axis=-1)).ravel()
    pure = found.factors["EDS"].sum(axis=1)
    # Counts over what the abundances alone would give: 1 where the intensity is the same.
    scale = total / (found.abundances @ pure)
    factors = {"EDS": found.factors["EDS"]}
    return Case("", signals, names, found.abundances, factors, scale, case.inside)


def _thinned(case: Case, seed: int) -> list[Record]:
    oracle = scores.all_oracles(case)
    records = []

    def compare(method: str, found: scores.Estimate, seconds: float, peak: float) -> None:
        order = scores.order_of(case, found.factors)
        ratio = scores.angle_ratios(case, found, oracle, order)["EDS"]
        angle = scores.angles(case, "EDS", found.factors["EDS"], order)
        time = {"seconds": seconds, "peak": peak}
        records.append(
            Record(case.name, method, "worst angle [degrees]", float(angle.max()), **time)
        )
        records.append(Record(case.name, method, "worst angle / oracle", float(ratio.max())))

    for label, one in (("EDX + BSE", case), ("EDX alone", methods.without(case, "BSE"))):
        fused = methods.timed_fusion(one, seed, n_components=SEM_COMPONENTS)
        compare(label, methods.estimate(fused.result, one), fused.seconds, fused.peak)
    stack, split = peers.stacked(methods.without(case, "BSE"), seed)
    for label in ("HyperSpy NMF", "scikit-learn KL-NMF"):
        package, run = peers.PEERS[label]
        if find_spec(package):
            done = peers.run_quietly(run, stack)
            maps, factors = done.result
            compare(label, scores.Estimate(maps, split(factors)), done.seconds, done.peak)
    return records


def _particles(data: Path, seed: int) -> list[Record]:
    cube = np.load(data / PARTICLES)["cube"]
    truth = np.load(data / PARTICLES_TRUTH)
    case = particles_case(cube, truth["phases"], truth["weights"])
    records = []
    for unmixing in ("face_mixture", *methods.UNMIXING):
        fused = methods.timed_fusion(case, seed, n_components=3, unmixing=unmixing)
        found = methods.estimate(fused.result, case)
        records += _against_truth(case, f"fuse, {unmixing}", found, fused.seconds, fused.peak)
    stack, split = peers.stacked(case, seed)
    for label, (package, run) in peers.PEERS.items():
        if not find_spec(package):
            records.append(Record(case.name, label, "not installed", 0.0))
            continue
        done = peers.run_quietly(run, stack)
        maps, factors = peers.summing_to_one(*done.result)
        found = scores.Estimate(maps, split(factors))
        records += _against_truth(case, label, found, done.seconds, done.peak)
    return records


def particles_case(cube: Values, phases: Values, weights: Values) -> Case:
    """Turn espm's simulated particles and their truth into a case."""
    signal = hs.signals.Signal1D(cube)
    signal.metadata.General.title = "EDS"
    n = int(np.prod(cube.shape[:2]))
    shares = weights.reshape(n, -1)
    mean = cube.sum() / n
    factors = mean * phases / phases.sum(axis=1, keepdims=True)
    names = tuple(map(str, range(len(phases))))
    ones = np.ones(n)
    return Case("espm particles", {"EDS": signal}, names, shares, {"EDS": factors}, ones, ones > 0)


def _against_truth(
    case: Case, method: str, found: scores.Estimate, seconds: float, peak: float
) -> list[Record]:
    order = scores.order_of(case, found.factors)
    error = scores.abundance_error(found.abundances, case.abundances, order)
    least = scores.oracle_abundances(case, ["EDS"])
    best = scores.root_mean_square_error(least, case.abundances)
    ratios = scores.angle_ratios(case, found, scores.all_oracles(case), order)["EDS"]
    angle = scores.angles(case, "EDS", found.factors["EDS"], order)
    return [
        Record(case.name, method, "abundances / oracle", error / best, Aim(), seconds, peak),
        Record(case.name, method, "worst angle / oracle", float(ratios.max())),
        Record(case.name, method, "worst angle [degrees]", float(angle.max())),
    ]
