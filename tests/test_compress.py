import tracemalloc

import dask.array as da
import numpy as np
import pytest

from hyperfuse_hs import compress as module
from hyperfuse_hs import modality as modality_module
from hyperfuse_hs.compress import compress, survey
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import NOISE_KINDS, noise_model
from hyperfuse_hs.projection import back_project, project

SHAPE = (12, 15, 10, 8)
ROUTES = ["whole", "gram"]


def counts(seed=0, shape=SHAPE, p=3, dose=2000.0, dtype="u2"):
    rng = np.random.default_rng(seed)
    n, c = int(np.prod(shape[:2])), int(np.prod(shape[2:]))
    factors = rng.gamma(0.5, size=(p, c))
    factors *= dose / factors.sum(axis=1, keepdims=True)
    abundances = rng.dirichlet(np.full(p, 0.5), n)
    return rng.poisson(abundances @ factors).reshape(shape).astype(dtype)


def make(data, navigation_ndim=2, positions=None, channels=None):
    n = int(np.prod(data.shape[:navigation_ndim]))
    c = int(np.prod(data.shape[navigation_ndim:]))
    positions = np.zeros(n, bool) if positions is None else positions
    channels = np.zeros(c, bool) if channels is None else channels
    return Modality("test", data, navigation_ndim, positions, channels)


def reduced(modality, kind="poisson", row_scale=None, variance=None):
    facts = survey(modality)
    model = noise_model(kind, modality, facts, variance)
    return compress(modality, facts, model, row_scale, np.random.default_rng(0))


def take(monkeypatch, route):
    """Make even tiny data take the route of large ones."""
    if route != "whole":
        monkeypatch.setattr(module, "WHOLE_BYTES", 0)
        monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**12)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_gives_the_singular_values_of_the_whitened_data(
    monkeypatch, route, lazy, scaled
):
    data = counts()
    matrix = data.reshape(180, 80).astype(float)
    scale = np.linspace(0.5, 1.5, 180) if scaled else None
    # The variance is the mean: every channel has unit noise on average over the scaled rows.
    variance = matrix / (1 if scale is None else scale[:, None])
    white = matrix / np.sqrt(variance.mean(axis=0))
    if scaled:
        white /= np.sqrt(scale)[:, None]
    left, values, right = np.linalg.svd(white, full_matrices=False)
    take(monkeypatch, route)
    modality = make(da.from_array(data, chunks=(5, 4, 10, 3)) if lazy else data)
    low = reduced(modality, row_scale=scale)
    assert low.gain == 1.0
    np.testing.assert_allclose(low.divisor, variance.mean(axis=0), rtol=1e-5)
    tolerance = 1e-3
    assert low.rank == (3 if scale is None else low.rank)
    np.testing.assert_allclose(low.singular_values[:3], values[:3], rtol=tolerance)
    found = low.scores[:, :3] @ low.basis[:, :3].T
    exact = (left[:, :3] * values[:3]) @ right[:3]
    assert np.linalg.norm(found - exact) < 3 * tolerance * np.linalg.norm(exact)
    np.testing.assert_allclose(low.basis.T @ low.basis, np.eye(low.basis.shape[1]), atol=1e-4)


@pytest.mark.parametrize("route", ROUTES)
def test_masks_are_the_same_as_deleting(monkeypatch, route):
    data = counts(1)
    rng = np.random.default_rng(1)
    positions, channels = rng.random(180) < 0.2, rng.random(80) < 0.2
    spoilt = data.copy()
    spoilt.reshape(180, 80)[positions] = 60_000
    spoilt.reshape(180, 80)[:, channels] = 60_000
    left = data.reshape(180, 80)[~positions][:, ~channels][:, None]
    take(monkeypatch, route)
    masked = reduced(make(spoilt, 2, positions, channels))
    deleted = reduced(make(np.ascontiguousarray(left), 2))
    assert masked.rank == deleted.rank == 3
    np.testing.assert_allclose(masked.singular_values, deleted.singular_values, rtol=1e-3)
    np.testing.assert_allclose(
        np.abs(masked.scores[:, :3]), np.abs(deleted.scores[:, :3]), atol=0.05
    )


def test_lazy_and_eager_data_give_the_same_and_stay_as_they_are():
    data = counts(2)
    kept = data.copy()
    eager = reduced(make(data))
    lazy = reduced(make(da.from_array(data, chunks=(3, 15, 10, 8))))
    np.testing.assert_array_equal(eager.scores, lazy.scores)
    np.testing.assert_array_equal(data, kept)


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_seed_gives_the_same_scores(monkeypatch, route):
    take(monkeypatch, route)
    data = counts(3)
    np.testing.assert_array_equal(reduced(make(data)).scores, reduced(make(data)).scores)


@pytest.mark.parametrize("gain", [0.01, 1.0, 50.0])
def test_counts_of_unknown_gain(gain):
    data = counts(4).astype(float) * gain
    low = reduced(make(data), "auto")
    assert low.rank == 3
    # The divisor is the mean in the unit of the data, which is one gain too much.
    assert low.gain == pytest.approx(gain, rel=0.15)


def test_gaussian_noise_is_measured():
    rng = np.random.default_rng(5)
    data = rng.dirichlet(np.ones(3), 200) @ rng.normal(0, 30, (3, 40))
    data = (data + 4.0 * rng.standard_normal(data.shape))[:, None]
    low = reduced(make(data), "gaussian")
    assert low.rank == 3
    assert low.gain == pytest.approx(16.0, rel=0.05)


def test_variance_given_by_the_user_is_taken_channel_by_channel():
    rng = np.random.default_rng(6)
    variance = np.geomspace(0.1, 100, 40)
    data = np.sqrt(variance) * rng.standard_normal((300, 40))
    low = reduced(make(data[:, None]), variance=variance)
    assert low.rank == 0
    assert low.gain == 1.0
    assert low.singular_values[0] == pytest.approx(np.sqrt(300) + np.sqrt(40), rel=0.05)


def test_data_without_noise_have_their_algebraic_rank():
    rng = np.random.default_rng(7)
    data = rng.dirichlet(np.ones(4), 100) @ rng.random((4, 30))
    assert reduced(make(data[:, None]), "none").rank == 4


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_constant_data_have_one_component_at_most(kind):
    assert reduced(make(np.full((9, 10, 12), 7, "u1")), kind).rank <= 1


@pytest.mark.parametrize("kind", ["poisson", "gaussian", "auto"])
def test_data_of_zeros_have_none(kind):
    low = reduced(make(np.zeros((9, 10, 12), "u1")), kind)
    assert low.rank == 0
    assert np.isfinite(low.scores).all()


def test_channels_of_zeros_and_single_counts_are_no_components():
    data = counts(8)
    data[..., 0] = 0
    data[..., 1] = 0
    data[3, 4, :, 1] = 1
    assert reduced(make(data)).rank == 3


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (np.ones((4, 5, 6)), "poisson"),
        (-np.ones((4, 5, 6)), "gaussian"),
        (np.ones((4, 5)), "gaussian"),
    ],
    ids=["counts", "negative values", "map"],
)
def test_automatic_noise(data, kind):
    modality = make(data)
    facts = survey(modality)
    assert noise_model("auto", modality, facts, None).kind == kind


def mixtures(seed, counts=100.0, channels=200):
    """Means of positions that have nothing in common with their neighbours."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(4, 0.3), (30, 30)) @ (counts * rng.gamma(1.0, size=(4, channels)))


def counted(rng, mean):
    return rng.poisson(mean).astype(float)


NOISES = {
    "counts": (counted, "poisson", lambda m: m),
    "scaled counts": (lambda rng, m: 1e-3 * counted(rng, m), "poisson", lambda m: m),
    # The least is not measured, but there are negative values.
    "hardly any read noise": (
        lambda rng, m: counted(rng, m) + 2 * rng.normal(size=m.shape),
        "mixed",
        lambda m: m + 4,
    ),
    "read noise": (
        lambda rng, m: counted(rng, m) + 6 * rng.normal(size=m.shape),
        "mixed",
        lambda m: m + 36,
    ),
    "constant": (lambda rng, m: m + 10 * rng.normal(size=m.shape), "gaussian", np.ones_like),
    # All channels have nearly the same mean, so it hardly matters which law it is.
    "constant, far from zero": (
        lambda rng, m: m + 500 + 10 * rng.normal(size=m.shape),
        None,
        np.ones_like,
    ),
    "counts above a level": (lambda rng, m: 100 + counted(rng, m), "mixed", lambda m: m),
}
MORE = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10)]


@pytest.mark.parametrize("seed", [0, 1, *MORE])
@pytest.mark.parametrize("name", NOISES)
@pytest.mark.filterwarnings("error")
def test_noise_is_read_from_strong_mixtures(name, seed):
    draw, kind, law = NOISES[name]
    mean = mixtures(seed)
    modality = make(draw(np.random.default_rng(seed), mean))
    model = noise_model("auto", modality, survey(modality), None)
    assert kind in (None, model.kind)
    even = model.divisor / law(mean.mean(axis=(0, 1)))
    assert even.std() < 0.15 * even.mean()
    assert reduced(modality, "auto").rank == 4


def test_noise_of_a_background_that_was_subtracted_is_reported():
    mean = mixtures(0) + 400 * np.linspace(1, 0.1, 200) ** 3
    modality = make(np.random.default_rng(0).poisson(mean) - (mean - mixtures(0)))
    facts = survey(modality)
    with pytest.warns(UserWarning, match="test is that of neither .* noise={'test': variance}"):
        noise_model("auto", modality, facts, None)
    assert reduced(modality, variance=mean.mean(axis=(0, 1))).rank == 4


def test_noise_of_a_map_comes_from_its_neighbours():
    y = np.mgrid[:40, :50][0]
    image = 3.0 * y + 2.0 * np.random.default_rng(9).standard_normal((40, 50))
    modality = make(image)
    model = noise_model("auto", modality, survey(modality), None)
    assert model.gain == pytest.approx(4.0, rel=0.2)


@pytest.mark.parametrize("scaled", [False, True])
def test_projections_are_products(scaled):
    data = counts(10)
    rng = np.random.default_rng(10)
    positions, channels = rng.random(180) < 0.2, rng.random(80) < 0.2
    modality = make(data, 2, positions, channels)
    matrix = data.reshape(180, 80)[~positions][:, ~channels].astype(float)
    scale = rng.uniform(0.5, 2, len(matrix)) if scaled else None
    rows = matrix / (1 if scale is None else np.sqrt(scale)[:, None])
    vectors = rng.standard_normal((matrix.shape[1], 3)).astype(np.float32)
    scores = rng.standard_normal((len(matrix), 4))
    size = np.abs(rows).max() * 100
    np.testing.assert_allclose(project(modality, vectors, scale), rows @ vectors, atol=1e-6 * size)
    found = back_project(modality, scores, scale)
    np.testing.assert_allclose(found, scores.T @ rows, atol=1e-6 * size)
    assert modality.passes == 2


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_there_is_never_a_matrix_of_channels_by_channels():
    data = counts(12, (8, 10, 80, 70), dtype="u1")
    assert data[0, 0].size > module.GRAM_CHANNELS
    # In single precision it would have 125 MB.
    assert peak_of(lambda: reduced(make(data))) < 60e6


def test_there_is_never_a_copy_in_double_precision(monkeypatch):
    monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**18)
    data = counts(13, (32, 32, 40, 40), dtype="u1")
    assert peak_of(lambda: reduced(make(data))) < 7 * data.size
