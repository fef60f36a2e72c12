"""Figures of a fusion, as methods of its signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperfuse_hs.signals.extended import ExtendedFusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PlottedFusion(ExtendedFusion):
    """Signal of a fusion that draws itself."""

    def plot_components(self, **kwargs: Any) -> Figure:
        """Figure with a row a component: abundance map, and its factor in every modality.

        Parameters
        ----------
        **kwargs
            As in `hyperfuse_hs.plotting.plot_components`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_components

        self._whole()
        return plot_components(self, **kwargs)

    def plot_component(self, component: int, **kwargs: Any) -> Figure:
        """Figure of one component with its errors: abundance, and factor in every modality.

        Parameters
        ----------
        component
            Which one, counted from 0.
        **kwargs
            As in `hyperfuse_hs.plotting.plot_component`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_component

        self._whole()
        return plot_component(self, component, **kwargs)

    def plot_residuals(self, **kwargs: Any) -> Figure:
        """Figure of where the model does not fit, in one pass over the data of every modality.

        Parameters
        ----------
        **kwargs
            As in `hyperfuse_hs.plotting.plot_residuals`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_residuals

        self._whole()
        return plot_residuals(self, **kwargs)

    def gui(self, display: bool = True, toolkit: Any = None, **kwargs: Any) -> Any:
        """Open the graphical interface on this result.

        Parameters
        ----------
        display
            Whether it is shown, or its widgets are returned.
        toolkit
            ``"ipywidgets"``, ``"traitsui"``, several of them, or None for all that are installed
            and enabled.
        **kwargs
            Handed to the toolkits.

        Returns
        -------
        None or dict
            With ``display=False`` the widgets by toolkit.

        Raises
        ------
        ImportError, NotImplementedError, ValueError
            There is no toolkit to show it with.
        """
        from hyperfuse_hs.gui.reopen import reopened

        self._whole()
        return reopened(self).gui(display=display, toolkit=toolkit, **kwargs)

    def plot_scree(self, **kwargs: Any) -> Figure:
        """Figure of the singular values of each modality and jointly, with the noise edge.

        Parameters
        ----------
        **kwargs
            As in `hyperfuse_hs.plotting.plot_scree`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_scree

        self._fusion()
        return plot_scree(self, **kwargs)

    def plot_faces(self, **kwargs: Any) -> Figure:
        """Figure of where the specimen is pure and where components meet.

        Parameters
        ----------
        **kwargs
            As in `hyperfuse_hs.plotting.plot_faces`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_faces

        self._whole()
        return plot_faces(self, **kwargs)

    def plot_correlations(
        self, m: Any = None, n: Any = None, region: Any = None, **kwargs: Any
    ) -> Figure:
        """Figure of what modalities have in common, or of what goes with a feature of one.

        Parameters
        ----------
        m, n, region
            As in `correlate`; with a region and no n, every other modality.
        **kwargs
            As in `hyperfuse_hs.plotting.plot_correlations`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_correlations

        self._whole()
        return plot_correlations(self, m, n, region, **kwargs)

    def plot_feasible_range(self, component: int, **kwargs: Any) -> Figure:
        """Figure of a component at both ends of what data and non-negativity leave open.

        Parameters
        ----------
        component
            Which one, counted from 0.
        **kwargs
            As in `hyperfuse_hs.plotting.plot_feasible_range`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from hyperfuse_hs.plotting import plot_feasible_range

        self._whole()
        return plot_feasible_range(self, component, **kwargs)
