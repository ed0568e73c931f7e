"""Affine maps to try, and the same map as torchvision's ``perspective`` wants it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from learned_affine import AffineLimits, AffineParameters


def some(count: int, limits: AffineLimits | None = None, symmetries: bool = False) -> AffineParameters:
    """Parameters spread evenly over the limits, in float64; with symmetries each image has the next of the eight."""
    unit = 2 * torch.rand(count, 6, dtype=torch.float64) - 1
    return (limits or AffineLimits.wide()).parameters(unit, *(symmetry(range(4, 4 + count)) if symmetries else ()))


def symmetry(codes: Iterable[int]) -> tuple[Tensor, Tensor]:
    """Mirror and quarter turns of some codes, which are counted on beyond 7."""
    code = torch.tensor(list(codes)) % 8
    return code >= 4, code % 4


def matrices(count: int, height: int, width: int, limits: AffineLimits | None = None) -> Tensor:
    return some(count, limits).matrix(height, width)


def one(*values: float, mirror: bool = False, turns: int = 0) -> AffineParameters:
    """The parameters of one image in float64."""
    numbers = (torch.tensor([value], dtype=torch.float64) for value in values)
    return AffineParameters(*numbers, torch.tensor([mirror]), torch.tensor([turns]))


def floating(*values: float) -> AffineParameters:
    """The same in float32."""
    return one(*values).map(Tensor.float)


GONE = floating(0, 1, 1, 0, 1, 1)  # nothing of the image is left to be seen


def symmetries_alone(*codes: int) -> AffineParameters:
    """Parameters that do nothing but move each image by a symmetry, ``quarter_turns + 4 * mirror``."""
    return AffineParameters(*AffineParameters.identity(len(codes)).tensors(), *symmetry(codes))


def rearranged(images: Tensor, code: int) -> Tensor:
    """Any tensor ``(..., H, W)`` after a symmetry, by torch's own ``flip`` and ``rot90``."""
    return torch.rot90(images.flip(-1) if code >= 4 else images, -(code % 4), (-2, -1))


def coefficients(matrix: Tensor) -> list[float]:
    """Destination to source in continuous coordinates, by homogeneous matrices."""
    half = torch.tensor([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    whole = torch.cat([matrix, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)])
    return [*torch.linalg.inv(half @ whole @ torch.linalg.inv(half))[:2].flatten().tolist(), 0.0, 0.0]
