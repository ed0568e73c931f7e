"""Measures of a policy: functions of draws and outputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from learned_affine.geometry.coordinates import visible_area
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import NAMES, AffineParameters
from learned_affine.policy.distribution import Policy
from learned_affine.transforms.transform import PolicyTransform


@torch.no_grad()
def policy_measures(parameters: AffineParameters, height: int, width: int) -> dict[str, float]:
    """Mean displacement, symmetries left aside, and visible area of a batch's parameters."""
    matrix = parameters.matrix(height, width)
    area = visible_area(matrix, height, width)
    return {
        "displacement": float(parameters.without_symmetry().displacement(height, width).mean()),
        "visible_area": float(area.mean()),
    }


@torch.no_grad()
def policy_moments(augment: PolicyTransform, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of each image's draws, ``(B, 6)`` each, and its symmetries' chances, ``(B, 8)``."""
    policy = None if augment.deterministic else augment.policy(images)
    if policy is not None:
        return (*policy.moments(augment.limits, augment.strength), policy.chances_at(augment.strength))
    mean = augment.sample_parameters(images).stacked()
    return mean, torch.zeros_like(mean), torch.eye(1, 8, device=mean.device).expand(len(mean), -1)


@torch.no_grad()
def symmetry_measures(chances: Tensor) -> dict[str, float]:
    """Of the images' probabilities of the symmetries, ``(B, 8)``: of another one than the identity, mean and spread."""
    changed = 1 - chances[:, 0]
    spread = float(changed.std()) if len(changed) > 1 else math.nan
    return {"symmetry_chance": float(changed.mean()), "symmetry_spread": spread}


@torch.no_grad()
def variance_between_images(policy: Policy, limits: AffineLimits) -> float:
    """Share of the parameters' variance that lies between the images rather than within each: in [0, 1], mean of six.

    By quadrature: a finite number of draws would fake a share where all images have the same policy.
    """
    mean, deviation = policy.moments(limits)
    between, within = mean.var(0, correction=0), deviation.square().mean(0)
    return float((between / (between + within).clamp_min(1e-20)).mean())


@torch.no_grad()
def spread_measures(mean: Tensor, deviation: Tensor) -> dict[str, float]:
    """Spread of each parameter within an image and between images, in its own unit.

    Args:
        mean, deviation: ``(B, 6)`` of each image's draws, as :meth:`Policy.moments` gives them without sampling noise.

    Returns:
        ``within_<name>``: the mean over images of the standard deviation of an image's draws; ``between_<name>``: the
        standard deviation of the images' means, NaN for one image.
    """
    within = deviation.mean(0).tolist()
    between = mean.std(0).tolist() if len(mean) > 1 else [math.nan] * len(NAMES)
    spread = {f"within_{name}": value for name, value in zip(NAMES, within, strict=True)}
    return spread | {f"between_{name}": value for name, value in zip(NAMES, between, strict=True)}
