"""
Which phase is which?
=====================

Components are compared with references: spectra, powder patterns, or crystal structures.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(scan=(48, 48), eels_channels=512, random_state=0)
s_eels, s_edx, s_4d = phantom.signals.values()
h = s_eels.fuse(
    s_edx,
    s_4d,
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)

# %%
# By diffraction. A component that looks like neither gets no name.

patterns = hf.data.reference_patterns()
found = h.identify("Diffraction", patterns, random_state=0)
print(found)
print(found.best)

# %%
# With diffsims, the references may be CIF files: ``h.identify("Diffraction", ["anatase.cif"])``.
#
# By EELS: here the references are the true spectra, 1 eV off.

references = {}
for name, spectrum in zip(phantom.components, phantom.factors["EELS"], strict=True):
    references[name] = hs.signals.Signal1D(spectrum)
    axis = references[name].axes_manager[0]
    axis.offset, axis.scale, axis.units = 261.0, s_eels.axes_manager[-1].scale, "eV"
by_spectrum = h.identify("EELS", references, random_state=0)
print(by_spectrum)
print([f"{match[0].reference}: {match[0].adjustment:.1f} eV" for match in by_spectrum])

# %%
# The scores, with their errors.

figure, axes = plt.subplots(layout="constrained", figsize=(6, 3.5))
places = np.arange(len(found))
for k, name in enumerate(found.names):
    axes.errorbar(
        places + 0.1 * (k - 0.5),
        found.scores[:, k],
        found.errors[:, k],
        fmt="os"[k],
        capsize=3,
        label=name,
    )
axes.axhline(0.4, color="0.6", ls="--", lw=1)
axes.set(xlabel="Component", ylabel="Correlation of the rings", xticks=places, ylim=(-0.5, 1.05))
axes.legend()
