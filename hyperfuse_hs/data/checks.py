"""Checks of the parameters of a phantom, before any work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral
from pathlib import Path


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raise ValueError, with the choices, unless `value` is one of them."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {listed}. Got {value!r}. Choose one of these.")


def check_modalities(modalities: Collection[str], choices: Collection[str]) -> None:
    """Raise unless `modalities` is a non-empty collection of names out of `choices`."""
    if isinstance(modalities, str):
        raise TypeError(
            f"modalities must be a collection of names. Got the string {modalities!r}. "
            f"Give [{modalities!r}]."
        )
    if not modalities:
        raise ValueError(
            "modalities must name at least one modality. Got none. Leave it out for all of them."
        )
    for name in modalities:
        check_choice("Each of modalities", name, choices)


def check_shape(name: str, shape: Sequence[int], least: int) -> tuple[int, int]:
    """Return (rows, columns), both integers of at least `least`; raise if they are not."""
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if len(sizes) != 2 or not all(isinstance(n, Integral) and n >= least for n in sizes):
        raise ValueError(
            f"{name} must be two integers, (rows, columns), of at least {least} each. "
            f"Got {shape!r}. Give e.g. {name}=(64, 64)."
        )
    return int(sizes[0]), int(sizes[1])


def check_count(name: str, count: int, least: int) -> None:
    """Raise ValueError unless `count` is an integer of at least `least`."""
    if not isinstance(count, Integral) or count < least:
        raise ValueError(
            f"{name} must be an integer of at least {least}. Got {count!r}. Give a larger one."
        )


def check_doses(**doses: float) -> None:
    """Raise ValueError unless all given doses are positive and finite."""
    for name, dose in doses.items():
        if not 0 < dose < float("inf"):
            raise ValueError(
                f"{name} must be a positive number of counts for each probe position. "
                f"Got {dose!r}. Leave the modality out of modalities=[...] if you do not want it."
            )


def check_folder(folder: str | Path | None, modalities: Collection[str]) -> dict[str, Path]:
    """Return the file of each modality; raise FileExistsError if one is there already."""
    if folder is None:
        return {}
    paths = {name: Path(folder) / f"{name}.zspy" for name in modalities}
    for path in paths.values():
        if path.exists():
            raise FileExistsError(
                f"folder must not hold a phantom yet. Got {folder}, with {path.name} in it. "
                "Remove it or give another folder."
            )
    return paths
