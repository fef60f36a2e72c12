"""What of noisy values is signal, where most of them are noise alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SLABS = 2.0 ** np.arange(1, 13)
"""Variances of the signal that are tried, in units of that of the noise."""

NULL_VALUES = 10.0
"""Values without signal that are added to the count, so that signal needs some evidence."""

FIT_VALUES = 4000
"""Values, evenly spread, that the distribution is learnt from."""

FIT_STEPS = 60


class Shrunk(NamedTuple):
    """Posterior of the signal.

    Attributes
    ----------
    mean, variance
        ``(N,)``.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def shrink(values: NDArray[np.float64], noise: NDArray[np.float64]) -> Shrunk:
    """Estimate sparse signal under noise of known variance.

    The signal is drawn from a mixture of zero and of normal distributions about zero whose weights
    are learnt from all values by expectation maximisation (adaptive shrinkage: Stephens,
    Biostatistics 18, 275 (2017), eqs. 2.4 to 2.7).

    Parameters
    ----------
    values
        ``(N,)`` signal and noise.
    noise
        ``(N,)`` variance of the noise, positive.

    Returns
    -------
    Shrunk
        Next to zero where nothing stands out, next to the value where it clearly does.
    """
    slabs = np.concatenate([[0.0], SLABS])
    part = slice(None, None, max(1, len(values) // FIT_VALUES))
    weights = np.full(slabs.size, 1 / slabs.size)
    likelihood = _likelihood(values[part], noise[part], slabs)
    for _ in range(FIT_STEPS):
        counts = weights * ((1.0 / (likelihood @ weights)) @ likelihood)
        counts[0] += NULL_VALUES
        weights = counts / counts.sum()
    shares = _likelihood(values, noise, slabs) * weights
    shares /= shares.sum(axis=1, keepdims=True)
    kept = slabs / (1 + slabs)
    factor = shares @ kept
    spread = shares @ kept**2 - factor**2
    return Shrunk(factor * values, factor * noise + spread * values**2)


def _likelihood(
    values: NDArray[np.float64], noise: NDArray[np.float64], slabs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Density of every value under every slab, over the largest of them ``(n, S)``."""
    wide = 1 + slabs
    logs = -0.5 * (values**2 / noise)[:, None] / wide - 0.5 * np.log(wide)
    density: NDArray[np.float64] = np.exp(logs - logs.max(axis=1, keepdims=True))
    return density
