"""Write the results of a fusion where HyperSpy's own methods look for them.

This is the only module that knows HyperSpy's ``LearningResults``. HyperSpy 3 will drop that class,
so nothing else in the package depends on it.

What goes where:

* the coupled PCA goes to ``factors`` and ``loadings``, so that ``get_decomposition_model``,
  ``plot_decomposition_results`` and ``plot_scree_plot`` show it;
* the unmixed components go to ``bss_factors`` and ``bss_loadings``, so that ``get_bss_model`` and
  ``plot_bss_results`` show them;
* where the results come from goes to an attribute of ours, read by :func:`read_provenance`.
  HyperSpy saves it together with the rest.

An image *without navigation axes* whose pixels are the probe positions gets its results turned:
for HyperSpy the pixels are its channels, so ``get_bss_factors`` returns the abundance maps and
``get_bss_loadings`` the one number that each component contributes. Their product is the fitted
image either way.

Limits of HyperSpy 2.5 that no content of ``LearningResults`` can lift:

* HyperSpy does not decompose images, so not all of its methods are ready for their results. One
  number per component is plotted only by ``plot_bss_results(factors_navigator="auto")`` for an
  image with navigation axes only (not at all while it is lazy: ``signal.compute()`` first), and by
  ``plot_bss_results(loadings_navigator="auto")`` for one without navigation axes. The same holds
  for ``plot_decomposition_results``.
* A single component: ``get_bss_loadings`` fails without navigation axes, ``plot_bss_factors`` of
  a spectrum needs ``same_window=False``, and ``estimate_elbow_position`` fails for a single
  explained variance.
* After ``hs.load(..., lazy=True)`` learning results are dask arrays. HyperSpy does not plot these
  (``TypeError: Implicit conversion of dask array``), whoever made them: call
  :func:`compute_results` first.
* Where channels are excluded, their factors are NaN, and so is every sum over them: give
  ``normalize_bss_components`` the function ``numpy.nansum``, and ``cluster_analysis`` the mask
  ``signal.learning_results.navigation_mask``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import dask
import numpy as np
from hyperspy.learn._mva import LearningResults
from hyperspy.signal import BaseSignal
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "build_results",
    "compute_results",
    "read_provenance",
    "write_back",
    "write_back_all",
]

# HyperSpy saves and loads every attribute of the learning results, this one too.
_PROVENANCE = "hyperfuse"


def write_back(signal: BaseSignal, **results: Any) -> None:
    """Replace the learning results of a signal by those of a fusion.

    Nothing of earlier results stays: a mixture of an old blind source separation or cluster
    analysis with a new decomposition would be wrong without saying so.

    Parameters
    ----------
    signal
        Changed in place, once all that is written has been built.
    **results
        What :func:`build_results` takes.

    Raises
    ------
    ValueError, TypeError
        As :func:`build_results`; the signal then keeps the results that it had.
    """
    write_back_all([(signal, results)])


def write_back_all(results: Iterable[tuple[BaseSignal, Mapping[str, Any]]]) -> None:
    """Replace the learning results of several signals, of all of them or of none.

    Parameters
    ----------
    results
        Pairs of a signal and of what :func:`build_results` takes for it.

    Raises
    ------
    ValueError, TypeError
        As :func:`build_results`, and where a signal comes twice. No signal is changed then.
    """
    pairs = [(signal, build_results(signal, **values)) for signal, values in results]
    if len({id(signal) for signal, _ in pairs}) < len(pairs):
        raise ValueError(
            "Expected each signal once. Got one of them twice, and the later results would "
            "replace the earlier ones. Give a copy (signal.deepcopy()) instead."
        )
    for signal, built in pairs:
        signal.learning_results = built


def build_results(
    signal: BaseSignal,
    *,
    loadings: ArrayLike,
    factors: ArrayLike,
    bss_loadings: ArrayLike | None,
    bss_factors: ArrayLike | None,
    explained_variance: ArrayLike,
    number_significant_components: int | None,
    algorithm: str,
    bss_algorithm: str | None,
    poissonian: bool,
    provenance: Mapping[str, Any],
    navigation_excluded: ArrayLike | None = None,
    signal_excluded: ArrayLike | None = None,
) -> LearningResults:
    """Build the learning results of one signal, without touching the signal.

    Rows are in numpy C order of the signal's data ``(nav..., sig...)``: N probe positions, C
    channels. All numbers are in the units of the data (counts), so that
    ``loadings @ factors.T`` is the model of the unfolded data.

    Parameters
    ----------
    signal
        Gives the shapes; see the module about images without navigation axes.
    loadings, factors
        Coupled PCA, ``(N, k)`` and ``(C, k)``.
    bss_loadings, bss_factors
        Abundances and factors of the components, ``(N, p)`` and ``(C, p)``; both None if nothing
        was unmixed.
    explained_variance
        Of the k components at least, in descending order; further ones are the tail that a scree
        plot shows.
    number_significant_components
        Marked in scree plots, and taken by cluster analysis unless told otherwise.
    algorithm, bss_algorithm
        Names of the methods, shown by ``summary`` and in titles; ``bss_algorithm`` is None if
        nothing was unmixed.
    poissonian
        Whether the noise was treated as Poissonian.
    provenance
        Plain values (text, numbers, None, lists and dicts of them) for :func:`read_provenance`.
    navigation_excluded, signal_excluded
        Masks ``(N,)`` and ``(C,)``, True = excluded. Excluded rows become NaN.

    Returns
    -------
    LearningResults
        Own, writeable arrays of float64.

    Raises
    ------
    ValueError
        If a shape does not fit the signal, or a value that is not excluded is not finite.
    TypeError
        If the provenance is not made of plain values, or only one of the two unmixed arrays comes.
    """
    if (bss_loadings is None) != (bss_factors is None):
        raise TypeError("Expected bss_loadings and bss_factors both, or None for both. Got one.")
    turned = signal.axes_manager.navigation_dimension == 0
    hidden = _excluded(signal, navigation_excluded, "navigation_excluded", _positions(signal))
    hidden_channels = _excluded(signal, signal_excluded, "signal_excluded", _channels(signal))
    scores = _rows(signal, loadings, "loadings", hidden)
    basis = _rows(signal, factors, "factors", hidden_channels, scores.shape[1])

    results = LearningResults()
    results.loadings, results.factors = scores, basis
    if bss_loadings is not None and bss_factors is not None:
        abundances = _rows(signal, bss_loadings, "bss_loadings", hidden)
        components = _rows(signal, bss_factors, "bss_factors", hidden_channels, abundances.shape[1])
        results.bss_loadings, results.bss_factors = abundances, components
        results.unmixing_matrix = _unmixing_matrix(scores[~hidden], abundances[~hidden])
        # Says to HyperSpy: bss_loadings = loadings @ unmixing_matrix.T, or the same of factors.
        results.on_loadings = not turned
    results.bss_algorithm, results.bss_node = bss_algorithm, None
    variance = _variance(signal, explained_variance, scores.shape[1])
    results.explained_variance = variance
    results.explained_variance_ratio = variance / (variance.sum() or 1.0)
    results.number_significant_components = number_significant_components
    results.output_dimension = scores.shape[1]
    results.decomposition_algorithm = algorithm
    results.poissonian_noise_normalized = bool(poissonian)
    results.unfolded = False
    _set_masks(results, signal, hidden, hidden_channels)
    if turned:
        results.factors, results.loadings = results.loadings, results.factors
        results.bss_factors, results.bss_loadings = results.bss_loadings, results.bss_factors
    setattr(results, _PROVENANCE, _to_text(provenance, algorithm, bss_algorithm))
    return results


def read_provenance(signal: BaseSignal) -> dict[str, Any] | None:
    """Return what was written about the origin of a signal's learning results.

    Parameters
    ----------
    signal
        A signal that took part in a fusion, also after saving and loading.

    Returns
    -------
    dict or None
        The ``provenance`` of :func:`build_results`. None if the signal has no results of a fusion
        or HyperSpy has since replaced its decomposition or its blind source separation.
    """
    results = signal.learning_results
    text = getattr(results, _PROVENANCE, None)
    if text is None:
        return None
    stored = json.loads(text)
    now = [results.decomposition_algorithm, results.bss_algorithm]
    return stored["provenance"] if stored["algorithms"] == now else None


def compute_results(signal: BaseSignal) -> None:
    """Turn the learning results of a lazily loaded signal into numpy arrays, in place.

    HyperSpy's ``plot_decomposition_results``, ``plot_bss_results`` and most other plots of
    learning results need numpy arrays. The data of the signal stay lazy.

    Parameters
    ----------
    signal
        Any signal; nothing happens where no result is lazy.
    """
    stored = vars(signal.learning_results)
    lazy = {name: value for name, value in stored.items() if dask.is_dask_collection(value)}
    (computed,) = dask.compute(lazy)
    # An own copy: arrays out of a dask graph may be read-only, and HyperSpy scales them in place.
    stored.update({name: np.array(value) for name, value in computed.items()})


def _positions(signal: BaseSignal) -> int:
    """Return the number of probe positions; the pixels of an image without navigation axes."""
    axes = signal.axes_manager
    return int(np.prod(axes.navigation_shape or axes.signal_shape))


def _channels(signal: BaseSignal) -> int:
    """Return the number of channels, one for images."""
    axes = signal.axes_manager
    return int(np.prod(axes.signal_shape)) if axes.navigation_dimension else 1


def _excluded(
    signal: BaseSignal, mask: ArrayLike | None, name: str, size: int
) -> NDArray[np.bool_]:
    """Return a flat mask of the given size, of nothing if None came."""
    flat = np.zeros(size, dtype=bool) if mask is None else np.array(mask, dtype=bool)
    if flat.shape != (size,):
        raise ValueError(f"{name} of {_name(signal)} must have shape ({size},). Got {flat.shape}.")
    return flat


def _rows(
    signal: BaseSignal,
    values: ArrayLike,
    name: str,
    hidden: NDArray[np.bool_],
    columns: int | None = None,
) -> NDArray[np.float64]:
    """Return an own copy with one row per position or channel, NaN where excluded."""
    rows = np.array(values, dtype=np.float64, order="C")
    if rows.ndim != 2 or len(rows) != len(hidden) or rows.shape[1] != (columns or rows.shape[1]):
        raise ValueError(
            f"{name} of {_name(signal)} must have shape ({len(hidden)}, {columns or 'any'}) for a "
            f"signal {signal.axes_manager.navigation_shape}|{signal.axes_manager.signal_shape}. "
            f"Got {rows.shape}."
        )
    bad = int(np.count_nonzero(~np.isfinite(rows[~hidden]).all(axis=1)))
    if bad:
        raise ValueError(
            f"{name} of {_name(signal)} must be finite outside the mask. Got NaN or inf in {bad} "
            "of its rows. Exclude these rows or correct them."
        )
    rows[hidden] = np.nan
    return rows


def _variance(signal: BaseSignal, values: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return an own copy of the explained variances, at least ``count`` of them."""
    variance = np.array(values, dtype=np.float64)
    # A negative or missing value fails the comparison, NaN too.
    if variance.ndim != 1 or len(variance) < count or not np.all(variance >= 0):
        raise ValueError(
            f"explained_variance of {_name(signal)} must hold at least {count} numbers, none "
            f"below zero. Got {variance}."
        )
    return variance


def _unmixing_matrix(
    loadings: NDArray[np.float64], abundances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the ``(p, k)`` matrix W with ``abundances ≈ loadings @ W.T`` (least squares).

    HyperSpy needs it in ``reverse_bss_component`` and ``summary``. Abundances with constraints do
    not lie exactly in the subspace, so W says how the components come out of it, no more.
    """
    # Normal equations: k x k instead of N x k, and PCA loadings are well conditioned.
    gram = loadings.T @ loadings
    solution = np.linalg.lstsq(gram, loadings.T @ abundances, rcond=None)[0]
    return np.array(solution.T, dtype=np.float64)


def _set_masks(
    results: LearningResults,
    signal: BaseSignal,
    hidden: NDArray[np.bool_],
    hidden_channels: NDArray[np.bool_],
) -> None:
    """Store the masks in the shapes of the data; None where nothing is excluded."""
    axes = signal.axes_manager
    if axes.navigation_dimension == 0:
        hidden, hidden_channels = hidden_channels, hidden
    if axes.navigation_dimension and hidden.any():
        results.navigation_mask = hidden.reshape(axes.navigation_shape[::-1])
    if axes.signal_dimension and hidden_channels.any():
        results.signal_mask = hidden_channels.reshape(axes.signal_shape[::-1])


def _to_text(provenance: Mapping[str, Any], *algorithms: str | None) -> str:
    """Return the provenance as JSON.

    As text it survives HyperSpy's files unchanged; as a dict numbers would come back as arrays
    or dask arrays, mixed lists as text, and a name with a slash as two groups.
    """
    try:
        return json.dumps({"algorithms": algorithms, "provenance": dict(provenance)})
    except TypeError as error:
        raise TypeError(
            "The provenance must be made of plain values: text, numbers, None, lists and dicts. "
            f"{error}. Convert it first, e.g. float(x) or array.tolist()."
        ) from error


def _name(signal: BaseSignal) -> str:
    """Return what a user calls this signal."""
    return signal.metadata.General.title or type(signal).__name__
