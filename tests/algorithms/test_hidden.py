import numpy as np
import pytest

from hyperfuse_hs.algorithms.coupling import couple, insert_directions, significant_lead_rank
from hyperfuse_hs.algorithms.hidden import hidden_directions
from hyperfuse_hs.algorithms.rank import noise_edge


def weak_map(seed, strength=1.0, n=2000, c=500, r=40):
    """Data whose weak map is in a subspace of r dimensions; strength in units of sqrt(NC)."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((n, r)))[0]
    channels = np.linalg.qr(rng.standard_normal((c, 2)))[0].T
    strong, weak = basis[:, 0], basis @ np.append(0, rng.standard_normal(r - 1)) / np.sqrt(r - 1)
    weak /= np.linalg.norm(weak)
    theta = np.sqrt(strength * np.sqrt(n * c))
    data = np.outer(strong * 20 * theta, channels[0]) + np.outer(weak * theta, channels[1])
    return basis, strong[:, None], weak, data + rng.standard_normal((n, c))


@pytest.mark.parametrize("seed", range(4))
def test_a_map_too_weak_to_stand_out_alone_is_found_in_a_joint_subspace(seed):
    basis, known, weak, data = weak_map(seed, strength=0.7)
    alone = np.linalg.svd(data, compute_uv=False)
    assert alone[1] < noise_edge(*data.shape)
    found = hidden_directions(basis, known, basis.T @ data, None, data.shape[1])
    assert found.values[0] > found.edge > found.values[1]
    score = found.scores[:, 0]
    assert abs(score @ weak) / np.linalg.norm(score) > 0.85
    assert found.noise.shape == found.scores.shape
    assert 1 < found.noise[:, 0].mean() < 5


@pytest.mark.parametrize("seed", range(4))
def test_nothing_hidden_is_found_in_noise(seed):
    basis, known, _, data = weak_map(seed, strength=0.0)
    found = hidden_directions(basis, known, basis.T @ data, None, data.shape[1])
    assert found.values[0] < found.edge
    assert found.values[0] > 0.9 * found.edge


@pytest.mark.parametrize(("strength", "within"), [(0.8, 0.2), (1.5, 0.15), (4.0, 0.15)])
def test_noise_of_hidden_scores_is_as_simulated(strength, within):
    squares, noise = [], []
    for seed in range(10):
        basis, known, weak, data = weak_map(seed, strength, n=800, c=300)
        found = hidden_directions(basis, known, basis.T @ data, None, data.shape[1])
        score = found.scores[:, 0]
        squares.append(np.mean((score - weak * (weak @ score)) ** 2))
        noise.append(np.mean(found.noise[:, 0]))
    # The weaker a map, the less is known of what it looks like in the channels.
    assert np.mean(squares) == pytest.approx(np.mean(noise), rel=within)


def test_counts_with_uneven_noise_need_more_to_stand_out():
    basis, known, _, data = weak_map(1, strength=0.0)
    variance = np.ones((basis.shape[1], data.shape[1]))
    variance[:3, :50] = 9.0
    plain = hidden_directions(basis, known, basis.T @ data, None, data.shape[1])
    careful = hidden_directions(basis, known, basis.T @ data, variance, data.shape[1])
    assert careful.edge > 1.05 * plain.edge


def test_what_is_known_is_not_found_again():
    basis, known, _, data = weak_map(2, strength=0.0)
    rng = np.random.default_rng(0)
    # Even where it is known with an error.
    inexact = known + 0.02 * basis @ rng.standard_normal((basis.shape[1], 1))
    found = hidden_directions(basis, inexact, basis.T @ data, None, data.shape[1])
    assert found.values[0] < found.edge


def test_inserted_directions_keep_the_order():
    rng = np.random.default_rng(3)
    coupled = couple([np.outer(rng.standard_normal(300), [40.0, 9.0])], [True])
    basis, known, _, data = weak_map(3, strength=3.0, n=300, c=80, r=10)
    found = hidden_directions(basis, known, basis.T @ data, None, 80)
    wider = insert_directions(coupled, found, 1, 2)
    assert wider.lead_scores.shape == wider.lead_noise.shape == (300, 4)
    np.testing.assert_array_equal(wider.lead_scores[:, 1:3], found.scores[:, :2])
    np.testing.assert_array_equal(wider.lead_noise[:, 1:3], found.noise[:, :2])
    np.testing.assert_array_equal(wider.lead_values[[0, 3]], coupled.lead_values)
    assert significant_lead_rank(wider) == 2
    assert insert_directions(coupled, found, 1, 0) is coupled
