"""Which of the eight exact symmetries images tolerate: each position strong or faint by its probability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.diagnostics.measures import policy_moments
from learned_affine.diagnostics.summary import HEADS
from learned_affine.geometry.parameters import EIGHT
from learned_affine.geometry.warp import rearrange
from learned_affine.plots.canvas import as_pixels, blank_figure, finish, pixel_range
from learned_affine.transforms.transform import PolicyTransform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 24
CELL, MOST_HEIGHT = 0.8, 11.0  # inches
GAP = 0.3  # of an image's height, between rows: room for the probability below each; half of it between columns
FAINTEST = 0.1  # so that one sees what an image would look like


@torch.no_grad()
def plot_symmetries(
    augment: PolicyTransform,
    images: Tensor,
    labels: Tensor | None = None,
    names: Sequence[str] | None = None,
    per_class: int = 1,
    path: str | Path | None = None,
) -> Figure:
    """The eight positions of each image, rotated clockwise, strong or faint by their probability, which stands below.

    The most probable position is drawn in full, one that the image never gets faintly; one that would not keep the
    shape of the image not at all.

    Args:
        augment: the augmenter; its ``p`` is left aside.
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` class indices, of which the first images of each are shown; None shows all images.
        names: of the classes, by index; without labels, of the images.
        per_class: images of each class. There is room for 24 rows in all.
        path: where to write a PNG, SVG or PDF; None for none.

    Returns:
        The matplotlib figure, one row an image.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> len(plot_symmetries(LearnedAffineAugment(), torch.rand(3, 3, 32, 32), torch.tensor([0, 1, 0])).axes)
        1
    """
    check_batch("images", images)
    rows, titles = _rows(images, labels, names, per_class)
    chances = policy_moments(augment, images[rows])[2].cpu()
    sheet, down, right = _sheet(as_pixels(images[rows], pixel_range(images)), chances)
    scale = min(CELL, MOST_HEIGHT / (len(rows) * (1 + GAP))) / images.shape[-2]  # inches a pixel
    figure, axes = blank_figure(1, 1, (scale * sheet.shape[2] + 1.3, scale * sheet.shape[1] + 0.4))
    axis, (height, width) = axes[0, 0], images.shape[-2:]
    axis.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="nearest")
    for row, values in enumerate(chances.tolist()):
        for code, value in enumerate(values):
            place = (code * right + width / 2, row * down + (height + down) / 2)
            axis.text(*place, f"{100 * value:.0f} %", ha="center", va="center", fontsize=7, alpha=0.35 + 0.65 * value)
    axis.set_xticks([code * right + width / 2 for code in EIGHT], HEADS, fontsize=7)
    axis.set_yticks([row * down + height / 2 for row in range(len(rows))], titles, fontsize=9)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    for side in axis.spines.values():
        side.set_visible(False)
    return finish(figure, path)


def _rows(
    images: Tensor, labels: Tensor | None, names: Sequence[str] | None, per_class: int
) -> tuple[list[int], list[str]]:
    """Which images are shown, and what stands beside each: a class is named once."""
    if labels is None:
        rows, titles = list(range(len(images))), [str(name) for name in names or [""] * len(images)]
    else:
        given = labels.tolist()
        if len(given) != len(images):
            raise ValueError(f"labels must be those of {len(images)} images, got {len(given)}")
        rows, titles = [], []
        for one in sorted(set(given)):
            own = [row for row, label in enumerate(given) if label == one][:per_class]
            rows += own
            titles += [names[one] if names else str(one), *[""] * (len(own) - 1)]
    if not 1 <= len(rows) <= MOST_ROWS or len(titles) != len(rows):
        raise ValueError(
            f"images must be 1 to {MOST_ROWS} to fit a picture, each with a name where there are names, got "
            f"{len(rows)} with {len(titles)}: choose some, as by some = labels < 9, and give images[some], labels[some]"
        )
    return rows, titles


def _sheet(pixels: Tensor, chances: Tensor) -> tuple[Tensor, int, int]:
    """All positions of RGB images ``(B, 3, H, W)`` on white, and the pixels from one to the next, down and right."""
    count, _, height, width = pixels.shape
    down, right = height + max(2, round(GAP * height)), width + max(1, round(GAP * height / 2))
    sheet = torch.ones(3, count * down, len(EIGHT) * right)
    strong = FAINTEST + (1 - FAINTEST) * (chances / chances.amax(1, keepdim=True)).sqrt()
    for row, image in enumerate(pixels.cpu()):
        for code in EIGHT:
            moved = rearrange(image, code)
            if moved.shape == image.shape:
                place = sheet[:, row * down : row * down + height, code * right : code * right + width]
                place.lerp_(moved, float(strong[row, code]))
    return sheet, down, right
