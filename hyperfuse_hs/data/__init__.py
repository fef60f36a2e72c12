"""Phantoms: signals of several modalities of one scan, with the truth behind them."""

from hyperfuse_hs.data.core_shell import core_shell
from hyperfuse_hs.data.phantom import Phantom
from hyperfuse_hs.data.tio2 import reference_patterns, tio2_polymorphs

__all__ = ["Phantom", "core_shell", "reference_patterns", "tio2_polymorphs"]
