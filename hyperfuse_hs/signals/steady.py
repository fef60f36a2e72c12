"""Which components to trust, as a method of the signal of a fusion and the object it returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperfuse_hs.signals.uncertain import UncertainFusion
from hyperfuse_hs.stability import RankStability, chain, rank_stability
from hyperfuse_hs.unmixing import SIGNED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKS = range(2, 6)
SEEDS = 2
RESAMPLES = 6

TRUSTED = 0.9
"""Least mean correlation of a map with those found again: less than a fifth of its variance is then
something else."""


class SteadyFusion(UncertainFusion):
    """Signal of a fusion that says which components come out again."""

    def stability(
        self,
        n_components: Iterable[int] | int = RANKS,
        *,
        seeds: int = SEEDS,
        resamples: int = RESAMPLES,
        random_state: Any = 0,
        show_progressbar: bool | None = None,
    ) -> Stability:
        """Unmix with several numbers of components, starts and parts of the positions.

        A component that is there comes out again: from other random starts of the search, and from
        any half of the positions, whose noise is another one. What divides up noise looks
        different each time. No data are read.

        Parameters
        ----------
        n_components
            Numbers of components to try.
        seeds
            How many other random starts for each.
        resamples
            How many random halves of the positions for each.
        random_state
            Seed or generator that draws both.
        show_progressbar
            None: as `hyperfuse_hs.fuse` was told.

        Returns
        -------
        Stability
            Print it, or call its `plot`. A component is matched to those found again by the angles
            between their abundance maps; the correlation of the maps is its reproducibility.

        Raises
        ------
        ValueError
            A number is less than one (`seeds` and `resamples`: both zero), the components are not
            corners of a simplex, or there are more than the data can tell apart.
        TypeError
            A number is not whole.
        """
        self._whole()
        assert self._scores is not None and self._choices is not None
        self._check_method()
        ranks = _checked_ranks(n_components)
        repeats = (_whole_number("seeds", seeds, 0), _whole_number("resamples", resamples, 0))
        if not any(repeats):
            raise ValueError("Expected seeds or resamples above 0. Got 0 of both.")
        rng, watch = np.random.default_rng(random_state), self._watch(show_progressbar)
        found = {
            rank: rank_stability(self._scores, self._choices, rank, *repeats, rng, watch)
            for rank in ranks
        }
        return Stability(self, found)

    def _check_method(self) -> None:
        result, choices = self._fusion(), self._choices
        assert choices is not None
        named = result.options["unmixing"]
        lost = named == "custom" and isinstance(choices.unmixing, str)
        if named in (*SIGNED, "nmf") or lost:
            raise ValueError(
                "Expected components that are corners of a simplex, to be looked for again. Got "
                f'unmixing="{named}". Ask h.unmix(unmixing="face_mixture").'
            )


class Stability:
    """How well the components of different numbers of them come out again.

    Parameters
    ----------
    fusion
        The result whose components these are.
    found
        By number of components.
    """

    def __init__(self, fusion: SteadyFusion, found: dict[int, RankStability]) -> None:
        self._fusion, self._found = fusion, found
        chained = chain([one.abundances for one in found.values()])
        self._chain = dict(zip(found, chained, strict=True))

    @property
    def ranks(self) -> list[int]:
        """Numbers of components that were tried, ascending."""
        return list(self._found)

    @property
    def best_rank(self) -> int | None:
        """Largest number of components of which all can be trusted; None if there is none."""
        good = [rank for rank in self.ranks if self.trusted(rank).all()]
        return max(good, default=None)

    def reproducibility(self, n_components: int) -> NDArray[np.float64]:
        """Reproducibility of each component, from -1 to 1.

        Parameters
        ----------
        n_components
            One of `ranks`.

        Returns
        -------
        ndarray
            ``(p,)`` mean correlation of its abundance map with those found again, with other
            starts or from halves of the positions: whichever is less.

        Raises
        ------
        ValueError
            This number was not tried.
        """
        return self._one(n_components).reproducibility

    def trusted(self, n_components: int) -> NDArray[np.bool_]:
        """Whether each component has a reproducibility of 0.9 at least.

        Parameters
        ----------
        n_components
            One of `ranks`.

        Returns
        -------
        ndarray
            ``(p,)``.

        Raises
        ------
        ValueError
            This number was not tried.
        """
        return self.reproducibility(n_components) >= TRUSTED

    def tracks(self, n_components: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Which components of fewer, and of more, these are.

        Parameters
        ----------
        n_components
            One of `ranks`.

        Returns
        -------
        track : ndarray
            ``(p,)`` components of different numbers of them that are matched have the same.
        correlation : ndarray
            ``(p,)`` of the map with that of the next lower number; NaN for a new one.

        Raises
        ------
        ValueError
            This number was not tried.
        """
        self._one(n_components)
        return self._chain[n_components]

    def get_maps(self, n_components: int) -> NDArray[np.float64]:
        """Abundance maps with one number of components.

        Parameters
        ----------
        n_components
            One of `ranks`.

        Returns
        -------
        ndarray
            ``(p, nav...)``, NaN where excluded.

        Raises
        ------
        ValueError
            This number was not tried.
        """
        result, one = self._fusion._fusion(), self._one(n_components)
        maps = np.full((n_components, result.excluded.size), np.nan)
        maps[:, ~result.excluded] = one.abundances.T
        return maps.reshape(-1, *result.navigation_shape)

    def plot(self, **kwargs: Any) -> Figure:
        """Figure of all maps, with their reproducibility.

        Parameters
        ----------
        **kwargs
            As in `hyperfuse_hs.plotting.plot_stability`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_stability

        return plot_stability(self, **kwargs)

    def __repr__(self) -> str:
        """Say in a line for each number of components how well they come out again."""
        lines = ["<Stability: mean correlation of the maps found again>"]
        for rank, one in self._found.items():
            numbers = " ".join(f"{value:5.2f}" for value in one.reproducibility)
            good = int(self.trusted(rank).sum())
            lines.append(f"{rank:3d} components: {numbers}   {good} of {rank} to be trusted")
        if self.best_rank is None:
            lines.append("There is no number of components of which all can be trusted.")
        else:
            lines.append(f"{self.best_rank} is the largest number of which all can be trusted.")
        return "\n".join(lines)

    def _one(self, n_components: int) -> RankStability:
        if n_components not in self._found:
            raise ValueError(
                f"Expected a number of components that was tried: {self.ranks}. Got {n_components}."
            )
        return self._found[n_components]


def _checked_ranks(n_components: Any) -> list[int]:
    """Return numbers of components, ascending."""
    many = isinstance(n_components, Iterable) and not isinstance(n_components, str)
    given = list(n_components) if many else [n_components]
    ranks = sorted({_whole_number("n_components", rank, 1) for rank in given})
    if not ranks:
        raise ValueError("Expected numbers of components, such as range(2, 6). Got none.")
    return ranks


def _whole_number(what: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        example = ", or some such as range(2, 6)" if what == "n_components" else ""
        raise TypeError(f"Expected {what} as a whole number{example}. Got {value!r}.")
    if value < least:
        raise ValueError(f"Expected {what} of {least} at least. Got {value}.")
    return int(value)
