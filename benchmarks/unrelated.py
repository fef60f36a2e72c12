"""Correlations of modalities that have nothing in common, and of those that have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import hyperfuse_hs as hf
from benchmarks.records import NO_AIM, Aim, Record, Settings, Unit
from hyperfuse_hs.data import tio2_polymorphs

Values = NDArray[np.float64]

RATE = 0.05
"""Of false discoveries, as asked for."""

DETECTOR = 32
"""Pixels along each side: 1024 channels."""

CHANNELS = 1000
"""Of each spectrum that has nothing to do with the feature."""

TITANIUM = (455.0, 470.0)
"""White lines, eV."""

SHOULDER = (458.0, 460.0)
"""Second peak of L3, which is higher in anatase, eV."""

WHOLE_EDGE = (450.0, 475.0)
"""The lines with both peaks, eV."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, and which channels have nothing to do with it.

    Parameters
    ----------
    signals
        Of one scan.
    mask
        Positions to leave out, or None.
    asked
        Number of the signal of the feature, its region, and number of the other signal.
    null
        ``(C,)``, True for channels of the other signal that the feature says nothing about.
    """

    signals: list[BaseSignal]
    mask: BaseSignal | None
    asked: tuple[int, Any, int]
    null: NDArray[np.bool_]


def two_specimens(
    seed: int, *, size: int = 48, first: str = "EELS", other: str = "EDS"
) -> Question:
    """Fuse signals of different TiO2 specimens: both vary smoothly, and have nothing in common."""
    options = {
        "scan": (size, size),
        "detector": (DETECTOR, DETECTOR),
        "eels_channels": 256,
        "eds_channels": 1024,
    }
    one = tio2_polymorphs(**options, modalities=[first], random_state=2 * seed)
    two = tio2_polymorphs(**options, modalities=[other], random_state=2 * seed + 1)
    vacuum = one.navigation_mask.data | two.navigation_mask.data
    mask = BaseSignal(vacuum, axes=one.navigation_mask.axes_manager.as_dictionary().values())
    region: Any = TITANIUM
    if first == "Diffraction":
        radius = np.hypot(*(np.indices((DETECTOR, DETECTOR)) - DETECTOR // 2))
        region = (radius > 5) & (radius < 8)
    signals = [one.signals[first], two.signals[other]]
    null = np.ones(two.signals[other].data[0, 0].size, dtype=bool)
    return Question(signals, mask, (0, region, 1), null)


def smooth_maps(rng: np.random.Generator, scan: tuple[int, ...], width: float, p: int) -> Values:
    """Abundances of p components, ``(*scan, p)``, alike over a distance of about two widths."""
    margin = int(np.ceil(4 * width))
    noise = rng.standard_normal((p, *(size + 2 * margin for size in scan)))
    fields = gaussian_filter(noise, (0, *[width] * len(scan)))
    fields = fields[(slice(None), *[slice(margin, -margin)] * len(scan))]
    shares = np.exp(1.2 * fields / fields.std())
    return np.moveaxis(shares / shares.sum(axis=0), 0, -1)


def lines(rng: np.random.Generator, p: int, channels: int, counts: float) -> Values:
    """Spectra of p components, ``(p, channels)``, smooth, of `counts` each."""
    spectra = gaussian_filter(rng.gamma(0.3, size=(p, channels)), (0, 3))
    return counts * spectra / spectra.sum(axis=1, keepdims=True)


def smooth_fields(
    seed: int,
    *,
    scan: tuple[int, ...] = (48, 48),
    width: float = 2.0,
    counts: float = 400.0,
    shared: bool = False,
    thickness: bool = False,
) -> Question:
    """Make spectra of smooth maps of any width; a share of the channels may follow the feature."""
    rng = np.random.default_rng(seed)
    known, foreign = (smooth_maps(rng, scan, width, 3) for _ in range(2))
    local = np.ones((*scan, 1))
    if thickness:
        local = 0.4 + smooth_maps(rng, scan, 2 * width, 2)[..., :1] * 1.2
    first = rng.poisson(local * (known @ lines(rng, 3, 256, 2000.0)))
    other = foreign @ lines(rng, 3, CHANNELS, counts)
    null = np.ones(CHANNELS, dtype=bool)
    if shared:
        other = np.concatenate([other, known @ lines(rng, 3, 200, counts / 5)], axis=-1)
        null = np.append(null, np.zeros(200, dtype=bool))
    signals = [Signal1D(first), Signal1D(rng.poisson(local * other))]
    return Question(signals, None, (0, (0.0, 60.0), 1), null)


def fused(question: Question) -> Any:
    """Fuse the signals of a question."""
    return hf.fuse(
        question.signals,
        n_components=3,
        navigation_mask=question.mask,
        random_state=0,
        show_progressbar=False,
    )


NULLS: dict[str, partial[Question]] = {
    "two specimens, EELS and EDS": partial(two_specimens),
    "two specimens, EELS and diffraction": partial(two_specimens, other="Diffraction"),
    "two specimens, diffraction and EELS": partial(
        two_specimens, first="Diffraction", other="EELS"
    ),
    "smooth maps, few counts": partial(smooth_fields),
    "smooth maps, many counts": partial(smooth_fields, counts=1e5),
    "wide maps, many counts": partial(smooth_fields, counts=1e5, width=4.0),
    "smooth maps, thickness": partial(smooth_fields, counts=1e4, thickness=True),
    "along a line": partial(smooth_fields, counts=1e5, width=8.0, scan=(1000,)),
    "a fifth of the channels related": partial(smooth_fields, counts=4e3, shared=True),
}


def null_units(settings: Settings) -> Iterator[Unit]:
    """Yield every question of `NULLS`, all seeds of one before the next."""
    for name, make in NULLS.items():
        for seed in settings.seeds:
            yield Unit(name, seed, partial(measure_null, name, make, seed))


def measure_null(name: str, make: partial[Question], seed: int) -> list[Record]:
    """Count what is said to be significant of channels that have nothing to do with the feature."""
    question = make(seed)
    h = fused(question)
    first, region, other = question.asked
    found = h.correlate(question.signals[first], question.signals[other], region, rate=RATE)
    z, picked = found.z.data.ravel(), found.significant.data.ravel()
    null = question.null & np.isfinite(z)
    false = np.count_nonzero(picked & null)
    records = [
        (
            "false among the significant",
            false / max(np.count_nonzero(picked), 1),
            Aim(mean=0.0, within=RATE),
        ),
        ("mean of z²", float(np.mean(z[null] ** 2)), Aim(mean=1.0, within=0.2)),
        ("|z| > 1.96", float(np.mean(np.abs(z[null]) > 1.96)), Aim(mean=0.05, within=0.03)),
    ]
    if question.null.all():
        pair = h.correlate()
        records += [
            (
                "pair said to be correlated",
                float(pair.significant.data[0, 1]),
                Aim(mean=0.0, within=RATE),
            ),
            ("canonical correlation", float(pair.correlation.data[0, 1]), NO_AIM),
        ]
    else:
        records.append(("related channels found", float(picked[~question.null].mean()), NO_AIM))
    return [Record(name, "correlate", quantity, value, aim) for quantity, value, aim in records]


def power_units(settings: Settings) -> Iterator[Unit]:
    """Yield the TiO2 phantom, flat and with thickness."""
    size = 32 if settings.quick else 64
    for counts in ("flat", "thickness"):
        for seed in settings.seeds:
            yield Unit(counts, seed, partial(measure_power, counts, size, seed))


def measure_power(counts: str, size: int, seed: int) -> list[Record]:
    """Ask which diffraction goes with the shoulder of the titanium edge, beyond titanium itself."""
    phantom = tio2_polymorphs(
        scan=(size, size), eds_channels=128, eels_channels=512, counts=counts, random_state=seed
    )
    signals = list(phantom.signals.values())
    h = fused(Question(signals, phantom.navigation_mask, (0, SHOULDER, 2), np.zeros(0, dtype=bool)))
    found = h.correlate("EELS", "Diffraction", SHOULDER, beyond=WHOLE_EDGE, rate=RATE)
    anatase, rutile, _ = phantom.factors["Diffraction"].reshape(3, -1)
    slope, z = found.slope.data.ravel(), found.z.data.ravel()
    likeness = float(np.corrcoef(slope, anatase - rutile)[0, 1])
    picked = found.significant.data.ravel()
    right = np.sign(z) == np.sign(anatase - rutile)
    rows = {
        "correlation of slopes with anatase - rutile": (
            likeness,
            Aim(each=0.7, large_is_good=True),
        ),
        "significant channels": (float(picked.mean()), NO_AIM),
        "right sign of the significant": (
            float(right[picked].mean()) if picked.any() else float("nan"),
            NO_AIM,
        ),
    }
    name = f"TiO2 {size}x{size}, {counts}"
    return [Record(name, "correlate", quantity, *value) for quantity, value in rows.items()]
