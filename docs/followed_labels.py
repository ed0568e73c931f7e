"""Draw docs/images/followed_labels.png, of the page on symmetries: ``python docs/followed_labels.py``.

The same icons flipped by hand, moved as their labels allow, and moved with labels that follow. It illustrates what
labels become; nothing is trained.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from learned_affine import AffineParameters, LearnedAffineAugment

HERE = Path(__file__).parent
ICONS = ("arrow-left", "arrow-up", "undo", "heart", "sun")
FLIP, UPSIDE_DOWN, STAY, QUARTER = (True, 0), (True, 2), (False, 0), (False, 1)  # mirror, quarter turns
ROWS = {  # what is done to each icon, and the label that it has then
    "flipped by hand": ([FLIP] * 5, ICONS),
    "learned": ([UPSIDE_DOWN, FLIP, STAY, FLIP, QUARTER], ICONS),
    "learned, with label_map": (
        [FLIP, QUARTER, FLIP, FLIP, QUARTER],
        ("arrow-right", "arrow-right", "redo", *ICONS[3:]),
    ),
}
WRONG = {("flipped by hand", "arrow-left"), ("flipped by hand", "undo")}
VERMILION = "#D55E00"


def main() -> None:
    """Move the icons, and write their labels below."""
    with np.load(HERE.parent / "examples" / "data" / "icons.npz") as arrays:
        names = arrays["classes"].tolist()
        places = [int((arrays["test_labels"] == names.index(name)).nonzero()[0][0]) for name in ICONS]
        images = torch.from_numpy(arrays["test_images"][places])[:, None] / 255
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots(len(ROWS), len(ICONS), squeeze=False)
    for row, (title, (moves, labels)) in enumerate(ROWS.items()):
        still, (mirror, turns) = AffineParameters.identity(len(ICONS)), zip(*moves, strict=True)
        drawn = AffineParameters(*still.tensors(), torch.tensor(mirror), torch.tensor(turns))
        moved = LearnedAffineAugment().warp(images, drawn)
        for axis, image, label in zip(axes[row], moved, labels, strict=True):
            axis.imshow(image[0], cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            wrong = (title, label) in WRONG
            axis.set_xlabel(f"{label}  ✗" if wrong else label, color=VERMILION if wrong else "black", fontsize=11)
        axes[row, 0].set_ylabel(title.replace(", ", ",\n"), fontsize=11)
    figure.savefig(HERE / "images" / "followed_labels.png", dpi=110)


if __name__ == "__main__":
    main()
