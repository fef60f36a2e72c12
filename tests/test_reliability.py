"""Whether the probabilities of faces are what they are said to be."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are not part of the package")

from benchmarks import cases, reliability  # noqa: E402


def measured(seeds, **options):
    found = {}
    for seed in seeds:
        for record in reliability.measure(partial(cases.tio2, size=48, **options), seed):
            found.setdefault(record.quantity, []).append(record.value)
    return {quantity: np.mean(values) for quantity, values in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("counts", "dose"), [("flat", 1.0), ("thickness", 1.0), ("flat", 0.1)])
def test_probabilities_are_reliable(counts, dose):
    found = measured(range(8), counts=counts, dose=dose)
    differences = [value for quantity, value in found.items() if "stated" in quantity]
    assert len(differences) >= 7
    np.testing.assert_allclose(differences, 0, atol=reliability.WITHIN)


@pytest.mark.slow
@pytest.mark.parametrize("dose", [1.0, 0.1])
def test_the_most_probable_face_is_right_as_often_as_stated(dose):
    found = measured(range(3), dose=dose)
    assert found["its probability"] - found["most probable face is right"] < 0.05
    assert found["most probable face is right"] > 0.85
