"""
Scans that do not match
=======================

EELS was recorded in one scan, X-rays in a second one that is finer and lies elsewhere: the
specimen had drifted in between. The axes of both begin at zero.
"""

import matplotlib.pyplot as plt
import numpy as np

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(
    scan=(112, 112),
    eels_channels=256,
    eels_dose=3e4,
    counts="thickness",
    modalities=["EELS", "EDS"],
    random_state=1,
)
s_eels, s_edx = phantom.signals.values()
s_eels = s_eels.inav[:96, 10:106].rebin(scale=(2, 2, 1))
s_edx = s_edx.inav[13:109, 3:99]
for signal in (s_eels, s_edx):
    for axis in signal.axes_manager.navigation_axes:
        axis.offset = 0.0
print(s_eels, s_edx, sep="\n")

# %%
# They cannot be fused, and the message says what helps.

try:
    s_eels.fuse(s_edx, n_components=3)
except ValueError as error:
    print(error)

# %%
# The shift is found on maps of all counts. The finer scan is summed to the coarser one, beginning
# at that of its own positions that fits best, and both are cropped to what they share. No count is
# altered.

eels, edx = hf.register(s_eels, s_edx, show_progressbar=False)
print(eels, edx, edx.metadata.Registration, sep="\n")

# %%
# The pair in two colours, orange for EELS and blue for X-rays: what is in both is white or grey.


def overlay(panel, first, second, title):
    """Show two maps, first in orange and second in blue, over an axis in nm."""
    maps = [values / np.quantile(values, 0.99) for values in (first, second)]
    red, blue = (np.clip(values, 0, 1) for values in maps)
    height, width = (2 * size for size in red.shape)
    panel.imshow(np.stack([red, (red + blue) / 2, blue], axis=-1), extent=(0, width, height, 0))
    panel.set(title=title, xlabel="x (nm)", ylabel="y (nm)")


figure, panels = plt.subplots(1, 2, layout="constrained", figsize=(8, 4))
binned = s_edx.rebin(scale=(2, 2, 1))
overlay(panels[0], s_eels.data.sum(-1), binned.data.sum(-1), "As recorded")
overlay(panels[1], eels.data.sum(-1), edx.data.sum(-1), "Registered")

# %%
# Now they can be fused. An image of the second scan would come along with the same shift:
# ``hf.register(s_eels, haadf, shifts=edx.metadata.Registration.shift)``.

total = eels.data.sum(axis=-1)
h = eels.fuse(
    edx,
    n_components=3,
    navigation_mask=total < 0.05 * total.max(),
    random_state=0,
    show_progressbar=False,
)
h.plot_components()
plt.show()
