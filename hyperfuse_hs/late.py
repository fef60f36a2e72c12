"""Fields that are computed when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64] | None


class Late:
    """Field of a dataclass that may be given a function in place of its value.

    The function is called without arguments when the field is first read, and forgotten. The
    default is None.
    """

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the field."""
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> Values:
        """Read the field, and compute it if need be."""
        if instance is None:
            return None  # A dataclass takes it for the default.
        value: Any = instance.__dict__[self.name]
        if callable(value):
            value = instance.__dict__[self.name] = value()
        return value

    def __set__(self, instance: object, value: Values | Callable[[], Values]) -> None:
        """Keep a value, or what computes it."""
        instance.__dict__[self.name] = value
