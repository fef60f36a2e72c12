from dataclasses import fields

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfuse_hs.result import (
    ROLES,
    FusionResult,
    ModalityResult,
    ModalityScores,
    Scores,
    as_plain,
    from_plain,
)

PLAIN = (type(None), str, bool, int, float, list, dict, np.ndarray)


def scores(rng, names=("EELS", "a/b. 2"), scaled=False):
    parts = {
        name: ModalityScores(
            name=name,
            signal_shape=(4, 3)[: k % 3],
            excluded=rng.random(5) < 0.3,
            noise="poisson",
            gain=1.5,
            nonnegative=bool(k % 2),
            divisor=rng.random(5),
            channels=4.5,
            scores=rng.random((6, 2)),
            singular_values=rng.random(3),
            rank=2,
            edge=7.5,
            scale=rng.random(6) if scaled else None,
            projection=rng.random((4, 5)).astype(np.float32),
            passes=2,
            seconds=0.5,
        )
        for k, name in enumerate(names)
    }
    return Scores((2, 3), rng.random(6) < 0.3, rng.random((6, 4)), rng.random(6), "as given", parts)


def result(rng, names=("EELS", "a/b. 2"), faces=True):
    parts = {
        name: ModalityResult(
            name=name,
            role=ROLES[k % 3],
            reason="as asked for",
            noise="gaussian",
            gain=2.5,
            signal_shape=(4, 3)[: k % 3],
            excluded=rng.random(5) < 0.3,
            factors=rng.random((3, 5)),
            basis_factors=rng.random((4, 5)),
            scale=rng.random(6),
            singular_values=rng.random(3),
            edge=7.5,
            rank=2,
            variance_share=0.25,
            passes=2,
            seconds=0.5,
        )
        for k, name in enumerate(names)
    }
    sets = ((0,), (0, 1), (0, 1, 2))
    return FusionResult(
        navigation_shape=(2, 3),
        excluded=rng.random(6) < 0.3,
        n_components=3,
        abundances=rng.random((6, 3)),
        coordinates=rng.standard_normal((6, 3)),
        basis=rng.random((6, 4)),
        singular_values=rng.random(5),
        edge=9.5,
        lead_values=rng.random(3),
        lead_edges=rng.random(3),
        face_sets=sets if faces else None,
        face_posterior=rng.random((6, 3)) if faces else None,
        facet_support=rng.random(3) if faces else None,
        log_likelihood=-3.25 if faces else float("nan"),
        start_log_likelihoods=rng.random(4) if faces else None,
        options={"unmixing": "face_mixture", "seed": 3},
        modalities=parts,
    )


def assert_same(a, b):
    assert type(a) is type(b)
    if hasattr(a, "__dataclass_fields__"):
        for entry in fields(a):
            assert_same(getattr(a, entry.name), getattr(b, entry.name))
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b or (a != a and b != b)


def only_plain(value):
    assert isinstance(value, PLAIN), type(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            # Names of modalities may hold what separates groups in a file.
            assert "/" not in key
            assert "." not in key
            only_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            only_plain(inner)


names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), names, st.booleans())
def test_round_trip_of_everything(seed, names, flag):
    rng = np.random.default_rng(seed)
    for item in (scores(rng, names, flag), result(rng, names, flag)):
        plain = as_plain(item)
        only_plain(plain)
        assert_same(from_plain(type(item), plain), item)


@pytest.mark.parametrize("make", [scores, result])
def test_plain_values_as_files_return_them(make):
    """Files opened lazily return dask arrays, and numbers as those of NumPy."""
    item = make(np.random.default_rng(0))

    def stored(value):
        if isinstance(value, dict):
            return {key: stored(inner) for key, inner in value.items()}
        if isinstance(value, np.ndarray):
            return da.from_array(value)
        if isinstance(value, bool):
            return np.bool_(value)
        if isinstance(value, float):
            return np.float64(value)
        return value

    assert_same(from_plain(type(item), stored(as_plain(item))), item)


@pytest.mark.parametrize("make", [scores, result])
def test_making_plain_does_not_change_the_item(make):
    item = make(np.random.default_rng(1))
    as_plain(item)
    assert_same(item, make(np.random.default_rng(1)))
