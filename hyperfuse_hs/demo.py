"""The demonstration: the main job on the embedded phantom, compared with the truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms import metrics
from hyperfuse_hs.data import Phantom, reference_patterns, tio2_polymorphs
from hyperfuse_hs.data.diffraction import Detector
from hyperfuse_hs.fusion import fuse
from hyperfuse_hs.recognition import recognise
from hyperfuse_hs.signals.hypermodal import HypermodalSignal

DOTS_PER_INCH = 120


def run(
    out: Path,
    *,
    scan: tuple[int, int] = (64, 64),
    detector: tuple[int, int] = (64, 64),
    random_state: int = 0,
) -> HypermodalSignal:
    """Fuse EELS, EDX and 4D-STEM of the TiO2 phantom; print numbers, write result and figure.

    Parameters
    ----------
    out
        File of the result; the figure gets the same name with ``.png``.
    scan, detector
        Shapes (rows, columns).
    random_state
        Seed of the phantom and of the fusion.

    Returns
    -------
    HypermodalSignal
        The result.
    """
    start = time.perf_counter()
    print("TiO2 phantom: anatase and rutile nanoparticles on a lacey carbon film")
    phantom = tio2_polymorphs(scan=scan, detector=detector, random_state=random_state)
    for name, signal in phantom.signals.items():
        print(
            f"  {name:12} {signal.data.shape}, {signal.data.mean(dtype=float):.3g} counts/channel"
        )
    print(f"  made in {time.perf_counter() - start:.1f} s\n\nFusing")
    start = time.perf_counter()
    h = fuse(
        list(phantom.signals.values()),
        names=list(phantom.signals),
        n_components=len(phantom.components),
        navigation_mask=phantom.navigation_mask,
        random_state=random_state,
        show_progressbar=True,
    )
    print(h.summary())
    print(f"  fused in {time.perf_counter() - start:.1f} s, compilation included\n")
    labels = name_components(h, detector)
    print(comparison(h, phantom))
    write(h, out, labels)
    return h


def name_components(h: HypermodalSignal, detector: tuple[int, int]) -> list[str]:
    """Name the components by their diffraction patterns alone, and say how sure that is.

    Parameters
    ----------
    h
        The fused phantom.
    detector
        Shape of its detector.

    Returns
    -------
    list of str
        A label for each component. The only matter without Bragg rings is the carbon film; where
        a polymorph is not recognised, what is left stays without a name.
    """
    references = reference_patterns(detector=detector)
    found = recognise(h.get_factors("Diffraction"), references, Detector.disk_radius)
    # The film is what remains; with more left over, which of them it is remains open.
    all_found = {name for name, _ in found} >= set(references)
    rest = "Carbon (no Bragg rings)" if all_found else "Not recognised"
    print("Named by correlation of diffraction rings with powder patterns")
    labels = [name.capitalize() if name else rest for name, _ in found]
    for number, (label, (_, correlation)) in enumerate(zip(labels, found, strict=True)):
        print(f"  component {number}: {label:24} correlation {correlation:5.2f}")
    return labels


def comparison(h: HypermodalSignal, phantom: Phantom) -> str:
    """Compare a fusion with the truth behind the phantom.

    Parameters
    ----------
    h
        The fused phantom, its counts flat.
    phantom
        Signals and truth.

    Returns
    -------
    str
        Table of the spectral angles between factors and truth, with those of a least-squares fit
        with the true abundances (the same counts, so the same noise), and the RMSE of the
        abundances.
    """
    factors = {name: flat(h.get_factors(name).data) for name in h.modalities}
    order = metrics.match_components(factors["EELS"], flat(phantom.factors["EELS"]))
    kept = ~np.asarray(phantom.navigation_mask.data)
    truth, found = phantom.abundances[kept], np.asarray(h.data)[kept][:, order]
    inverse = np.linalg.pinv(truth)
    lines = [
        "\nCompared with the truth; in brackets: fitted with the true abundances",
        "Spectral angle (°)" + "".join(f"{name:>18}" for name in factors) + "    abundance RMSE",
    ]
    angles = {}
    for name, values in factors.items():
        known = flat(phantom.factors[name])
        best = inverse @ flat(phantom.signals[name].data[kept])
        got, reachable = (metrics.spectral_angle(v, known) for v in (values[order], best))
        angles[name] = [f"{a:8.2f} ({b:5.2f})" for a, b in zip(got, reachable, strict=True)]
    for row, component in enumerate(phantom.components):
        error = metrics.root_mean_square_error(found[:, row], truth[:, row])
        cells = "".join(f"{angles[name][row]:>18}" for name in factors)
        lines.append(f"  {order[row]} = {component:12}{cells}{error:18.4f}")
    total = metrics.root_mean_square_error(found, truth)
    return "\n".join([*lines, f"Abundance RMSE, all components: {total:.4f}\n"])


def flat(values: Any) -> NDArray[np.floating]:
    """Unfold all axes but the first; counts become floating point."""
    array = np.asarray(values)
    return array.reshape(len(array), -1).astype(np.result_type(array.dtype, np.float32))


def write(h: HypermodalSignal, out: Path, labels: list[str] | None = None) -> None:
    """Write the result, and the figure of its components next to it.

    Parameters
    ----------
    h
        The result.
    out
        Its file, ``.hspy`` or ``.zspy``; replaced if it exists.
    labels
        One for each component.
    """
    h.save(out, overwrite=True)
    figure = h.plot_components(labels=labels)
    picture = out.with_suffix(".png")
    figure.savefig(picture, dpi=DOTS_PER_INCH)
    plt.close(figure)
    print(f"Wrote {out} and {picture}")
