"""
Three signals, one set of components
====================================

EELS, EDX and 4D-STEM of TiO2 nanoparticles on carbon, decomposed together.
"""

# %%
# The phantom is small here; its parameters set the size of the scan and the dose of each signal.

import hyperfuse_hs as hf

phantom = hf.data.tio2_polymorphs(scan=(40, 40), detector=(32, 32), eels_channels=512)
s_eels, s_edx, s_4d = phantom.signals.values()
print(s_eels, s_edx, s_4d, sep="\n")

# %%
# Positions in vacuum hold nothing and are masked.

h = s_eels.fuse(
    s_edx,
    s_4d,
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)
print(h.summary())

# %%
# Each row is a component: where it is, and what it looks like in each signal.

h.plot_components()

# %%
# Where the specimen shows one component only, and where components meet.

h.plot_faces()

# %%
# In a phantom the truth is known. The spectral angle compares shapes, whatever the dose.

factors = h.get_factors("EELS").data
order = hf.metrics.match_components(factors, phantom.factors["EELS"])
angles = hf.metrics.spectral_angle(factors[order], phantom.factors["EELS"])
error = hf.metrics.root_mean_square_error(h.data[..., order], phantom.abundances)
for component, angle in zip(phantom.components, angles, strict=True):
    print(f"{component:8} {angle:.2f}°")
print(f"RMSE of the abundances: {error:.3f}")
