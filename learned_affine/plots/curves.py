"""The curves of a fit, and the parameters of a policy by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.diagnostics.summary import class_titles, given_indices
from learned_affine.geometry.parameters import NAMES
from learned_affine.plots.canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Figure, blank_figure, draw, finish
from learned_affine.transforms.transform import PolicyTransform

_Line = tuple[str, str, str, str]  # key, label, colour, style
_PANELS: tuple[tuple[str, str, float, tuple[_Line, ...]], ...] = (
    ("what transforms cost held-out images", "nats", 1, (
        ("cost", "cost", PURPLE, "-"),
        ("budget", "budget", GREEN, "--"),
        ("loss", "error of the regression", BLUE, ":"),
    )),
    ("divergence from the prior", "nats", 1, (
        ("kl", "all", BLUE, "-"),
        ("symmetry_kl", "symmetries", ORANGE, "--"),
    )),
    ("how far the images move", "% of the side", 100, (("displacement", "mean corner displacement", ORANGE, "-"),)),
    ("shares", "%", 100, (
        ("accuracy", "right on augmented images", BLUE, "-"),
        ("symmetry_chance", "chance of a symmetry", GREEN, "--"),
        ("between_image_variance", "variance between images", PURPLE, ":"),
    )),
)  # fmt: skip
UNITS = ("degrees", "factor", "factor", "degrees", "share of width", "share of height")
MOST_CLASSES, BINS = 20, 40


def plot_history(history: Any, path: str | Path | None = None) -> Figure:
    """What a fit measured, round by round: cost and budget, divergence, how far images move, and shares.

    Args:
        history: a :class:`learned_affine.FitHistory`.
        path: where to write a PNG, SVG or PDF; None for none.

    Raises:
        TypeError: if it is none, as before a fit.
    """
    if not hasattr(history, "rounds"):
        raise TypeError(f"history must be that of a fitted augmenter, a FitHistory, got {type(history).__name__}")
    figure, axes = blank_figure(2, 2, (9.0, 6.2))
    rounds, marker = range(1, history.rounds + 1), "." if history.rounds < 3 else ""
    for axis, (title, unit, factor, lines) in zip(axes.flat, _PANELS, strict=True):
        for key, label, colour, style in lines:
            values = [factor * value for value in history[key]]
            if any(math.isfinite(value) for value in values):
                axis.plot(rounds, values, style, color=colour, label=label, marker=marker)
        axis.set_title(title, fontsize=10)
        axis.set_ylabel(unit, fontsize=9)
        axis.set_xlabel("round", fontsize=9)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        if axis.lines:  # below, where the legend covers nothing
            axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    return finish(figure, path)


@torch.no_grad()
def plot_parameters(
    augment: PolicyTransform,
    images: Tensor,
    labels: Any,
    path: str | Path | None = None,
    names: Sequence[str] | None = None,
    draws: int = 16,
    seed: int = 0,
) -> Figure:
    """Histograms of each parameter, one row per class, with a bar at the median.

    Args:
        augment: the augmenter.
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` class indices, of at most 20 classes; images with negative ones are left out.
        path: where to write a PNG, SVG or PDF; None for none.
        names: of the classes.
        draws: draws per image.
        seed: of the draws.

    Raises:
        TypeError, ValueError: if the images are no batch, or the labels not theirs, or of too many classes.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> figure = plot_parameters(LearnedAffineAugment(), torch.rand(4, 3, 32, 32), torch.tensor([0, 0, 1, 1]))
        >>> [axis.get_title() for axis in figure.axes[:3]]
        ['angle', 'scale_x', 'scale_y']
    """
    check_batch("images", images)
    labels = given_indices(labels, len(images))
    classes = labels[labels >= 0].unique().tolist()
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise ValueError(
            f"labels must be of 1 to {MOST_CLASSES} classes, got {len(classes)}: choose some, as by some = labels < "
            f"{MOST_CLASSES}, and give images[some], labels[some]"
        )
    titles = class_titles(classes, names)
    drawn = torch.stack([one.stacked() for one in draw(augment, images, draws, seed)])  # (draws, B, 6)
    figure, axes = blank_figure(2, 3, (9.5, 2 * (0.9 + 0.22 * len(classes))), sharey=True)
    for index, (axis, name, unit) in enumerate(zip(axes.flat, NAMES, UNITS, strict=True)):
        groups = [drawn[:, labels == label, index].flatten() for label in classes]
        _ridges(axis, groups, 1.0 if unit == "factor" else 0.0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(unit, fontsize=8)
        axis.set_yticks(range(len(classes)), titles, fontsize=8)
        axis.set_ylim(len(classes) - 0.4, -1.0)
    return finish(figure, path)


def _ridges(axis: Any, groups: Sequence[Tensor], neutral: float) -> None:
    """One histogram a row, from the top down, on a common scale, with a bar at the median."""
    every = torch.cat([*groups, torch.tensor([neutral - 1e-3, neutral + 1e-3], device="cpu")])
    low, high = float(every.min()), float(every.max())
    counts = [torch.histc(group, BINS, low, high) / len(group) for group in groups]
    top = max(float(count.max()) for count in counts)
    places = torch.linspace(low, high, BINS + 1, device="cpu")
    axis.axvline(neutral, color=GREY, linewidth=0.8, linestyle=":")
    for row, (group, count) in enumerate(zip(groups, counts, strict=True)):
        axis.stairs(row - 0.9 * count / top, places, baseline=row, fill=True, color=SKY)
        axis.stairs(row - 0.9 * count / top, places, baseline=row, color=BLUE, linewidth=0.7)
        axis.vlines(float(group.median()), row - 0.5, row, color="black", linewidth=1.4)
