import numpy as np
import pytest

from hyperfuse_hs.algorithms.count_kernels import fill, gather
from hyperfuse_hs.algorithms.listing import Listing
from hyperfuse_hs.algorithms.misfit import Misfit
from hyperfuse_hs.algorithms.products import Products, RowProducts
from hyperfuse_hs.algorithms.row_choice import Room, RowChoice, together
from hyperfuse_hs.algorithms.survey import Survey

ROWS, CHANNELS = 12, 90


@pytest.fixture(params=["uint16", ">u2", "int64", "bool", "float32"])
def choice(request):
    rng = np.random.default_rng(0)
    values = rng.poisson(0.2, (ROWS, CHANNELS)).astype(request.param)
    values[3] = 1  # left out: nothing of it may be seen
    return RowChoice(values, np.array([0, 2, 4, 5, 11]), Room())


def assert_alike(found, expected):
    assert set(vars(found)) == set(vars(expected))
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, name), value, name)


def test_rows_are_put_together_in_order(choice):
    expected = choice.values[choice.index]
    assert choice.shape == expected.shape and choice.dtype == expected.dtype
    np.testing.assert_array_equal(together(choice), expected)
    assert together(expected) is expected


def test_the_memory_of_a_room_is_used_again():
    values = np.arange(20.0).reshape(5, 4)
    room = Room()
    first = RowChoice(values, np.array([0, 1]), room).together()
    second = RowChoice(values, np.array([3, 4]), room).together()
    assert np.shares_memory(first, second)
    np.testing.assert_array_equal(second, values[3:])


def test_kernels_see_the_chosen_rows_only(choice):
    block = choice.values[choice.index]
    assert fill(choice) == fill(block)
    for found, expected in zip(Listing().of(choice), Listing().of(block), strict=True):
        np.testing.assert_array_equal(found, expected)
    if block.dtype.kind == "f":
        return
    bins = (np.arange(CHANNELS) // 7).astype(np.int32)
    sums = np.zeros((2, CHANNELS))
    found, expected = gather(choice, bins, 13, sums[0]), gather(block, bins, 13, sums[1])
    for one, other in zip((*found, sums[0]), (*expected, sums[1]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("options", [{}, {"gram": True}, {"bins": np.arange(CHANNELS, dtype="i4")}])
def test_a_survey_finds_the_same(choice, options):
    rows = np.arange(5)
    found, expected = (Survey(5, CHANNELS, **options) for _ in range(2))
    found.update(rows, choice)
    expected.update(rows, choice.values[choice.index])
    assert_alike(found, expected)
    np.testing.assert_array_equal(found.total, expected.total)
    for one, other in zip(found.neighbours, expected.neighbours, strict=True):
        np.testing.assert_array_equal(one, other)
    if "gram" in options:
        np.testing.assert_array_equal(found.take_gram(), expected.take_gram())
    if "bins" in options:
        np.testing.assert_array_equal(found.take_binned(), expected.take_binned())


@pytest.mark.parametrize("with_vectors", [False, True])
def test_products_are_the_same(choice, with_vectors):
    rng = np.random.default_rng(1)
    rows, left = np.arange(5), rng.standard_normal((5, 3))
    vectors = rng.standard_normal((CHANNELS, 2)).astype("f4") if with_vectors else None
    found, expected = (Products(rows, CHANNELS, left, vectors=vectors) for _ in range(2))
    found.update(rows, choice)
    expected.update(rows, choice.values[choice.index])
    np.testing.assert_array_equal(found.sums, expected.sums)
    if with_vectors:
        np.testing.assert_array_equal(found.squares, expected.squares)
        np.testing.assert_array_equal(found.scores(5), expected.scores(5))


def test_what_needs_whole_blocks_puts_them_together(choice):
    rng = np.random.default_rng(2)
    rows, block = np.arange(5), choice.values[choice.index]
    vectors = rng.standard_normal((CHANNELS, 2)).astype("f4")
    products = [RowProducts(vectors) for _ in range(2)]
    known = rows, 5, rng.random((5, 2)), rng.random((2, CHANNELS))
    misfits = [Misfit(*known, np.ones(5), np.ones(CHANNELS), None) for _ in range(2)]
    for first, second in (products, misfits):
        first.update(rows, choice)
        second.update(rows, block)
    np.testing.assert_array_equal(products[0].whole(5), products[1].whole(5))
    np.testing.assert_array_equal(misfits[0].of_rows, misfits[1].of_rows)
    np.testing.assert_array_equal(misfits[0].of_channels, misfits[1].of_channels)
