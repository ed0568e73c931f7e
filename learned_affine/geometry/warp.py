"""Pixels by their parameters. The one file of the package that imports ``kornia.geometry``.

A warp is what kornia's ``warp_affine`` computes (``align_corners=False``), and wherever a gradient is needed it is
called. Without a gradient the same sampling grid is computed straight from the parameters, as an outer sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torch.nn import functional as F

from learned_affine.geometry.parameters import AffineParameters

Interpolation = Literal["bilinear", "nearest", "bicubic"]
PaddingMode = Literal["reflection", "border", "zeros", "fill"]
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
PADDING_MODES: tuple[str, ...] = get_args(PaddingMode)
Fill = float | Sequence[float]
WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)
PIECE = 2**18  # pixels that one thread warps at a time


def warp_images(
    images: Tensor,
    parameters: AffineParameters,
    interpolation: str = "bilinear",
    padding_mode: str = "reflection",
    fill: Fill = 0.0,
) -> Tensor:
    """Warp each image by its own parameters, in one sampling pass. Differentiable in both.

    Args:
        images: ``(B, C, H, W)`` of a floating dtype.
        parameters: of ``B`` images, on their device.
        interpolation: ``"bilinear"``, ``"nearest"`` or ``"bicubic"``.
        padding_mode: what comes in from outside: ``"reflection"``, ``"border"``, ``"zeros"`` or ``"fill"``.
        fill: a value, or one a channel, for ``"fill"``.

    Returns:
        ``(B, C, H, W)`` of the same dtype, sampled in float32 (float64 for float64). Autocast is switched off
        inside: under bfloat16 sampling positions would move by up to a pixel.
    """
    work = torch.promote_types(images.dtype, torch.float32)
    numbers = parameters.tensors()
    if torch.is_grad_enabled() and (images.requires_grad or any(value.requires_grad for value in numbers)):
        matrix = parameters.map(lambda value: value.to(work)).matrix(*images.shape[-2:])
        return warp_by_matrix(images, matrix, interpolation, padding_mode, fill)

    def sample(source: Tensor, mode: str) -> Tensor:
        coefficients = inverse_map(parameters, source.shape[-2], source.shape[-1], source.dtype)
        return _in_pieces(source, coefficients, interpolation, mode)

    return _around_fill(images, work, padding_mode, fill, sample)


def warp_by_matrix(
    images: Tensor,
    matrix: Tensor,
    interpolation: str = "bilinear",
    padding_mode: str = "reflection",
    fill: Fill = 0.0,
) -> Tensor:
    """Warp each image by its own matrix ``(B, 2, 3)``, source to destination in pixel indices, through kornia.

    The other arguments are those of :func:`warp_images`.
    """
    work = torch.promote_types(images.dtype, torch.float32)

    def sample(source: Tensor, mode: str) -> Tensor:
        return warp_affine(source, matrix.to(work), source.shape[-2:], interpolation, mode, align_corners=False)

    return _around_fill(images, work, padding_mode, fill, sample)


def _around_fill(
    images: Tensor, work: torch.dtype, padding_mode: str, fill: Fill, sample: Callable[[Tensor, str], Tensor]
) -> Tensor:
    """Sample in the working dtype; a fill is zeros around pixels that it was subtracted from."""
    with in_full_precision(images):
        source = images.to(work)
        value = fill_tensor(fill, source) if padding_mode == "fill" else None
        mode = "zeros" if padding_mode == "fill" else padding_mode
        # sample(x - fill) + fill with zeros outside is kornia's own "fill" at a third of its cost
        warped = sample(source if value is None else source - value, mode)
        return (warped if value is None else warped + value).to(images.dtype)


# -- the sampling grid ------------------------------------------------------------------------------------------------


def inverse_map(parameters: AffineParameters, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Destination to source in coordinates that run from -1 to 1 over the image, ``(6, B)``: ``xx xy x0 yx yy y0``.

    ``x_source = xx * x + xy * y + x0`` and ``y_source = yx * x + yy * y + y0``. Nothing is inverted: of the linear part
    R(angle) K(shear) diag(scale_x, scale_y) each factor's inverse is known.
    """
    numbers = parameters.tensors()
    if len(parameters) == 1 and numbers[0].device.type == "cpu" and not torch.compiler.is_compiling():
        # twenty operators on one number each take five times as long
        plain: list[Any] = [value.item() for value in numbers]
        plain[1] = -plain[1] if parameters.mirror.item() else plain[1]
        return torch.tensor(_inverse_map(math, height / width, *plain), dtype=dtype)[:, None]
    own = [value.to(dtype) for value in numbers]
    own[1] = torch.where(parameters.mirror, -own[1], own[1])
    return torch.stack(_inverse_map(torch, height / width, *own))


def _inverse_map(
    lib: Any, aspect: float, angle: Any, scale_x: Any, scale_y: Any, shear: Any, right: Any, down: Any
) -> tuple[Any, ...]:
    """The arithmetic of :func:`inverse_map`, for numbers (``math``) and for tensors (``torch``)."""
    radians, slant = angle * (math.pi / 180), lib.tan(shear * (math.pi / 180))
    cos, sin = lib.cos(radians), lib.sin(radians)
    xx, xy = (cos - slant * sin) / scale_x, (sin + slant * cos) * aspect / scale_x
    yx, yy = -sin / (scale_y * aspect), cos / scale_y
    # the shift of the content, in units of half a side, comes off first
    return xx, xy, -2 * (xx * right + xy * down), yx, yy, -2 * (yx * right + yy * down)


def sampling_grid(coefficients: Tensor, height: int, width: int) -> Tensor:
    """The grid ``(B, H, W, 2)`` of an affine map: an outer sum, laid out plane by plane.

    Args:
        coefficients: ``(6, B)`` of :func:`inverse_map`.
    """
    like: Any = {"device": coefficients.device, "dtype": coefficients.dtype}
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width, **like)
    y = torch.linspace(1 / height - 1, 1 - 1 / height, height, **like)
    planes = coefficients.view(2, 3, -1).permute(1, 2, 0)[..., None]  # (3, B, 2, 1)
    along_x, along_y = planes[0] * x, torch.addcmul(planes[2], planes[1], y)
    return (along_x[:, :, None, :] + along_y[:, :, :, None]).permute(0, 2, 3, 1)


def _in_pieces(images: Tensor, coefficients: Tensor, interpolation: str, padding_mode: str) -> Tensor:
    """Sample a batch piece by piece: the grid of a piece is in the cache and in memory at hand, where fresh memory has
    to be mapped page by page, which for a large batch can take as long as sampling.
    """
    count, (height, width) = len(images), images.shape[-2:]
    whole = torch.compiler.is_compiling() or images.device.type != "cpu"
    # the threads share a piece image by image
    step = count if whole else max(1, PIECE // (height * width)) * torch.get_num_threads()
    if count <= step:
        grid = sampling_grid(coefficients, height, width)
        return F.grid_sample(images, grid, interpolation, padding_mode, align_corners=False)
    warped = torch.empty_like(images, memory_format=torch.preserve_format)
    for start in range(0, count, step):
        piece = slice(start, start + step)
        grid = sampling_grid(coefficients[:, piece], height, width)
        warped[piece] = F.grid_sample(images[piece], grid, interpolation, padding_mode, align_corners=False)
    return warped


# -- dtypes -----------------------------------------------------------------------------------------------------------


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


def as_dtype(warped: Tensor, dtype: torch.dtype) -> Tensor:
    """Warped images back in the dtype they came in: for integers rounded, and clamped to what the dtype can hold."""
    if dtype.is_floating_point:
        return warped.to(dtype)
    if dtype == torch.bool:
        return warped >= 0.5
    if dtype in (torch.int64, torch.uint64):  # float64 cannot hold the largest, which would wrap around
        low, high = (0.0, 2.0**64 - 2049) if dtype == torch.uint64 else (-(2.0**63), 2.0**63 - 1025)
    else:
        low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    return warped.round().clamp_(low, high).to(dtype)
