"""Make ``photos_mini.npz``: eight square pieces of four photographs that are in the public domain, 64 pixels a side.

    python examples/data/make_photos_mini.py FOLDER

FOLDER holds ``astronaut.png``, ``chelsea.png``, ``coffee.png`` and ``rocket.jpg``, as scikit-image carries them in its
``skimage/data``. ``LICENCE.md`` names their photographers.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
PIECES = {  # left, top and side of each square
    "cat": ("chelsea.png", (75, 0, 300)),
    "cat's eyes": ("chelsea.png", (125, 50, 150)),
    "rocket": ("rocket.jpg", (200, 90, 300)),
    "launch": ("rocket.jpg", (110, 0, 420)),
    "astronaut": ("astronaut.png", (0, 0, 512)),
    "face": ("astronaut.png", (130, 10, 200)),
    "cup": ("coffee.png", (110, 20, 370)),
    "spoon": ("coffee.png", (330, 150, 250)),
}


def main() -> None:
    """Write the pieces beside this script."""
    folder, pieces = Path(sys.argv[1]), []
    for file, (left, top, side) in PIECES.values():
        whole = Image.open(folder / file).convert("RGB")
        piece = whole.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        pieces.append(np.asarray(piece).transpose(2, 0, 1))
    target = Path(__file__).with_name("photos_mini.npz")
    np.savez_compressed(target, images=np.stack(pieces), names=np.array(list(PIECES)))
    print(f"{target.name}: {len(pieces)} images, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
