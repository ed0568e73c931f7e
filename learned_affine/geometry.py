"""Warp images, masks, boxes and key points by a matrix. The one place that imports kornia's geometry.

Two conventions meet here and nowhere else. A *matrix* is kornia's: source to destination in pixel indices, where
the centre of the first pixel is (0, 0). torchvision's boxes and key points are *continuous*: the image spans
``[0, W] x [0, H]`` and the centre of the first pixel is (0.5, 0.5). ``continuous`` turns the first into the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

INTERPOLATIONS = ("bilinear", "nearest")
PADDING_MODES = ("reflection", "border", "zeros", "fill")
Fill = float | Sequence[float]
WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)


def warp_images(
    images: Tensor,
    matrix: Tensor,
    interpolation: str = "bilinear",
    padding_mode: str = "reflection",
    fill: Fill = 0.0,
) -> Tensor:
    """Warp each image by its own matrix, in one sampling pass. Differentiable in both.

    Args:
        images: ``(B, C, H, W)`` of a floating dtype.
        matrix: ``(B, 2, 3)``, source to destination, pixel indices.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        padding_mode: what comes in from outside: ``"reflection"``, ``"border"``, ``"zeros"`` or ``"fill"``.
        fill: a value, or one a channel, for ``"fill"``.

    Returns:
        ``(B, C, H, W)`` of the same dtype, sampled in float32 (float64 for float64). Autocast is switched off
        inside: under bfloat16 kornia's sampling positions would move by up to a pixel.
    """
    work = torch.promote_types(images.dtype, torch.float32)
    with in_full_precision(images):
        source, matrix = images.to(work), matrix.to(work)
        value = fill_tensor(fill, source) if padding_mode == "fill" else None
        mode = "zeros" if padding_mode == "fill" else padding_mode
        # warp(x - fill) + fill with zeros outside is kornia's own "fill" at a third of its cost
        shifted = source if value is None else source - value
        warped = warp_affine(shifted, matrix, source.shape[-2:], interpolation, mode, align_corners=False)
        return (warped if value is None else warped + value).to(images.dtype)


def in_full_precision(images: Tensor) -> AbstractContextManager[object]:
    """Autocast switched off; nothing at all where it is not on, since entering it costs one image a tenth of a warp."""
    kind = images.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def fill_tensor(fill: Fill, images: Tensor) -> Tensor | None:
    """The fill as something to subtract from ``(B, C, H, W)``; None where it is 0.

    Raises:
        ValueError: if there is neither one value nor one a channel.
    """
    values = [float(fill)] if isinstance(fill, int | float) else [float(value) for value in fill]
    if len(values) not in (1, images.shape[1]):
        raise ValueError(f"fill must have one value or one for each of {images.shape[1]} channels, got {len(values)}")
    return images.new_tensor(values).view(-1, 1, 1) if any(values) else None


def working(images: Tensor) -> Tensor:
    """Images of any dtype in the one they are warped in: float32, or float64 for what float32 would not hold exactly.

    8 and 16 bit and bool are exact in float32; wider integers go through float64.
    """
    return images.to(torch.float64 if images.dtype in WIDE else torch.float32)


def as_dtype(warped: Tensor, dtype: torch.dtype, padding_mode: str) -> Tensor:
    """Warped images back in the dtype they came in: for integers rounded, and clamped to what the dtype can hold."""
    if dtype.is_floating_point:
        return warped.to(dtype)
    if dtype == torch.bool:
        return warped >= 0.5
    if dtype == torch.int64:  # float64 cannot hold the largest int64, which would wrap round
        return warped.round_().clamp_(-(2.0**63), 2.0**63 - 1025).to(dtype)
    warped = warped.round_()
    if padding_mode == "fill":  # no mean of pixels leaves the range, but a fill may lie outside
        limits = torch.iinfo(dtype)
        warped = warped.clamp_(limits.min, limits.max)
    return warped.to(dtype)


def continuous(matrix: Tensor) -> Tensor:
    """The same map in continuous coordinates: pixel indices moved by half a pixel, ``T(.5) M T(-.5)``."""
    half = matrix.new_full((2,), 0.5)
    shift = matrix[..., 2] + half - matrix[..., :2] @ half
    return torch.cat([matrix[..., :2], shift[..., None]], dim=-1)


def warp_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Move points by one matrix: ``(..., 2)`` continuous ``(x, y)`` by ``(2, 3)`` pixel indices to ``(..., 2)``."""
    moved = continuous(matrix.to(points.device, torch.float64))
    return points.double() @ moved[:, :2].T + moved[:, 2]


def warp_key_points(points: tv_tensors.KeyPoints, matrix: Tensor) -> tv_tensors.KeyPoints:
    """Move ``(..., 2)`` key points by one ``(2, 3)`` matrix. As in torchvision, they may leave the canvas unclamped."""
    moved = warp_points(points.as_subclass(Tensor), matrix).to(points.dtype)
    return tv_tensors.wrap(moved, like=points)


def warp_boxes(boxes: tv_tensors.BoundingBoxes, matrix: Tensor) -> tv_tensors.BoundingBoxes:
    """Move ``(N, K)`` boxes of any format by one ``(2, 3)`` matrix; a box becomes the box round its moved corners.

    The corners go through torchvision's own ``perspective``, whose coefficients map destination to source, so
    rotated formats, clamping and integer boxes behave as in torchvision's transforms.
    """
    if boxes.numel() == 0:
        return tv_tensors.wrap(boxes.as_subclass(Tensor).clone(), like=boxes)
    moved = continuous(matrix.detach().cpu().double())
    back = torch.linalg.inv(torch.cat([moved, moved.new_tensor([[0.0, 0.0, 1.0]])]))
    coefficients = [*back[:2].flatten().tolist(), 0.0, 0.0]
    return F.perspective(boxes, None, None, coefficients=coefficients)


def visible_area(matrix: Tensor, height: int, width: int, grid: int = 16) -> Tensor:
    """Share of the output that shows the input rather than padding, on a ``grid x grid`` of probes.

    Args:
        matrix: ``(B, 2, 3)``, source to destination, pixel indices.

    Returns:
        ``(B,)`` within [0, 1].
    """
    moved = continuous(matrix.float())
    steps = (torch.arange(grid, device=matrix.device) + 0.5) / grid
    y, x = torch.meshgrid(steps * height, steps * width, indexing="ij")
    probes = torch.stack([x, y]).flatten(1)  # (2, P)
    determinant = moved[:, 0, 0] * moved[:, 1, 1] - moved[:, 0, 1] * moved[:, 1, 0]
    determinant = torch.where(determinant == 0, determinant.new_tensor(1e-12), determinant)
    offset = probes[None] - moved[:, :, 2:]  # (B, 2, P)
    back_x = (moved[:, 1, 1, None] * offset[:, 0] - moved[:, 0, 1, None] * offset[:, 1]) / determinant[:, None]
    back_y = (moved[:, 0, 0, None] * offset[:, 1] - moved[:, 1, 0, None] * offset[:, 0]) / determinant[:, None]
    inside = (back_x >= 0) & (back_x <= width) & (back_y >= 0) & (back_y <= height)
    return inside.float().mean(-1)
