"""Kernels on arrays: decomposition, unmixing, noise. No HyperSpy here."""
