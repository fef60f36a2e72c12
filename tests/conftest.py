"""Fixtures for all tests."""

import gc
import os
from pathlib import Path

# One process of tests per core: a BLAS that takes all cores for itself waits for the others. It
# reads this when it is loaded, with numpy. Without processes (-n0) it takes what it wants.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
import matplotlib.pyplot as plt
import pytest

from hyperfuse_hs import cache

matplotlib.use("Agg")

# Looking for garbage among all that HyperSpy, pyxem and sympy import is a tenth of the time.
gc.set_threshold(20_000, 20, 20)

DATA = Path(os.environ.get("HYPERFUSE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def forget_passes():
    yield
    cache.configure()
    cache.clear()


@pytest.fixture(scope="session")
def real_data():
    """Return the path of a file that is not part of the project, or skip the test."""

    def path_of(*parts):
        path = DATA.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"{'/'.join(parts)} is not there; HYPERFUSE_TEST_DATA names its folder")
        return path

    return path_of
