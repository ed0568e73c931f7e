"""One image's draw in plain numbers: operators on a handful of numbers each would take five times as long.

It is what :meth:`Policy.draw` computes of the policy of a batch, within float32's rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.policy.distribution import DIMENSIONS, LARGEST, PRIOR_WIDTH, SMALLEST, START

HALF = math.sqrt(0.5)


def draw_of_one(
    output: Sequence[float],
    noise: Sequence[float] | None,
    limits: AffineLimits,
    strength: float,
    mirror_logit: Callable[[], float] | None,
) -> AffineParameters:
    """Parameters within the limits, of one image.

    Args:
        output: what the network's head gave for it: the mean, and the entries of ``L`` row by row.
        noise: 6 standard normal numbers, with a mirror 7; None for the mode, which is not mirrored.
        limits: how far the parameters may go.
        strength: in [0, 1], moves every parameter toward the identity.
        mirror_logit: gives the logarithm of the odds of a mirror, where it is asked for; None if nothing is mirrored.
    """
    before, mirror = output[:DIMENSIONS], False
    if noise is not None:
        before = [output[row] + _row(output, row, noise) for row in range(DIMENSIONS)]
        if len(noise) > DIMENSIONS and limits.symmetries != "none" and mirror_logit is not None:
            mirror = _is_mirrored(noise[DIMENSIONS], strength, mirror_logit)
    numbers = [strength * math.tanh(z) * most for z, most in zip(before, limits.extent(), strict=True)]
    numbers[1], numbers[2] = math.exp(numbers[1]), math.exp(numbers[2])
    angle, scale_x, scale_y, shear, right, down = torch.tensor([numbers]).unbind(-1)
    return AffineParameters(angle, scale_x, scale_y, shear, right, down, torch.tensor([mirror]))


def _row(output: Sequence[float], row: int, noise: Sequence[float]) -> float:
    """A row of ``L`` times the noise."""
    start = DIMENSIONS + row * (row + 1) // 2
    below = sum(output[start + column] * noise[column] for column in range(row))
    width = math.exp(min(max(output[start + row], SMALLEST), LARGEST) + START)
    return PRIOR_WIDTH * below + width * noise[row]


def _is_mirrored(noise: float, strength: float, logit: Callable[[], float]) -> bool:
    """Whether the noise falls within the chance, which is at most 1/2: above that it need not be known."""
    level = math.erfc(-noise * HALF) / 2
    if level >= strength / 2:
        return False
    odds = math.exp(min(logit(), 0.0))
    return level < strength * odds / (1 + odds)
