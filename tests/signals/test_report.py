from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hyperspy.signals import Signal1D

import hyperfuse_hs as hf
from hyperfuse_hs.signals.report import edge_text, summary


@pytest.fixture(scope="module")
def dim():
    """So few electrons in EELS that only the diffraction patterns bring out the polymorphs."""
    phantom = hf.data.tio2_polymorphs(
        scan=(48, 48), detector=(48, 48), eels_channels=512, eels_dose=5e3, random_state=1
    )
    rest = phantom.signals["EDS"], phantom.signals["Diffraction"]
    options = {
        "navigation_mask": phantom.navigation_mask,
        "show_progressbar": False,
        "random_state": 0,
    }
    return phantom.signals["EELS"].fuse(*rest, **options)


def test_the_gain_of_fusion_is_said(dim):
    assert dim.data.shape[-1] == 3
    text = dim.summary()
    assert (
        "Gain of fusion: 3 components stand out of the noise together, 2 in EELS alone, "
        "2 in EDS alone." in text
    )
    assert "Only" not in text


def test_components_that_do_not_stand_out_are_said(dim):
    text = dim.unmix(n_components=4, unmixing="vertex").summary()
    assert "Only 3 of the 4 components stand out of the noise" in text


@pytest.mark.parametrize(
    ("edges", "shown", "text"),
    [
        (np.inf, 3, "0 components stand out of the noise; 3 are shown."),
        (5.0, 3, "1 component stands out of the noise; 3 are shown."),
        (0.5, 1, "3 components stand out of the noise; 1 is shown."),
    ],
)
def test_the_number_that_stands_out_is_said(edges, shown, text):
    result = SimpleNamespace(
        lead_values=np.array([9.0, 3.0, 1.0]), lead_edges=np.full(3, edges), n_components=shown
    )
    assert edge_text(result) == text


def test_agreement_of_the_searches_is_said(dim):
    result = dim._whole()
    starts = np.array([-1.0, -1.001, -1.4])
    text = summary(replace(result, start_log_likelihoods=starts))
    assert "2 of 3 searches for the endmembers agree; the worst is 0.4 per position" in text
    text = summary(replace(result, start_log_likelihoods=starts[:2]))
    assert "2 of 2 searches for the endmembers agree." in text
    assert "searches" not in summary(replace(result, start_log_likelihoods=None))


def mixed_only(seed):
    """Many counts of three components, of which no position shows less than two."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([4.0, 4.0, 4.0], (30, 30))
    spectra = rng.gamma(0.5, size=(3, 64))
    spectra *= 3e6 / spectra.sum(axis=1, keepdims=True)
    return Signal1D(rng.poisson(shares @ spectra))


@pytest.mark.parametrize("seed", [0, pytest.param(4, marks=pytest.mark.slow)])
def test_components_beyond_what_the_data_allow_are_said(seed):
    signal = mixed_only(seed)
    h = hf.fuse([signal], names=["EELS"], n_components=3, show_progressbar=False, random_state=0)
    inside = h.unmix(unmixing="nmf")
    cost = h._result.modalities["EELS"].cost_of_signs
    found, least = (np.mean(each.get_residual("EELS").data) for each in (h, inside))
    assert found - least == pytest.approx(cost, abs=0.02 + 0.3 * cost)
    remark = f"those that are not add {cost:.2g} to the residual"
    assert (remark in h.summary()) == (cost > 0.05)
    assert inside._result.modalities["EELS"].cost_of_signs < 0.01


def test_nothing_is_said_where_factors_need_not_be_negative(dim):
    assert dim._result.modalities["EELS"].cost_of_signs < 0.01
    assert "farther out" not in dim.summary()
    dim._result.modalities["EELS"].cost_of_signs = 0.2
    assert "EELS: components lie farther out than its data allow" in dim.summary()
    dim._result.modalities["EELS"].cost_of_signs = 0.0
