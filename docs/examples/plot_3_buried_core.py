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
print(h.summary())
core = hf.metrics.match_components(h.get_factors("EELS").data, phantom.factors["EELS"])[0]

# %%
# The summary says which component is not identified: there is no probe position with core and
# without shell. How much of the shell may be mixed into it? The range goes from the factors as
# found to those with as much of the shell subtracted as non-negativity allows, within noise. It is
# common to all signals; here EDX ends it.

h.plot_feasible_range(core)

# %%
# A piece of knowledge picks one solution. The core has no O K edge at 532 eV:

pure = h.purify(core, "EELS", (525.0, 560.0))

ends = h.feasible_range(core)["EELS"]
energy = ends.axes_manager[-1].axis
figure, axes = plt.subplots(layout="constrained")
axes.fill_between(energy, *ends.data, color="0.85", label="feasible range")
axes.plot(energy, h.get_factors("EELS").data[core], label="as unmixed")
axes.plot(energy, pure.get_factors("EELS").data[core], label="purified")
axes.plot(energy, phantom.factors["EELS"][0], "k:", label="truth")
axes.set(xlabel="Energy loss (eV)", ylabel="Counts", xlim=(450, 880), ylim=(0, 110))
axes.legend()

# %%
# The other signals follow, as the abundances are shared. The O K line in the EDX spectra, which
# hold far fewer counts, serves as well.

results = {
    "as unmixed": h,
    "without O K in EELS": pure,
    "without O K in EDX": h.purify(core, "EDX", (0.45, 0.60)),
}
for name, result in results.items():
    for signal, truth in (("EELS", "EELS"), ("EDX", "EDS")):
        factor = result.get_factors(signal).data[core]
        angle = hf.metrics.spectral_angle(factor, phantom.factors[truth][0])
        print(f"{name:20} {signal:5}{angle:6.2f}°")
