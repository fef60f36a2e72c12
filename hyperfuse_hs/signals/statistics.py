"""Errors and correlations, as methods of the signal of a fusion."""

from __future__ import annotations

from hyperfuse_hs.signals.steady import SteadyFusion


class MeasuredFusion(SteadyFusion):
    """Signal of a fusion that says how certain things are, and what goes with what."""
