"""Significance of correlations, against simulation and exact laws."""

import numpy as np
import pytest
from scipy import stats

from hyperfuse_hs.algorithms import correlation
from hyperfuse_hs.algorithms.spatial import scan_of


def test_white_maps_have_the_law_of_student():
    rng = np.random.default_rng(0)
    found = np.array([stats.pearsonr(*rng.standard_normal((2, 12))) for _ in range(50)])
    tested = correlation.significance(found[:, 0], np.full(50, 1 / 11))
    np.testing.assert_allclose(tested.p, found[:, 1], rtol=1e-6)
    np.testing.assert_allclose(2 * stats.norm.sf(np.abs(tested.z)), tested.p, rtol=1e-6)
    assert (np.sign(tested.z) == np.sign(found[:, 0])).all()


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0])
def test_extreme_correlations_are_finite(value):
    tested = correlation.significance(np.array([value]), np.array([1e-3]))
    assert np.isfinite(tested.z).all()
    assert np.sign(tested.z[0]) == np.sign(value)


def test_false_discoveries_are_as_few_as_asked_for():
    rng = np.random.default_rng(1)
    false = []
    for _ in range(300):
        z = rng.standard_normal(200)
        z[:40] += 3.5
        picked = correlation.discoveries(2 * stats.norm.sf(np.abs(z)), 0.1)
        assert picked[:40].mean() > 0.3
        false.append(picked[40:].sum() / max(picked.sum(), 1))
    assert np.mean(false) == pytest.approx(0.1 * 160 / 200, abs=0.02)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 8), (3, 3), (2, 20), (12, 30)])
def test_largest_singular_value_has_the_law_stated(rows, columns):
    rng = np.random.default_rng(2)
    matrices = rng.standard_normal((1000, rows, columns))
    values = np.linalg.norm(matrices, 2, axis=(1, 2))
    p = np.array([correlation.largest_by_chance(value, rows, columns) for value in values])
    for level in (0.5, 0.2, 0.05):
        assert np.mean(p < level) == pytest.approx(level, abs=4 * np.sqrt(level / 1000) + 0.01)


def test_sum_of_squares_has_the_law_stated():
    rng = np.random.default_rng(3)
    means = rng.gamma(0.5, size=(4, 6))
    sums = np.sum(means * rng.standard_normal((2000, 4, 6)) ** 2, axis=(1, 2))
    p = np.array([correlation.sum_by_chance(value, means) for value in sums])
    for level in (0.5, 0.2, 0.05):
        assert np.mean(p < level) == pytest.approx(level, abs=0.03)


def maps_of(rng, size, count):
    maps = rng.standard_normal((size, count))
    return maps - maps.mean(axis=0)


def test_canonical_correlation_is_that_of_the_best_combination():
    rng = np.random.default_rng(4)
    scan = scan_of((15, 20), np.zeros(300, dtype=bool))
    first, second = maps_of(rng, 300, 3), maps_of(rng, 300, 4)
    second[:, 0] += 2 * first @ [1.0, -1.0, 0.5]
    found = correlation.canonical_correlation(scan, first, second)
    one, other = (np.linalg.qr(maps)[0] for maps in (first, second))
    assert found.correlation == pytest.approx(np.linalg.norm(one.T @ other, 2))
    assert found.p < 1e-6
    mixed = correlation.canonical_correlation(scan, first @ rng.standard_normal((3, 3)), second)
    assert mixed.correlation == pytest.approx(found.correlation)


def test_unrelated_maps_are_as_improbable_as_they_come():
    rng = np.random.default_rng(5)
    scan = scan_of((12, 14), rng.random(168) < 0.1)
    size = int(scan.kept.sum())
    found = [
        correlation.canonical_correlation(scan, maps_of(rng, size, 2), maps_of(rng, size, 3)).p
        for _ in range(150)
    ]
    # The smaller of two that depend on each other: at most as often as said.
    assert np.mean(np.array(found) < 0.05) < 0.05 + 3 * np.sqrt(0.05 / 150)
    assert 0.25 < np.median(found) < 0.8
