"""The edge of the noise of counts, against noise alone: the difference of randomly split counts."""

import numpy as np
import pytest

import hyperfuse_hs as hf
from hyperfuse_hs.algorithms.noise import effective_channels, poisson_variance
from hyperfuse_hs.algorithms.rank import noise_edge, unevenness
from hyperfuse_hs.compress import PROFILE_RANK, compress, survey
from hyperfuse_hs.modality import Modality
from hyperfuse_hs.noise_model import noise_model
from hyperfuse_hs.scaling import row_divisor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["flat", "thickness"])
def phantom(request):
    return hf.data.tio2_polymorphs(
        scan=(40, 40), detector=(40, 40), eels_channels=400, eds_channels=400, counts=request.param
    )


@pytest.mark.parametrize("name", ["EELS", "EDS", "Diffraction"])
def test_noise_of_counts_ends_where_its_profile_says(phantom, name):
    inside = ~phantom.navigation_mask.data
    counts = phantom.signals[name].data[inside].reshape(np.count_nonzero(inside), -1)
    kept = np.random.default_rng(0).binomial(counts, 0.5)
    rows = row_divisor(phantom.scale[inside])
    divisor = poisson_variance(counts.sum(axis=0).astype(float), len(counts))
    scale = np.sqrt(divisor) * np.sqrt(rows)[:, None]
    # Halves of split counts are independent, so their difference is noise with the same variance.
    noise = np.linalg.norm((2.0 * kept - counts) / scale, 2)
    left, values, right = np.linalg.svd(counts / scale, full_matrices=False)
    strong = slice(PROFILE_RANK)
    profile = (
        left[:, strong] * values[strong] / np.sqrt(rows)[:, None],
        right[strong].T / np.sqrt(divisor)[:, None],
    )
    channels = effective_channels(counts.mean(axis=0), divisor)
    edge = unevenness(*profile, channels).reach * noise_edge(len(counts), channels)
    assert 0.9 * edge < noise < 1.03 * edge


@pytest.mark.parametrize("name", ["EELS", "EDS", "Diffraction"])
def test_what_stands_out_is_in_both_halves_of_split_counts(phantom, name):
    inside = ~phantom.navigation_mask.data
    counts = phantom.signals[name].data
    kept = np.random.default_rng(1).binomial(counts, 0.5)
    found = []
    for half in (kept, counts - kept):
        modality = Modality(
            name,
            half,
            2,
            ~inside.ravel(),
            np.zeros(int(np.prod(counts.shape[2:])), bool),
        )
        facts = survey(modality)
        model = noise_model("poisson", modality, facts, None)
        rows = row_divisor(phantom.scale[inside])
        found.append(compress(modality, facts, model, rows, np.random.default_rng(0)))
    first, second = (np.linalg.qr(low.scores[:, : low.rank])[0] for low in found)
    assert min(low.rank for low in found) >= 2
    # The weakest that stands out in one half, seen in the other, against what chance would give.
    agreement = np.linalg.norm(second.T @ first[:, -1])
    assert agreement > 3 * np.sqrt(second.shape[1] / len(second))
