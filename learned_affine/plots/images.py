"""Pictures of single images, and what a policy makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch, check_type
from learned_affine.plots.canvas import Figure, as_seen, blank_figure, draw, finish, pixel_range, show_image
from learned_affine.transforms.transform import PolicyTransform

MOST_COLUMNS = 16


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

    Raises:
        TypeError, ValueError: if the images are no such batch.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> len(plot_before_after(LearnedAffineAugment(), torch.rand(3, 3, 32, 32)).axes)
        6
    """
    source = _columns(images)
    parameters = draw(augment, images, 1, seed)[0]
    rows = ("before", source), ("after", augment.warp(source, parameters))
    side = max(1.05, min(1.4, 10.8 / len(images)))
    figure, axes = _grid([(title, as_seen(augment, one, images.dtype)) for title, one in rows], side, room=1.0)
    for column, axis in enumerate(axes[1]):
        axis.set_xlabel(parameters.caption(column).replace("  ", "\n"), fontsize=9 if side > 1.3 else 7)
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
        policies: augmenters by the name that is written beside their rows.
        images: ``(B, C, H, W)``, at most 16.
        path: where to write a PNG, SVG or PDF; None for none.
        draws: rows a policy.
        seed: of the draws; each policy gets the same noise.

    Raises:
        TypeError, ValueError: if the images are no such batch, or ``draws`` is less than 1.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> policies = {"half": LearnedAffineAugment(strength=0.5), "whole": LearnedAffineAugment()}
        >>> len(plot_policies(policies, torch.rand(3, 3, 32, 32)).axes)
        9
    """
    check_type("policies", policies, Mapping, "a dict of augmenters by their names")
    source = _columns(images)
    rows = [("before", source)]
    for name, augment in policies.items():
        warped = [augment.warp(source, one) for one in draw(augment, images, draws, seed)]
        rows += [(name if number == 0 else "", batch) for number, batch in enumerate(warped)]
    for augment in policies.values():
        rows = [(title, as_seen(augment, batch, images.dtype)) for title, batch in rows]
    figure, _ = _grid(rows, min(max(1.0, 6.6 / len(images)), 1.6))
    return finish(figure, path)


def _columns(images: Any) -> Tensor:
    """Floating ``(B, C, H, W)`` images, of which each gets a column."""
    check_batch("images", images)
    if not 1 <= len(images) <= MOST_COLUMNS:
        raise ValueError(f"images must be 1 to {MOST_COLUMNS} to fit a picture, got {len(images)}")
    return images if images.is_floating_point() else images.float()


def _grid(rows: list[tuple[str, Tensor]], side: float, room: float = 0.0) -> tuple[Figure, Any]:
    """Named rows of images, each ``side`` inches wide and stretched as those of the first row, and room below."""
    source = rows[0][1]
    aspect = min(max(source.shape[-2] / source.shape[-1], 0.3), 3.0)
    size = (side * len(source) + 1.2, 1.03 * side * aspect * len(rows) + room)
    figure, axes = blank_figure(len(rows), len(source), size)
    for (name, batch), line in zip(rows, axes, strict=True):
        for image, axis in zip(batch, line, strict=True):
            show_image(axis, image, pixel_range(source))
        line[0].set_ylabel(name, fontsize=11, rotation=0, ha="right", va="center")
    return figure, axes
