"""
Which components to trust
=========================

Unmix with several numbers of components, random starts and halves of the positions: what is there
comes out again.
"""

# %%
# Three components are in this phantom.

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(
    scan=(24, 24), detector=(16, 16), eels_channels=128, eds_channels=64
)
h = hf.fuse(
    list(phantom.signals.values()),
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)

# %%
# Singular values above the edge of the noise are signal. The second panel has those that count
# components; the bands say how sure the edges are.

h.plot_scree()

# %%
# No data are read for this either. A few repetitions will do for a first look.

found = h.stability(range(2, 5), seeds=1, resamples=3, show_progressbar=False)
print(found)

# %%
# With three components all come out again. With four, one of them is divided in two, each time in
# another way.

found.plot()
