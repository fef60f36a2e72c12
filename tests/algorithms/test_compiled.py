import inspect

import numba
import pytest

from hyperfuse_hs.algorithms import active_set, nonzero
from hyperfuse_hs.algorithms.compiled import compiled

# Numba keeps nothing of code that is in no file, as where no folder can be written.
NOWHERE = {}
exec(compile("def twice(x):\n    return 2 * x\n", "<nowhere>", "exec"), NOWHERE)


def test_kernels_run_where_nothing_can_be_kept():
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(NOWHERE["twice"])
    twice = compiled()(NOWHERE["twice"])
    assert twice(21) == 42
    assert twice.nopython_signatures


def test_kernels_are_kept_where_there_is_a_place(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled(error_model="numpy")
    def inverse(x):
        return 1 / x

    assert inverse(0.0) == float("inf")
    assert list(tmp_path.rglob("*.nbi"))


@pytest.mark.parametrize("module", [active_set, nonzero])
def test_kernels_release_the_lock(module):
    kernels = [v for v in vars(module).values() if hasattr(v, "nopython_signatures")]
    assert kernels
    assert all(kernel.targetoptions["nogil"] for kernel in kernels)
    assert all(inspect.isfunction(kernel.py_func) for kernel in kernels)
