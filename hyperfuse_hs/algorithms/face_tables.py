r"""One-sided moments of a normal variable, tabulated for the densities on faces.

A Dirichlet density on a face is a product of powers :math:`\lambda_i^{a-1}`. Seen through noise,
each becomes, with :math:`u` the barycentric coordinate in units of its noise,

.. math::

    h(u, a) = \mathrm E\,\max(0, u + \varepsilon)^{a-1} / \Gamma(a)
            = e^{-u^2/4} D_{-a}(-u) / \sqrt{2\pi}

(Gradshteyn & Ryzhik 9.241.2; :math:`D` is the parabolic cylinder function). ``h(u, 1)`` is the
normal distribution function. With :math:`h'(u, a) = h(u, a - 1)` and
:math:`a\,h(u, a + 1) = u\,h(u, a) + h(u, a - 1)` the slope is
:math:`\partial_u\log h = a\,h(u, a + 1) / h(u, a) - u`.

For ``u > TURN`` the tables hold :math:`\log M(x)`, :math:`M = \mathrm E(1 + s\varepsilon)^{a-1}`,
:math:`x = s^2 = 1/u^2`, which is smooth: :math:`\log h = (a-1)\log u - \log\Gamma(a) + \log M`.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import digamma, gammaln, pbdv

from hyperfuse_hs.algorithms.compiled import compiled
from hyperfuse_hs.algorithms.face_geometry import Floats, Integers

# The tables are cubic Hermite polynomials, fine enough for errors below 1e-6 in the logarithm.
LOWEST, TURN, STEP = -24.0, 12.0, 0.125
TAIL_INTERVALS = 16
# Exponents at the ends of the table; sums of exponents over a face may reach the upper one.
SMALLEST, LARGEST = 0.1, 60.0


class ExponentTables(NamedTuple):
    """Tables for the exponents of one evaluation.

    Attributes
    ----------
    near
        ``log h`` at ``LOWEST, LOWEST + STEP, ..., TURN``: value, slope, and the derivatives of
        both by the exponent, ``(G, 2, n, 4)``. Along the second axis: the exponent itself, and
        the sum of the exponents over a face.
    tail
        ``log M`` at ``TAIL_INTERVALS + 1`` values of ``x`` up to ``1 / TURN**2``, likewise.
    constants
        Exponent, logarithm of its gamma function, digamma function, ``(G, 2, 3)``.
    """

    near: Floats
    tail: Floats
    constants: Floats


@lru_cache(maxsize=1)
def near_spline() -> CubicSpline:
    """Interpolate value and slope of ``log h`` in the logarithm of the exponent."""
    u = np.arange(LOWEST, TURN + 0.5 * STEP, STEP)
    exponents = np.exp(np.linspace(math.log(SMALLEST), math.log(LARGEST), 81))[:, None]

    def log_h(a: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.log(pbdv(-a, -u)[0]) - 0.25 * u**2 - 0.5 * math.log(2 * math.pi))

    value = log_h(exponents)
    slope = exponents * np.exp(log_h(exponents + 1) - value) - u
    table = np.nan_to_num(np.stack([value, slope], axis=-1))
    return CubicSpline(np.log(exponents[:, 0]), table)


@lru_cache(maxsize=1)
def tail_rule() -> tuple[Floats, Floats]:
    """Gauss-Hermite weights, and ``log(1 + s eps)`` at the nodes of the tail table."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    x = np.linspace(0.0, TURN**-2, TAIL_INTERVALS + 1)[:, None]
    return weights, np.log1p(np.sqrt(x) * nodes)


def tail_tables(exponents: Floats) -> Floats:
    """Tabulate ``log M`` as ``(..., n, 4)``, see :class:`ExponentTables`."""
    weights, base = tail_rule()
    k = exponents[..., None] - 1.0
    # With f = (1 + s eps)**k: d E f / d s**2 = E f'' / 2.
    terms = weights * np.exp(k[..., None] * base)
    lower = terms * np.exp(-2.0 * base)
    zeroth, second = terms.sum(axis=-1), lower.sum(axis=-1)
    zeroth_log = (terms * base).sum(axis=-1) / zeroth
    ratio = second / zeroth
    ratio_log = (lower * base).sum(axis=-1) / zeroth - ratio * zeroth_log
    slope = 0.5 * k * (k - 1.0) * ratio
    by_exponent = (k - 0.5) * ratio + 0.5 * k * (k - 1.0) * ratio_log
    return np.stack([np.log(zeroth / weights.sum()), slope, zeroth_log, by_exponent], axis=-1)


def exponent_tables(exponents: Floats, sizes: Integers) -> ExponentTables:
    """Tabulate what the kernel needs for each exponent.

    Parameters
    ----------
    exponents
        Dirichlet exponent of each group of faces, ``(G,)``.
    sizes
        Number of endmembers of the faces of each group, ``(G,)``.

    Returns
    -------
    ExponentTables
    """
    return make_tables(tuple(exponents.tolist()), tuple(sizes.tolist()))


@lru_cache(maxsize=8)
def make_tables(exponents: tuple[float, ...], sizes: tuple[int, ...]) -> ExponentTables:
    """Make the tables, see :func:`exponent_tables`."""
    both = np.array(exponents)[:, None] * np.stack([np.ones(len(sizes)), np.array(sizes)], axis=1)
    spline = near_spline()
    logs = np.log(both)
    near = np.concatenate([spline(logs), spline(logs, 1) / both[:, :, None, None]], axis=-1)
    constants = np.stack([both, gammaln(both), digamma(both)], axis=-1)
    return ExponentTables(np.ascontiguousarray(near), tail_tables(both), constants)


@compiled(forceinline=True, error_model="numpy")
def interpolate(
    tables: Floats, g: int, which: int, index: int, t: float, step: float
) -> tuple[float, float, float]:
    """Evaluate the cubic between nodes ``index`` and ``index + 1`` at fraction ``t``.

    Returns its value, its slope, and its derivative by the exponent. The table is
    ``tables[g, which]``; cutting it out would cost as much as the cubic.
    """
    value_0, value_1 = tables[g, which, index, 0], tables[g, which, index + 1, 0]
    slope_0, slope_1 = tables[g, which, index, 1], tables[g, which, index + 1, 1]
    r = 1.0 - t
    first, second = r * r * (1.0 + 2.0 * t), t * t * (3.0 - 2.0 * t)
    third, fourth = step * t * r * r, -step * t * t * r
    value = first * value_0 + second * value_1 + third * slope_0 + fourth * slope_1
    by_exponent = (
        first * tables[g, which, index, 2]
        + second * tables[g, which, index + 1, 2]
        + third * tables[g, which, index, 3]
        + fourth * tables[g, which, index + 1, 3]
    )
    slope = (
        6.0 * t * r * (value_1 - value_0) / step
        + r * (1.0 - 3.0 * t) * slope_0
        - t * (2.0 - 3.0 * t) * slope_1
    )
    return value, slope, by_exponent


@compiled(forceinline=True, error_model="numpy")
def log_power_near(
    u: float, near: Floats, g: int, which: int, exponent: float
) -> tuple[float, float, float]:
    """``log h``, its slope and its derivative by the exponent, for ``u <= TURN``."""
    if u >= LOWEST:
        place = (u - LOWEST) / STEP
        index = min(int(place), near.shape[2] - 2)
        return interpolate(near, g, which, index, place - index, STEP)
    # Asymptotic series of the parabolic cylinder function (Abramowitz & Stegun 19.8.1).
    x = 1.0 / (u * u)
    c = 0.5 * exponent * (exponent + 1.0) * x
    d = c * 0.25 * (exponent + 2.0) * (exponent + 3.0) * x
    series = 1.0 - c + d
    value = -0.5 * u * u - 0.9189385332046727 - exponent * math.log(-u) + math.log(series)
    slope = -u - exponent / u + (2.0 * c - 4.0 * d) / (u * series)
    return value, slope, -math.log(-u) - (exponent + 0.5) * x


@compiled(forceinline=True, error_model="numpy")
def log_moment_tail(x: float, tail: Floats, g: int, which: int) -> tuple[float, float, float]:
    """``log M``, its slope by ``x`` and its derivative by the exponent, for small ``x``."""
    step = 1.0 / (TURN * TURN * TAIL_INTERVALS)
    place = x / step
    index = min(int(place), TAIL_INTERVALS - 1)
    return interpolate(tail, g, which, index, place - index, step)


@compiled(forceinline=True, error_model="numpy")
def log_norm(square: float, tables: ExponentTables, g: int) -> tuple[float, float, float]:
    """``log M`` for ``square = s**2`` of any size, slope by the square, derivative by exponent."""
    if square * TURN * TURN <= 1.0:
        return log_moment_tail(square, tables.tail, g, 1)
    exponent = tables.constants[g, 1, 0]
    s = math.sqrt(square)
    value, slope, by_exponent = log_power_near(1.0 / s, tables.near, g, 1, exponent)
    log_s = math.log(s)
    power = exponent - 1.0
    return (
        value + power * log_s + tables.constants[g, 1, 1],
        0.5 * (power - slope / s) / square,
        by_exponent + log_s + tables.constants[g, 1, 2],
    )
