"""
One spectrum from several detectors
===================================

The spectra of a component in two ranges of EELS and in EDX belong together.
"""

import matplotlib.pyplot as plt
import numpy as np

import hyperfuse_hs as hf

# %%
# The same sample, recorded in two ranges of energy loss: the second one with three times the dose
# and channels of twice the width.

options = {"scan": (40, 40), "eels_channels": 512, "random_state": 1}
first = hf.data.tio2_polymorphs(modalities=["EELS", "EDS"], **options)
second = hf.data.tio2_polymorphs(modalities=["EELS"], eels_dose=3e5, **options)
low = first.signals["EELS"].isig[:520.0]
high = second.signals["EELS"].isig[480.0:].rebin(scale=(1, 1, 2))
h = low.fuse(
    high,
    first.signals["EDS"],
    names=["low", "high", "EDX"],
    n_components=3,
    navigation_mask=first.navigation_mask,
    random_state=0,
    show_progressbar=False,
)
# %%
# Both ranges are counts of the same electrons: their ratio is found where they overlap, and there
# they are joined with weights from their errors. X-rays are other events: they keep their own
# counts, and follow where EELS ends.

joined = h.get_extended_factors(["low", "high", "EDX"])
print(joined, joined.metadata.Extended_factors, sep="\n")

error = np.sqrt(joined.get_noise_variance().data)
energy = joined.axes_manager[-1].axis
figure, panels = plt.subplots(3, 1, layout="constrained", sharex=True, figsize=(7, 6))
for component, panel in enumerate(panels):
    spectrum = joined.data[component]
    band = spectrum - error[component], spectrum + error[component]
    panel.fill_between(energy, *band, color="C1", alpha=0.5, lw=0, label="standard error")
    panel.plot(energy, spectrum, color="C0", lw=1)
    panel.axvspan(480, 520, color="0.9", zorder=0)
    panel.axvline(670, color="0.5", ls="--", lw=1)
    panel.set(xscale="log", yscale="log", xlim=(250, 10400), ylim=(1e-3, 2e5))
    panel.set(title=f"Component {component}")
    for place, text in ((272, "EELS, low"), (680, "X-rays"), (525, "high")):
        panel.text(place, 3e4, text, va="center")
panels[0].legend(loc="upper right")
panels[1].set_ylabel("Counts per eV at abundance 1")
panels[2].set_xlabel("Energy (eV)")
panels[2].set_xticks(
    [300, 500, 1000, 2000, 5000, 10000], labels=[300, 500, 1000, 2000, 5000, 10000]
)
panels[2].minorticks_off()
