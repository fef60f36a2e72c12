"""Fixtures for all tests."""

import os
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

matplotlib.use("Agg")

DATA = Path(os.environ.get("HYPERFUSE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def real_data():
    """Return the path of a file that is not part of the project, or skip the test."""

    def path_of(*parts):
        path = DATA.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{'/'.join(parts)} is not there; HYPERFUSE_TEST_DATA names its folder")
        return path

    return path_of
