"""
Another number of components, another method
============================================

What was compressed is kept, so that other choices need no look at the data.
"""

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(
    scan=(40, 40), eels_channels=512, modalities=["EELS", "EDS"], random_state=1
)
h = hf.fuse(
    list(phantom.signals.values()),
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)

# %%
# Noise stays below the dashed lines; what lies above is signal.

h.plot_scree()

# %%
# With two components the polymorphs stay together.

h.unmix(n_components=2).plot_components()

# %%
# Methods differ in what they take for granted; here the truth is known.

for method in ("face_mixture", "minimum_volume", "vertex"):
    other = h.unmix(unmixing=method)
    factors = other.get_factors("EELS").data
    order = hf.metrics.match_components(factors, phantom.factors["EELS"])
    error = hf.metrics.root_mean_square_error(other.data[..., order], phantom.abundances)
    print(f"{method:15} RMSE of the abundances {error:.3f}")
