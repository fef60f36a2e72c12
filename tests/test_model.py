from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from hyperfuse_hs import modality as modality_module
from hyperfuse_hs.algorithms.metrics import match_components, spectral_angle
from hyperfuse_hs.express import expand, fit_passive, with_passive
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.model import Source, compress_all, survey_all, unmix
from hyperfuse_hs.residuals import compare
from hyperfuse_hs.result import Choices
from hyperfuse_hs.unmixing import ABUNDANCES, UNMIXING

NAVIGATION = (14, 15)
CHOICES = Choices(3, {}, {}, "face_mixture", "simplex", 0)


def phantom(seed=0, varied=False):
    """Counts of a spectrum, of a richer 2D pattern, and an image; abundances on all faces."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(NAVIGATION))
    abundances = rng.dirichlet(np.ones(3), n)
    for row in abundances[: 2 * n // 3]:
        row[rng.permutation(3)[: rng.integers(1, 3)]] = 0.0
    abundances /= abundances.sum(axis=1, keepdims=True)
    thickness = rng.uniform(0.4, 1.6, n) if varied else np.ones(n)
    spectra = rng.gamma(0.3, size=(3, 40)) + 0.05
    spectra *= 3000 / spectra.sum(axis=1, keepdims=True)
    patterns = rng.gamma(0.3, size=(3, 48)) + 0.05
    patterns *= 20000 / patterns.sum(axis=1, keepdims=True)
    # Each position has an orientation of its own, so the pattern's rank exceeds three.
    own = rng.gamma(1.0, size=(n, 6)) @ rng.gamma(0.3, size=(6, 48)) * 20
    rows = thickness[:, None] * abundances
    data = {
        "spectrum": rng.poisson(rows @ spectra).reshape(*NAVIGATION, 40),
        "pattern": rng.poisson(rows @ patterns + own).reshape(*NAVIGATION, 6, 8),
        "image": (rows @ [[50.0], [80.0], [20.0]] + rng.standard_normal((n, 1))).reshape(
            *NAVIGATION
        ),
    }
    return data, abundances, {"spectrum": spectra, "pattern": patterns}


def sources(data, positions=None, channels=None, passive=()):
    excluded = np.zeros(int(np.prod(NAVIGATION)), bool) if positions is None else positions
    made = []
    for name, values in data.items():
        shape = values.shape[:2]
        none = np.zeros(int(np.prod(values.shape[2:])), bool)
        masked = (channels or {}).get(name, none)
        positions_here = excluded if shape == NAVIGATION else np.zeros(int(np.prod(shape)), bool)
        modality = Modality(name, values, 2, positions_here, masked)
        made.append(Source(modality, passive=name in passive))
    return made


def fused(data, choices=CHOICES, scale="none", **options):
    made = sources(data, **options)
    scores = compress_all(made, survey_all(made), scale, 0)
    return scores, unmix(scores, choices)


def error(found, truth):
    order = match_components(found.T, truth.T)
    return float(np.sqrt(np.mean((found[:, order] - truth) ** 2)))


def test_abundances_and_factors_of_the_phantom():
    data, truth, factors = phantom()
    scores, result = fused(data)
    assert {n: m.role for n, m in result.modalities.items()} == {
        "spectrum": "lead",
        "pattern": "support",
        "image": "lead",
    }
    order = match_components(result.abundances.T, truth.T)
    assert error(result.abundances, truth) < 0.02
    found = result.modalities["spectrum"].factors[order]
    assert spectral_angle(found, factors["spectrum"]).max() < 1.5
    matrix = data["spectrum"].reshape(-1, 40)
    oracle = np.linalg.lstsq(truth, matrix, rcond=None)[0]
    assert spectral_angle(found, oracle).max() < 1.5
    assert all(m.passes <= 3 for m in result.modalities.values())
    shares = [m.variance_share for m in result.modalities.values()]
    assert sum(shares) == pytest.approx(1.0)


def test_fusion_is_better_than_the_lead_alone():
    data, truth, _ = phantom(1)
    data["spectrum"] = np.random.default_rng(0).binomial(data["spectrum"], 0.1)
    alone = fused({"spectrum": data["spectrum"]})[1]
    together = fused({n: data[n] for n in ("spectrum", "pattern")})[1]
    assert error(together.abundances, truth) < 0.8 * error(alone.abundances, truth)


def test_passive_modality_changes_nothing_but_gets_its_factors():
    data, truth, factors = phantom(2)
    _, alone = fused({"spectrum": data["spectrum"]})
    _, both = fused({n: data[n] for n in ("spectrum", "pattern")}, passive=("pattern",))
    np.testing.assert_array_equal(both.abundances, alone.abundances)
    assert both.modalities["pattern"].role == "passive"
    assert both.modalities["pattern"].passes == 1
    order = match_components(both.abundances.T, truth.T)
    angles = spectral_angle(
        both.modalities["pattern"].factors[order],
        np.linalg.lstsq(truth, data["pattern"].reshape(-1, 48), rcond=None)[0],
    )
    assert angles.max() < 3


def test_passive_modality_added_later_is_the_same_as_at_once():
    data, _, _ = phantom(3)
    _, at_once = fused({n: data[n] for n in ("spectrum", "pattern")}, passive=("pattern",))
    scores, result = fused({"spectrum": data["spectrum"]})
    modality = sources({"pattern": data["pattern"]})[0].modality
    _, wider = with_passive(scores, modality)
    more = fit_passive(wider, result, "pattern")
    assert list(scores.modalities) == list(result.modalities) == ["spectrum"]
    assert list(wider.modalities) == list(more.modalities) == ["spectrum", "pattern"]
    np.testing.assert_allclose(
        more.modalities["pattern"].factors, at_once.modalities["pattern"].factors, rtol=1e-3
    )


def test_masks_are_the_same_as_deleting_rows_and_channels():
    data, _, _ = phantom(4)
    rng = np.random.default_rng(0)
    n = int(np.prod(NAVIGATION))
    positions = rng.random(n) < 0.2
    channels = rng.random(40) < 0.2
    given = {"spectrum": data["spectrum"].copy(), "pattern": data["pattern"]}
    given["spectrum"].reshape(n, 40)[positions] = 10**6
    given["spectrum"].reshape(n, 40)[:, channels] = 10**6
    _, masked = fused(given, positions=positions, channels={"spectrum": channels})
    deleted_data = {
        "spectrum": data["spectrum"].reshape(n, 1, 40)[~positions][..., ~channels],
        "pattern": data["pattern"].reshape(n, 1, 6, 8)[~positions],
    }
    _, deleted = fused(deleted_data)
    assert np.isnan(masked.abundances[positions]).all()
    assert np.isnan(masked.modalities["spectrum"].factors[:, channels]).all()
    np.testing.assert_allclose(masked.abundances[~positions], deleted.abundances, atol=1e-4)
    np.testing.assert_allclose(
        masked.modalities["spectrum"].factors[:, ~channels],
        deleted.modalities["spectrum"].factors,
        atol=0.05,
    )


@pytest.mark.parametrize("route", ["held", "two looks"])
@pytest.mark.parametrize("scale", ["none", "total"])
def test_lazy_data_give_what_eager_data_give(monkeypatch, route, scale):
    data, _, _ = phantom(5, varied=scale == "total")
    _, eager = fused(data, scale=scale)
    if route != "held":
        monkeypatch.setattr(modality_module, "HOLD_BYTES", 0)
        monkeypatch.setattr(modality_module, "BLOCK_BYTES", 2**11)
    lazy = {n: da.from_array(v, chunks=(4, 5) + (5,) * (v.ndim - 2)) for n, v in data.items()}
    _, found = fused(lazy, scale=scale)
    assert {n: m.rank for n, m in found.modalities.items()} == {
        n: m.rank for n, m in eager.modalities.items()
    }
    tolerance = 1e-3
    assert error(found.abundances, eager.abundances) < tolerance


def test_permuting_positions_permutes_abundances():
    data, _, _ = phantom(6)
    data = {n: data[n] for n in ("spectrum", "pattern")}
    order = np.random.default_rng(0).permutation(int(np.prod(NAVIGATION)))
    shuffled = {n: v.reshape(-1, *v.shape[2:])[order].reshape(v.shape) for n, v in data.items()}
    straight, permuted = fused(data)[1], fused(shuffled)[1]
    assert error(permuted.abundances, straight.abundances[order]) < 2e-3


@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_the_unit_of_gaussian_data_only_scales_the_factors(unit):
    data, _, _ = phantom(7)
    lead = data["spectrum"].astype(float) - 100.0
    straight, scaled = fused({"a": lead})[1], fused({"a": unit * lead})[1]
    order = match_components(scaled.abundances.T, straight.abundances.T)
    np.testing.assert_allclose(scaled.abundances[:, order], straight.abundances, atol=2e-3)
    np.testing.assert_allclose(
        scaled.modalities["a"].factors[order] / unit, straight.modalities["a"].factors, atol=2.0
    )


def test_the_same_seed_gives_the_same_and_inputs_are_untouched():
    data, _, _ = phantom(8)
    kept = {n: v.copy() for n, v in data.items()}
    first, second = fused(data)[1], fused(data)[1]
    np.testing.assert_array_equal(first.abundances, second.abundances)
    for name, values in kept.items():
        np.testing.assert_array_equal(data[name], values)
        np.testing.assert_array_equal(
            first.modalities[name].factors, second.modalities[name].factors
        )


def test_unmixing_again_reads_no_data_and_changes_no_scores():
    data, _, _ = phantom(9)
    made = sources(data)
    scores = compress_all(made, survey_all(made), "none", 0)
    passes = [s.modality.passes for s in made]
    before = {n: (p.scores.copy(), p.projection.copy()) for n, p in scores.modalities.items()}
    basis = scores.basis.copy()
    for count in (1, 2, 3):
        assert unmix(scores, replace(CHOICES, n_components=count)).abundances.shape[1] == count
    assert [s.modality.passes for s in made] == passes
    np.testing.assert_array_equal(scores.basis, basis)
    for name, (columns, projection) in before.items():
        np.testing.assert_array_equal(scores.modalities[name].scores, columns)
        np.testing.assert_array_equal(scores.modalities[name].projection, projection)


@pytest.mark.parametrize("abundances", ABUNDANCES)
@pytest.mark.parametrize("unmixing", UNMIXING)
def test_every_method_models_the_lead(unmixing, abundances):
    data, _, _ = phantom(10, varied=True)
    _, result = fused(
        {"spectrum": data["spectrum"]},
        replace(CHOICES, unmixing=unmixing, abundances=abundances),
        scale="total",
    )
    part = result.modalities["spectrum"]
    model = part.scale[:, None] * (result.abundances @ part.factors)
    matrix = data["spectrum"].reshape(-1, 40)
    # Poisson noise alone gives 1; NMF and the vertex search are not exact.
    assert np.mean((matrix - model) ** 2 / np.maximum(matrix, 5)) < 3


@pytest.mark.parametrize("varied", [False, True])
def test_number_of_components_is_found(varied):
    data, _, _ = phantom(11, varied=varied)
    _, result = fused(data, replace(CHOICES, n_components=None), scale="auto")
    assert result.n_components == 3
    expected = (
        "proportional to the total of the calling signal" if varied else "the same everywhere"
    )
    assert result.options["scale"] == expected


def test_thickness_does_not_enter_the_abundances():
    data, truth, factors = phantom(12, varied=True)
    _, result = fused({"spectrum": data["spectrum"]}, scale="auto")
    # All components have the same total, so that count fractions are thickness fractions.
    assert error(result.abundances, truth) < 0.03
    order = match_components(result.abundances.T, truth.T)
    found = result.modalities["spectrum"].factors[order]
    assert spectral_angle(found, factors["spectrum"]).max() < 2


def test_modalities_may_have_intensities_of_their_own():
    data, truth, factors = phantom(16)
    rng = np.random.default_rng(0)
    n = int(np.prod(NAVIGATION))
    maps = {"spectrum": rng.uniform(0.3, 1.7, n), "pattern": None}
    varied = maps["spectrum"][:, None] * truth
    data["spectrum"] = rng.poisson(varied @ factors["spectrum"]).reshape(*NAVIGATION, 40)
    del data["image"]
    scores, result = fused(data, scale=maps)
    assert error(result.abundances, truth) < 0.03
    assert scores.scale_kind == "as given"
    # The maps are on one plane for both, so the pattern adds no rank but its own.
    flat = fused({"spectrum": phantom(16)[0]["spectrum"], "pattern": data["pattern"]})[1]
    assert result.basis.shape[1] == flat.basis.shape[1]


@pytest.mark.parametrize(("n_channels", "strength"), [(20, 8.0), (400, 2.0)])
def test_scores_have_unit_noise_whatever_the_number_of_channels(n_channels, strength):
    rng = np.random.default_rng(17)
    n = int(np.prod(NAVIGATION))
    maps = np.linalg.qr(rng.standard_normal((n, 2)))[0]
    spectra = np.linalg.qr(rng.standard_normal((n_channels, 2)))[0]
    level = strength * np.sqrt(np.sqrt(n * n_channels))
    variances = []
    for _ in range(10):
        data = 3.0 * (level * maps @ spectra.T + rng.standard_normal((n, n_channels)))
        made = sources({"a": data.reshape(*NAVIGATION, n_channels)})
        found = compress_all(made, survey_all(made), "none", 0).modalities["a"]
        assert found.rank == 2
        off = found.scores[:, :2] - maps @ (maps.T @ found.scores[:, :2])
        variances.append(np.sum(off**2, axis=0) / (n - 2))
    np.testing.assert_allclose(np.mean(variances, axis=0), 1.0, atol=0.1)


def test_roles_and_weights_given_by_the_user():
    data, _, _ = phantom(13)
    choices = replace(CHOICES, roles={"pattern": "passive", "image": "support"})
    _, result = fused(data, choices)
    assert [(m.role, m.reason) for m in result.modalities.values()][1:] == [
        ("passive", "as asked for"),
        ("support", "as asked for"),
    ]
    weightless = fused(data, replace(CHOICES, weights={"pattern": 0, "image": 0}))[1]
    alone = fused({"spectrum": data["spectrum"]})[1]
    assert weightless.modalities["image"].reason == "its weight is 0"
    assert error(weightless.abundances, alone.abundances) < 1e-6


@pytest.mark.parametrize("varied", [False, True])
def test_residual_is_about_one_where_the_model_fits(varied):
    data, _, _ = phantom(14, varied=varied)
    data = {"spectrum": data["spectrum"]}
    made = sources(data, positions=np.arange(int(np.prod(NAVIGATION))) < 5)
    scores = compress_all(made, survey_all(made), "auto", 0)
    found = compare(scores, unmix(scores, CHOICES), made[0].modality).positions
    assert np.isnan(found[:5]).all()
    assert np.median(found[5:]) == pytest.approx(1.0, abs=0.1)


def test_principal_components_reproduce_the_data():
    data, _, _ = phantom(15, varied=True)
    _, result = fused(data, scale="total")
    for name, channels in (("spectrum", 40), ("pattern", 48)):
        part = result.modalities[name]
        model = part.scale[:, None] * (result.basis @ part.basis_factors)
        matrix = data[name].reshape(-1, channels)
        assert np.mean((matrix - model) ** 2 / np.maximum(matrix, 5)) < 1.3


def test_expansion_puts_values_back():
    found = expand(np.array([[1.0, 2.0]]), np.array([False, True, False]))
    np.testing.assert_array_equal(found, [[1.0, np.nan, 2.0]])


@pytest.mark.parametrize("seed", range(3))
def test_clipped_abundances_do_not_push_the_factors_of_similar_components_apart(seed):
    rng = np.random.default_rng(seed)
    n = int(np.prod(NAVIGATION))
    spectra = rng.gamma(0.5, size=(2, 400)) + 0.05
    spectra[1] = 0.85 * spectra[0] + 0.15 * spectra[1]
    spectra *= 4000 / spectra.sum(axis=1, keepdims=True)
    truth = np.repeat(np.eye(2), [n // 2, n - n // 2], axis=0)
    counts = rng.poisson(truth @ spectra)
    _, result = fused(
        {"spectrum": counts.reshape(*NAVIGATION, 400)}, replace(CHOICES, n_components=2)
    )
    order = match_components(result.abundances.T, truth.T)
    apart = np.subtract(*result.modalities["spectrum"].factors[order])
    oracle = np.subtract(*np.linalg.lstsq(truth, counts, rcond=None)[0])
    # All positions are pure: noise makes abundances overlap, so clipped ones differ by less.
    assert np.subtract(*result.abundances[:, order].T) @ (2 * truth[:, 0] - 1) / n < 0.97
    assert apart @ oracle / (oracle @ oracle) == pytest.approx(1, abs=0.01)
