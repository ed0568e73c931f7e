"""Pixels by a matrix. The one file of the package that imports ``kornia.geometry``.

A *matrix* is kornia's: source to destination in pixel indices, where the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor

Interpolation = Literal["bilinear", "nearest"]
PaddingMode = Literal["reflection", "border", "zeros", "fill"]
INTERPOLATIONS = get_args(Interpolation)
PADDING_MODES = get_args(PaddingMode)
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
