"""Pictures of single images, and what a policy makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.geometry.coordinates import continuous
from learned_affine.geometry.parameters import AffineParameters, signed
from learned_affine.plots.canvas import (
    BLUE,
    ORANGE,
    as_floating,
    aspect,
    blank_figure,
    draw,
    finish,
    pixel_range,
    show_image,
)
from learned_affine.transforms.transform import PolicyTransform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 16
MOST_MARGIN = 0.6


def caption_lines(parameters: AffineParameters, index: int) -> str:
    """What is done to one image, in four short lines, or five for one that is mirrored."""
    one = parameters.detach()[index]
    angle, x, y, shear, right, down = (float(value) for value in one.tensors())
    flip = "mirrored\n" if bool(one.mirror) else ""
    shift = f"shift {signed(100 * right)}%, {signed(100 * down)}%"
    return f"{flip}rotation {signed(angle)}°\nscale {x:.2f} × {y:.2f}\nshear {signed(shear)}°\n{shift}"


@torch.no_grad()
def plot_before_after(
    augment: PolicyTransform, images: Tensor, path: str | Path | None = None, seed: int = 0
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
    side = max(1.15, min(1.4, 11.8 / len(images)))
    figure, axes = blank_figure(2, len(images), (max(side * len(images), 1.6), 2 * side * aspect(images) + 0.9))
    for column in range(len(images)):
        show_image(axes[0, column], source[column], pixel_range(source))
        show_image(axes[1, column], warped[column], pixel_range(source))
        axes[1, column].set_xlabel(caption_lines(parameters, column), fontsize=9 if side > 1.3 else 7)
    axes[0, 0].set_ylabel("before", fontsize=11)
    axes[1, 0].set_ylabel("after", fontsize=11)
    return finish(figure, path)


@torch.no_grad()
def plot_policies(
    policies: Mapping[str, PolicyTransform],
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
    side = min(max(1.0, 6.6 / len(images)), 1.6)
    size = (side * len(images) + 1.2, 1.03 * side * aspect(images) * len(rows))
    figure, axes = blank_figure(len(rows), len(images), size)
    for row, (name, batch) in enumerate(rows):
        for column in range(len(images)):
            show_image(axes[row, column], batch[column], pixel_range(source))
        axes[row, 0].set_ylabel(name, fontsize=11, rotation=0, ha="right", va="center")
    return finish(figure, path)


@torch.no_grad()
def plot_fan(
    augment: PolicyTransform, images: Tensor, path: str | Path | None = None, draws: int = 24, seed: int = 0
) -> Figure:
    """Each image's distribution: the outlines of the image's frame under its draws, over the image.

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
    augment: PolicyTransform, images: Tensor, path: str | Path | None = None, draws: int = 48, seed: int = 0
) -> Figure:
    """Where each image's corners go: an arrow to the mean of the draws, a dot for each draw.

    A ring marks each corner of the image. Arrows tell what an image is drawn to (a bias of its policy), clouds of dots
    how far the policy spreads. Symmetries are left out: they would only swap the corners.

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
    drawn = [one.without_symmetry() for one in draw(augment, images, draws, seed)]
    moved = moved_corners(drawn, height, width)  # (draws, B, 4, 2)
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


def check_columns(images: Any) -> Tensor:
    """Return floating ``(B, C, H, W)`` images, of which each gets a column.

    Raises:
        TypeError, ValueError: if they are no batch, or too many or too few for a picture.
    """
    check_batch("images", images)
    if not 1 <= len(images) <= MOST_COLUMNS:
        raise ValueError(f"images must be 1 to {MOST_COLUMNS} to fit a picture, got {len(images)}")
    return as_floating(images)


def corners(height: int, width: int) -> Tensor:
    """The image's corners ``(4, 2)`` in continuous coordinates, clockwise from the top left."""
    return torch.tensor([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def moved_corners(drawn: Sequence[AffineParameters], height: int, width: int) -> Tensor:
    """Where each draw takes each image's corners: ``(draws, B, 4, 2)``, continuous coordinates."""
    matrices = torch.stack([continuous(one.matrix(height, width)) for one in drawn])  # (draws, B, 2, 3)
    return corners(height, width) @ matrices[..., :2].mT + matrices[..., None, :, 2]


def set_margin(axis: Any, points: Tensor, height: int, width: int) -> None:
    """Show enough round an image for moved corners ``(..., 2)``, within reason, the same round each image of a row."""
    size = torch.tensor([width, height])
    beyond = torch.maximum(-points, points - size) / size
    margin = min(max(float(beyond.flatten().quantile(0.99)) + 0.04, 0.08), MOST_MARGIN)  # but for outliers
    axis.set_xlim(-margin * width, (1 + margin) * width)
    axis.set_ylim((1 + margin) * height, -margin * height)
    for side in axis.spines.values():
        side.set_visible(False)
