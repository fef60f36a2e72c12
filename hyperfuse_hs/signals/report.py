"""Results in words, as learning results, and choices as plain values that files can hold."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.coupling import significant_count
from hyperfuse_hs.feasibility import absence_evidence, open_components
from hyperfuse_hs.result import Choices, FusionResult
from hyperfuse_hs.unmixing import SIGNED

SAME_OPTIMUM = 2e-3
"""Log-likelihood per position within which two searches have found the same."""

COST = 0.05
"""What factors without negative values may add to a reduced chi-squared without a remark."""


def abundance_quantity(result: FusionResult) -> str:
    """Say what the abundances are fractions of.

    Parameters
    ----------
    result
        The fusion.

    Returns
    -------
    str
        ``"count fractions of ..."`` where the intensity was taken from the counts of a signal:
        shares of what that signal counted at a position. Otherwise ``"thickness fractions"``:
        shares of the path through the specimen, if the intensity given (or the same everywhere)
        is that of the specimen. Scores of methods that do not give fractions are called so.
    """
    if result.options["unmixing"] in SIGNED:
        return "scores"
    if "total" in result.options["scale"]:
        first = next(part.name for part in result.modalities.values() if part.role != "passive")
        return f"count fractions of {first}"
    return "thickness fractions"


def _standings(result: FusionResult) -> list[str]:
    """Name the components that the positions do not determine."""
    lines = []
    for component in range(result.n_components):
        others, known = open_components(result, component)
        if known and others:
            listed = ", ".join(map(str, others))
            lines.append(
                f"Not identified: component {component}, (almost) nowhere seen without "
                f"{listed}, of which an unknown amount may be mixed into it; see feasible_range "
                "and purify."
            )
    if not lines and result.n_components > 1 and absence_evidence(result) is not None:
        lines.append("Identified: every component, each is seen without each of the others.")
    return lines


def _significance(result: FusionResult) -> list[str]:
    """Compare the number of components with what stands out of the noise."""
    leads = [part for part in result.modalities.values() if part.role == "lead"]
    together = standing_out(result)
    lines = []
    if leads and together > max(part.rank for part in leads):
        alone = ", ".join(f"{part.rank} in {part.name} alone" for part in leads)
        lines.append(
            f"Gain of fusion: {together} components stand out of the noise together, {alone}."
        )
    if result.n_components > max(together, 1):
        lines.append(
            f"Only {together} of the {result.n_components} components stand out of the noise; what "
            "tells the others apart is hardly more than noise. Use fewer, or "
            'n_components="auto".'
        )
    return lines


def standing_out(result: FusionResult) -> int:
    """Count the components that stand out of the noise.

    Parameters
    ----------
    result
        The fusion.

    Returns
    -------
    int
        Of the directions of the leading modalities, as all modalities together see them.
    """
    return significant_count(result.lead_values, result.lead_edges)


def edge_text(result: FusionResult) -> str:
    """Say how many components stand out of the noise, next to the number there is.

    Parameters
    ----------
    result
        The fusion.

    Returns
    -------
    str
        One sentence.
    """
    together = standing_out(result)
    shown = result.n_components
    found = f"{together} component{'s stand' if together != 1 else ' stands'} out of the noise"
    return f"{found}; {shown} {'are' if shown != 1 else 'is'} shown."


def _spread(starts: NDArray[np.float64]) -> str:
    """Say how many searches agree, in natural units of the log-likelihood of a position."""
    behind = starts.max() - starts
    agree = int(np.sum(behind < SAME_OPTIMUM))
    text = f"{agree} of {starts.size} searches for the endmembers agree"
    if agree == starts.size:
        return text + "."
    return f"{text}; the worst is {behind.max():.2g} per position less likely."


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
        f"abundances are {abundance_quantity(result)}",
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
        if part.role == "lead" and part.cost_of_signs > COST:
            remarks.append(
                f"{part.name}: components lie farther out than its data allow. Their factors would "
                f"have to be negative; those that are not add {part.cost_of_signs:.2g} to the "
                'residual. Compare h.unmix(unmixing="nmf").'
            )
        empty = np.count_nonzero((part.basis_factors == 0).all(axis=0))
        if empty:
            remarks.append(f"{part.name}: nothing in {empty} of {part.excluded.size} channels.")
    left_out = np.count_nonzero(result.excluded)
    if left_out:
        remarks.append(f"{left_out} of {result.excluded.size} probe positions excluded.")
    lines += remarks + _significance(result)
    if result.start_log_likelihoods is not None:
        lines.append(_spread(result.start_log_likelihoods))
    if "purified" in options:
        lines.append(f"Component {options['purified']} has been purified.")
    else:
        lines += _standings(result)
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
    count = len(part.basis_factors)
    # Directions of the lead alone that were put back have no joint singular value.
    missing = max(0, count - result.singular_values.size)
    variance = np.append(result.singular_values**2, np.zeros(missing))
    return {
        "loadings": scale * result.basis[:, :count],
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
