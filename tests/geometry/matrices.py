"""Affine maps to try, and the same map as torchvision's ``perspective`` wants it."""

import torch
from torch import Tensor

from learned_affine import AffineLimits, AffineParameters


def some(count: int, limits: AffineLimits | None = None, mirrors: bool = False) -> AffineParameters:
    """Parameters spread evenly over the limits, in float64; with mirrors every second image is mirrored."""
    unit = 2 * torch.rand(count, 6, dtype=torch.float64) - 1
    return (limits or AffineLimits.wide()).parameters(unit, torch.arange(count) % 2 == 0 if mirrors else None)


def matrices(count: int, height: int, width: int, limits: AffineLimits | None = None) -> Tensor:
    return some(count, limits).matrix(height, width)


def one(*values: float, mirror: bool = False) -> AffineParameters:
    """The parameters of one image in float64."""
    return AffineParameters(*(torch.tensor([value], dtype=torch.float64) for value in values), torch.tensor([mirror]))


def only_mirrored(*mirror: bool) -> AffineParameters:
    """Parameters that do nothing but mirror some images."""
    return AffineParameters(*AffineParameters.identity(len(mirror)).tensors(), torch.tensor(mirror))


def coefficients(matrix: Tensor) -> list[float]:
    """Destination to source in continuous coordinates, by homogeneous matrices."""
    half = torch.tensor([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    whole = torch.cat([matrix, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)])
    return [*torch.linalg.inv(half @ whole @ torch.linalg.inv(half))[:2].flatten().tolist(), 0.0, 0.0]
