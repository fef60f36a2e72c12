"""
Does the model fit?
===================

The residual over the noise is one where the components describe the data, whatever the counts. It
shows what is missing, and where; so do the faces, where components meet.
"""

import hyperfuse_hs as hf

# %%
# Three components are in this phantom: two polymorphs of TiO2, on carbon. First with one too few.

phantom = hf.data.tio2_polymorphs(
    scan=(40, 40), detector=(32, 32), eels_channels=256, eds_channels=128, random_state=2
)
h = hf.fuse(
    list(phantom.signals.values()),
    n_components=2,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)
h.plot_residuals()

# %%
# In EELS the edges of titanium and oxygen do not fit; on the map, the rarer polymorph is slightly
# above one. X-rays do not tell the polymorphs apart, so two components are enough for them. Each
# crystal diffracts in its own way, which no component describes: patterns fit on carbon only.
#
# With three components nothing but noise is left in both spectra. No data are read to unmix anew.

h = h.unmix(n_components=3)
h.plot_residuals()
print(h.get_residual("EELS").data[~phantom.navigation_mask.data].mean())

# %%
# Where the sample is pure, and where phases meet.

h.plot_faces(labels=["0", "1", "2"])
