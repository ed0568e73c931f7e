"""What resampling alone costs a classifier, and the interpolation that a fit chooses by it.

On sharp images most of what a warp costs is blur: a shift by half a pixel costs as much as a large rotation. That is no
reason to rotate less, so a fit does not charge geometry with it. The cost is that of random shifts below a pixel, which
move nothing that a label could depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from learned_affine._checks import warn_caller
from learned_affine.diagnostics.checks import FitWarning
from learned_affine.fitting.judge import Judge
from learned_affine.fitting.target import Target
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.tasks.pool import CPU

CANDIDATES = ("bilinear", "sharp")  # the one that takes least time first; bicubic costs as much as sharp, and is slower
IMAGES = 400  # held-out images that the cost is measured on
ENOUGH = 0.1  # of the budget: a resampling that costs no more is sharp enough


def sub_pixel_shifts(sizes: Sequence[tuple[int, int]], generator: torch.Generator) -> AffineParameters:
    """Random shifts by at most half a pixel each way, of images of these heights and widths."""
    height, width = torch.tensor(sizes, device=CPU).float().unbind(1)
    right, down = torch.rand(2, len(sizes), generator=generator, device=CPU) - 0.5
    return replace(AffineParameters.identity(len(sizes)), translate_x=right / width, translate_y=down / height)


def choose_interpolation(costs: dict[str, float], budget: float) -> str:
    """The first that costs at most a tenth of the budget; if there is none, the one that costs least."""
    cheap = (name for name, cost in costs.items() if cost <= ENOUGH * budget)
    return next(cheap, min(costs, key=lambda name: costs[name]))


def resampling_costs(judge: Judge, seed: int, interpolations: Sequence[str]) -> dict[str, float]:
    """How much more held-out images cost the model after a shift below a pixel, in nats, by interpolation.

    Images and shifts are the same for each interpolation; the augmenter is left with the last one.
    """
    augment, pool, costs = judge.augment, judge.pool, {}
    generator = torch.Generator().manual_seed(seed % 2**63)
    rows = pool.some(pool.held_out, IMAGES, generator, again=False)
    height_width: list[tuple[int, int]] = [tuple(pool.images[row].shape[-2:]) for row in rows.tolist()]
    shifts = sub_pixel_shifts(height_width, generator)
    for name in interpolations:
        augment.interpolation = name  # type: ignore[assignment]  # checked as it is set
        cost = judge(rows, shifts).cost
        costs[name] = float(cost[cost.isfinite()].mean()) if bool(cost.isfinite().any()) else 0.0
    return costs


def charge_resampling(judge: Judge, target: Target, seed: int, interpolations: Sequence[str]) -> Target:
    """The target with what resampling alone costs on top; the augmenter gets the interpolation chosen by it."""
    costs = judge.processes.from_main(resampling_costs(judge, seed, interpolations))
    chosen = choose_interpolation(costs, target.budget)
    judge.augment.interpolation = chosen  # type: ignore[assignment]  # checked as it is set
    cost = judge.resampling = max(costs[chosen], 0.0)
    check_resampling(cost, target.budget, chosen)
    source = f"{target.source}; resampling alone costs {cost:.3g} with {chosen} interpolation"
    measures = target.measures | {f"resampling_{name}": value for name, value in costs.items()}
    return replace(target, value=target.value + cost, source=source, measures=measures)


def check_resampling(cost: float, budget: float, interpolation: str) -> None:
    """Warn where resampling alone costs more than half of the budget."""
    if cost <= budget / 2:
        return
    sharper = "" if interpolation in ("sharp", "bicubic") else 'interpolation="sharp", '
    text = (
        f"resampling alone costs the classifier {cost:.2g} nats on held-out images with {interpolation} interpolation, "
        f"more than half of the budget of {budget:.2g} for warps: the images are sharp at the scale of a pixel. "
        f"Geometry is not charged with it. What helps: {sharper}larger images, or a classifier that was trained with "
        "small shifts."
    )
    warn_caller(FitWarning("resampling", text))
