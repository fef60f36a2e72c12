"""Results in words, as learning results, and choices as plain values that files can hold."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from hyperfuse_hs.result import Choices, FusionResult

FEW_ON_FACET = 10.0
"""Positions without a component below which it counts as not identified."""


def summary(result: FusionResult) -> str:
    """Describe a fusion, a line a modality.

    Parameters
    ----------
    result
        The fusion.

    Returns
    -------
    str
        Role, noise, rank, share of variance, passes and time of each modality.
    """
    options = result.options
    lines = [
        f"{result.n_components} components by {options['unmixing']}, abundances: "
        f"{options['abundances']}, intensity: {options['scale']}",
        f"{'':16}{'role':9}{'noise':10}{'gain':>9}{'rank':>6}{'variance':>10}{'passes':>8}{'time':>9}",
    ]
    remarks: list[str] = []
    for part in result.modalities.values():
        lines.append(
            f"{part.name[:15]:16}{part.role:9}{part.noise:10}{part.gain:9.3g}{part.rank:6d}"
            f"{part.variance_share:10.1%}{part.passes:8d}{part.seconds:7.2f} s  ({part.reason})"
        )
        if part.role == "lead" and part.rank == 0:
            remarks.append(f"{part.name}: nothing in it stands out of its noise.")
        empty = np.count_nonzero((part.basis_factors == 0).all(axis=0))
        if empty:
            remarks.append(f"{part.name}: nothing in {empty} of {part.excluded.size} channels.")
    left_out = np.count_nonzero(result.excluded)
    if left_out:
        remarks.append(f"{left_out} of {result.excluded.size} probe positions excluded.")
    lines += remarks
    if "purified" in options:
        lines.append(f"Component {options['purified']} has been purified.")
    elif result.facet_support is not None:
        weak = np.flatnonzero(result.facet_support < FEW_ON_FACET)
        if weak.size:
            listed = ", ".join(map(str, weak))
            lines.append(
                f"Not identified: component(s) {listed}, present at (almost) every probe position. "
                "Some of the others may be mixed into them; see purify."
            )
    return "\n".join(lines)


def native_results(result: FusionResult, name: str) -> dict[str, Any]:
    """Arrange what HyperSpy's learning results of one native signal hold.

    Parameters
    ----------
    result
        The fusion.
    name
        Of the modality.

    Returns
    -------
    dict
        What `hyperfuse_hs.writeback.build_results` takes. Loadings are multiplied by the local
        intensity, so that they and the factors describe the data.
    """
    part = result.modalities[name]
    scale = part.scale[:, None]
    count = result.basis.shape[1]
    # Directions of the lead alone that were put back have no joint singular value.
    missing = max(0, count - result.singular_values.size)
    variance = np.append(result.singular_values**2, np.zeros(missing))
    return {
        "loadings": scale * result.basis,
        "factors": part.basis_factors.T,
        "bss_loadings": scale * result.abundances,
        "bss_factors": part.factors.T,
        "explained_variance": variance,
        "number_significant_components": count,
        "algorithm": "hyperfuse_hs coupled PCA",
        "bss_algorithm": f"hyperfuse_hs {result.options['unmixing']}",
        "poissonian": part.noise == "poisson",
        "navigation_excluded": result.excluded,
        "signal_excluded": part.excluded,
        "provenance": {
            "modality": name,
            "role": part.role,
            "fused with": [n for n in result.modalities if n != name],
            **copy.deepcopy(result.options),
        },
    }


def choices_to_plain(choices: Choices | None) -> dict[str, Any]:
    """Turn choices into text and numbers.

    Parameters
    ----------
    choices
        How a fusion was unmixed.

    Returns
    -------
    dict
        An own object of the user's for unmixing becomes ``"custom"``.
    """
    assert choices is not None
    named = isinstance(choices.unmixing, str)
    return {
        "n_components": -1 if choices.n_components is None else choices.n_components,
        "roles": [f"{role}:{name}" for name, role in choices.roles.items()],
        "weights": [f"{weight!r}:{name}" for name, weight in choices.weights.items()],
        "unmixing": choices.unmixing if named else "custom",
        "abundances": choices.abundances,
        "seed": choices.seed,
    }


def choices_from_plain(plain: dict[str, Any]) -> Choices:
    """Read what `choices_to_plain` returned and a file kept."""
    count = int(plain["n_components"])
    roles = [str(item).split(":", 1) for item in plain["roles"]]
    weights = [str(item).split(":", 1) for item in plain["weights"]]
    return Choices(
        None if count < 0 else count,
        {name: role for role, name in roles},
        {name: float(weight) for weight, name in weights},
        str(plain["unmixing"]),
        str(plain["abundances"]),
        int(plain["seed"]),
    )
