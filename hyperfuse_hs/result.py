"""What a fusion keeps: cached scores, and the components unmixed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.algorithms.tall import crossed, precision, turned
from hyperfuse_hs.late import Late

ROLES = ("lead", "support", "passive")


@dataclass(eq=False)
class ModalityScores:
    """One modality after compression; N positions and C channels are those not excluded.

    Parameters
    ----------
    name
        Name of the modality.
    signal_shape
        Shape of what is recorded at one probe position.
    excluded
        ``(C_all,)``, True = excluded channel.
    noise
        Kind of noise: ``"poisson"``, ``"mixed"``, ``"gaussian"``, ``"none"`` or ``"variance"``.
    gain
        Variance of the noise over the one that the kind implies.
    nonnegative
        Whether the data have no negative values, so that factors have none either.
    divisor
        ``(C,)`` what the variance of each channel was divided by.
    channels
        Number of channels counted by the noise they hold.
    scores
        ``(N, k)``, in units of the noise of each column; no columns for a passive modality.
    singular_values
        ``(k,)``, in units of the noise of the data.
    rank
        How many of them stand out of the noise.
    edge
        Largest singular value that noise alone would give.
    variance
        ``(N, k)`` variance of the noise of the scores; None where it is 1 everywhere.
    offset
        Variance of the noise without counts, over the gain.
    scale
        ``(N,)`` local intensity, mean 1; None where it is the same everywhere.
    bins
        Number of bins of channels that the scores were found from; 0: from the channels.
    turn
        ``(K, K')`` directions within the common basis that the data are projected on; None: all.
    projection
        ``(K', C)`` data (rows over the root of the scale) projected on these directions.
    passes
        How often the data were read.
    seconds
        Time spent on this modality [s].
    """

    name: str
    signal_shape: tuple[int, ...]
    excluded: NDArray[np.bool_]
    noise: str
    gain: float
    nonnegative: bool
    divisor: NDArray[np.float64]
    channels: float
    scores: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    rank: int
    edge: float
    variance: NDArray[np.float64] | None = None
    offset: float = 0.0
    scale: NDArray[np.float64] | None = None
    bins: int = 0
    turn: NDArray[np.float64] | None = None
    projection: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    passes: int = 0
    seconds: float = 0.0

    def seen(
        self, common: NDArray[np.float64], basis: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Look at the data through some directions.

        Parameters
        ----------
        common
            ``(N, K)`` common basis of the scores.
        basis
            ``(N, R)`` directions within it.

        Returns
        -------
        seen : ndarray
            ``(N, R)`` the part of `basis` that the data are projected on.
        joint : ndarray
            ``(R, C)`` the data projected on that, ``seen^T X``.
        """
        # Both sides of the small products come first: nothing else as long as the scan is made.
        inside = crossed(common, basis)
        seen = basis
        if self.turn is not None:
            inside = self.turn.T @ inside
            seen = turned(common, self.turn @ inside)
        kind = precision(basis.shape[1], self.projection.shape[1])
        return seen, inside.T.astype(kind) @ self.projection

    def through(
        self, common: NDArray[np.float64], basis: NDArray[np.float64], columns: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Look at the data and at some columns ``(N, k)`` through the same directions.

        Returns
        -------
        inside : ndarray
            ``(R, k)``, ``seen^T columns`` with what `seen` returns, but without anything as long as
            the scan.
        joint : ndarray
            ``(R, C)`` as of `seen`.
        """
        inside = crossed(common, basis)
        path = inside
        if self.turn is not None:
            inside = self.turn.T @ inside
            path = self.turn @ inside
        kind = precision(basis.shape[1], self.projection.shape[1])
        return path.T @ crossed(common, columns), inside.T.astype(kind) @ self.projection

    def directions(self, common: NDArray[np.float64]) -> NDArray[np.float64]:
        """Orthonormal directions ``(N, K')`` that the data are projected on.

        Parameters
        ----------
        common
            ``(N, K)`` common basis of the scores.
        """
        return common if self.turn is None else turned(common, self.turn)


@dataclass(eq=False)
class Scores:
    """All that unmixing needs: no data are read after this is made.

    Parameters
    ----------
    navigation_shape
        Shape of the scan.
    excluded
        ``(N_all,)``, True = excluded position.
    basis
        ``(N, K)`` orthonormal, spans the scores of every modality.
    scale
        ``(N,)`` local intensity common to all modalities, mean 1.
    scale_kind
        Where it comes from, in words.
    modalities
        By name, in the order of fusion.
    """

    navigation_shape: tuple[int, ...]
    excluded: NDArray[np.bool_]
    basis: NDArray[np.float64]
    scale: NDArray[np.float64]
    scale_kind: str
    modalities: dict[str, ModalityScores]


@dataclass(eq=False)
class ModalityResult:
    """Components as one modality sees them, in its own units.

    Parameters
    ----------
    name, role, reason, noise, gain
        Name; ``"lead"``, ``"support"`` or ``"passive"`` and why; kind and gain of the noise.
    signal_shape
        Shape of what is recorded at one probe position.
    excluded
        ``(C_all,)``, True = excluded channel.
    factors
        ``(p, C_all)``, NaN in excluded channels.
    basis_factors
        ``(R, C_all)`` of the coupled principal components, NaN in excluded channels.
    scale
        ``(N_all,)`` local intensity, NaN where excluded.
    singular_values, edge, rank
        Of this modality alone, in units of its noise.
    variance_share
        Part of the variance above the noise, of all coupled modalities, that is this one's.
    passes, seconds
        How often the data were read, and the time that took [s].
    cost_of_signs
        What not being negative adds to the reduced chi-squared of the factors.
    """

    name: str
    role: str
    reason: str
    noise: str
    gain: float
    signal_shape: tuple[int, ...]
    excluded: NDArray[np.bool_]
    factors: NDArray[np.float64]
    basis_factors: NDArray[np.float64]
    scale: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    edge: float
    rank: int
    variance_share: float
    passes: int
    seconds: float
    cost_of_signs: float = 0.0


@dataclass(eq=False)
class FusionResult:
    """Outcome of unmixing.

    Parameters
    ----------
    navigation_shape, excluded
        Shape of the scan; ``(N_all,)``, True = excluded position.
    n_components
        Number of components, p.
    abundances
        ``(N_all, p)``, NaN where excluded.
    coordinates
        ``(N_all, p)`` the same without constraints, which factors are fitted to.
    basis
        ``(N_all, R)`` coupled principal component scores, NaN where excluded.
    singular_values, edge
        ``(K,)`` joint ones and their noise edge, in units of the noise.
    lead_values, lead_edges
        ``(k,)`` singular values of the denoised lead scores, in units of their noise, and the
        largest that noise alone would give in each of these directions.
    face_sets, face_posterior
        Faces of the simplex as tuples of components, and ``(N_all, F)`` probability of each, or a
        function that computes them once they are read; None unless the method provides them.
    facet_support
        ``(p,)`` number of positions that lie without doubt on the facet where the component is
        absent, or None. A component with few of them is not identified.
    absence_evidence
        ``(p, p)`` how surely positions show the component of the row without that of the column,
        for results whose coordinates no longer tell; None otherwise.
    log_likelihood
        Mean log-likelihood per position of the endmember search, NaN where it has none.
    start_log_likelihoods
        ``(s,)`` what each start of the search reached, None where there are none.
    options
        The choices that led here, as plain values.
    modalities
        By name, in the order of fusion.
    """

    navigation_shape: tuple[int, ...]
    excluded: NDArray[np.bool_]
    n_components: int
    abundances: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    basis: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    edge: float
    lead_values: NDArray[np.float64]
    lead_edges: NDArray[np.float64]
    face_sets: tuple[tuple[int, ...], ...] | None
    facet_support: NDArray[np.float64] | None
    log_likelihood: float
    start_log_likelihoods: NDArray[np.float64] | None
    options: dict[str, Any]
    modalities: dict[str, ModalityResult]
    absence_evidence: NDArray[np.float64] | None = None
    face_posterior: Late = Late()


@dataclass(frozen=True)
class Choices:
    """How to unmix.

    Parameters
    ----------
    n_components
        Number of components; None to take what stands out of the noise of the lead modalities.
    roles
        By name, for those that the user has decided.
    weights
        By name, factor on the unit-noise scores; 0 is the same as passive.
    unmixing
        One of ``unmixing.UNMIXING`` or an object with ``fit``.
    abundances
        One of ``unmixing.ABUNDANCES``.
    seed
        Of the random starts.
    """

    n_components: int | None
    roles: Mapping[str, str]
    weights: Mapping[str, float]
    unmixing: Any
    abundances: str
    seed: int


def as_plain(item: Any) -> dict[str, Any]:
    """Fields of one of the dataclasses above, nested ones too, as a dict that files can hold."""
    plain: dict[str, Any] = {}
    for entry in fields(item):
        value = getattr(item, entry.name)
        if entry.name == "modalities":
            value = {f"m{i}": as_plain(v) for i, v in enumerate(value.values())}
        elif entry.name == "face_sets" and value is not None:
            value = [",".join(map(str, face)) for face in value]
        elif entry.name in ("signal_shape", "navigation_shape"):
            value = np.array(value, dtype=np.int64)
        plain[entry.name] = value
    return plain


def from_plain(kind: type[Any], plain: dict[str, Any]) -> Any:
    """Make one of the dataclasses above from what `as_plain` returned and a file kept."""
    values = dict(plain)
    for name, value in values.items():
        if name == "modalities":
            inner = ModalityScores if kind is Scores else ModalityResult
            items = [from_plain(inner, value[f"m{i}"]) for i in range(len(value))]
            values[name] = {item.name: item for item in items}
        elif name == "face_sets" and value is not None:
            values[name] = tuple(tuple(map(int, face.split(","))) for face in value)
        elif name in ("signal_shape", "navigation_shape"):
            values[name] = tuple(int(n) for n in np.asarray(value))
        elif hasattr(value, "compute"):
            values[name] = value.compute()
        elif name == "options":
            values[name] = {key: _plain_number(item) for key, item in value.items()}
        else:
            values[name] = _plain_number(value)
    return kind(**values)


def _plain_number(value: Any) -> Any:
    """Return a number of numpy, as files give them back, as one of Python."""
    return value.item() if isinstance(value, np.generic) else value
