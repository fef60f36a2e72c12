"""Hypermodal data fusion for HyperSpy."""

__version__ = "0.1.0"
