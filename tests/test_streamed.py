import threading

import dask.array as da
import numpy as np
import pytest

from hyperfuse_hs import modality as modality_module
from hyperfuse_hs import streamed as module
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.model import Source, compress_all, survey_all
from hyperfuse_hs.streamed import first_look, has_covariance, n_directions

SCAN = (12, 10)
CHUNKS = {
    "boxes": (4, 5, -1, -1),
    "single patterns": (1, 1, -1, -1),
    "all channels split": (4, 5, 3, 4),
    "slices of the detector": (12, 10, 3, 4),
    "one chunk": (12, 10, -1, -1),
}


class Counted:
    """An array that counts how often each of its values is read."""

    def __init__(self, values):
        self.values, self.reads = values, np.zeros(values.shape, int)
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self._lock = threading.Lock()

    def __getitem__(self, key):
        with self._lock:
            self.reads[key] += 1
        return self.values[key]


def counts(seed=0):
    rng = np.random.default_rng(seed)
    n = int(np.prod(SCAN))
    abundances = rng.dirichlet(np.full(3, 0.3), n)
    spectra = rng.gamma(0.5, size=(3, 30)) * 100
    patterns = rng.gamma(0.5, size=(3, 63)) * 20
    own = rng.gamma(0.5, size=(n // 10, 63)) * 10
    crystals = np.eye(n // 10).repeat(10, axis=0)
    return {
        "spectrum": rng.poisson(abundances @ spectra).reshape(*SCAN, 30).astype("u2"),
        "pattern": rng.poisson(abundances @ patterns + crystals @ own)
        .reshape(*SCAN, 9, 7)
        .astype("u2"),
    }


def sources(data, passive=()):
    made = []
    for name, array in data.items():
        none = np.zeros(int(np.prod(SCAN)), bool), np.zeros(int(np.prod(array.shape[2:])), bool)
        made.append(Source(Modality(name, array, 2, *none), passive=name in passive))
    return made


@pytest.fixture(autouse=True)
def on_disk(monkeypatch):
    monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**12)


def lazy(values, chunks):
    source = Counted(values)
    chunks = chunks[: values.ndim]
    array = da.from_array(source, chunks=chunks, asarray=False, inline_array=True)
    source.reads[...] = 0
    return source, array


@pytest.mark.parametrize("scale", ["none", "total"])
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_every_value_is_read_as_often_as_was_said(chunks, scale):
    read = {name: lazy(values, chunks) for name, values in counts().items()}
    made = sources({name: array for name, (_, array) in read.items()}, passive=["pattern"])
    compress_all(made, survey_all(made), scale, 0)
    assert (read["spectrum"][0].reads == 2).all()
    assert (read["pattern"][0].reads == 1).all()
    assert [s.modality.planned for s in made] == [s.modality.passes for s in made] == [2, 1]


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_a_support_is_read_twice_however_it_is_stored(chunks):
    read = {name: lazy(values, chunks) for name, values in counts(1).items()}
    made = sources({name: array for name, (_, array) in read.items()})
    compress_all(made, survey_all(made), "none", 0)
    assert all((source.reads == 2).all() for source, _ in read.values())


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_projections_are_those_of_the_data(chunks):
    data = counts(2)
    made = sources({name: lazy(values, chunks)[1] for name, values in data.items()})
    scores = compress_all(made, survey_all(made), "none", 0)
    for name, values in data.items():
        part = scores.modalities[name]
        directions = scores.basis if part.turn is None else scores.basis @ part.turn
        matrix = values.reshape(int(np.prod(SCAN)), -1).astype(float)
        np.testing.assert_allclose(
            directions.T @ directions, np.eye(directions.shape[1]), atol=1e-5
        )
        np.testing.assert_allclose(part.projection, directions.T @ matrix, atol=2e-3 * matrix.max())


def test_channels_are_looked_at_in_bins_where_the_covariance_would_be_too_large(monkeypatch):
    values = counts(3)["spectrum"]
    whole = sources({"spectrum": lazy(values, (4, 5, -1))[1]})[0].modality
    split = sources({"spectrum": lazy(values, (12, 10, 4))[1]})[0].modality
    assert has_covariance(whole) and has_covariance(split)
    monkeypatch.setattr(modality_module, "HUGE_BYTES", 2**10)
    assert not has_covariance(split)
    facts = first_look(split)
    np.testing.assert_array_equal(facts.channel_sum, values.sum(axis=(0, 1)))
    np.testing.assert_array_equal(facts.take_binned().sum(axis=1), values.sum(axis=2).ravel())


def test_few_directions_of_many_channels(monkeypatch):
    assert n_directions(100) > 1000
    assert n_directions(10**6) == module.LEAST_DIRECTIONS


def test_an_interrupted_pass_ends_and_leaves_the_data():
    class Impatient(Counted):
        def __getitem__(self, key):
            if self.reads.sum() > self.values.size // 4:
                raise KeyboardInterrupt
            return super().__getitem__(key)

    source = Impatient(counts(4)["pattern"])
    array = da.from_array(source, chunks=(2, 2, 9, 7), asarray=False, inline_array=True)
    source.reads[...] = 0
    modality = sources({"pattern": array})[0].modality
    with pytest.raises(KeyboardInterrupt):
        first_look(modality)
    assert source.reads.sum() < source.values.size
