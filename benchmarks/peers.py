"""What else a user could run on the same data: other packages, and other methods of this one.

Each gets the concatenation of all signals (images with more channels than `MOST_CHANNELS` binned by
two, for all methods alike), scaled as suits it, the true number of components, and the best
chance: its components are matched to the true ones, and its maps are brought to sum to one by
least squares. Packages that are not installed are said to be so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import StringIO

import hyperspy.api as hs
import numpy as np
from numpy.typing import NDArray

from benchmarks import methods, scores
from benchmarks.cases import Case, Values
from benchmarks.measure import Measured, measure
from benchmarks.records import NO_AIM, Record
from benchmarks.scores import Estimate
from hyperfuse_hs.algorithms.simplex import successive_projection

MOST_CHANNELS = 2048
ITERATIONS = 200
DIVERGENCE_ITERATIONS = 500

Found = tuple[Values, Values]
"""Maps ``(n, k)`` and factors ``(k, C)`` in the units of the stack."""


@dataclass(frozen=True, eq=False)
class Stack:
    """All signals side by side.

    Parameters
    ----------
    counts
        ``(n, C)``, positions inside and channels that hold anything.
    edges
        Where a signal ends and the next begins.
    p
        Number of components.
    seed
        For methods that draw.
    """

    counts: Values
    edges: NDArray[np.intp]
    p: int
    seed: int

    @property
    def root(self) -> Values:
        """Root of the mean of each channel, ``(C,)``: the noise of counts."""
        return np.sqrt(np.maximum(self.counts.mean(axis=0), 1e-12))


def hyperspy_bss(stack: Stack) -> Found:
    """Independent components of HyperSpy's decomposition for Poisson noise."""
    signal = _decomposed(stack, algorithm="SVD", output_dimension=stack.p)
    signal.blind_source_separation(stack.p, print_info=False)
    return signal.get_bss_loadings().data.reshape(stack.p, -1).T, signal.get_bss_factors().data


def hyperspy_bss_maps(stack: Stack) -> Found:
    """Independent maps instead of spectra."""
    signal = _decomposed(stack, algorithm="SVD", output_dimension=stack.p)
    signal.blind_source_separation(
        stack.p, print_info=False, on_loadings=True, diff_order=0, whiten_method="PCA"
    )
    return signal.get_bss_loadings().data.reshape(stack.p, -1).T, signal.get_bss_factors().data


def hyperspy_nmf(stack: Stack) -> Found:
    """HyperSpy's non-negative matrix factorisation for Poisson noise."""
    options = {"init": "nndsvda", "max_iter": ITERATIONS}
    signal = _decomposed(stack, algorithm="NMF", output_dimension=stack.p, **options)
    found = signal.get_decomposition_loadings().data.reshape(stack.p, -1).T
    return found, signal.get_decomposition_factors().data


def _decomposed(stack: Stack, **options: object) -> hs.signals.Signal1D:
    signal = hs.signals.Signal1D(stack.counts.copy())
    signal.decomposition(True, print_info=False, **options)
    return signal


def sklearn_frobenius(stack: Stack) -> Found:
    """Least squares NMF of scikit-learn, with channels scaled to equal noise."""
    from sklearn.decomposition import NMF

    model = NMF(stack.p, init="nndsvda", max_iter=ITERATIONS, random_state=stack.seed)
    maps = model.fit_transform(stack.counts / stack.root)
    return maps, model.components_ * stack.root


def sklearn_divergence(stack: Stack) -> Found:
    """Poisson likelihood NMF of scikit-learn."""
    from sklearn.decomposition import NMF

    model = NMF(
        stack.p,
        init="nndsvda",
        solver="mu",
        beta_loss="kullback-leibler",
        # Multiplicative steps are slow.
        tol=1e-6,
        max_iter=DIVERGENCE_ITERATIONS,
        random_state=stack.seed,
    )
    return model.fit_transform(stack.counts), model.components_


def espm_nmf(stack: Stack) -> Found:
    """Poisson likelihood with maps that sum to one, of espm."""
    from espm.estimators import SmoothNMF

    model = SmoothNMF(
        n_components=stack.p,
        init="nndsvda",
        simplex_H=True,
        simplex_W=False,
        # With the default tolerance it stops after two iterations.
        tol=1e-7,
        max_iter=ITERATIONS,
        random_state=stack.seed,
        verbose=0,
    )
    # It takes minutes; twice as many in double precision.
    factors = model.fit_transform(stack.counts.T.astype(np.float32))
    return model.H_.T, factors.T


def pymcr_als(stack: Stack) -> Found:
    """Alternating non-negative least squares with maps that sum to one, of pyMCR."""
    from pymcr.constraints import ConstraintNonneg, ConstraintNorm
    from pymcr.mcr import McrAR

    data = stack.counts / stack.root
    start = data[successive_projection(_principal(data, stack.p), stack.p)]
    model = McrAR(
        max_iter=50,
        c_regr="NNLS",
        st_regr="NNLS",
        c_constraints=[ConstraintNonneg(), ConstraintNorm()],
        st_constraints=[ConstraintNonneg()],
    )
    model.fit(data, ST=start)
    return model.C_opt_, model.ST_opt_ * stack.root


def _principal(data: Values, p: int) -> Values:
    """Scores of the first ``p - 1`` centred principal components."""
    centred = data - data.mean(axis=0)
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(centred @ (centred.T @ rng.standard_normal((len(data), p + 8))))[0]
    left, values, _ = np.linalg.svd(basis.T @ centred, full_matrices=False)
    return basis @ (left * values)[:, : p - 1]


def matcouply_cmf(stack: Stack) -> Found:
    """Coupled non-negative factorisation, signal by signal, of matcouply."""
    from matcouply.decomposition import cmf_aoadmm

    blocks = np.split((stack.counts / stack.root).T, stack.edges)
    # One size for all, as its penalties are the same in all modes.
    size = np.sqrt(np.mean(stack.counts / stack.root))
    model = cmf_aoadmm(
        [np.ascontiguousarray(block) / size for block in blocks],
        rank=stack.p,
        non_negative=True,
        n_iter_max=ITERATIONS,
        random_state=stack.seed,
    )
    _, (weights, factors, maps) = model
    scaled = [np.asarray(f) * w for f, w in zip(factors, np.asarray(weights), strict=True)]
    return np.asarray(maps), np.vstack(scaled).T * size * stack.root


PEERS: dict[str, tuple[str, Callable[[Stack], Found]]] = {
    "HyperSpy SVD + BSS": ("sklearn", hyperspy_bss),
    "HyperSpy SVD + BSS of maps": ("sklearn", hyperspy_bss_maps),
    "HyperSpy NMF": ("sklearn", hyperspy_nmf),
    "scikit-learn NMF": ("sklearn", sklearn_frobenius),
    "scikit-learn KL-NMF": ("sklearn", sklearn_divergence),
    "espm": ("espm", espm_nmf),
    "pyMCR": ("pymcr", pymcr_als),
    "matcouply": ("matcouply", matcouply_cmf),
}


def peer_records(case: Case, seed: int) -> list[Record]:
    """Run everything on one case, and compare with the truth and the oracle.

    Parameters
    ----------
    case
        Data and truth.
    seed
        Of methods that draw.

    Returns
    -------
    list of Record
        Abundance errors are over those of least squares with the true factors of the lead;
        angles over those of the oracle, the worst component of each modality.
    """
    case = binned(case)
    judge = _Judge(case)
    fused = methods.timed_fusion(case, seed, n_components=len(case.components))
    records = judge.compare(
        "fused", methods.estimate(fused.result, case), fused.seconds, fused.peak
    )
    for unmixing in methods.UNMIXING:
        done = measure(
            lambda u=unmixing: methods.fuse(
                case, seed, n_components=len(case.components), unmixing=u
            )
        )
        found = methods.estimate(done.result, case)
        records += judge.compare(f"fused, {unmixing}", found, done.seconds, done.peak)
    stack, split = stacked(case, seed)
    for name, (package, run) in PEERS.items():
        if find_spec(package) is None:
            records.append(Record(judge.title, name, "not installed", 0.0))
            continue
        try:
            done = run_quietly(run, stack)
        except Exception as error:
            # What another package raises on these data is a finding, not an end.
            records.append(Record(judge.title, name, f"raised {type(error).__name__}", np.nan))
            continue
        maps, factors = summing_to_one(*done.result)
        records += judge.compare(name, Estimate(maps, split(factors)), done.seconds, done.peak)
    return records


def run_quietly(run: Callable[[Stack], Found], stack: Stack) -> Measured[Found]:
    """Run and measure a peer, without what it prints and warns of."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        return measure(lambda: run(stack))


class _Judge:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.title = f"{case.name}, peers"
        self.oracles = scores.all_oracles(case)
        self.truth = case.abundances[case.inside]
        least = scores.oracle_abundances(case, [case.lead])
        self.best = scores.root_mean_square_error(least, self.truth)

    def compare(self, method: str, found: Estimate, seconds: float, peak: float) -> list[Record]:
        order = scores.order_of(self.case, found.factors)
        error = scores.abundance_error(found.abundances, self.truth, order) / self.best
        records = [
            Record(self.title, method, "abundances / LS", error, NO_AIM, seconds, peak),
        ]
        ratios = scores.angle_ratios(self.case, found, self.oracles, order)
        for name, values in ratios.items():
            worst = float(values.max())
            records.append(Record(self.title, method, f"worst angle / oracle, {name}", worst))
        return records


def stacked(case: Case, seed: int) -> tuple[Stack, Callable[[Values], dict[str, Values]]]:
    """Put all signals with spectra or patterns side by side, and return how to take factors apart.

    Parameters
    ----------
    case
        Data and truth.
    seed
        For methods that draw.

    Returns
    -------
    stack : Stack
        Without channels that hold nothing.
    split : callable
        Takes factors ``(k, C)`` of the stack, returns them by name with all channels.
    """
    blocks = {name: case.counts(name).astype(np.float64) for name in case.factors}
    seen = {name: block.any(axis=0) for name, block in blocks.items()}
    counts = np.hstack([np.maximum(b[:, seen[n]], 0.0) for n, b in blocks.items()])
    edges = np.cumsum([s.sum() for s in seen.values()])[:-1]

    def split(factors: Values) -> dict[str, Values]:
        parts = {}
        for (name, kept), part in zip(seen.items(), np.split(factors, edges, axis=1), strict=True):
            parts[name] = np.zeros((len(factors), kept.size))
            parts[name][:, kept] = part
        return parts

    return Stack(counts, edges, len(case.components), seed), split


def summing_to_one(maps: Values, factors: Values) -> Found:
    """Scale maps (and factors inversely, signs too) so that they sum to one in least squares."""
    size = np.linalg.lstsq(maps, np.ones(len(maps)), rcond=None)[0]
    size = np.where(size == 0, 1.0, size)
    return maps * size, factors / size[:, None]


def binned(case: Case) -> Case:
    """Sum detector pixels by two in each direction where there are more than `MOST_CHANNELS`."""
    signals, factors = dict(case.signals), dict(case.factors)
    for name, signal in case.signals.items():
        if factors[name].shape[1] > MOST_CHANNELS and signal.axes_manager.signal_dimension == 2:
            shape = signal.axes_manager.signal_shape[::-1]
            halves = (shape[0] // 2, 2, shape[1] // 2, 2)
            data = signal.data.reshape(*signal.data.shape[:2], *halves)
            signals[name] = hs.signals.Signal2D(data.sum(axis=(-3, -1)).astype(signal.data.dtype))
            folded = factors[name].reshape(-1, *halves).sum(axis=(-3, -1))
            factors[name] = folded.reshape(len(folded), -1)
    if all(signals[n] is case.signals[n] for n in signals):
        return case
    return replace(case, name=f"{case.name}, 4D binned by 2", signals=signals, factors=factors)
