"""Which option of ``fuse`` an error is about, so that a form can show its message beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def concerning(option: str, name: str | None = None) -> Iterator[None]:
    """Note on errors which option is wrong, and for which modality, where none is noted yet.

    Parameters
    ----------
    option
        An argument of `fuse`.
    name
        Of the modality, where the option has a value for each.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if concern_of(error) is None:
            error.__dict__["concern"] = (option, name)
        raise


def concern_of(error: BaseException) -> tuple[str, str | None] | None:
    """Option that an error is about, and the modality; None where it is not noted."""
    concern: tuple[str, str | None] | None = error.__dict__.get("concern")
    return concern
