import pytest

from hyperfuse_hs.data import core_shell, particles, reference_patterns, tio2_polymorphs

each_phantom = pytest.mark.parametrize("make", [tio2_polymorphs, core_shell])


@each_phantom
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": "thick"}, "counts must be one of 'flat', 'thickness'. Got 'thick'"),
        ({"scan": (4, 64)}, r"scan must be two integers, .* at least 16 each. Got \(4, 64\)"),
        ({"scan": 64}, "scan must be two integers.*Got 64"),
        ({"scan": (64, 64, 64)}, "scan must be two integers"),
        ({"scan": (32.0, 32.0)}, "scan must be two integers"),
        ({"eels_channels": 3}, "eels_channels must be an integer of at least 16. Got 3"),
        ({"eds_channels": 64.5}, "eds_channels must be an integer of at least 16. Got 64.5"),
        ({"eds_dose": 0}, "eds_dose must be a positive number.*Got 0"),
        ({"eels_dose": float("nan")}, "eels_dose must be a positive number.*Got nan"),
        ({"n_particles": 0}, r"n_particles must be an integer of at least \d. Got 0"),
        ({"modalities": []}, "modalities must name at least one modality. Got none"),
        ({"modalities": ["EDX"]}, "Each of modalities must be one of 'EELS', 'EDS', .* Got 'EDX'"),
    ],
)
def test_bad_parameters(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@each_phantom
def test_a_single_name_is_not_a_collection(make):
    with pytest.raises(TypeError, match=r"Got the string 'EDS'. Give \['EDS'\]"):
        make(modalities="EDS")


def test_impossible_sample(monkeypatch):
    # A few of the many samples it tries: this one is out of the question.
    monkeypatch.setattr(particles, "_MOST_LAYOUTS", 5)
    with pytest.raises(ValueError, match=r"missing somewhere.*scan \(16, 16\) with 300 particles"):
        tio2_polymorphs(scan=(16, 16), n_particles=300)


def test_bad_detector():
    for make in (tio2_polymorphs, reference_patterns):
        with pytest.raises(ValueError, match=r"detector must be two integers.*Got \(64, 8\)"):
            make(detector=(64, 8))
