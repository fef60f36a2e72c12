"""What came out of a run, and what can be done with it."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Any

import traits.api as t
from matplotlib.figure import Figure

from hyperfuse_hs import plotting


class Outcome(t.HasTraits):
    """The result of a fusion, its texts and figures."""

    result = t.Any(comparison_mode=t.ComparisonMode.identity, desc="the HypermodalSignal, or None")
    component = t.Int(0, desc="the component to look at")
    residuals = t.Dict(
        t.Str,
        t.Any,
        comparison_mode=t.ComparisonMode.identity,
        desc="by name, maps of the reduced residual",
    )
    bands = t.Any(comparison_mode=t.ComparisonMode.identity, desc="errors of the components")
    preview = t.Bool(False, desc="whether a better result is still being searched for")
    summary = t.Str
    edge = t.Str(desc="number of components that stand out of the noise")
    code = t.Str(desc="the call that gives this result")
    variable = t.Str("h", desc="variable of the session that gets the result")
    file = t.Str("fused.hspy", desc="file that gets the result")
    overwrite = t.Bool(False, desc="whether an existing file is replaced")
    errors = t.Dict(t.Str, t.Str)
    notice = t.Str
    background = t.Bool(False)

    _variables: Any

    def write_back(self) -> None:
        """Write the result that is shown onto the native signals."""
        if self.result is not None:
            self.result.write_back()
            names = ", ".join(self.result._natives)
            self.notice = f"Written onto the learning results of {names}."

    def keep(self) -> None:
        """Put the result into a variable of the session."""
        name = self.variable.strip()
        self._say("variable", "")
        if self.result is None:
            return
        if not name.isidentifier() or keyword.iskeyword(name):
            self._say("variable", f"Expected the name of a variable, such as h. Got {name!r}.")
            return
        self._variables[name] = self.result
        self.notice = f"The result is in the variable {name}."

    def save(self) -> None:
        """Save the result to a file."""
        self._say("file", "")
        if self.result is None:
            return
        path = Path(self.file.strip()).expanduser()
        if path.exists() and not self.overwrite:
            message = f"Expected a new file. Got {path}, which exists. Allow to replace it."
            self._say("file", message)
            return
        try:
            self.result.save(path, overwrite=self.overwrite)
        except Exception as error:  # Whatever keeps a file from being written is for the user.
            self._say("file", f"The result was not saved: {error}")
            return
        self.notice = f"Saved to {path}."

    def draw_component(self, figure: Figure | None = None) -> Figure:
        """Draw the map of the component to look at, and its factors, with errors once known."""
        if self.bands is None and not self.background and not self.preview:
            self.trait_setq(bands=plotting.component_errors(self.result))
        bands = False if self.bands is None else self.bands
        h, component = self.result, self.component
        return plotting.plot_component(h, component, errors=bands, figure=figure)

    def draw_all(self, figure: Figure | None = None) -> Figure:
        """Draw all components."""
        return plotting.plot_components(self.result, errors=not self.preview, figure=figure)

    def draw_scree(self, figure: Figure | None = None) -> Figure:
        """Draw singular values and the edge of the noise."""
        return plotting.plot_scree(self.result, figure=figure)

    def draw_residuals(self, figure: Figure | None = None) -> Figure:
        """Draw the residuals that have been computed."""
        return plotting.plot_residuals(self.result, self.residuals, figure=figure)

    def _say(self, entry: str, message: str) -> None:
        """Show a message beside an entry, or none."""
        others = {key: text for key, text in self.errors.items() if key != entry}
        self.errors = {**others, entry: message} if message else others
        if message:
            self.notice = ""
