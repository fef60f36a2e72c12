"""Settings of the documentation: ``sphinx-build -W --keep-going -b html docs OUT``."""

import warnings

import matplotlib

import hyperfuse_hs

matplotlib.use("Agg")
# The gallery shows figures and numbers; what its dependencies warn of is for their documentation.
warnings.simplefilter("ignore")

project = "hyperfuse_hs"
author = "The hyperfuse_hs developers"
project_copyright = author
version = release = hyperfuse_hs.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]
html_theme = "pydata_sphinx_theme"
html_title = "hyperfuse_hs"
html_static_path = ["_static"]
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_sidebars = {"guide": [], "gui": [], "developing": []}

autosummary_generate = True
autodoc_typehints = "none"
# HyperSpy's own methods are in HyperSpy's documentation.
numpydoc_show_class_members = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "capture_repr": (),
    "min_reported_time": 60,
    "show_memory": False,
    "write_computation_times": False,
}
