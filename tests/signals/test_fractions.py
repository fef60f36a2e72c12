"""What abundances are fractions of, where counts follow the thickness and brightness differs."""

import numpy as np
import pytest

import hyperfuse_hs as hf

RULES = {"n_components": 3, "random_state": 0, "show_progressbar": False}


@pytest.fixture(scope="module")
def fused():
    options = {"scan": (40, 40), "detector": (16, 16), "eels_channels": 512, "eds_channels": 512}
    phantom = hf.data.tio2_polymorphs(counts="thickness", random_state=1, **options)
    signals = list(phantom.signals.values())
    h = hf.fuse(signals, navigation_mask=phantom.navigation_mask, **RULES)
    order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
    return phantom, h, order


def totals(phantom, name):
    return phantom.factors[name].reshape(3, -1).sum(axis=1)


def test_factors_of_all_modalities_have_the_true_relative_brightness(fused):
    phantom, h, order = fused
    assert h.get_abundances().metadata.Signal.quantity == "count fractions of EELS"
    found = {
        n: np.nansum(h.get_factors(n).data.reshape(3, -1), axis=1)[order] for n in h.modalities
    }
    # A component is as bright as the next one in the signal that the fractions are taken of.
    np.testing.assert_allclose(found["EELS"] / found["EELS"].mean(), 1, rtol=0.02)
    relative = found["EDS"] / found["EELS"]
    expected = totals(phantom, "EDS") / totals(phantom, "EELS")
    assert expected.max() > 1.5 * expected.min()
    np.testing.assert_allclose(relative / relative.mean(), expected / expected.mean(), rtol=0.03)


def test_known_brightness_turns_count_fractions_into_thickness_fractions(fused):
    phantom, h, order = fused
    maps = h.get_abundances()
    brightness = np.empty(3)
    brightness[order] = totals(phantom, "EELS")
    before = np.moveaxis(maps.data.copy(), 0, -1)[..., order]
    # As in the guide.
    maps.data /= brightness[:, np.newaxis, np.newaxis]
    maps.data /= maps.data.sum(axis=0)
    after = np.moveaxis(maps.data, 0, -1)[..., order]
    np.testing.assert_allclose(np.nansum(after, axis=-1)[~np.isnan(after[..., 0])], 1)
    wrong, right = (
        hf.metrics.root_mean_square_error(a, phantom.abundances) for a in (before, after)
    )
    assert right < 0.6 * wrong
