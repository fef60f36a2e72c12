"""Laws of joining spectra over several ranges, and recovery of what they were made from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.merging import (
    Gain,
    Piece,
    channel_edges,
    common_cells,
    covered,
    fit_gain,
    merge,
    settle_gains,
    shares,
)


def spectrum(energy):
    return 1000 * np.exp(-((energy - 5) ** 2)) + 3000 / (1 + energy)


def make_piece(low, high, width, gain=1.0, rng=None):
    edges = channel_edges(np.arange(low + width / 2, high, width))
    inside = np.linspace(edges[:, 0], edges[:, 1], 21)
    one = spectrum((inside[1:] + inside[:-1]) / 2).mean(axis=0) * width * gain
    counts = np.array([one, 2 * one])
    return Piece(edges, counts if rng is None else rng.poisson(counts).astype(float), counts)


widths = st.floats(0.02, 1.0)
starts = st.floats(-5.0, 5.0)


@settings(max_examples=40, deadline=None)
@given(starts, widths, starts, widths)
def test_cells_do_not_overlap_and_cover_what_the_channels_do(a, width_a, b, width_b):
    pieces = [
        channel_edges(a + width_a * np.arange(20)),
        channel_edges(b + width_b * np.arange(30)),
    ]
    cells = common_cells(pieces)
    gaps = cells[1:, 0] - cells[:-1, 1]
    assert gaps.min() >= -1e-9
    low, high = min(p[0, 0] for p in pieces), max(p[-1, 1] for p in pieces)
    whole = np.diff(covered(np.vstack(pieces)), axis=1).sum()
    # Rims of less than half a channel are left out, one at each end of the finer range.
    assert whole - np.diff(cells, axis=1).sum() <= 2 * max(width_a, width_b)
    assert cells[0, 0] >= low - 1e-9
    assert cells[-1, 1] <= high + 1e-9


@settings(max_examples=40, deadline=None)
@given(starts, widths, starts, widths)
def test_shares_of_cells_add_up_to_what_channels_cover(a, width_a, b, width_b):
    edges, cells = (
        channel_edges(a + width_a * np.arange(20)),
        channel_edges(b + width_b * np.arange(30)),
    )
    low = np.maximum(edges[:, 0], cells[0, 0])
    common = np.maximum(np.minimum(edges[:, 1], cells[-1, 1]) - low, 0)
    found = shares(edges, cells) @ np.diff(cells, axis=1)[:, 0]
    np.testing.assert_allclose(found, common, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.integers(3, 40))
def test_equal_channels_get_the_mean_weighted_by_inverse_variance(seed, size):
    rng = np.random.default_rng(seed)
    edges = channel_edges(np.arange(float(size)))
    a, b = rng.uniform(1, 9, (2, 3, size))
    u, v = rng.uniform(1, 9, (2, 3, size))
    joined, parts = merge([Piece(edges, a, u), Piece(edges, b, v)])
    np.testing.assert_allclose(joined.counts, (a / u + b / v) / (1 / u + 1 / v))
    np.testing.assert_allclose(joined.variance, 1 / (1 / u + 1 / v))
    np.testing.assert_allclose(sum(parts), joined.counts)


def test_pieces_without_overlap_are_kept_as_they_are():
    pieces = [make_piece(0, 4, 0.1), make_piece(5, 9, 0.25)]
    joined, _ = merge(pieces[::-1])
    for name in ("edges", "counts", "variance"):
        both = [getattr(p, name) for p in pieces]
        expected = np.concatenate(both, axis=0 if name == "edges" else 1)
        np.testing.assert_allclose(getattr(joined, name), expected)


def test_a_coarse_spectrum_corrects_the_sums_of_a_fine_one():
    """Without noise in the coarse spectrum, sums of cells become its channels."""
    rng = np.random.default_rng(0)
    fine, coarse = make_piece(0, 6, 0.1, rng=rng), make_piece(1, 5, 0.5)
    exact = Piece(coarse.edges, coarse.counts, 1e-9 * coarse.variance)
    joined, _ = merge([fine, exact])
    np.testing.assert_allclose(joined.edges, fine.edges, atol=1e-9)
    sums = joined.counts[:, 10:50].reshape(2, -1, 5).sum(axis=2)
    np.testing.assert_allclose(sums, coarse.counts, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 0.03, 0.11])
def test_errors_of_joined_spectra_are_what_they_are_said_to_be(offset):
    deviates = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        fine = make_piece(0, 6, 0.05, rng=rng)
        coarse = make_piece(4 + offset, 10, 0.2, rng=rng)
        joined, _ = merge([coarse, fine])
        inside = (joined.edges[:, 0] > 4.4) & (joined.edges[:, 1] < 5.6)
        truth = make_truth(joined.edges[inside])
        deviates.append((joined.counts[:, inside] - truth) / np.sqrt(joined.variance[:, inside]))
        alone = fine.variance[:, (fine.edges[:, 0] > 4.4) & (fine.edges[:, 1] < 5.6)]
        assert joined.variance[:, inside].mean() < 0.95 * alone.mean()
    assert abs(np.mean(deviates)) < 0.1
    assert abs(np.std(deviates) - 1) < 0.1


def make_truth(edges):
    inside = np.linspace(edges[:, 0], edges[:, 1], 21)
    one = spectrum((inside[1:] + inside[:-1]) / 2).mean(axis=0) * np.diff(edges, axis=1)[:, 0]
    return np.array([one, 2 * one])


def test_excluded_channels_are_filled_by_the_other_piece_or_stay_empty():
    a, b = make_piece(0, 6, 0.1), make_piece(4, 10, 0.1)
    counts = a.counts.copy()
    counts[:, [5, 50]] = np.nan
    joined, _ = merge([Piece(a.edges, counts, a.variance), b])
    np.testing.assert_allclose(joined.edges, channel_edges(np.arange(0.05, 10, 0.1)), atol=1e-9)
    assert np.flatnonzero(np.isnan(joined.counts[0])).tolist() == [5]
    np.testing.assert_allclose(joined.counts[:, 50], a.counts[:, 50], rtol=1e-6)


def test_gains_are_found_within_their_errors():
    deviates = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first, second = make_piece(0, 6, 0.05, rng=rng), make_piece(4.03, 10, 0.2, 3.0, rng)
        found = fit_gain(first, second)
        deviates.append((found.log + np.log(3)) / found.error)
    assert abs(np.mean(deviates)) < 0.4
    assert 0.75 < np.std(deviates) < 1.25
    assert fit_gain(second, first).log == pytest.approx(-found.log, abs=1e-6)


def test_there_is_no_gain_without_overlap_or_counts():
    assert fit_gain(make_piece(0, 4, 0.1), make_piece(4, 9, 0.1)) is None
    empty = make_piece(3, 9, 0.1)
    assert np.isinf(fit_gain(make_piece(0, 4, 0.1), empty.times(0.0)).error)


def test_gains_of_several_pieces_agree_with_all_ratios():
    first, second = Gain(0.5, 0.1, 1.0), Gain(0.2, 0.1, 1.0)
    log, error = settle_gains(3, {(0, 2): first, (1, 2): second}, {})
    np.testing.assert_allclose(log, [0, 0.3, 0.5], atol=1e-9)
    np.testing.assert_allclose(error, [0, 0.1 * 2**0.5, 0.1], atol=1e-9)
    log, error = settle_gains(3, {(0, 2): first}, {1: 3.0, 2: 1.0})
    np.testing.assert_allclose(log, [0.5, 3.0, 1.0], atol=1e-9)
    triangle = {(0, 1): Gain(1, 0.1, 1), (1, 2): Gain(1, 0.1, 1), (0, 2): Gain(2.3, 0.1, 1)}
    np.testing.assert_allclose(settle_gains(3, triangle, {})[0], [0, 1.1, 2.2], atol=1e-9)


def test_a_single_channel_has_no_width():
    with pytest.raises(ValueError, match="at least two channels"):
        channel_edges(np.array([1.0]))
