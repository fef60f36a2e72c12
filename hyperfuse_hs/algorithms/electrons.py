"""Electrons as waves."""

import numpy as np


def electron_wavelength(beam_energy: float) -> float:
    """
    Relativistic wavelength of electrons in Å.

    Parameters
    ----------
    beam_energy
        In keV.
    """
    # h / sqrt(2 m e V (1 + e V / 2 m c^2)) with V in volt.
    voltage = 1e3 * beam_energy
    return 12.2642598 / float(np.sqrt(voltage * (1.0 + 0.978475598e-6 * voltage)))
