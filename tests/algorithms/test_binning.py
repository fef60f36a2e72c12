import numpy as np
import pytest

from hyperfuse_hs.algorithms.binning import choose_bins, sum_bins


@pytest.mark.parametrize(
    ("shape", "most", "expected"),
    [((100,), 100, 100), ((100,), 30, 25), ((8, 8), 16, 16), ((9, 8), 16, 9), ((), 5, 1)],
)
def test_number_of_bins(shape, most, expected):
    bins, n_bins = choose_bins(shape, np.zeros(int(np.prod(shape)), bool), most)
    assert n_bins == expected == len(np.unique(bins))
    assert bins.size == int(np.prod(shape))


def test_bins_are_squares_of_neighbours_without_what_is_excluded():
    excluded = np.zeros((4, 6), bool)
    excluded[:2, :2] = True
    excluded[3, 5] = True
    bins, n_bins = choose_bins((4, 6), excluded.ravel(), 6)
    assert n_bins == 5
    values = np.arange(24.0).reshape(4, 6)
    found = sum_bins(values.ravel()[~excluded.ravel()][None], bins, n_bins)
    values[excluded] = 0
    sums = values.reshape(2, 2, 3, 2).sum(axis=(1, 3)).ravel()[1:]
    np.testing.assert_allclose(found[0], sums)
