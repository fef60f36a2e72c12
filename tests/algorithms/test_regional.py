import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.coupling import couple
from hyperfuse_hs.algorithms.regional import REGION, refine_lead, split_scan


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 160), min_size=1, max_size=3), st.floats(0, 1))
def test_regions_hold_every_position_once(shape, share):
    excluded = np.random.default_rng(0).random(int(np.prod(shape))) < share
    regions = split_scan(shape, excluded)
    assert all(0 < region.size <= REGION for region in regions)
    found = np.sort(np.concatenate([*regions, np.zeros(0, int)]))
    np.testing.assert_array_equal(found, np.arange(np.count_nonzero(~excluded)))


def test_regions_are_compact():
    regions = split_scan((100, 200), np.zeros(20000, bool))
    for region in regions:
        rows, columns = np.divmod(region, 200)
        assert np.ptp(rows) <= 50
        assert np.ptp(columns) <= 50


def scan(seed, shape=(80, 120), size=10):
    """Map of the lead, constant on squares, each of which is a direction of the support."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    squares = (rows // size * (shape[1] // size) + columns // size).ravel()
    count = squares.max() + 1
    members = np.eye(count)[squares]
    lead = np.hstack(
        [np.full((squares.size, 1), 40.0), (members @ rng.choice([0.0, 3.0], count))[:, None]]
    )
    turned = 8.0 * members @ np.linalg.qr(rng.standard_normal((count, count)))[0]
    noisy = lead + rng.standard_normal(lead.shape)
    return lead, noisy, turned + rng.standard_normal(turned.shape), shape


@pytest.mark.parametrize("seed", range(2))
def test_neighbours_denoise_better_than_the_whole_scan(seed):
    exact, noisy, support, shape = scan(seed)
    coupled = couple([noisy, support], [True, False])
    regions = split_scan(shape, np.zeros(len(exact), bool))
    refined = refine_lead(coupled, noisy, None, support, 1.0, regions)

    def noise_of(found):
        mapping = np.linalg.lstsq(exact, found.lead_scores, rcond=None)[0]
        error = found.lead_scores - exact @ mapping
        # In units of the map: columns are whitened.
        return np.mean(error**2), np.mean(error**2 / found.lead_noise), np.abs(mapping[1]).max()

    before, after = noise_of(coupled), noise_of(refined)
    assert after[2] / np.sqrt(after[0]) > 1.3 * before[2] / np.sqrt(before[0])
    assert after[1] == pytest.approx(1, abs=0.3)


def test_without_support_or_regions_nothing_changes():
    _, noisy, support, shape = scan(0, shape=(20, 20))
    coupled = couple([noisy, support], [True, False])
    everywhere = [np.arange(400)]
    halves = [np.arange(200), np.arange(200, 400)]
    assert refine_lead(coupled, noisy, None, support, 1.0, everywhere) is coupled
    assert refine_lead(coupled, noisy, None, support[:, :0], 1.0, halves) is coupled


def test_a_support_that_does_not_help_in_regions_is_left_alone():
    rng = np.random.default_rng(5)
    noisy = np.outer(rng.standard_normal(600), [30.0, 10.0]) + rng.standard_normal((600, 2))
    coupled = couple([noisy, 9.0 * noisy[:, :1] + rng.standard_normal((600, 1))], [True, False])
    scattered = np.array_split(rng.permutation(600), 100)
    refined = refine_lead(coupled, noisy, None, rng.standard_normal((600, 3)), 1.0, scattered)
    assert refined is coupled
