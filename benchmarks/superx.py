"""Does the HAADF image help the X-ray spectra of a real scan? ``python -m benchmarks.superx``.

STEM EDX and HAADF of a layered Cr/Fe/Ni alloy, 20 frames of 50 x 10 positions, with few counts:
the file ``fei_SI_SuperX-HAADF_20frames_10x50.emd`` of HyperSpy's reader tests. Frames are
independent draws of the noise, so the even ones are fitted and the odd ones tell how well: by
their mean Poisson deviance, over positions and bins of 8 channels (40 eV), from the model. A model
that copies noise scores worse than one that leaves signal out; counts nobody can predict leave
about 0.52.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from hyperspy.signal import BaseSignal
from numpy.typing import NDArray

import hyperfuse_hs as hf

FILE = Path("superx_eds_haadf") / "fei_SI_SuperX-HAADF_20frames_10x50.emd"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

ZERO_PEAK = 0.3
"""Energy below which there is only the zero peak of the detector [keV]."""

BIN = 8
"""Channels summed before the score."""

LEAST_MEAN = 1e-3
"""Counts per bin that every model is taken to expect at least."""

Values = NDArray[np.float64]
Method = Callable[["Half", int], Values]


@dataclass(frozen=True, eq=False)
class Half:
    """Half of the frames, summed.

    Parameters
    ----------
    eds
        ``(50, 10 | C)`` counts.
    haadf
        ``(| 10, 50)`` image.
    """

    eds: BaseSignal
    haadf: BaseSignal


def read_halves(path: Path, width: int) -> tuple[Half, Half]:
    """Read the file and sum the even and the odd frames.

    Parameters
    ----------
    path
        Of the file.
    width
        How many channels to sum before anything is fitted; 1 or ``BIN``.

    Returns
    -------
    even, odd : Half
        Without the zero peak.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images, stack = hs.load(
            path, sum_frames=False, sum_EDS_detectors=False, load_SI_image_stack=True
        )
    stack = stack.isig[ZERO_PEAK:]
    return _half(images, stack, 0, width), _half(images, stack, 1, width)


def _half(images: BaseSignal, stack: BaseSignal, first: int, width: int) -> Half:
    counts = stack.data[first::2].sum(axis=0, dtype=np.uint32)
    counts = counts[..., : counts.shape[-1] // BIN * BIN]
    eds = hs.signals.Signal1D(_binned(counts, width))
    eds.metadata.General.title = "EDS"
    haadf = hs.signals.Signal2D(images.data[first::2].sum(axis=0, dtype=np.uint32))
    haadf.metadata.General.title = "HAADF"
    return Half(eds, haadf)


def _binned(values: NDArray, width: int) -> NDArray:
    return values.reshape(*values.shape[:-1], -1, width).sum(axis=-1)


def deviance(counts: Values, expected: Values) -> Values:
    """Mean Poisson deviance of every position.

    Parameters
    ----------
    counts, expected
        ``(..., bins)``.

    Returns
    -------
    ndarray
        ``(...)``, ``2 (y log(y / m) - y + m)``, averaged over the bins.
    """
    mean = np.maximum(expected, LEAST_MEAN)
    logs = counts * np.log(np.where(counts > 0, counts, 1.0) / mean)
    return 2 * np.mean(np.where(counts > 0, logs, 0.0) - counts + mean, axis=-1)


def fused(half: Half, n_components: int) -> Values:
    """Model of the EDX from the fusion with the image."""
    return _model(half.eds.fuse(half.haadf, **_options(n_components)))


def supported(half: Half, n_components: int) -> Values:
    """Model of the EDX from the fusion with the image in support."""
    roles = {"HAADF": "support"}
    return _model(half.eds.fuse(half.haadf, roles=roles, **_options(n_components)))


def alone(half: Half, n_components: int) -> Values:
    """Model of the EDX from its own fusion."""
    return _model(half.eds.fuse(**_options(n_components)))


def _options(n_components: int) -> dict:
    return {"n_components": n_components, "random_state": 0, "show_progressbar": False}


def _model(h: hf.signals.hypermodal.HypermodalSignal) -> Values:
    return np.asarray(h.get_model("EDS").data)


def weighted_svd(half: Half, n_components: int) -> Values:
    """Singular value decomposition of the counts over the root of the mean of each channel."""
    counts = half.eds.data.reshape(-1, half.eds.data.shape[-1]).astype(float)
    root = np.sqrt(counts.mean(axis=0) + LEAST_MEAN)
    left, values, right = np.linalg.svd(counts / root, full_matrices=False)
    kept = slice(n_components)
    return ((left[:, kept] * values[kept]) @ right[kept] * root).reshape(half.eds.data.shape)


def hyperspy_svd(half: Half, n_components: int) -> Values:
    """HyperSpy's decomposition for Poisson noise."""
    return _decomposition(half, n_components, algorithm="SVD")


def hyperspy_nmf(half: Half, n_components: int) -> Values:
    """HyperSpy's non-negative matrix factorisation for Poisson noise."""
    if n_components == 1:
        # HyperSpy 2.5 fails here; the best rank one of non-negative data is the same for both.
        return hyperspy_svd(half, 1)
    return _decomposition(
        half,
        n_components,
        algorithm="NMF",
        output_dimension=n_components,
        init="nndsvda",
        max_iter=1000,
    )


def _decomposition(half: Half, n_components: int, **options: object) -> Values:
    signal = half.eds.deepcopy()
    signal.change_dtype(float)
    with warnings.catch_warnings():
        # sklearn warns that a thousand iterations are not enough; they change nothing here.
        warnings.simplefilter("ignore")
        signal.decomposition(True, print_info=False, **options)
        return np.asarray(signal.get_decomposition_model(n_components).data)


METHODS: dict[str, Method] = {
    "EDX+HAADF": fused,
    "in support": supported,
    "EDX alone": alone,
    "w. SVD": weighted_svd,
    "HS SVD": hyperspy_svd,
    "HS NMF": hyperspy_nmf,
}


def measure(even: Half, odd: Half, width: int, most: int) -> tuple[list[dict[str, Values]], float]:
    """Score all methods over the number of components.

    Parameters
    ----------
    even, odd
        To fit and to score.
    width
        Channels that are already summed in them.
    most
        Largest number of components.

    Returns
    -------
    rows : list of dict
        One for each number of components from 1; deviances of the positions by method.
    raw : float
        Score of the even frames themselves.
    """
    rest = BIN // width
    counts = _binned(odd.eds.data, rest).astype(float)

    def score(model: Values) -> Values:
        return deviance(counts, _binned(np.maximum(model, 0.0), rest))

    rows = [
        {name: score(method(even, k)) for name, method in METHODS.items()}
        for k in range(1, most + 1)
    ]
    return rows, float(score(even.eds.data.astype(float)).mean())


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.superx", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the test data")
    parser.add_argument("--most", type=int, default=5, help="largest number of components")
    parser.add_argument(
        "--width", type=int, default=BIN, choices=(1, BIN), help="channels summed before fitting"
    )
    options = parser.parse_args(arguments)
    hs.preferences.General.show_progressbar = False
    even, odd = read_halves(options.data / FILE, options.width)
    rows, raw = measure(even, odd, options.width, options.most)
    print("n " + "".join(f"{name:>12}" for name in METHODS) + "   EDX+HAADF - EDX alone")
    for k, row in enumerate(rows, 1):
        gap = row["EDX+HAADF"] - row["EDX alone"]
        spread = gap.std() / np.sqrt(gap.size)
        scores = "".join(f"{values.mean():12.4f}" for values in row.values())
        print(f"{k:<2}{scores}   {gap.mean():+.4f} +- {spread:.4f}")
    print(f"even frames themselves: {raw:.3f}")


if __name__ == "__main__":
    main()
