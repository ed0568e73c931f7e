"""Shows in the gallery every matplotlib figure that an example holds in a variable; the package uses no pyplot."""

from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_seen: "WeakSet[Figure]" = WeakSet()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures that are new since the last block, and return the reST that shows them."""
    held = block_vars["example_globals"].values()
    paths = []
    for figure in dict.fromkeys(value for value in held if isinstance(value, Figure) and value not in _seen):
        _seen.add(figure)
        paths.append(next(block_vars["image_path_iterator"]))
        figure.savefig(paths[-1], dpi=120)
    return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper() -> Any:
    return scrape
