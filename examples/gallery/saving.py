"""Where the gallery's scripts leave their pictures."""

import sys
from pathlib import Path

from matplotlib.figure import Figure


def save(figure: Figure, name: str) -> None:
    """Write a picture to ``runs/gallery``; not while the site is built, which shows the figure itself."""
    if "sphinx_gallery" in sys.modules:
        return
    path = Path("runs", "gallery", f"{name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"picture: {path}")
