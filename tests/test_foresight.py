import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs import foresight
from hyperfuse_hs.foresight import foresee
from hyperfuse_hs.varying import fit_result


def fuse(phantom, **options):
    return hf.fuse(
        list(phantom.signals.values()),
        random_state=0,
        show_progressbar=False,
        navigation_mask=phantom.navigation_mask,
        **options,
    )


@pytest.fixture(scope="module", params=["flat", "thickness"])
def fused(request):
    phantom = hf.data.tio2_polymorphs(
        scan=(32, 32),
        detector=(16, 16),
        eels_channels=128,
        eds_channels=128,
        counts=request.param,
        random_state=5,
    )
    return fuse(phantom, n_components=3)


def test_weights_of_means_are_known_before_the_data_are_projected(fused):
    scores, result = fused._scores, fused._result
    fit = fit_result(scores, result, "Diffraction", errors=False)
    wanted = fit.seen @ fit.weights.T
    guessed = foresee(scores, ["Diffraction"], 0)
    # The scores of the leads come before the means of three components.
    leads = sum(part.rank for name, part in scores.modalities.items() if name != "Diffraction")
    assert len(guessed) == len(wanted) and 3 + 2 <= guessed.shape[1] <= 3 + leads
    # As the data see them, that is within the joint subspace.
    guessed = fit.seen @ (fit.seen.T @ guessed)

    def captured(columns):
        basis = np.linalg.qr(columns)[0]
        return np.sum((basis.T @ wanted) ** 2) / np.sum(wanted**2)

    assert captured(guessed) > 0.9
    assert captured(guessed) > captured(guessed[:, :-3]) + 0.1


def test_nothing_is_foreseen_of_what_defines_the_components(fused):
    assert foresee(fused._scores, ["EELS"], 0) is None


def test_nothing_is_foreseen_where_too_few_positions_show_a_component(fused, monkeypatch):
    monkeypatch.setattr(foresight, "POSITIONS", 2)
    assert foresee(fused._scores, ["Diffraction"], 0) is None


def test_scores_are_left_alone(fused):
    part = fused._scores.modalities["Diffraction"]
    before = part.scores.copy()
    first, again = (foresee(fused._scores, ["Diffraction"], 0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(part.scores, before)
