"""What resampling alone costs a classifier, and the interpolation that a fit chooses by it.

On sharp images most of what a warp costs is blur: a shift by half a pixel costs as much as a large rotation. That is no
reason to rotate less, so a fit does not charge geometry with it. The cost is that of random shifts below a pixel, which
move nothing that a label could depend on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learned_affine.diagnostics.checks import ResamplingWarning
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.tasks.model import Model
from learned_affine.tasks.reservoir import Reservoir
from learned_affine.transforms.transform import PolicyTransform

CANDIDATES = ("bilinear", "sharp", "bicubic")  # the one that takes least time first
IMAGES, AT_ONCE = 400, 64  # held-out images that the cost is measured on
ENOUGH = 0.1  # of the budget: a resampling that costs no more is sharp enough


def sub_pixel_shifts(count: int, height: int, width: int, generator: torch.Generator) -> AffineParameters:
    """Random shifts of ``count`` images by at most half a pixel each way."""
    right, down = torch.rand(2, count, generator=generator) - 0.5
    still = AffineParameters.identity(count)
    scale, zero = still.scale_x, still.angle
    return AffineParameters(zero, scale, scale, zero, right / width, down / height)


def choose_interpolation(costs: dict[str, float], budget: float) -> str:
    """The first that costs at most a tenth of the budget; if there is none, the one that costs least."""
    cheap = (name for name, cost in costs.items() if cost <= ENOUGH * budget)
    return next(cheap, min(costs, key=lambda name: costs[name]))


@torch.no_grad()
def resampling_costs(
    model: Model,
    augment: PolicyTransform,
    held_out: Reservoir,
    device: torch.device,
    seed: int,
    interpolations: Sequence[str],
) -> dict[str, float]:
    """How much more held-out images cost the model after a shift below a pixel, in nats, by interpolation.

    Args:
        model: the classifier, at its temperature.
        augment: warps the images. Its interpolation is left as it is.
        held_out: the images.
        device: of the classifier.
        seed: of the shifts, which are the same for each interpolation.
        interpolations: those to measure.
    """
    own, costs = augment.interpolation, {}
    try:
        for name in interpolations:
            augment.interpolation = name  # type: ignore[assignment]  # checked as it is set
            costs[name] = float(_rises(model, augment, held_out, device, seed).mean())
    finally:
        augment.interpolation = own
    return costs


def _rises(model: Model, augment: PolicyTransform, held_out: Reservoir, device: torch.device, seed: int) -> Tensor:
    generator, rises = torch.Generator().manual_seed(seed % 2**63), []
    chosen = held_out.draw(min(IMAGES, len(held_out.images)), generator)
    for some in chosen.split(AT_ONCE):
        for _, images, given in held_out.batches(some):
            images = images.to(device)
            shifts = sub_pixel_shifts(len(images), images.shape[-2], images.shape[-1], generator).to(device)
            plain = model.answer(images)
            labels = model.labels_of(images, given, plain)
            followed = model.follow(labels, shifts, augment.apply)
            shifted = model.answer(augment.warp(images, shifts))
            pairs = ((shifted, followed), (plain, labels))
            after, before = (model.task.loss(model.output(answer, own), own) for answer, own in pairs)
            rises.append((after - before).cpu())
    return torch.cat(rises)


def check_resampling(cost: float, budget: float, interpolation: str) -> list[ResamplingWarning]:
    """The alarm where resampling alone costs more than half of the budget."""
    if cost <= budget / 2:
        return []
    sharper = "" if interpolation in ("sharp", "bicubic") else 'interpolation="sharp", '
    return [
        ResamplingWarning(
            f"resampling alone costs the classifier {cost:.2g} nats on held-out images with {interpolation} "
            f"interpolation, more than half of the budget of {budget:.2g} for warps: the images are sharp at the scale "
            f"of a pixel. Geometry is not charged with it. What helps: {sharper}larger images, or a classifier that "
            "was trained with small shifts."
        )
    ]
