import dask.array as da
import numpy as np
import pytest

from hyperfuse_hs.reading import Reader

VALUES = np.arange(6 * 5 * 8).reshape(6, 5, 8)


@pytest.fixture
def read():
    """Chunks that were read, and a reader that adds to them."""
    seen = []

    def note(block, block_info=None):
        seen.append(tuple(block_info[0]["chunk-location"]))
        return block

    array = da.from_array(VALUES, chunks=(2, 3, 4))
    noted = array.map_blocks(note, dtype=VALUES.dtype, meta=np.empty((0, 0, 0), VALUES.dtype))
    return seen, Reader(noted)


@pytest.mark.parametrize(
    ("box", "chunks"),
    [
        ((slice(2, 4), slice(0, 3), slice(4, 8)), {(1, 0, 1)}),
        ((slice(0, 4), slice(3, 5), slice(0, 8)), {(a, 1, b) for a in (0, 1) for b in (0, 1)}),
        ((slice(2, 3), slice(1, 5), slice(0, 4)), {(1, 0, 0), (1, 1, 0)}),
    ],
    ids=["a chunk", "whole chunks", "parts of chunks"],
)
def test_boxes_are_read_by_their_chunks_only(read, box, chunks):
    seen, reader = read
    np.testing.assert_array_equal(reader.read(box), VALUES[box])
    assert sorted(seen) == sorted(chunks)


def test_one_chunk_is_not_copied():
    array = da.from_array(VALUES, chunks=-1)
    whole = tuple(slice(0, size) for size in VALUES.shape)
    first, second = (Reader(array).read(whole) for _ in range(2))
    assert np.shares_memory(first, second)


def test_the_signal_does_not_remember_every_task():
    class Stored:
        shape, dtype, ndim = VALUES.shape, VALUES.dtype, VALUES.ndim

        def __getitem__(self, key):
            return VALUES[key]

    array = da.from_array(Stored(), chunks=(1, 1, 8))
    reader = Reader(array)
    np.testing.assert_array_equal(reader.read((slice(1, 3), slice(0, 5), slice(0, 8))), VALUES[1:3])
    assert not hasattr(array.dask.layers[array.name], "_cached_dict")
    np.testing.assert_array_equal(array.compute(), VALUES)
