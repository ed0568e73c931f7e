"""How Sphinx builds the site: ``make docs`` writes it to docs/_build/html, warnings are errors."""

import importlib.util
import os
import sys
from pathlib import Path

from learned_affine import __version__

os.environ.setdefault("MPLBACKEND", "agg")
for own in ("figures", "mathml"):  # files of docs/_ext that Sphinx asks for by name
    spec = importlib.util.spec_from_file_location(own, Path(__file__).parent / "_ext" / f"{own}.py")
    sys.modules[own] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[own])
del own, spec  # a module would be no setting that Sphinx can keep

project = "learned_affine"
author = "the learned_affine contributors"
copyright = f"{author}; Apache-2.0"
release = version = __version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py"]
html_math_renderer = "mathml"  # in the page itself: no script, and nothing fetched

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Warns", "returns_style")]

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "ignore_pattern": r"(^|/)(fashion|photos|saving)\.py$",  # what the examples share
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figures",),
    "reset_modules": (),
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}

html_theme = "furo"
html_title = f"learned_affine {version}"
html_favicon = "images/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight pre"  # code, not what it prints
copybutton_prompt_text = "$ "
