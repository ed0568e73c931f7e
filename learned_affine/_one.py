"""The matrix of one image in plain numbers: twenty tensor operators, on one number each, take five times as long."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from learned_affine.parameters import AffineParameters


def is_one(parameters: AffineParameters, like: Tensor) -> bool:
    """Whether the parameters are those of one image, and in the memory that Python reads; no graph is traced."""
    angle = parameters.angle
    at_hand = angle.device.type == "cpu" and like.device.type == "cpu"
    return at_hand and len(angle) == 1 and not torch.compiler.is_compiling()


def matrix_of_one(parameters: AffineParameters, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """``AffineParameters.matrix`` of one image, without gradient: ``(1, 2, 3)``, computed in float64, rounded once."""
    angle, scale_x, scale_y, shear, right, down = (value.item() for value in parameters.tensors())
    turn, lean = math.radians(angle), math.tan(math.radians(shear))
    cos, sin = math.cos(turn), math.sin(turn)
    a, b = cos * scale_x, -(sin + cos * lean) * scale_y
    c, d = sin * scale_x, (cos - sin * lean) * scale_y
    x, y = (width - 1) / 2, (height - 1) / 2
    rows = [[a, b, right * width + x - a * x - b * y], [c, d, down * height + y - c * x - d * y]]
    return torch.tensor([rows], dtype=dtype)
