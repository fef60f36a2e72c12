"""Parts of sums add up in any order and in whatever pieces, and take no more memory than once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.algorithms.row_parts import LARGEST_SHORT, RowParts, shortened


def whole(parts, shape):
    result = np.zeros(shape)
    for rows, first, values in parts:
        result[rows, first : first + values.shape[1]] += values
    return result


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_blocks_add_up(seed, count, joined):
    rng = np.random.default_rng(seed)
    expected, both = np.zeros((20, 6)), [RowParts(), RowParts()]
    for _ in range(count):
        rows = rng.permutation(20)[: rng.integers(0, 20)]
        first = int(rng.integers(0, 5))
        values = rng.integers(0, 50_000, (rows.size, int(rng.integers(1, 7 - first))))
        short = shortened(values.astype(np.float32))
        before = short.copy()
        expected[rows, first : first + values.shape[1]] += values
        both[int(rng.integers(2)) if joined else 0].add(rows, first, short)
        np.testing.assert_array_equal(short, before)
    kept = [[values.copy() for _, _, values in part] for part in both]
    joint = both[0].plus(both[1])
    np.testing.assert_array_equal(whole(joint, (20, 6)), expected)
    excluded = rng.random(20) < 0.3
    left = whole(joint.without(excluded), (int((~excluded).sum()), 6))
    np.testing.assert_array_equal(left, expected[~excluded])
    for part, values in zip(both, kept, strict=True):
        for (_, _, now), then in zip(part, values, strict=True):
            np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("order", [np.arange(30), np.r_[0, np.arange(28, 0, -1), 29]])
def test_slices_of_the_same_positions_take_the_memory_of_one(order):
    parts = RowParts()
    for _ in range(8):
        parts.add(order, 2, np.full((30, 4), 1000, np.uint16))
    ((rows, first, values),) = parts
    assert first == 2 and values.dtype == np.uint16
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(values, 8000)
    # Other positions with the same ends stay by themselves.
    parts.add(np.roll(order, 1)[[1, *range(2, 30), 0]][np.r_[0, 2, 1, 3:30]], 2, values)
    assert len(list(parts)) == 2


def test_sums_that_do_not_fit_are_kept_all_the_same():
    parts = RowParts()
    for _ in range(2):
        parts.add(np.arange(3), 0, np.full((3, 1), LARGEST_SHORT, np.uint16))
    np.testing.assert_array_equal(whole(parts, (3, 1)), 2 * LARGEST_SHORT)
    assert shortened(np.array([-1.0])).dtype == np.float64
    parts.pop()
    assert parts.pop() is None
