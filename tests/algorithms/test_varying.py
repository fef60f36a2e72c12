"""Means over what differs from place to place, against small dense algebra and many draws."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms.spatial import Scan
from hyperfuse_hs.algorithms.varying import Fields, Variation, divide_power

REACH = 4.0
POWER = np.array([3.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    scan = Scan((11, 12), rng.random(132) > 0.1)
    positions = np.indices(scan.shape).reshape(2, -1).T[scan.kept]
    distance = np.hypot(*np.moveaxis(positions[:, None] - positions, 2, 0)) / REACH
    kernel = np.where(distance < 1, 1 - 1.5 * distance + 0.5 * distance**3, 0)
    n = len(kernel)
    size = rng.uniform(0.5, 1.5, n)
    design = size[:, None] * rng.dirichlet(np.full(3, 0.4), n)
    return rng, Fields(scan, design, design, size, REACH), kernel


def draws(rng, kernel, count):
    """Fields ``(p, N, count)`` of variance `POWER`."""
    root = np.linalg.cholesky(kernel + 1e-9 * np.eye(len(kernel)))
    fields = root @ rng.standard_normal((3, len(kernel), count))
    return np.sqrt(POWER)[:, None, None] * fields


def test_weights_are_those_of_dense_algebra(problem):
    _, fields, kernel = problem
    a, noise = fields.design, 0.2
    covariance = noise * np.eye(len(a))
    for k in range(3):
        covariance += POWER[k] * kernel * np.outer(a[:, k], a[:, k])
    means = fields.size / (fields.size @ a)[:, None]
    target = np.array([POWER[k] * a[:, k] * (kernel @ (a[:, k] * means[k])) for k in range(3)])
    inverse = np.linalg.inv(covariance)
    mean = np.linalg.solve(a.T @ inverse @ a, a.T @ inverse)
    expected = mean + target @ inverse @ (np.eye(len(a)) - a @ mean)
    found = fields.mean_weights(POWER, noise)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())
    np.testing.assert_allclose(found @ a, np.eye(3), atol=1e-2)


def test_no_unbiased_weights_err_less_and_the_errors_are_as_stated(problem):
    rng, fields, kernel = problem
    a, noise = fields.design, 0.2
    drawn = draws(rng, kernel, 4000)
    means = fields.size / (fields.size @ a)[:, None]
    truth = np.einsum("kn,nk,knd->kd", means, a, drawn)
    data = np.einsum("nk,knd->nd", a, drawn) + np.sqrt(noise) * rng.standard_normal((len(a), 4000))
    errors = {}
    for label, weights in (
        ("least squares", np.linalg.pinv(a)),
        ("mean", fields.mean_weights(POWER, noise)),
    ):
        variation = Variation(fields.spread_of(weights), POWER[:, None], np.full(3, 9.0))
        stated = variation.covariance(everywhere=False)[..., 0] + noise * weights @ weights.T
        error = weights @ data - truth
        errors[label] = np.mean(error**2, axis=1)
        np.testing.assert_allclose(error @ error.T / 4000, stated, atol=0.08 * stated.max())
        # Without the mean over this scan to compare with, factors err more.
        elsewhere = variation.covariance(everywhere=True)[..., 0] + noise * weights @ weights.T
        error = weights @ data
        np.testing.assert_allclose(error @ error.T / 4000, elsewhere, atol=0.08 * elsewhere.max())
    assert (errors["mean"][[0, 2]] < 0.7 * errors["least squares"][[0, 2]]).all()


def test_power_is_divided_among_the_components_that_vary(problem):
    rng, fields, kernel = problem
    a, channels = fields.design, 400
    drawn = draws(rng, kernel, channels)
    # Half of the channels vary for the first component only, the others for the third.
    drawn[2, :, :200] = drawn[0, :, 200:] = 0.0
    noise = rng.uniform(0.01, 0.03, channels)
    data = np.einsum("nk,knd->nd", a, drawn)
    data += np.sqrt(noise) * rng.standard_normal(data.shape)
    seen = np.linalg.svd(data, full_matrices=False)[0]
    power, spectra = divide_power(seen, a, np.eye(seen.shape[1]), seen.T @ data, noise)
    np.testing.assert_allclose(power, 200 * POWER, atol=0.2 * 600)
    # What noise takes below zero in a channel is cut off.
    np.testing.assert_allclose(spectra.sum(axis=1)[[0, 2]], power[[0, 2]], rtol=0.05)
    assert spectra[0, :200].sum() > 0.95 * power[0]
    assert spectra[2, 200:].sum() > 0.9 * power[2]


def test_squares_scatter_like_so_many_independent_ones(problem):
    rng, fields, kernel = problem
    drawn = draws(rng, kernel, 20_000)
    for k in (0, 2):
        sums = fields.amounts[:, k] ** 2 @ drawn[k] ** 2
        assert fields.freedom[k] == pytest.approx(2 * sums.mean() ** 2 / sums.var(), rel=0.1)


def test_freedom_of_a_variance_grows_with_what_is_known_of_it(problem):
    _, fields, _ = problem
    spread = fields.spread_of(fields.mean_weights(POWER, 0.2))
    spectra = np.zeros((3, 2))
    spectra[0, 0] = 3.0
    variation = Variation(spread, spectra, np.array([7.0, 8.0, 9.0]))
    own = variation.covariance(everywhere=False).diagonal().T
    np.testing.assert_allclose(variation.freedom_of(own)[:, 0], 7.0)
    np.testing.assert_allclose(variation.freedom_of(2 * own)[:, 0], 28.0)
    assert np.isinf(variation.freedom_of(own)[:, 1]).all()
