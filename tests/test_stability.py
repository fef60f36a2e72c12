"""Components that are there come out again; what divides up noise does not."""

import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hyperspy.signals import Signal1D
from hypothesis import given
from hypothesis import strategies as st

import hyperfuse_hs as hf
from hyperfuse_hs.algorithms.abundance import simplex_abundances
from hyperfuse_hs.signals.steady import Stability
from hyperfuse_hs.stability import RankStability, chain, map_correlations

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def fuse(seed, size=24, **options):
    phantom = hf.data.tio2_polymorphs(
        scan=(size, size), detector=(16, 16), eels_channels=128, eds_channels=64, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hf.fuse(
            list(phantom.signals.values()),
            n_components=3,
            random_state=0,
            show_progressbar=False,
            navigation_mask=phantom.navigation_mask,
            **options,
        )


@pytest.fixture(scope="module")
def fused():
    return fuse(0)


@pytest.fixture(scope="module")
def quick(fused):
    return fused.stability([3, 4], seeds=1, resamples=2, show_progressbar=False)


def test_three_components_of_three_come_out_again_and_four_do_not(fused, quick):
    assert quick.ranks == [3, 4]
    assert (quick.reproducibility(3) > 0.97).all()
    assert quick.trusted(3).all()
    assert not quick.trusted(4).all()
    assert quick.best_rank == 3
    text = repr(quick)
    assert "3 of 3 to be trusted" in text
    assert "3 is the largest number of which all can be trusted" in text


def test_with_the_own_number_of_components_the_maps_are_those_of_the_result(fused, quick):
    np.testing.assert_allclose(quick.get_maps(3), fused.get_abundances().data, atol=1e-9)


def test_components_keep_their_track_and_the_new_one_gets_its_own(quick):
    track, alike = quick.tracks(4)
    assert sorted(track) == [0, 1, 2, 3]
    assert np.isnan(alike).sum() == 1
    assert track[np.isnan(alike)] == 3
    first, none = quick.tracks(3)
    assert first.tolist() == [0, 1, 2] and np.isnan(none).all()
    # What is the same with three and with four lies in the same row.
    maps, more = (quick.get_maps(p).reshape(p, -1) for p in (3, 4))
    kept = np.isfinite(maps[0])
    for component in np.flatnonzero(~np.isnan(alike)):
        found = np.corrcoef(more[component, kept], maps[track[component], kept])[0, 1]
        assert alike[component] == pytest.approx(found)


def test_the_same_seed_gives_the_same_numbers(fused, quick):
    again = fused.stability([3], seeds=0, resamples=2, random_state=5, show_progressbar=False)
    same = fused.stability(3, seeds=0, resamples=2, random_state=5, show_progressbar=False)
    np.testing.assert_array_equal(again.reproducibility(3), same.reproducibility(3))


def test_one_component_is_always_the_same(fused):
    one = fused.stability(1, seeds=1, resamples=1, show_progressbar=False)
    assert one.reproducibility(1).tolist() == [1.0]
    assert one.best_rank == 1


@pytest.mark.parametrize("method", ["vertex", "minimum_volume"])
def test_other_methods_are_repeated_as_they_are(fused, method):
    h = fused.unmix(unmixing=method)
    found = h.stability(3, seeds=1, resamples=2, show_progressbar=False)
    assert (found.reproducibility(3) > 0.5).all()


def test_what_does_not_give_corners_is_refused(fused):
    with pytest.raises(ValueError, match=r'corners of a simplex.*Got unmixing="orthomax"'):
        fused.unmix(unmixing="orthomax").stability()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"n_components": [0, 1]}, ValueError, "n_components of 1 at least. Got 0"),
        ({"n_components": []}, ValueError, r"such as range\(2, 6\). Got none"),
        ({"n_components": 2.5}, TypeError, r"whole number, or some such as range.* Got 2.5"),
        ({"n_components": "3"}, TypeError, "Got '3'"),
        ({"seeds": -1}, ValueError, "seeds of 0 at least. Got -1"),
        ({"resamples": True}, TypeError, "resamples as a whole number. Got True"),
        ({"seeds": 0, "resamples": 0}, ValueError, "seeds or resamples above 0"),
        ({"n_components": 60}, ValueError, "n_components=60 is more than the data support"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(fused, options, kind, message):
    with pytest.raises(kind, match=message):
        fused.stability(**{"seeds": 1, "resamples": 1, "show_progressbar": False, **options})


def test_a_number_that_was_not_tried_is_refused(quick):
    for ask in (quick.reproducibility, quick.trusted, quick.tracks, quick.get_maps):
        with pytest.raises(ValueError, match=r"that was tried: \[3, 4\]. Got 7"):
            ask(7)


@given(st.integers(0, 1000), st.integers(2, 5), st.integers(0, 2))
def test_correlations_do_not_depend_on_order_or_additions(seed, p, more):
    rng = np.random.default_rng(seed)
    maps = rng.dirichlet(np.ones(p), 40)
    extra = np.hstack([maps, rng.uniform(0, 0.01, (40, more))])
    found = map_correlations(maps, extra[:, rng.permutation(p + more)])
    np.testing.assert_allclose(found, 1, atol=1e-12)


def test_a_map_without_contrast_agrees_with_nothing():
    flat, varied = np.full((9, 2), 0.5), np.linspace(0, 1, 9)[:, None] * [1, -1] + [0, 1]
    np.testing.assert_array_equal(map_correlations(flat, varied), 0)


def test_chains_follow_maps_that_are_alike():
    rng = np.random.default_rng(0)
    three = rng.dirichlet(np.ones(3), 50)
    five = np.hstack([0.1 * rng.random((50, 2)), three])[:, [3, 0, 2, 1, 4]]
    (first, _), (second, alike) = chain([three, five])
    assert first.tolist() == [0, 1, 2]
    assert second[[0, 2, 4]].tolist() == [1, 0, 2]
    assert sorted(second) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(alike[[0, 2, 4]], 1)


def made(fused, ranks, good=0.97):
    """Make a stability of endmembers that are drawn, as of a fusion."""
    rng = np.random.default_rng(1)
    points = fused._result.coordinates[~fused._result.excluded]
    found = {}
    for p in ranks:
        corners = points[rng.choice(len(points), p, replace=False)]
        values = np.where(np.arange(p) % 3 == 2, 0.4, good)[None]
        found[p] = RankStability(simplex_abundances(points, corners), values, values)
    return Stability(fused, found)


@pytest.mark.parametrize("ranks", [(2,), (2, 3, 4, 5), (2, 3, 4, 5, 6, 7, 8)])
def test_the_figure_shows_every_component_once(fused, ranks):
    from tests.test_plotting import assert_nothing_overlaps

    figure = made(fused, ranks).plot()
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == sum(ranks)
    styles = [axes.spines["left"].get_linestyle() for axes in panels]
    titles = [axes.get_title() for axes in panels]
    assert titles.count("0.40") == sum(p // 3 for p in ranks) == styles.count((0, (3, 2)))
    assert_nothing_overlaps(figure)


@pytest.mark.parametrize("scan", [(60,), (1, 60)])
def test_maps_along_a_line_have_an_axis(scan):
    from tests.test_plotting import assert_nothing_overlaps

    rng = np.random.default_rng(0)
    shares = np.repeat(np.eye(3), 20, axis=0).reshape(*scan, 3)
    signal = Signal1D(rng.poisson(shares @ rng.uniform(20, 200, (3, 40))).astype(float))
    signal.axes_manager.navigation_axes[0].trait_set(name="x", units="nm", scale=2.0)
    h = hf.fuse([signal], n_components=3, show_progressbar=False)
    figure = h.stability([1, 2, 3], seeds=0, resamples=1).plot()
    labels = [axes.get_xlabel() for axes in figure.axes if axes.images]
    assert sorted(labels) == [*[""] * 3, *["x (nm)"] * 3]
    assert_nothing_overlaps(figure)


def test_the_figure_says_how_many_can_be_trusted(fused):
    figure = made(fused, (2, 3)).plot(figure=plt.figure(layout="constrained"))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "2 components\n2 to be trusted" in texts
    assert "3 components\n2 to be trusted" in texts
    assert made(fused, (2, 3), good=0.5).best_rank is None
    assert "no number of components" in repr(made(fused, (2, 3), good=0.5))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_the_fourth_component_of_three_is_not_to_be_trusted(seed):
    found = fuse(seed, 32).stability([3, 4], seeds=1, resamples=4, show_progressbar=False)
    assert found.trusted(3).all()
    assert not found.trusted(4).all()
    assert found.best_rank == 3
