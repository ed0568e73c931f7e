"""Pixels by their parameters. The one file of the package that imports ``kornia.geometry``.

A warp is what kornia's ``warp_affine`` computes (``align_corners=False``), and wherever a gradient is needed it is
called. Without a gradient the same sampling grid is computed straight from the parameters, as an outer sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, get_args

import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torch.nn import functional as F

from learned_affine.geometry.enlarge import enlarged
from learned_affine.geometry.parameters import MATRICES, AffineParameters, constant, flips_of, in_torch_func, is_traced

Interpolation = Literal["bilinear", "nearest", "bicubic", "sharp"]
PaddingMode = Literal["reflection", "border", "zeros", "fill"]
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
PADDING_MODES: tuple[str, ...] = get_args(PaddingMode)
Fill = float | Sequence[float]
WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)
PIECE = 2**18  # pixels that one thread warps at a time
SHARP_PIECE = 2**16  # the same for sharp interpolation, which makes larger copies


def warp_images(
    images: Tensor,
    parameters: AffineParameters,
    interpolation: str = "bilinear",
    padding_mode: str = "reflection",
    fill: Fill = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Warp each image by its own parameters, in one sampling pass. Differentiable in both.

    Args:
        images: ``(B, C, H, W)`` of a floating dtype.
        parameters: of ``B`` images, on their device.
        interpolation: ``"sharp"`` is bilinear reading of what :func:`~learned_affine.geometry.enlarge.enlarged` makes.
        padding_mode: what comes in from outside.
        fill: a value, or one per channel, for ``"fill"``.
        dtype: of the result, see :func:`as_dtype`; that of the images if None. Sampling is in float32 (float64 for
            float64), without autocast: under bfloat16 its positions would be off by up to a pixel.
    """
    dtype, warped = images.dtype if dtype is None else dtype, images
    for place, piece in warp_pieces(images, parameters, interpolation, padding_mode, fill):
        if len(piece) == len(images):
            return as_dtype(piece, dtype)
        if place.start == 0:
            warped = torch.empty_like(images, dtype=dtype, memory_format=torch.preserve_format)
        warped[place] = as_dtype(piece, dtype)
        del piece  # its memory is that of the next one
    return warped


def warp_pieces(
    images: Tensor, parameters: AffineParameters, interpolation: str, padding_mode: str, fill: Fill
) -> Iterator[tuple[slice, Tensor]]:
    """The same piece by piece, each with its place among the images.

    A piece fits into the processor's cache, and its memory is used again. Fresh memory has to be mapped page by page,
    which for a large batch can take as long as sampling. With a gradient, on a GPU and in a graph there is one piece.
    """
    count, (height, width), work = len(images), images.shape[-2:], working_dtype(images)
    if torch.is_grad_enabled() and any(value.requires_grad for value in (images, *parameters.tensors())):
        matrix = parameters.map(lambda value: value.to(work)).matrix(height, width)
        yield slice(0, count), warp_by_matrix(images, matrix, interpolation, padding_mode, fill)
        return
    x, y = along_the_sides(parameters, height, width, work)
    step = max(1, count)
    if images.device.type == "cpu" and not is_traced():  # threads share a piece image by image; all are about as large
        pixels = SHARP_PIECE if interpolation == "sharp" else PIECE
        most = max(1, pixels // (height * width)) * torch.get_num_threads()
        step = math.ceil(step / math.ceil(step / most))
    parts: Iterable[tuple[Tensor, ...]] = [(images, x, y)]
    if step < count:
        parts = zip(images.split(step), x.split(step, 1), y.split(step, 1), strict=True)
    for number, (source, along_x, along_y) in enumerate(parts):
        sample = partial(_sample, along_x=along_x, along_y=along_y, interpolation=interpolation)
        yield slice(step * number, step * (number + 1)), _around_fill(source, padding_mode, fill, sample)


def _sample(source: Tensor, mode: str, along_x: Tensor, along_y: Tensor, interpolation: str) -> Tensor:
    if interpolation == "sharp":  # coordinates run from -1 to 1 over the enlarged image, too
        source, interpolation = enlarged(source), "bilinear"
    grid = (along_x + along_y).permute(1, 2, 3, 0)  # an outer sum, laid out plane by plane
    return F.grid_sample(source, grid, interpolation, mode, align_corners=False)


def warp_by_matrix(
    images: Tensor, matrix: Tensor, interpolation: str = "bilinear", padding_mode: str = "reflection", fill: Fill = 0.0
) -> Tensor:
    """The same by a matrix of each image, ``(B, 2, 3)``, source to destination in pixel indices, through kornia."""

    def sample(source: Tensor, mode: str) -> Tensor:
        own, size, reading = matrix.to(source.dtype), source.shape[-2:], interpolation
        if interpolation == "sharp":  # to where it took the source's pixel indices go those of the enlarged one
            source, reading = enlarged(source), "bilinear"
            finer = constant([source.shape[-1] / size[1], source.shape[-2] / size[0]], own)
            linear, shift = own[..., :2], own[..., 2:]
            own = torch.cat([linear / finer, shift + linear @ (0.5 / finer - 0.5).unsqueeze(-1)], -1)
        return warp_affine(source, own, size, reading, mode, align_corners=False)

    return _around_fill(images, padding_mode, fill, sample)


def _around_fill(images: Tensor, padding_mode: str, fill: Fill, sample: Callable[[Tensor, str], Tensor]) -> Tensor:
    """Sample in the working dtype; a fill is zeros around pixels that it was subtracted from."""
    values, channels = [float(fill)] if isinstance(fill, int | float) else [*map(float, fill)], images.shape[1]
    if padding_mode == "fill" and len(values) not in (1, channels):
        raise ValueError(f"fill must have one value or one for each of {channels} channels, got {len(values)}")
    mode = "zeros" if padding_mode == "fill" else padding_mode
    with in_full_precision(images):
        source = images.to(working_dtype(images))
        if padding_mode != "fill" or not any(values):
            return sample(source, mode).to(images.dtype)
        # sample(x - fill) + fill with zeros outside is kornia's own "fill" at a third of its cost
        value = constant(values, source).view(-1, 1, 1)
        return (sample(source - value, mode) + value).to(images.dtype)


def rearrange(images: Tensor, code: int) -> Tensor:
    """Move the pixels of ``(..., H, W)`` by the symmetry ``quarter_turns + 4 * mirror``: by index, bit for bit."""
    return (images.mT if code % 2 else images).flip(flips_of(code))


def inverse_map(parameters: AffineParameters, height: int, width: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Destination to source in coordinates that run from -1 to 1 over the image: three tensors ``(2, B, 1, 1)``.

    ``source = first * x + second * y + third``, each of them for x and y of the source. Nothing is inverted: of the
    linear part each factor's inverse is known, and the symmetry's is its transpose. The shift of the content, in units
    of half a side, comes off first.
    """
    aspect = height / width
    if is_one_on_cpu(parameters.angle):
        return _inverse_map_of_one(parameters, aspect, dtype)
    numbers = torch.stack(parameters.tensors()).to(dtype)
    _, scale_x, scale_y, *_ = numbers.unbind()
    radians, _, _, shear, *_ = (numbers * (math.pi / 180)).unbind()
    cos, sin, slant = radians.cos(), radians.sin(), shear.tan()
    xx, xy = (cos - slant * sin) / scale_x, (sin + slant * cos) * aspect / scale_x
    yx, yy = -sin / scale_y, cos * aspect / scale_y  # in units of half a width, until the symmetry is undone
    warp = torch.stack([xx, xy, yx, yy]).view(2, 2, 1, -1)
    linear = (warp * parameters.symmetry_matrix(dtype)).sum(0)
    if height != width:
        linear = torch.stack([linear[:, 0], linear[:, 1] / aspect], dim=1)
    linear = linear.view(2, 2, -1, 1, 1)
    shift = (linear * numbers[4:].view(2, 1, -1, 1, 1)).sum(0) * -2
    return *linear.unbind(), shift


def _inverse_map_of_one(parameters: AffineParameters, aspect: float, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """The same for one image in plain numbers: twenty operators on a number each take five times as long."""
    angle, scale_x, scale_y, shear, right, down, mirror, turns = (value.item() for value in parameters.leaves())
    radians, slant = math.radians(angle), math.tan(math.radians(shear))
    cos, sin = math.cos(radians), math.sin(radians)
    across = (cos - slant * sin) / scale_x, (sin + slant * cos) * aspect / scale_x
    along = -sin / scale_y, cos * aspect / scale_y
    (a, b), (c, d) = MATRICES[int(turns + 4 * mirror)]
    xx, xy = (a * first + c * second for first, second in zip(across, along, strict=True))
    yx, yy = ((b * first + d * second) / aspect for first, second in zip(across, along, strict=True))
    shift = -2 * (xx * right + xy * down), -2 * (yx * right + yy * down)
    return torch.tensor((xx, yx, xy, yy, *shift), dtype=dtype, device="cpu").view(3, 2, 1, 1, 1).unbind()


def along_the_sides(parameters: AffineParameters, height: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What x and what y add to the sampling grid: ``(2, B, 1, W)`` and ``(2, B, H, 1)``, for x and y of the source."""
    across, down, shift = inverse_map(parameters, height, width, dtype)
    like: Any = {"device": shift.device, "dtype": dtype}
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width, **like)
    y = x if height == width else torch.linspace(1 / height - 1, 1 - 1 / height, height, **like)
    return across * x, torch.addcmul(shift, down, y.unsqueeze(-1))


def is_one_on_cpu(values: Tensor) -> bool:
    """Whether these are of one image in plain memory, no gradient wanted: plain numbers are the fastest then."""
    plain = values.device.type == "cpu" and not is_traced()
    return len(values) == 1 and plain and not (torch.is_grad_enabled() and values.requires_grad)


def in_full_precision(images: Tensor) -> AbstractContextManager[object]:
    """Autocast switched off; nothing at all where it is not on, since entering it costs one image a tenth of a warp."""
    kind = images.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def working_dtype(images: Tensor) -> torch.dtype:
    """The dtype that images are warped in: float32, or float64 for what float32 does not hold exactly."""
    return torch.float64 if images.dtype in WIDE else torch.float32


def as_dtype(warped: Tensor, dtype: torch.dtype) -> Tensor:
    """Warped images back in the dtype they came in: for integers rounded, and clamped to what the dtype can hold."""
    if dtype.is_floating_point:
        return warped.to(dtype)
    if dtype == torch.bool:
        return warped >= 0.5
    low, most = float(torch.iinfo(dtype).min), torch.iinfo(dtype).max
    high = float(most - (most >> 53))  # of 64 bits float64 cannot hold the largest, which would wrap around
    whole = warped.round()
    whole = whole.clamp(low, high) if in_torch_func() else whole.clamp_(low, high)  # vmap knows no clamp_
    if dtype == torch.uint8 and whole.device.type == "cpu":
        whole = whole.to(torch.int16)  # in two steps torch takes a third of the time
    return whole.to(dtype)
