"""Pictures of a policy and of a fit. Needs matplotlib (``pip install learned_affine[plot]``).

Each function returns the figure and, given a ``path``, writes it. Figures have a white ground, colours that the
colour-blind can tell apart, and line styles and markers that differ in print. Nothing here touches torch's generators:
a picture in the middle of a training run changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine._drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    as_floating,
    aspect,
    blank_figure,
    check_columns,
    corners,
    draw,
    finish,
    legend_below,
    moved_corners,
    pixel_range,
    ridges,
    set_margin,
    show_image,
)
from learned_affine.frozen import frozen, logits_of
from learned_affine.history import FitHistory
from learned_affine.losses import shannon_entropy_bits
from learned_affine.parameters import NAMES, AffineParameters
from learned_affine.processes import classifier_device
from learned_affine.transform import LearnedAffineAugment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = ("degrees", "factor", "factor", "degrees", "share of width", "share of height")
MOST_CLASSES = 20


def caption_lines(parameters: AffineParameters, index: int) -> str:
    """What is done to one image, in four short lines."""
    angle, x, y, shear, right, down = (float(value[index]) for value in parameters.detach().tensors())
    return f"turn {angle:+.0f}°\nscale {x:.2f} × {y:.2f}\nshear {shear:+.0f}°\nshift {right:+.0%}, {down:+.0%}"


@torch.no_grad()
def plot_before_after(
    augment: LearnedAffineAugment, images: Tensor, path: str | Path | None = None, seed: int = 0
) -> Figure:
    """Images above, what one draw of the policy makes of them below, captioned (the paper's Figure 3).

    Args:
        augment: the augmenter; its ``p`` is left aside, every image is warped.
        images: ``(B, C, H, W)``, at most 16.
        path: where to write a PNG, SVG or PDF; None for none.
        seed: of the draw.

    Returns:
        The matplotlib figure.
    """
    source = check_columns(images)
    parameters = draw(augment, images, 1, seed)[0]
    warped = augment.warp(source, parameters)
    figure, axes = blank_figure(2, len(images), (max(1.15 * len(images), 1.6), 2.3 * aspect(images) + 0.8))
    for column in range(len(images)):
        show_image(axes[0, column], source[column], pixel_range(source))
        show_image(axes[1, column], warped[column], pixel_range(source))
        axes[1, column].set_xlabel(caption_lines(parameters, column), fontsize=7)
    axes[0, 0].set_ylabel("before", fontsize=9)
    axes[1, 0].set_ylabel("after", fontsize=9)
    return finish(figure, path)


@torch.no_grad()
def plot_policies(
    policies: Mapping[str, LearnedAffineAugment],
    images: Tensor,
    path: str | Path | None = None,
    draws: int = 1,
    seed: int = 0,
) -> Figure:
    """The same images under several policies: the originals in the first row, then ``draws`` rows a policy.

    Args:
        policies: augmenters by the name that stands beside their rows.
        images: ``(B, C, H, W)``, at most 16.
        path: where to write a PNG, SVG or PDF; None for none.
        draws: rows a policy.
        seed: of the draws; each policy gets the same noise.

    Returns:
        The matplotlib figure.
    """
    source = check_columns(images)
    rows = [("before", source)]
    for name, augment in policies.items():
        warped = [augment.warp(source, one) for one in draw(augment, images, draws, seed)]
        rows += [(name if number == 0 else "", batch) for number, batch in enumerate(warped)]
    figure, axes = blank_figure(len(rows), len(images), (len(images) + 1.2, 1.03 * aspect(images) * len(rows)))
    for row, (name, batch) in enumerate(rows):
        for column in range(len(images)):
            show_image(axes[row, column], batch[column], pixel_range(source))
        axes[row, 0].set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
    return finish(figure, path)


@torch.no_grad()
def plot_fan(
    augment: LearnedAffineAugment, images: Tensor, path: str | Path | None = None, draws: int = 24, seed: int = 0
) -> Figure:
    """Each image's distribution: the outlines that its draws turn the image's frame into, over the image.

    Args:
        augment: the augmenter.
        images: ``(B, C, H, W)``, at most 16.
        path: where to write a PNG, SVG or PDF; None for none.
        draws: outlines an image.
        seed: of the draws.

    Returns:
        The matplotlib figure.
    """
    source, (height, width) = check_columns(images), images.shape[-2:]
    outlines = moved_corners(draw(augment, images, draws, seed), height, width)  # (draws, B, 4, 2)
    closed = torch.cat([outlines, outlines[:, :, :1]], dim=2)
    figure, axes = blank_figure(1, len(images), (1.8 * len(images), 1.8 * aspect(images) + 0.1))
    for column, axis in enumerate(axes[0]):
        show_image(axis, source[column], pixel_range(source))
        for outline in closed[:, column]:
            axis.plot(outline[:, 0], outline[:, 1], color=ORANGE, linewidth=0.7, alpha=0.6)
        set_margin(axis, outlines, height, width)
    return finish(figure, path)


@torch.no_grad()
def plot_quiver(
    augment: LearnedAffineAugment, images: Tensor, path: str | Path | None = None, draws: int = 48, seed: int = 0
) -> Figure:
    """Where each image's corners go: an arrow to the mean of the draws, a dot for each draw.

    A ring marks each corner of the image. Arrows tell what an image is drawn to (a bias of its policy), clouds of dots
    how far the policy spreads.

    Args:
        augment: the augmenter.
        images: ``(B, C, H, W)``, at most 16.
        path: where to write a PNG, SVG or PDF; None for none.
        draws: dots a corner.
        seed: of the draws.

    Returns:
        The matplotlib figure.
    """
    source, (height, width) = check_columns(images), images.shape[-2:]
    moved = moved_corners(draw(augment, images, draws, seed), height, width)  # (draws, B, 4, 2)
    start = corners(height, width)
    figure, axes = blank_figure(1, len(images), (1.8 * len(images), 1.8 * aspect(images) + 0.1))
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.015, "headwidth": 4, "headlength": 4}
    for column, axis in enumerate(axes[0]):
        show_image(axis, source[column], pixel_range(source))
        dots, shift = moved[:, column].flatten(0, 1), moved[:, column].mean(0) - start
        axis.plot(dots[:, 0], dots[:, 1], ".", color=BLUE, markersize=2.5, alpha=0.5)
        axis.quiver(*start.T, *shift.T, color=ORANGE, zorder=5, **arrows)
        axis.plot(*start.T, "o", markerfacecolor="white", markeredgecolor="black", markersize=3.5, zorder=4)
        set_margin(axis, moved, height, width)
    return finish(figure, path)


@torch.no_grad()
def plot_parameters(
    augment: LearnedAffineAugment,
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
        raise ValueError(
            f"labels must be those of {len(images)} images in 1 to {MOST_CLASSES} classes, "
            f"got {len(labels)} in {len(classes)}"
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
    augment: LearnedAffineAugment,
    classifier: Any,
    images: Tensor,
    path: str | Path | None = None,
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    draws: int = 4,
    seed: int = 0,
) -> Figure:
    """The classifier's entropy against how far each image was moved: what a warp of that size costs it.

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
    source, device = as_floating(images), classifier_device(classifier)
    with frozen(classifier, device):
        see = partial(_classify, classifier, preprocess, device)
        clean, drawn = see(source), draw(augment, images, draws, seed)
        logits = torch.cat([see(augment.warp(source, one)) for one in drawn])
    moved = 100 * torch.cat([one.displacement(*images.shape[-2:]) for one in drawn])
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


_Line = tuple[str, str, str, str]  # key, label, colour, style
_PANELS: tuple[tuple[str, str, float, tuple[_Line, ...]], ...] = (
    ("losses", "nats", 1, (
        ("loss", "augmenter", BLUE, "-"),
        ("val_loss", "augmenter, unseen images", BLUE, ":"),
        ("discriminator_loss", "discriminator", ORANGE, "--"),
        ("val_discriminator_loss", "discriminator, unseen images", ORANGE, "-."),
    )),
    ("classifier on augmented images", "nats or bits", 1, (
        ("cross_entropy", "cross entropy (nats)", PURPLE, "-"),
        ("entropy", "entropy (bits)", GREEN, "--"),
    )),
    ("how far the images move", "% of the side", 100, (("displacement", "mean corner displacement", ORANGE, "-"),)),
    ("shares", "%", 100, (
        ("agreement", "same prediction as clean", BLUE, "-"),
        ("visible_area", "visible area", GREEN, "--"),
        ("between_image_variance", "variance between images", PURPLE, ":"),
    )),
)  # fmt: skip


def plot_history(history: FitHistory, path: str | Path | None = None) -> Figure:
    """Loss curves of both players (the paper's Figure 2), and what the policy did meanwhile.

    Args:
        history: of a fit.
        path: where to write a PNG, SVG or PDF; None for none.

    Returns:
        The matplotlib figure.
    """
    figure, axes = blank_figure(2, 2, (9.0, 6.2))
    epochs, marker = range(1, history.epochs + 1), "." if history.epochs < 3 else ""
    for axis, (title, unit, factor, lines) in zip(axes.flat, _PANELS, strict=True):
        for key, label, colour, style in lines:
            values = [factor * value for value in history[key]]
            if any(math.isfinite(value) for value in values):
                axis.plot(epochs, values, style, color=colour, label=label, marker=marker)
        if title == "classifier on augmented images":
            _target_line(axis, history.info)
        axis.set_title(title, fontsize=10)
        axis.set_ylabel(unit, fontsize=9)
        axis.set_xlabel("epoch", fontsize=9)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        legend_below(axis, 2)
    return finish(figure, path)


def _target_line(axis: Any, info: Mapping[str, Any]) -> None:
    """The cross entropy that a calibrated fit aims at."""
    if info.get("target") and info.get("config", {}).get("objective") == "calibrated":
        axis.axhline(info["target"], color="black", linewidth=0.8, label="target of the cross entropy")


def _classify(
    classifier: Any, preprocess: Callable[[Tensor], Tensor] | None, device: torch.device, images: Tensor
) -> Tensor:
    """The classifier's logits of ``(B, C, H, W)`` images, on the CPU."""
    images = images.to(device)
    return logits_of(classifier, images if preprocess is None else preprocess(images)).cpu()


__all__ = [
    "caption_lines",
    "plot_before_after",
    "plot_entropy",
    "plot_fan",
    "plot_history",
    "plot_parameters",
    "plot_policies",
    "plot_quiver",
]
