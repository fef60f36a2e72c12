"""
What goes with a feature
========================

Pick a feature in one signal, and see what in the others goes with it, with its significance.
"""

import matplotlib.pyplot as plt
import numpy as np

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(
    scan=(48, 48), detector=(48, 48), eels_channels=512, eds_channels=256, random_state=1
)
h = hf.fuse(
    list(phantom.signals.values()),
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)

# %%
# Titanium: its white lines in EELS go with its X-rays, and against those of carbon. What is not
# significant is grey in curves and pale in images.

h.plot_correlations("EELS", region=(455.0, 470.0))

# %%
# The second peak of L3 is higher in anatase than in rutile. Beyond what titanium as a whole makes
# expect, it goes with nothing in the X-rays, and with the diffraction of one of the polymorphs.

shoulder = {"region": (458.0, 460.0), "beyond": (450.0, 475.0)}
h.plot_correlations("EELS", **shoulder)

# %%
# The slope is a signal like the diffraction data. Here the truth is known.

found = h.correlate("EELS", "Diffraction", **shoulder)
anatase, rutile, _ = phantom.factors["Diffraction"]
likeness = np.corrcoef(found.slope.data.ravel(), (anatase - rutile).ravel())[0, 1]
print(f"Correlation of the slopes with anatase - rutile: {likeness:.2f}")

# %%
# Every pair of signals has something in common.

h.plot_correlations()

# %%
# Where does the model fit? By position, and by channel: the patterns of crystals that are
# oriented differently are not those of the components.

h.plot_residuals()

channels = h.get_channel_residual("EELS")
figure, axes = plt.subplots(layout="constrained", figsize=(6, 2.5))
axes.plot(channels.axes_manager[-1].axis, channels.data, linewidth=0.8)
axes.axhline(1, color="black", linewidth=0.5)
axes.set(xlabel="Energy loss (eV)", ylabel="Squared residual over noise")

# %%
# Which components are present where, with probabilities.

h.plot_faces()
