"""Measures of a policy: pure functions of draws and outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_affine.geometry.coordinates import visible_area
from learned_affine.geometry.parameters import NAMES, AffineParameters
from learned_affine.losses import shannon_entropy_bits
from learned_affine.policy.distribution import DIMENSIONS, Policy


@torch.no_grad()
def policy_measures(parameters: AffineParameters, height: int, width: int) -> dict[str, float]:
    """Mean displacement and visible area of a batch's parameters."""
    matrix = parameters.matrix(height, width)
    area = visible_area(matrix, height, width)
    return {
        "displacement": float(parameters.displacement(height, width).mean()),
        "visible_area": float(area.mean()),
    }


@torch.no_grad()
def output_measures(augmented: Tensor, clean: Tensor) -> dict[str, float]:
    """Entropy (bits) of the classifier's output and its agreement with its own clean prediction: ``(B, m)`` logits."""
    agrees = (augmented.argmax(-1) == clean.argmax(-1)).float().mean()
    return {"entropy": float(shannon_entropy_bits(augmented).mean()), "agreement": float(agrees)}


@torch.no_grad()
def variance_between_images(policy: Policy, noise: Tensor) -> float:
    """Share of the parameters' variance that lies between the images rather than within each.

    Args:
        policy: of ``B`` images.
        noise: ``(K, B, 6)`` standard normal, K >= 2 draws an image.

    Returns:
        Mean over the six parameters, in [0, 1]; the share that the finite number of draws fakes is taken off.
    """
    draws = torch.stack([policy.sample(one) for one in noise])  # (K, B, 6)
    within = draws.var(0).mean(0)
    between = (draws.mean(0).var(0) - within / len(noise)).clamp_min(0) if draws.shape[1] > 1 else within * 0
    return float((between / (between + within).clamp_min(1e-20)).mean())


def spread_measures(parameters: list[AffineParameters]) -> dict[str, float]:
    """Spread of each parameter within an image (over draws) and between images (of their means).

    Args:
        parameters: K >= 2 draws for the same ``B`` images.
    """
    draws = torch.stack([one.stacked() for one in parameters])  # (K, B, 6)
    within, between = draws.std(0).mean(0), draws.mean(0).std(0)
    assert draws.shape[-1] == DIMENSIONS
    spread = {f"within_{name}": float(value) for name, value in zip(NAMES, within, strict=True)}
    return spread | {f"between_{name}": float(value) for name, value in zip(NAMES, between, strict=True)}
