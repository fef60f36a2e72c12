"""Errors and correlations, as methods of the signal of a fusion."""

from __future__ import annotations

from hyperfuse_hs.signals.uncertain import UncertainFusion


class MeasuredFusion(UncertainFusion):
    """Signal of a fusion that says how certain things are, and what goes with what."""
