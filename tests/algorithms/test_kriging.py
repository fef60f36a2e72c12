"""Weights of the best linear unbiased prediction, against dense algebra and the least needed."""

import numpy as np
import pytest

from hyperfuse_hs.algorithms import varying
from hyperfuse_hs.algorithms.kriging import near_inverse, unbiased_weights
from hyperfuse_hs.algorithms.spatial import Scan, neighbour_filter
from hyperfuse_hs.algorithms.varying import Fields

REACH = 4.0


def scan_of(shape, part=0.9, seed=0):
    rng = np.random.default_rng(seed)
    return rng, Scan(shape, rng.random(np.prod(shape)) < part)


def dense_covariance(scan, loadings, noise, reach):
    positions = np.indices(scan.shape).reshape(len(scan.shape), -1).T[scan.kept]
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1) / reach
    kernel = np.where(distance < 1, 1 - 1.5 * distance + 0.5 * distance**3, 0)
    return kernel * (loadings @ loadings.T) + noise * np.eye(len(loadings))


@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 2, 2)])
def test_inverse_is_exact_where_all_positions_are_near(shape):
    rng, scan = scan_of(shape, part=1.0)
    loadings = rng.random((np.prod(shape), 2))
    inverse = near_inverse(scan, loadings, 0.1, REACH)
    product = inverse(dense_covariance(scan, loadings, 0.1, REACH))
    np.testing.assert_allclose(product, np.eye(len(loadings)), atol=1e-10)


@pytest.mark.parametrize("shape", [(40,), (9, 11), (4, 5, 6)])
def test_inverse_times_covariance_has_eigenvalues_about_one(shape):
    rng, scan = scan_of(shape)
    loadings = rng.dirichlet(np.full(3, 0.4), int(scan.kept.sum())) * [3.0, 0.0, 1.0]
    covariance = dense_covariance(scan, loadings, 1e-3, REACH)
    inverse = near_inverse(scan, loadings, 1e-3, REACH)
    matrix = inverse(np.eye(len(loadings)))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9 * np.abs(matrix).max())
    values = np.linalg.eigvals(matrix @ covariance).real
    assert values.min() > 0.1
    assert values.max() < 5
    # Of the covariance itself they are thousands of times as far apart.
    assert np.linalg.cond(covariance) > 100 * values.max() / values.min()


def test_inverse_without_noise_is_finite_where_nothing_varies():
    _, scan = scan_of((6, 7))
    loadings = np.zeros((int(scan.kept.sum()), 2))
    loadings[::2, 0] = 1.0
    found = near_inverse(scan, loadings, 0.0, REACH)(loadings)
    assert np.isfinite(found).all()


def fields_of(size):
    """Fields of three components in patches of 8 x 8 positions with smooth borders."""
    rng, scan = scan_of((size, size))
    patches = rng.dirichlet(np.full(3, 0.2), (size // 8 + 1, size // 8 + 1))
    amounts = np.repeat(np.repeat(patches, 8, axis=0), 8, axis=1)[:size, :size]
    amounts = amounts + np.roll(amounts, 1, axis=0) + np.roll(amounts, 1, axis=1)
    design = (amounts / 3).reshape(-1, 3)[scan.kept]
    return Fields(scan, design, design, np.ones(len(design)), 9.0)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_weights_are_the_best_after_few_steps_whatever_the_size(size, monkeypatch):
    fields, power, noise = fields_of(size), np.array([4000.0, 10.0, 3000.0]), 1.0
    applied = []

    def counted(scan, reach):
        alike = neighbour_filter(scan, reach)
        return lambda maps: applied.append(maps.shape[1]) or alike(maps)

    monkeypatch.setattr(varying, "neighbour_filter", counted)
    weights = fields.mean_weights(power, noise)
    np.testing.assert_allclose(weights @ fields.design, np.eye(3), atol=1e-9)
    # Three components times three columns a step: without the inverse it takes hundreds of steps.
    assert sum(applied) <= 12 * 3 * 3 + 6
    assert np.all(_gain(fields, power, noise, weights) < 1e-4)


def _gain(fields, power, noise, weights):
    """Part by which a step along the steepest unbiased direction would lower the variance."""
    alike = neighbour_filter(fields.scan, fields.reach)
    a, means = fields.design, fields.means

    def covariance(columns):
        return noise * columns + sum(
            p * c[:, None] * alike(c[:, None] * columns) for p, c in zip(power, a.T, strict=True)
        )

    w = weights.T
    target = power * a * alike(a * means)
    whole = power * np.sum(a * means * alike(a * means), axis=0)
    product = covariance(w)
    error = np.sum(w * product, axis=0) - 2 * np.sum(w * target, axis=0) + whole
    gradient = product - target
    gradient -= a @ np.linalg.lstsq(a, gradient, rcond=None)[0]
    length = np.sum(gradient**2, axis=0)
    return length**2 / np.maximum(np.sum(gradient * covariance(gradient), axis=0), 1e-300) / error


@pytest.mark.parametrize("exact", [(True, False), (False, True), (True, True)])
def test_what_is_solved_from_the_beginning_stays_solved(exact):
    rng, scan = scan_of((9, 11))
    loadings = rng.dirichlet(np.full(2, 0.4), int(scan.kept.sum()))
    covariance = dense_covariance(scan, loadings, 1e-3, REACH)
    amounts = rng.random(len(loadings)) * 100
    target = np.column_stack([covariance @ amounts, covariance @ loadings[:, 0]])
    whole = np.array([amounts @ target[:, 0], loadings[:, 0] @ target[:, 1]])
    right = np.linalg.inv(covariance)
    rough = np.linalg.inv(covariance + 0.1 * np.diag(rng.random(len(covariance))))

    def invert(maps):
        if maps is loadings:
            return (right if all(exact) else rough) @ maps
        columns = [(right if e else rough) @ m for e, m in zip(exact, maps.T, strict=True)]
        return np.column_stack(columns)

    found = unbiased_weights(lambda maps: covariance @ maps, invert, loadings, target, whole)
    mean = right @ loadings @ np.linalg.inv(loadings.T @ right @ loadings)
    best = mean + right @ target - mean @ (loadings.T @ right @ target)
    found_error, least = (
        whole + np.sum(w * (covariance @ w - 2 * target), axis=0) for w in (found.T, best)
    )
    assert (found_error <= least * (1 + 0.1) + 1e-9 * whole).all()
