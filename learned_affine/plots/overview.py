"""What may be done to each class of a data set: an example, how far it may be rotated, and its flips, on one page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine._checks import shown
from learned_affine.diagnostics.fixed import TOLERATED
from learned_affine.diagnostics.measures import moments_in
from learned_affine.diagnostics.summary import HEADS, class_name, info_of, ranges_of
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.geometry.warp import rearrange
from learned_affine.plots.canvas import DPI, GREEN, as_pixels, blank_figure, finish, pixel_range
from learned_affine.tasks.batches import class_names
from learned_affine.transforms.transform import PolicyTransform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES, ROWS = 120, 30  # on a page, and below each other
CELL = 0.56  # inches, of the longer side
DOWN, ACROSS, APART = 0.4, 0.14, 0.5  # of an image: room for the number below, beside, and before the flips
LETTER = 0.085  # inches, of a class's name
FAINTEST = 0.12  # so that one sees what the image would look like
ORDER = (4, 6, 2, 1, 3, 5, 7)  # of the symmetries, the usual ones first
COLUMNS = 3 + len(ORDER)
REACH = 1.645  # standard deviations: 90 % of a normal distribution


@dataclass
class _Class:
    """The first image of a class, and the policies of all of its images."""

    example: Tensor  # (C, H, W)
    moments: list[tuple[Tensor, ...]] = field(default_factory=list)  # as of policy_moments

    def ranges(self) -> tuple[list[float], list[float]]:
        """The least and the largest rotation, scale, shear and shift, between which about 90 % of the draws lie."""
        mean, deviation, _ = map(torch.cat, zip(*self.moments, strict=True))
        middle = mean.mean(0)
        middle = torch.stack([middle[0], middle[1:3].mean(), middle[3], middle[4:].mean()])
        reach = REACH * torch.tensor(ranges_of(mean, deviation))
        return (middle - reach).tolist(), (middle + reach).tolist()


@torch.no_grad()
def plot_summary(
    augment: PolicyTransform,
    loader: Iterable[Any],
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """What may be done to each class: a row with an example, how far it may be rotated, its flips, and its ranges.

    On the left stands the first image of the class, between the least and the largest rotation that the class
    usually gets. Then come the flips and the rotations by right angles, with the mean of their chances over the images
    of the class: strong and framed where they are at least a third as likely as the image itself, faint where they are
    not. On the right are the ranges of scale, shear and shift. Each range is the mean and 1.645 standard deviations
    about it, which holds about 90 % of the draws. "Few images" marks classes of which the fit judged fewer than five:
    their row is a guess from similar images of other classes.

    Args:
        augment: a fitted augmenter; its ``p`` is left aside.
        loader: batches of images ``(B, C, H, W)`` with class indices, such as the held-out images of the fit. All of
            them are read, and the loader's generators are left as they were.
        names: of the classes, by index. None: those of the loader's dataset, or of the fit.
        path: where to write a PNG, SVG or PDF; None for none.

    Returns:
        The matplotlib figure. More than 30 classes stand in several columns.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came; also for more than 120 classes.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> loader = [(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]))]
        >>> figure = plot_summary(LearnedAffineAugment(), loader, names=["cat", "dog"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['cat', 'dog']
    """
    found = _classes(augment, loader)
    if not 1 <= len(found) <= MOST_CLASSES:
        raise ValueError(
            f"loader must give images of 1 to {MOST_CLASSES} classes to fit a picture, got {len(found)}: give some of "
            "them, as by DataLoader(torch.utils.data.Subset(dataset, indices))"
        )
    titles = _titles(augment, loader, names, sorted(found))
    size = _size(next(iter(found.values())).example)
    rows = [(title, *_row(augment, found[label], size)) for label, title in titles.items()]
    blocks = math.ceil(len(rows) / ROWS)
    count = math.ceil(len(rows) / blocks)
    height, width = (CELL * side / max(size) for side in size)
    beside = 1.6 + LETTER * max(len(line) for title in titles.values() for line in title.splitlines())
    inches = blocks * (width * (COLUMNS * (1 + ACROSS) + APART) + beside), count * height * (1 + DOWN) + 0.5
    figure, axes = blank_figure(1, blocks, inches)
    for number, axis in enumerate(axes[0]):
        _draw_block(axis, rows[number * count : (number + 1) * count], count)
    return finish(figure, path)


def _titles(
    augment: PolicyTransform, loader: Iterable[Any], names: Sequence[str] | None, labels: list[int]
) -> dict[int, str]:
    """What stands beside each class: its name, and where the fit judged too few of its images for a row of its own."""
    info, least = info_of(augment), max(labels) + 1
    if names is None:
        names = info.get("class_names") or class_names(loader, info.get("classes", least))
    if names is not None and len(names) < least:
        raise ValueError(f"names must have one for each class, at least {least}, got {len(names)}")
    judged = {row["class"] for row in info.get("classes_moved", ())}
    few = set(labels) - judged if judged else set()
    return {label: class_name({"class_names": names}, label) + "\n(few images)" * (label in few) for label in labels}


def _classes(augment: PolicyTransform, loader: Iterable[Any]) -> dict[int, _Class]:
    """The classes that the loader gives."""
    found: dict[int, _Class] = {}
    for images, labels, moments in moments_in(augment, loader):
        if labels is None:
            raise ValueError(f"loader must give a class index with each image, got {shown(images)} alone")
        for label in labels.unique().tolist():
            own = labels == label
            one = found.setdefault(label, _Class(images[int(own.nonzero()[0])].cpu()))
            one.moments.append(tuple(values[own] for values in moments))
    return found


# -- drawing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """One picture of a row, what stands below it, and whether the class tolerates it."""

    pixels: Tensor  # (3, height, width)
    text: str
    framed: bool = True


def _size(image: Tensor) -> tuple[int, int]:
    """Height and width in which the examples are drawn: their own, or smaller."""
    shrunk = min(1.0, CELL * DPI / max(image.shape[-2:]))
    return max(1, round(shrunk * image.shape[-2])), max(1, round(shrunk * image.shape[-1]))


def _row(augment: PolicyTransform, one: _Class, size: tuple[int, int]) -> tuple[list[_Cell], str]:
    """The pictures of a class, and the intervals of scale, shear and shift."""
    (least, *low), (largest, *high) = one.ranges()
    lines = (
        f"scale {low[0]:.2f} to {high[0]:.2f}",
        f"shear {round(low[1]):+d}° to {round(high[1]):+d}°",
        f"shift {round(100 * low[2]):+d} % to {round(100 * high[2]):+d} %",
    )
    return _cells(augment, one, size, (least, largest)), "\n".join(lines)


def _cells(augment: PolicyTransform, one: _Class, size: tuple[int, int], angles: tuple[float, float]) -> list[_Cell]:
    """The example between its least and its largest rotation, and its seven other positions."""
    example = F.interpolate(one.example[None].float(), size=size, mode="bilinear", antialias=True)
    low, high = angles
    rotations = dataclasses.replace(AffineParameters.identity(2), angle=torch.tensor(angles))
    rotated = augment.warp(example.expand(2, -1, -1, -1), rotations)
    limits = pixel_range(example)
    first, last, plain = (as_pixels(image, limits) for image in (*rotated, example[0]))
    cells = [_Cell(first, f"{round(low):+d}°"), _Cell(plain, ""), _Cell(last, f"{round(high):+d}°")]
    chances = torch.cat([chances for *_, chances in one.moments]).mean(0).tolist()
    for code in ORDER:
        moved, paper = rearrange(plain, code), torch.ones_like(plain)
        strong = FAINTEST + (1 - FAINTEST) * (chances[code] / max(chances)) ** 0.5
        pixels = paper.lerp(moved, strong) if moved.shape == plain.shape else paper
        cells.append(_Cell(pixels, f"{100 * chances[code]:.0f} %", chances[code] >= TOLERATED * chances[0]))
    return cells


def _draw_block(axis: Any, rows: list[tuple[str, list[_Cell], str]], count: int) -> None:
    """Rows of a title, cells and a text below each other on one axis, which has room for ``count``."""
    height, width = rows[0][1][0].pixels.shape[1:]
    down, right = height + max(3, round(DOWN * height)), width + max(2, round(ACROSS * width))
    places = [right * column + (round(APART * width) if column > 2 else 0) for column in range(COLUMNS)]
    sheet = torch.ones(3, count * down, places[-1] + width)
    for top, (_, cells, text) in zip(range(0, count * down, down), rows, strict=False):
        for place, cell in zip(places, cells, strict=True):
            sheet[:, top : top + height, place : place + width] = cell.pixels
            _label(axis, cell, (place, top), (width, height), (height + down) / 2)
        axis.text(places[-1] + 1.3 * width, top + height / 2, text, fontsize=7, va="center")
    axis.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="nearest")
    middles = [place + width / 2 for place in places]
    axis.set_xticks(
        [middles[1], *middles[3:]], ["rotation", *(HEADS[code].replace(", ", ",\n") for code in ORDER)], fontsize=7
    )
    axis.set_yticks([row * down + height / 2 for row in range(len(rows))], [row[0] for row in rows], fontsize=9)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    for side in axis.spines.values():
        side.set_visible(False)


def _label(axis: Any, cell: _Cell, corner: tuple[float, float], size: tuple[float, float], below: float) -> None:
    """The frame of a cell and the text below it."""
    from matplotlib.patches import Rectangle

    (left, top), (width, height) = corner, size
    if cell.framed:
        axis.add_patch(
            Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=GREEN, linewidth=1.6, clip_on=False)
        )
    options = {"ha": "center", "va": "center", "fontsize": 7, "alpha": 1 if cell.framed else 0.5}
    axis.text(left + width / 2, top + below, cell.text, **options)
