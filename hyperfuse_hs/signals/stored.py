"""What a hypermodal signal carries besides its abundances: how it is made, copied and saved."""

from __future__ import annotations

from typing import Any, Self

import dask.array as da
from hyperspy.signal import BaseSignal

from hyperfuse_hs.inputs import progress
from hyperfuse_hs.modality import Watch
from hyperfuse_hs.result import Choices, FusionResult, Scores, as_plain, from_plain
from hyperfuse_hs.signals import templates
from hyperfuse_hs.signals.report import choices_from_plain, choices_to_plain

KEY = "Hypermodal"
"""Where files keep the fusion, in the metadata."""


class StoredFusion(BaseSignal):
    """Signal that carries a fusion through copies and files."""

    _scores: Scores | None = None
    _result: FusionResult | None = None
    _choices: Choices | None = None
    _templates: dict[str, dict[str, Any]]
    _natives: dict[str, BaseSignal]
    _asked: dict[str, Any] | None = None
    """What `fuse` was asked for; not kept in files."""
    _show_progressbar: bool | None = None
    """As `fuse` was told, for later passes over the data; not kept in files."""
    _purifications: tuple[tuple[int, str | None, Any], ...] = ()
    """Arguments of `purify`, call by call; none where files have not kept those of the first."""

    @classmethod
    def from_fusion(
        cls,
        scores: Scores,
        result: FusionResult,
        natives: dict[str, BaseSignal],
        choices: Choices,
    ) -> Self:
        """Wrap the outcome of a fusion.

        Parameters
        ----------
        scores, result
            From the model.
        natives
            The fused signals by name.
        choices
            How it was unmixed.

        Returns
        -------
        StoredFusion
            With abundances of shape ``(nav..., p)``.
        """
        kept = {name: templates.template_of(signal, name) for name, signal in natives.items()}
        return cls._wrap(scores, result, kept, natives, choices)

    @classmethod
    def _wrap(
        cls,
        scores: Scores,
        result: FusionResult,
        kept: dict[str, dict[str, Any]],
        natives: dict[str, BaseSignal],
        choices: Choices,
    ) -> Self:
        scan = next(axes for t in kept.values() if (axes := templates.axes_of(t, navigate=True)))
        axis = {**templates.component_axis(result.n_components), "navigate": False}
        # A copy: what the user does to the data must not change the result behind them.
        data = result.abundances.reshape(*result.navigation_shape, -1).copy()
        title = "Abundances of " + ", ".join(kept)
        h = cls(data, axes=[*scan, axis], metadata={"General": {"title": title}})
        h._scores, h._result, h._choices = scores, result, choices
        h._templates, h._natives = dict(kept), dict(natives)
        return h

    def _to_dictionary(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        dictionary = super()._to_dictionary(*args, **kwargs)
        if self._result is not None:
            dictionary["metadata"][KEY] = {
                "version": 1,
                "scores": as_plain(self._scores),
                "result": as_plain(self._result),
                "choices": choices_to_plain(self._choices),
                "templates": {f"m{i}": t for i, t in enumerate(self._templates.values())},
            }
        return dictionary

    def _load_dictionary(self, file_data_dict: dict[str, Any]) -> None:
        metadata = dict(file_data_dict.get("metadata") or {})
        stored = metadata.pop(KEY, None)
        super()._load_dictionary({**file_data_dict, "metadata": metadata})
        self._natives = {}
        self._templates = {}
        if stored is not None:
            self._scores = from_plain(Scores, stored["scores"])
            self._result = from_plain(FusionResult, stored["result"])
            self._choices = choices_from_plain(stored["choices"])
            listed = [stored["templates"][f"m{i}"] for i in range(len(stored["templates"]))]
            self._templates = {str(t["name"]): _in_memory(t) for t in listed}

    def _deepcopy_with_new_data(self, *args: Any, **kwargs: Any) -> Self:
        fresh = super()._deepcopy_with_new_data(*args, **kwargs)
        return self._hand_on(fresh)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the fusion too; native signals are referred to, as they are by the original."""
        return self._hand_on(super().__deepcopy__(memo))

    def _hand_on(self, fresh: Self) -> Self:
        """Give a copy what files, and so the dictionaries of HyperSpy, do not keep."""
        if isinstance(fresh, StoredFusion) and self._result is not None:
            fresh._natives, fresh._choices = dict(self._natives), self._choices
            fresh._asked, fresh._show_progressbar = self._asked, self._show_progressbar
            fresh._purifications = self._purifications
        return fresh

    def _watch(self, show_progressbar: bool | None) -> Watch:
        """Progress bars as asked for now, else as `fuse` was told."""
        chosen = self._show_progressbar if show_progressbar is None else show_progressbar
        return progress(chosen)

    def _fusion(self) -> FusionResult:
        if self._result is None:
            raise ValueError(
                "Expected the result of a fusion. This hypermodal signal holds abundances only. "
                "Make one with signal.fuse(...)."
            )
        return self._result

    def _whole(self) -> FusionResult:
        result = self._fusion()
        expected = (*result.navigation_shape, result.n_components)
        if self.data.shape != expected:
            raise ValueError(
                f"Expected the whole result of the fusion, of shape {expected}. Got a part or "
                f"rebinned copy of shape {self.data.shape}. Use the result it was made from."
            )
        return result

    def _name(self, m: Any) -> str:
        """Name of a modality given by its name or its native signal."""
        result = self._fusion()
        if isinstance(m, BaseSignal):
            m = next((name for name, native in self._natives.items() if native is m), m)
        if not isinstance(m, str) or m not in result.modalities:
            raise ValueError(
                f"Expected one of the modalities {self.modalities}, by name or signal. Got {m!r}."
            )
        return m


def _in_memory(value: Any) -> Any:
    """Plain values with the arrays that a lazily read file holds computed."""
    if isinstance(value, dict):
        return {key: _in_memory(item) for key, item in value.items()}
    return value.compute() if isinstance(value, da.Array) else value
