"""
What a detector would have seen
===============================

X-rays and diffraction were recorded in the left half of a scan only. EELS tells what the right half
would have given.
"""

import matplotlib.pyplot as plt
import numpy as np

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(
    scan=(48, 48), detector=(48, 48), eels_channels=512, random_state=2
)
s_eels, s_edx, s_4d = phantom.signals.values()
vacuum = phantom.navigation_mask.data
missing = np.zeros_like(vacuum)
missing[:, 24:] = True
h = s_eels.fuse(
    s_edx,
    s_4d,
    n_components=3,
    navigation_mask=vacuum | missing,
    random_state=0,
    show_progressbar=False,
)

# %%
# Predictions are lazy and cover all of the scan, also what was left out of the fusion. Each has the
# variance of the predicted mean with it.

edx = h.predict("EDS", from_="EELS")
pattern = h.predict("Diffraction", from_="EELS")
print(pattern, pattern.get_noise_variance(), sep="\n")

# %%
# Seen through the Ti Ka line, and through a ring of the detector, around the (101) reflections of
# anatase:

line = np.abs(s_edx.axes_manager[-1].axis - 4.51) < 0.12
ky, kx = (axis.axis for axis in s_4d.axes_manager.signal_axes[::-1])
ring = np.abs(np.hypot(ky[:, None], kx) - 0.284) < 0.04
rows = {
    "Ti Kα (counts)": ((s_edx.data @ line), (edx.data @ line).compute()),
    "Ring at 0.284 1/Å (counts)": (
        (s_4d.data * ring).sum(axis=(-2, -1)),
        (pattern.data * ring).sum(axis=(-2, -1)).compute(),
    ),
}
figure, panels = plt.subplots(2, 2, layout="constrained", figsize=(7, 6.4))
for row, (label, pair) in zip(panels, rows.items(), strict=True):
    top = np.quantile(pair[0][~vacuum], 0.98)
    for panel, values, title in zip(row, pair, ("measured", "predicted from EELS"), strict=True):
        shown = np.where(vacuum, np.nan, values)
        image = panel.imshow(shown, vmin=0, vmax=top, extent=(0, 48, 48, 0))
        panel.axvline(24, color="w", ls="--")
        panel.set(title=title, xlabel="x (nm)", ylabel="y (nm)")
    figure.colorbar(image, ax=row, label=label)

# %%
# The X-rays of a phase are always the same: the prediction is as good as a measurement with far
# more counts. How a crystal diffracts depends on its orientation, which EELS does not know: the
# prediction is the mean over the crystals of the left half. The variance holds for this mean.

other = missing & ~vacuum
measured, predicted = (values[other] for values in rows["Ti Kα (counts)"])
truth = phantom.abundances[other] @ phantom.factors["EDS"] @ line
for title, values in (("measured", measured), ("predicted", predicted)):
    print(f"error of Ti Ka in the right half, {title}: {np.std(values - truth):.1f} counts")
