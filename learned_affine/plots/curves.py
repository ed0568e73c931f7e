"""The curves of a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learned_affine.plots.canvas import BLUE, GREEN, ORANGE, PURPLE, blank_figure, finish, legend_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Line = tuple[str, str, str, str]  # key, label, colour, style
_PANELS: tuple[tuple[str, str, float, tuple[_Line, ...]], ...] = (
    ("losses", "nats", 1, (
        ("loss", "augmenter", BLUE, "-"),
        ("val_loss", "augmenter, held-out images", BLUE, ":"),
        ("discriminator_loss", "discriminator", ORANGE, "--"),
        ("val_discriminator_loss", "discriminator, held-out images", ORANGE, "-."),
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


def plot_history(history: Any, path: str | Path | None = None) -> Figure:
    """Loss curves of augmenter and discriminator (the paper's Figure 2), and what the policy did meanwhile.

    Args:
        history: a :class:`learned_affine.FitHistory`.
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
