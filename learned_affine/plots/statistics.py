"""A policy over many images: its parameters by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.geometry.parameters import NAMES
from learned_affine.plots.canvas import BLUE, GREY, SKY, blank_figure, draw, finish
from learned_affine.transforms.transform import PolicyTransform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = ("degrees", "factor", "factor", "degrees", "share of width", "share of height")
MOST_CLASSES = 20
BINS = 40


@torch.no_grad()
def plot_parameters(
    augment: PolicyTransform,
    images: Tensor,
    labels: Tensor,
    path: str | Path | None = None,
    names: Sequence[str] | None = None,
    draws: int = 16,
    seed: int = 0,
) -> Figure:
    """Histograms of each parameter, one row a class, with a bar at the median.

    Args:
        augment: the augmenter.
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` class indices, of at most 20 classes.
        path: where to write a PNG, SVG or PDF; None for none.
        names: of the classes.
        draws: draws an image.
        seed: of the draws.

    Returns:
        The matplotlib figure.

    Raises:
        TypeError, ValueError: if the images are no batch, or the labels not theirs, or of too many classes.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> figure = plot_parameters(LearnedAffineAugment(), torch.rand(4, 3, 32, 32), torch.tensor([0, 0, 1, 1]))
        >>> [axis.get_title() for axis in figure.axes[:3]]
        ['angle', 'scale_x', 'scale_y']
    """
    check_batch("images", images)
    classes = labels.unique().tolist()
    if len(labels) != len(images) or not 1 <= len(classes) <= MOST_CLASSES:
        choose = f": choose some, as by some = labels < {MOST_CLASSES}, and give images[some], labels[some]"
        raise ValueError(
            f"labels must be those of {len(images)} images in 1 to {MOST_CLASSES} classes, "
            f"got {len(labels)} in {len(classes)}{choose if len(classes) > MOST_CLASSES else ''}"
        )
    drawn = torch.stack([one.stacked() for one in draw(augment, images, draws, seed)])  # (draws, B, 6)
    figure, axes = blank_figure(2, 3, (9.5, 2 * (0.9 + 0.22 * len(classes))), sharey=True)
    for index, (axis, name, unit) in enumerate(zip(axes.flat, NAMES, UNITS, strict=True)):
        groups = [drawn[:, labels.cpu() == label, index].flatten() for label in classes]
        _ridges(axis, groups, 1.0 if unit == "factor" else 0.0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(unit, fontsize=8)
        axis.set_yticks(range(len(classes)), [names[label] if names else str(label) for label in classes], fontsize=8)
        axis.set_ylim(len(classes) - 0.4, -1.0)
    return finish(figure, path)


def _ridges(axis: Any, groups: Sequence[Tensor], neutral: float) -> None:
    """One histogram a row, from the top down, on a common scale, with a bar at the median."""
    low, high = min(float(g.min()) for g in groups), max(float(g.max()) for g in groups)
    low, high = min(low, neutral - 1e-3), max(high, neutral + 1e-3)
    counts = [torch.histc(group, BINS, low, high) / len(group) for group in groups]
    top = max(float(count.max()) for count in counts)
    places = torch.linspace(low, high, BINS + 1)
    axis.axvline(neutral, color=GREY, linewidth=0.8, linestyle=":")
    for row, (group, count) in enumerate(zip(groups, counts, strict=True)):
        axis.stairs(row - 0.9 * count / top, places, baseline=row, fill=True, color=SKY)
        axis.stairs(row - 0.9 * count / top, places, baseline=row, color=BLUE, linewidth=0.7)
        axis.vlines(float(group.median()), row - 0.5, row, color="black", linewidth=1.4)
