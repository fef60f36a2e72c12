import pickle
from dataclasses import dataclass, replace

import numpy as np

from hyperfuse_hs.late import Late


@dataclass
class Kept:
    number: int
    values: Late = Late()


class Counted:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.arange(3.0)


def test_a_function_is_called_once_and_only_when_the_field_is_read():
    made = Counted()
    kept = Kept(1, made)
    assert made.calls == 0
    np.testing.assert_array_equal(kept.values, [0.0, 1.0, 2.0])
    assert kept.values is kept.values
    assert made.calls == 1


def test_values_are_kept_as_they_are():
    values = np.ones(2)
    assert Kept(1, values).values is values
    assert Kept(1).values is None
    kept = Kept(1, values)
    kept.values = None
    assert kept.values is None


def test_copies_hold_the_value():
    made = Counted()
    changed = replace(Kept(1, made), number=2)
    np.testing.assert_array_equal(changed.values, [0.0, 1.0, 2.0])
    again = pickle.loads(pickle.dumps(Kept(1, made)))
    np.testing.assert_array_equal(again.values, [0.0, 1.0, 2.0])
