"""Affine maps to try, and the same map as torchvision's ``perspective`` wants it."""

import torch
from torch import Tensor

from learned_affine import AffineLimits


def matrices(count: int, height: int, width: int, limits: AffineLimits | None = None) -> Tensor:
    unit = 2 * torch.rand(count, 6, dtype=torch.float64) - 1
    return (limits or AffineLimits.wide()).parameters(unit).matrix(height, width)


def coefficients(matrix: Tensor) -> list[float]:
    """Destination to source in continuous coordinates, by homogeneous matrices."""
    half = torch.tensor([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    whole = torch.cat([matrix, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)])
    return [*torch.linalg.inv(half @ whole @ torch.linalg.inv(half))[:2].flatten().tolist(), 0.0, 0.0]
