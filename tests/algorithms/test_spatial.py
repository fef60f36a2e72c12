import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hyperfuse_hs.algorithms.spatial import (
    LEAST_ALIKE,
    Scan,
    chance_covariance,
    correlation_range,
    neighbour_products,
    scan_of,
    squared_form,
)


@pytest.fixture
def scan():
    kept = np.random.default_rng(0).random(8 * 9) > 0.2
    return Scan((8, 9), kept)


def lags(scan):
    positions = np.indices(scan.shape).reshape(2, -1).T[scan.kept]
    return positions[:, None] - positions


def test_chance_covariance_is_the_sum_over_pairs(scan):
    rng = np.random.default_rng(1)
    lag = lags(scan)
    first, second = rng.standard_normal(len(lag)), rng.standard_normal((len(lag), 3))
    total = np.zeros((3, 3))
    for step in np.unique(lag.reshape(-1, 2), axis=0):
        if abs(step[0]) > 4 or abs(step[1]) > 4.5:
            continue
        one, other = np.nonzero((lag == step).all(axis=2))
        total += (first[one] @ first[other]) * (second[one].T @ second[other]) / len(one)
    values, axes = np.linalg.eigh((total + total.T) / 2)
    expected = (axes * np.maximum(values, 0)) @ axes.T
    np.testing.assert_allclose(chance_covariance(scan, first, second), expected, atol=1e-9)


def test_neighbour_products_are_the_sum_over_pairs(scan):
    lag = lags(scan)
    left = np.random.default_rng(2).standard_normal((len(lag), 20))
    distance = np.hypot(*np.moveaxis(lag, 2, 0)) / 3.5
    kernel = np.where(distance < 1, 1 - 1.5 * distance + 0.5 * distance**3, 0)
    expected = left.T @ kernel @ left
    np.testing.assert_allclose(neighbour_products(scan, left, 3.5), expected, atol=1e-9)


@pytest.mark.parametrize("shape", [(40,), (16, 20), (3, 12, 10)])
def test_white_maps_agree_by_chance_as_often_as_positions_allow(shape):
    rng = np.random.default_rng(3)
    size = int(np.prod(shape))
    scan = scan_of(shape, np.zeros(size, dtype=bool))
    maps = rng.standard_normal((size, 200))
    maps -= maps.mean(axis=0)
    first = maps[:, 0]
    found = np.diag(chance_covariance(scan, first, maps[:, 1:]))
    assert np.mean(found) == pytest.approx(first @ first, rel=0.15)


def test_smooth_maps_agree_by_chance_as_often_as_counted():
    rng = np.random.default_rng(4)
    scan = scan_of((32, 32), rng.random(1024) < 0.2)
    ratios, alone = [], []
    for _ in range(150):
        noise = rng.standard_normal((3, 72, 72))
        maps = gaussian_filter(noise, (0, 2.5, 2.5))[:, 20:-20, 20:-20].reshape(3, -1)
        maps = maps[:, scan.kept].T
        maps = maps - maps.mean(axis=0)
        first, second = maps[:, 0], maps[:, 1:]
        expected = np.diag(chance_covariance(scan, first, second))
        ratios.append((first @ second) ** 2 / expected)
        alone.append((first @ second) ** 2 / ((first @ first) * np.sum(second**2, axis=0) / 820))
    assert np.mean(ratios) == pytest.approx(1, abs=0.25)
    assert np.mean(np.array(ratios) > 1.96**2) < 0.09
    # As if all positions were independent.
    assert np.mean(alone) > 5


def smooth_fields(rng, size, width, count):
    maps = gaussian_filter(rng.standard_normal((count, size, size)), (0, width, width), mode="wrap")
    return maps.reshape(count, -1).T / maps.std()


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0])
def test_range_of_correlation_is_where_a_twentieth_is_left(width):
    rng = np.random.default_rng(5)
    scan = scan_of((60, 60), rng.random(3600) < 0.1)
    fields = smooth_fields(rng, 60, width, 60)[scan.kept]
    # Gaussian with twice the variance of the filter.
    expected = 2 * width * np.sqrt(np.log(1 / LEAST_ALIKE))
    amounts = rng.uniform(0.2, 1, (len(fields), 1))
    found = correlation_range(scan, amounts * fields, amounts * np.sqrt(60))
    assert found == pytest.approx(expected, rel=0.12)


def test_range_of_correlation_is_the_same_in_scans_of_any_size():
    rng = np.random.default_rng(6)
    found = []
    for size in (24, 48, 96):
        scan = scan_of((size, size), np.zeros(size**2, dtype=bool))
        fields = smooth_fields(rng, size, 2.0, 40)
        # Means are taken off, as components take them; they count most in the small scan.
        loadings = np.full((size**2, 1), np.sqrt(40))
        found.append(correlation_range(scan, fields - fields.mean(axis=0), loadings))
    assert np.ptp(found) < 0.12 * found[-1]


def test_range_of_correlation_has_bounds():
    scan = scan_of((12, 9), np.zeros(108, dtype=bool))
    ones, rng = np.ones((108, 1)), np.random.default_rng(7)
    assert correlation_range(scan, ones, ones) == 12
    white = rng.standard_normal((108, 50))
    assert 1 <= correlation_range(scan, white, ones * np.sqrt(50)) <= 1.5
    alone = np.zeros((108, 1))
    alone[40] = 1.0
    # Nothing is known of what is at one position only.
    assert correlation_range(scan, alone, alone) == 12


def test_squared_form_is_taken_column_by_column():
    rng = np.random.default_rng(6)
    root, columns = rng.standard_normal((3, 3)), rng.standard_normal((3, 5))
    expected = [column @ (root @ root.T) @ column for column in columns.T]
    np.testing.assert_allclose(squared_form(root @ root.T, columns), expected)
    assert (squared_form(-root @ root.T, columns) == 0).all()
