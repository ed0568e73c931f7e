"""The eight exact symmetries of images, strong or faint by their chance, and a data set's classes on one page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine._checks import check_batch, check_count
from learned_affine.diagnostics.checks import info_of
from learned_affine.diagnostics.fixed import tolerated
from learned_affine.diagnostics.measures import Moments, moments_by_class, policy_moments
from learned_affine.diagnostics.summary import (
    HEADS,
    class_titles,
    given_indices,
    given_names,
    usual_ranges,
    were_judged,
)
from learned_affine.geometry.parameters import EIGHT, AffineParameters
from learned_affine.geometry.warp import rearrange
from learned_affine.plots.canvas import DPI, GREEN, Figure, as_pixels, as_seen, blank_figure, finish, pixel_range
from learned_affine.transforms.transform import PolicyTransform

MOST_CLASSES, ROWS, MOST_IMAGES = 120, 30, 24  # of classes on a page, and below each other; of images
CELL = 0.56  # inches, of the longer side
DOWN, ACROSS, APART = 0.4, 0.14, 0.5  # of an image: room for the number below, beside, and before the flips
LEAST_DOWN, LEAST_ACROSS = 0.42, 0.5  # inches, for the texts of a row, and for the head of a column
LETTER = 0.085  # inches, of a class's name
FAINTEST = 0.12  # so that one sees what the image would look like
ORDER = (4, 6, 2, 1, 3, 5, 7)  # of the symmetries, the usual ones first
COLUMNS = 3 + len(ORDER)
REACH = 1.645  # standard deviations: 90 % of a normal distribution


# -- of images --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def plot_symmetries(
    augment: PolicyTransform,
    images: Tensor,
    labels: Any = None,
    names: Sequence[str] | None = None,
    per_class: int = 1,
    path: str | Path | None = None,
) -> Figure:
    """The eight positions of each image, rotated clockwise, strong or faint by their probability, given below.

    The most probable position is drawn in full, one that the image never gets faintly; one that would not keep the
    shape of the image not at all.

    Args:
        augment: the augmenter; its ``p`` is left aside.
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` class indices, of which the first images of each are shown, negative ones left out; None
            shows all images.
        names: of the classes, by index; without labels, of the images.
        per_class: images of each class. There is room for 24 rows in all.
        path: where to write a PNG, SVG or PDF; None for none.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> len(plot_symmetries(LearnedAffineAugment(), torch.rand(3, 3, 32, 32), torch.tensor([0, 1, 0])).axes)
        1
    """
    check_batch("images", images)
    rows, titles = _rows(images, labels, names, check_count("per_class", per_class))
    chances = policy_moments(augment, images[rows])[2].tolist()
    images = as_seen(augment, images)
    pictures = as_pixels(images[rows].cpu(), pixel_range(images))
    height, width = images.shape[-2:]
    down, right = height + max(2, round(0.3 * height)), width + max(1, round(0.15 * height))
    scale = min(0.8, 11 / (len(rows) * 1.3)) / height  # inches a pixel
    figure, axes = blank_figure(1, 1, (scale * len(EIGHT) * right + 1.3, scale * len(rows) * down + 0.4))
    axis, lefts, tops = axes[0, 0], [right * code for code in EIGHT], range(0, len(rows) * down, down)
    moved = [_positions(image, own, EIGHT, 0.1) for image, own in zip(pictures, chances, strict=True)]
    _draw_sheet(axis, moved, (tops, lefts), len(EIGHT) * right, titles)
    for top, values in zip(tops, chances, strict=True):
        for left, value in zip(lefts, values, strict=True):
            place = (left + width / 2, top + (height + down) / 2)
            axis.text(*place, f"{100 * value:.0f} %", ha="center", va="center", fontsize=7, alpha=0.35 + 0.65 * value)
    axis.set_xticks([left + width / 2 for left in lefts], HEADS, fontsize=7)
    return finish(figure, path)


def _rows(images: Tensor, labels: Any, names: Sequence[str] | None, per_class: int) -> tuple[list[int], list[str]]:
    """Which images are shown, and what is written beside each: a class is named once."""
    if labels is None:
        rows, titles = list(range(len(images))), [""] * len(images) if names is None else given_names(names)
    else:
        given, rows, titles = given_indices(labels, len(images)), [], []
        classes = given[given >= 0].unique().tolist()
        for one, title in zip(classes, class_titles(classes, names), strict=True):
            own = (given == one).nonzero().flatten().tolist()[:per_class]
            rows += own
            titles += [title, *[""] * (len(own) - 1)]
    if not 1 <= len(rows) <= MOST_IMAGES or len(titles) != len(rows):
        raise ValueError(
            f"images must be 1 to {MOST_IMAGES} to fit a picture, each with a name where there are names, got "
            f"{len(rows)} with {len(titles)}: choose some, as by some = labels < 9, and give images[some], labels[some]"
        )
    return rows, titles


# -- of classes -------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """The pictures of a class, what is written below each, which are framed, and its other ranges."""

    pictures: list[Tensor]  # (3, height, width) each
    below: list[str]
    framed: list[bool]
    ranges: str


@torch.no_grad()
def plot_summary(
    augment: PolicyTransform,
    loader: Iterable[Any],
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
    *,
    image_key: str | None = None,
    label_key: str | None = None,
) -> Figure:
    """What may be done to each class: a row with an example, how far it may be rotated, its flips, and its ranges.

    On the left is the first image of the class, between the least and the largest rotation that the class
    usually gets. Then come the flips and the rotations by right angles, with the mean of their chances over the images
    of the class: strong and framed where they are at least a third as likely as the image itself, faint where they are
    not. On the right are the ranges of scale, shear and shift. Each range is the mean and 1.645 standard deviations
    about it, which holds about 90 % of the draws. "Few images" marks classes of which the fit judged fewer than five:
    their row is a guess from similar images of other classes. More than 30 classes take several columns.

    Args:
        augment: a fitted augmenter; its ``p`` is left aside.
        loader: batches of images ``(B, C, H, W)`` with class indices, such as the held-out images of the fit. All of
            them are read, and the loader's generators are left as they were. Without class indices all are one row.
        names: of the classes, by index. None: those of the loader's dataset, or of the fit.
        path: where to write a PNG, SVG or PDF; None for none.
        image_key, label_key: as for ``fit``.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came; also for more than 120 classes.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> loader = [(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]))]
        >>> figure = plot_summary(LearnedAffineAugment(), loader, names=["cat", "dog"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['cat', 'dog']
    """
    found = moments_by_class(augment, loader, "loader", image_key, label_key)
    if len(found) > MOST_CLASSES:
        raise ValueError(
            f"loader must give images of 1 to {MOST_CLASSES} classes to fit a picture, got {len(found)}: give some of "
            "them, as by DataLoader(torch.utils.data.Subset(dataset, indices))"
        )
    titles = _titles(augment, loader, names, list(found))
    sides = next(iter(found.values())).first.shape[-2:]
    height, width = (max(1, round(side * min(1.0, CELL * DPI / max(sides)))) for side in sides)
    rows = [_row(augment, one, (height, width)) for one in found.values()]
    blocks = math.ceil(len(rows) / ROWS)
    count = math.ceil(len(rows) / blocks)
    inch = CELL / max(height, width)  # of a pixel
    down = height + max(3, round(DOWN * height), math.ceil(LEAST_DOWN / inch) - height)
    right = width + max(2, round(ACROSS * width), math.ceil(LEAST_ACROSS / inch) - width)
    beside = 1.6 + LETTER * max(len(line) for title in titles for line in title.splitlines())
    across = blocks * (inch * (COLUMNS * right + APART * width) + beside)
    figure, axes = blank_figure(1, blocks, (across, count * inch * down + 0.5))
    for axis, start in zip(axes[0], range(0, len(rows), count), strict=True):
        _draw_block(axis, titles[start : start + count], rows[start : start + count], (count, down, right))
    return finish(figure, path)


def _titles(augment: PolicyTransform, loader: Any, names: Sequence[str] | None, labels: list[Any]) -> list[str]:
    """The text beside each class: its name, and where the fit judged too few of its images for a row of its own."""
    info = info_of(augment)
    judged = {None, *(row["class"] for row in info["classes_moved"])} if were_judged(info) else {None, *labels}
    titles = class_titles(labels, names, loader, info)
    return [title + "\n(few images)" * (one not in judged) for one, title in zip(labels, titles, strict=True)]


def _row(augment: PolicyTransform, one: Moments, size: tuple[int, int]) -> _Row:
    (least, *low), (largest, *high) = usual_ranges(augment, one.mean, one.deviation, REACH)
    example = F.interpolate(one.first[None].float(), size=size, mode="bilinear", antialias=True)
    rotations = dataclasses.replace(AffineParameters.identity(2), angle=torch.tensor((least, largest), device="cpu"))
    rotated = augment.warp(example.expand(2, -1, -1, -1), rotations)
    seen = as_seen(augment, torch.cat([rotated, example]), one.first.dtype)
    first, last, plain = as_pixels(seen, pixel_range(seen[2:]))
    average = one.chances.mean(0)
    chances, framed = average.tolist(), tolerated(average, augment.strength).tolist()
    return _Row(
        [first, plain, last, *_positions(plain, chances, ORDER, FAINTEST)],
        [f"{round(least):+d}°", "", f"{round(largest):+d}°", *(f"{100 * chances[code]:.0f} %" for code in ORDER)],
        [True] * 3 + [framed[code] for code in ORDER],
        f"scale {low[0]:.2f} to {high[0]:.2f}\nshear {round(low[1]):+d}° to {round(high[1]):+d}°\n"
        f"shift {round(100 * low[2]):+d} % to {round(100 * high[2]):+d} %",
    )


def _draw_block(axis: Any, titles: list[str], rows: list[_Row], places: tuple[int, int, int]) -> None:
    """Rows below each other on one axis, which has room for ``count``, by the steps down and to the right."""
    from matplotlib.patches import Rectangle

    (height, width), (count, down, right) = rows[0].pictures[0].shape[1:], places
    lefts = [right * column + (round(APART * width) if column > 2 else 0) for column in range(COLUMNS)]
    tops = range(0, count * down, down)
    _draw_sheet(axis, [row.pictures for row in rows], (tops, lefts), lefts[-1] + width, titles)
    for top, row in zip(tops, rows, strict=False):
        for left, text, framed in zip(lefts, row.below, row.framed, strict=True):
            options = {"ha": "center", "va": "center", "fontsize": 7, "alpha": 1 if framed else 0.5}
            axis.text(left + width / 2, top + (height + down) / 2, text, **options)
            if framed:
                place = (left - 0.5, top - 0.5)
                axis.add_patch(Rectangle(place, width, height, fill=False, ec=GREEN, lw=1.6, clip_on=False))
        axis.text(lefts[-1] + 1.3 * width, top + height / 2, row.ranges, fontsize=7, va="center")
    heads = ["rotation", *(HEADS[code].replace(", ", ",\n") for code in ORDER)]
    axis.set_xticks([left + width / 2 for left in [lefts[1], *lefts[3:]]], heads, fontsize=7)


# -- of both ----------------------------------------------------------------------------------------------------------


def _positions(image: Tensor, chances: Sequence[float], codes: Sequence[int], faintest: float) -> list[Tensor]:
    """An RGB image in some symmetries, the less likely the fainter; white where one would change its shape."""
    paper, moved = torch.ones_like(image), [rearrange(image, code) for code in codes]
    strong = [faintest + (1 - faintest) * (chances[code] / max(chances)) ** 0.5 for code in codes]
    pairs = zip(moved, strong, strict=True)
    return [paper.lerp(one, share) if one.shape == image.shape else paper for one, share in pairs]


def _draw_sheet(
    axis: Any, rows: list[list[Tensor]], places: tuple[range, list[int]], across: int, titles: list[str]
) -> None:
    """Rows of RGB images ``(3, H, W)`` of one size on white, ``across`` wide, by tops and left edges, with titles."""
    (tops, lefts), (height, width) = places, rows[0][0].shape[1:]
    sheet = torch.ones(3, tops.stop, across, device="cpu")
    for top, images in zip(tops, rows, strict=False):
        for left, image in zip(lefts, images, strict=True):
            sheet[:, top : top + height, left : left + width] = image
    axis.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="nearest")
    axis.set_yticks([top + height / 2 for top in tops[: len(rows)]], titles, fontsize=9)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.spines[:].set_visible(False)
