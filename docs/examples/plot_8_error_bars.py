"""
Error bars
==========

Errors and confidence intervals of factors and abundances, and how often they hold the truth.
"""

# %%
# A small phantom with few counts in EDX.

import matplotlib.pyplot as plt
import numpy as np

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(
    scan=(32, 32), detector=(16, 16), eels_channels=256, eds_channels=256, random_state=1
)
h = hf.fuse(
    list(phantom.signals.values()),
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)

# %%
# The figure of the components shows them: bands around spectra hold the truth in 95 % of the
# channels; the number in the corner of a pattern is its error as a whole.

h.plot_components()

# %%
# Numbers come as signals of the native class. Here is how many of the intervals hold the truth,
# which a phantom knows.

order = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])
for name in ("EELS", "EDS"):
    truth = phantom.factors[name]
    for level in (0.68, 0.95):
        lower, upper = (end.data[order] for end in h.get_factor_interval(name, level))
        held = (lower <= truth) & (truth <= upper)
        print(f"{name:5} {level:.0%}: {held[truth > 0].mean():.0%}")

# %%
# Abundances lie between 0 and 1. Where a component is absent, an interval that is cut at zero would
# hold the truth too often; these hold it as often as they say, there too.

truth = np.moveaxis(phantom.abundances, -1, 0)
for level in (0.68, 0.95):
    lower, upper = (end.data[order] for end in h.get_abundance_interval(level))
    held = ((lower <= truth) & (truth <= upper))[np.isfinite(truth)]
    print(f"abundances {level:.0%}: {held.mean():.0%}")

# %%
# The bootstrap adds that the endmembers are uncertain themselves: simulated scores are unmixed
# again and again, without reading data. Along a line through the middle of the scan:

boot = h.bootstrap(40, random_state=0)
fig, axes = plt.subplots(layout="constrained")
row = h.data.shape[0] // 2
maps = h.get_abundances()
position = h.axes_manager.navigation_axes[0]
for ends, alpha in ((boot.get_abundance_interval(0.95), 0.2), (h.get_abundance_interval(), 0.4)):
    lower, upper = (end.data[order[1], row] for end in ends)
    axes.fill_between(position.axis, lower, upper, color="#E69F00", alpha=alpha, linewidth=0)
axes.plot(position.axis, maps.data[order[1], row], color="#E69F00", label="rutile, found")
axes.plot(position.axis, truth[1, row], color="black", linestyle=":", label="truth")
axes.set(xlabel=f"{position.name} ({position.units})", ylabel="Abundance")
axes.legend()
