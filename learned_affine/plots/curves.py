"""The curves of a fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learned_affine.plots.canvas import BLUE, GREEN, ORANGE, PURPLE, blank_figure, finish, legend_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def plot_history(history: Any, path: str | Path | None = None) -> Figure:
    """What a fit measured, round by round: cost and budget, divergence, how far images move, and shares.

    Args:
        history: a :class:`learned_affine.FitHistory`.
        path: where to write a PNG, SVG or PDF; None for none.

    Returns:
        The matplotlib figure.
    """
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
        legend_below(axis, 2)
    return finish(figure, path)
