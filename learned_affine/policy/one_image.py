"""One image's draw in plain numbers: operators on a handful of numbers each would take five times as long.

It is what :meth:`Policy.draw` computes of the policy of a batch, within float32's rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.policy.distribution import DIMENSIONS, FLATTEST, PRIOR_WIDTH, REACH, STEEPEST

HALF = math.sqrt(0.5)


def draw_of_one(
    output: Sequence[float],
    noise: Sequence[float] | None,
    limits: AffineLimits,
    strength: float,
    symmetry_costs: Callable[[], dict[int, float]] | None,
) -> AffineParameters:
    """Parameters from what the network's head gave for the image, and its noise: 6 numbers, with symmetries 7, or None.

    ``symmetry_costs`` gives what each allowed symmetry but the identity costs at its price, where it is asked for.
    """
    numbers = []
    for place, most in enumerate(limits.extent()):
        curvature = math.exp(min(max(output[DIMENSIONS + place], FLATTEST), STEEPEST))
        precision = curvature + 1 / PRIOR_WIDTH**2
        z = curvature * REACH * math.tanh(output[place]) / precision
        if noise is not None:
            z += noise[place] / math.sqrt(precision)
        numbers.append(strength * math.tanh(z) * most)
    numbers[1], numbers[2] = math.exp(numbers[1]), math.exp(numbers[2])
    angle, scale_x, scale_y, shear, right, down = torch.tensor([numbers]).unbind(-1)
    code = 0
    if noise is not None and len(noise) > DIMENSIONS and symmetry_costs is not None:
        code = _symmetry(noise[DIMENSIONS], strength, symmetry_costs)
    symmetry = torch.tensor([code >= 4]), torch.tensor([code % 4])
    return AffineParameters(angle, scale_x, scale_y, shear, right, down, *symmetry)


def _symmetry(noise: float, strength: float, costs: Callable[[], dict[int, float]]) -> int:
    """The code whose share the noise falls into: the last ones have the lowest noise."""
    level = math.erfc(-noise * HALF) / 2
    if level >= strength * 7 / 8:  # no other symmetry can reach as far, so their costs need not be known
        return 0
    odds = {code: math.exp(-cost) for code, cost in costs().items()}
    whole, reached = 1 + sum(odds.values()), 0.0
    for code in sorted(odds, reverse=True):
        reached += strength * odds[code] / whole
        if level < reached:
            return code
    return 0
