"""
A core that is never seen without its shell
===========================================

No unsupervised method can separate what never appears apart. A piece of knowledge can.
"""

import matplotlib.pyplot as plt

import hyperfuse_hs as hf

phantom = hf.data.core_shell()
s_eels, s_edx, haadf = phantom.signals.values()
h = s_eels.fuse(
    s_edx,
    haadf,
    names=["EELS", "EDX", "HAADF"],
    n_components=3,
    navigation_mask=phantom.navigation_mask,
    random_state=0,
    show_progressbar=False,
)
factors = h.get_factors("EDX").data
core = hf.metrics.match_components(factors, phantom.factors["EDS"])[0]

# %%
# The component of the FePt core still holds oxide: it has an oxygen K edge at 532 eV. The core has
# none, and that is enough to say.

pure = h.purify(int(core), "EELS", (525.0, 560.0))

energy = h.get_factors("EELS").axes_manager[-1].axis
figure, axes = plt.subplots(layout="constrained")
axes.plot(energy, h.get_factors("EELS").data[core], label="as unmixed")
axes.plot(energy, pure.get_factors("EELS").data[core], label="purified")
axes.plot(energy, phantom.factors["EELS"][0], "k:", label="truth")
axes.set(xlabel="Energy loss (eV)", ylabel="Counts", xlim=(450, 880), ylim=(0, 110))
axes.legend()

# %%
# The other signals follow, as the abundances are shared.

for name, result in (("as unmixed", h), ("purified", pure)):
    factor = result.get_factors("EDX").data[core]
    print(f"{name:12} {hf.metrics.spectral_angle(factor, phantom.factors['EDS'][0]):5.2f}°")
