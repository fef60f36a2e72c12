"""Figures of a fusion: components, residuals, scree plots, faces, feasible ranges, correlations.

Each function takes a :class:`~hyperfuse_hs.signals.hypermodal.HypermodalSignal`, or what its
`stability` returns, and returns a matplotlib figure. Components count from 0, as everywhere in
HyperSpy.
"""

from hyperfuse_hs.plotting.browser import (
    ComponentErrors,
    component_errors,
    plot_component,
)
from hyperfuse_hs.plotting.components import plot_components
from hyperfuse_hs.plotting.correlations import plot_correlations
from hyperfuse_hs.plotting.faces import plot_faces
from hyperfuse_hs.plotting.ranges import plot_feasible_range
from hyperfuse_hs.plotting.residuals import plot_residuals
from hyperfuse_hs.plotting.scree import plot_scree
from hyperfuse_hs.plotting.stability import plot_stability

__all__ = [
    "ComponentErrors",
    "component_errors",
    "plot_component",
    "plot_components",
    "plot_correlations",
    "plot_faces",
    "plot_feasible_range",
    "plot_residuals",
    "plot_scree",
    "plot_stability",
]
