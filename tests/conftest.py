"""What all tests share: figures that need no screen, and the place of real data."""

import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def real_data():
    """Return the path of a file of measured data, which is not part of the repository."""

    def find(*parts: str) -> Path:
        folder = Path(os.environ.get("HYPERFUSE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
        path = folder.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{path.name} is not in the folder HYPERFUSE_TEST_DATA")
        return path

    return find
