"""Pictures of a policy over many images: its parameters by class, and what they do to the classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.geometry.parameters import NAMES
from learned_affine.losses import shannon_entropy_bits
from learned_affine.plots.canvas import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    blank_figure,
    draw,
    finish,
    legend_below,
)
from learned_affine.tasks.frozen import classifier_device, frozen
from learned_affine.tasks.model import Model
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
        ridges(axis, groups, 1.0 if unit == "factor" else 0.0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(unit, fontsize=8)
        axis.set_yticks(range(len(classes)), [names[label] if names else str(label) for label in classes], fontsize=8)
        axis.set_ylim(len(classes) - 0.4, -1.0)
    return finish(figure, path)


@torch.no_grad()
def plot_entropy(
    augment: PolicyTransform,
    classifier: Any,
    images: Tensor,
    path: str | Path | None = None,
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    draws: int = 4,
    seed: int = 0,
) -> Figure:
    """The classifier's entropy against how far each image was moved: what a warp of that size costs it.

    Symmetries are applied, but do not count as movement.

    Args:
        augment: the augmenter.
        classifier: a module or callable to logits; it comes back untouched.
        images: ``(B, C, H, W)``.
        path: where to write a PNG, SVG or PDF; None for none.
        preprocess: between augmenter and classifier, as for ``fit``.
        draws: draws an image.
        seed: of the draws.

    Returns:
        The matplotlib figure: a dot where the classifier keeps its clean prediction, a cross where it does not.
    """
    check_batch("images", images)
    device = classifier_device(classifier)
    model, drawn = Model(classifier, preprocess), draw(augment, images, draws, seed)
    with frozen(classifier, device):
        clean = model.answer(images.to(device)).cpu()
        logits = torch.cat([model.answer(augment.warp(images, one).to(device)).cpu() for one in drawn])
    moved = 100 * torch.cat([one.without_symmetry().displacement(*images.shape[-2:]) for one in drawn])
    entropy, kept = shannon_entropy_bits(logits), logits.argmax(-1) == clean.argmax(-1).repeat(draws)
    figure, axes = blank_figure(1, 1, (5.6, 3.8))
    axis, most = axes[0, 0], math.log2(clean.shape[1])
    axis.plot(moved[kept], entropy[kept], ".", color=BLUE, markersize=4, alpha=0.5, label="same prediction")
    axis.plot(moved[~kept], entropy[~kept], "x", color=ORANGE, markersize=4, alpha=0.7, label="another prediction")
    trend = zip(*(part.tensor_split(8) for part in (moved[moved.argsort()], entropy[moved.argsort()])), strict=True)
    means = torch.tensor([(float(x.mean()), float(y.mean())) for x, y in trend if len(x)])
    axis.plot(*means.T, "-s", color="black", markersize=4, label="mean, an eighth of the draws each")
    axis.axhline(float(shannon_entropy_bits(clean).mean()), color="black", linestyle="--", label="mean, not augmented")
    axis.axhline(most, color=GREY, linestyle=":", label=f"largest possible, log2 {clean.shape[1]}")
    axis.set_xlabel("mean corner displacement, % of the side")
    axis.set_ylabel("entropy, bits")
    axis.set_ylim(-0.04 * most, 1.04 * most)
    legend_below(axis, 2)
    return finish(figure, path)


def ridges(axis: Any, groups: Sequence[Tensor], neutral: float) -> None:
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
