"""What the localization network observes of an image: a small standardised copy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine.geometry.parameters import is_traced
from learned_affine.geometry.warp import is_one_on_cpu

FLAT = 1e-5  # of a channel's mean: a smaller deviation is rounding
DARK = 1e-3  # of a mean: a smaller one counts as this
HUGE = 1e18  # pixels beyond it mean "no data"; their square would not be finite


def thumbnail(images: Tensor, size: int, channels: int) -> Tensor:
    """A small standardised copy, so that pixel range, normalisation and resolution do not matter.

    ``(B, C, H, W)`` of any dtype become ``(B, channels, size, size)`` float32, mean 0 and deviation 1 for each image
    and channel; a flat channel is 0.
    """
    images = match_channels(images, channels)
    small = images if images.dtype in (torch.float32, torch.float64) else images.float()
    # averages are exact and cheap on the way down, and only the way up needs interpolation
    height, width = min(small.shape[-2], size), min(small.shape[-1], size)
    if small.shape[-2:] != (height, width):
        small = _average(small, height, width)
    quick = _standardised_quickly(small) if is_one_on_cpu(small) and height == width == size else None
    if quick is not None:
        return quick
    small = without_bad_cells(small)
    if (height, width) != (size, size):
        small = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    small = small.float()
    mean = small.mean((-2, -1), keepdim=True)
    centred = small - mean
    # mean and norm are each one fast pass; torch.std_mean takes ten times as long, layer_norm twice
    deviation = torch.linalg.vector_norm(centred, dim=(-2, -1), keepdim=True) / size
    # rounding alone gives a flat channel a deviation near 1e-7 of its mean: that is no content
    floor = FLAT * mean.abs().clamp_min(DARK)
    return centred / torch.maximum(deviation, floor)


def _standardised_quickly(small: Tensor) -> Tensor | None:
    """Small copies of one image, standardised by one operator; None where a channel is flat, or a cell may be bad."""
    count, channels, height, width = small.shape
    planes, area = small.float().contiguous(), height * width
    scaled, means, inverses = torch.native_group_norm(planes, None, None, count, channels, area, channels, 0.0)
    pairs = zip(means[0].tolist(), inverses[0].tolist(), strict=True)
    # not so for NaN, and neither where a huge cell makes the deviation huge
    plain = all(inverse * FLAT * max(abs(mean), DARK) < 1 and HUGE * inverse > area for mean, inverse in pairs)
    return scaled if plain else None


def without_bad_cells(small: Tensor) -> Tensor:
    """Cells that hold a pixel that is not finite, or a huge no-data value, take the mean of their channel's others."""
    on_cpu = small.device.type == "cpu" and not is_traced()
    if on_cpu and float(torch.linalg.vector_norm(small.detach())) < HUGE:  # not so for NaN; one fast pass
        return small
    good = small.abs() < HUGE
    count = good.sum((-2, -1), keepdim=True).clamp_min(1)
    mean = torch.where(good, small, 0.0).sum((-2, -1), keepdim=True) / count
    return torch.where(good, small, mean)


def _average(images: Tensor, height: int, width: int) -> Tensor:
    """Averages over a grid of ``height x width`` cells; of large cells, over 16 pixels spread evenly."""
    down, right = images.shape[-2] // height, images.shape[-1] // width
    if images.shape[-2:] != (height * down, width * right):
        return F.adaptive_avg_pool2d(images, (height, width))
    if down == right == 2:
        # halving a batch by adding rows, then columns, has a quarter of the cost of the pooling operator
        if len(images) == 1:
            return F.avg_pool2d(images, 2)
        rows = images[:, :, 0::2] + images[:, :, 1::2]
        return (rows[..., 0::2] + rows[..., 1::2]) / 4
    if down >= 6 and right >= 6:  # a third to a sixth of the time that reading every pixel takes
        rows = _quarters(images, down)
        return _quarters(rows.mT, right).mT / 16
    # rows first, which adds whole vectors: up to eight times as fast as the pooling operator
    return images.unflatten(-2, (height, down)).mean(-2).unflatten(-1, (width, right)).mean(-1)


def _quarters(images: Tensor, step: int) -> Tensor:
    """Of each ``step`` rows the sum of four, the middle ones of their quarters; they read the same from both ends."""
    first, second = step // 8, 3 * step // 8
    a, b, c, d = (images[..., at::step, :] for at in (first, second, step - 1 - second, step - 1 - first))
    return (a + b) + (c + d)


def match_channels(images: Tensor, channels: int) -> Tensor:
    """The channels that a network observes: grey is expanded, RGB averaged for a grey network, and what has an alpha is
    laid on a plain ground.

    Raises:
        ValueError: if the images have channels that this cannot match.
    """
    if has_alpha(images, channels):
        images = on_a_ground(images)
    count = images.shape[1]
    if count == channels:
        return images
    if count == 1:
        return images.expand(-1, channels, -1, -1)
    if count == 3 and channels == 1:
        return (images if images.is_floating_point() else images.float()).mean(1, keepdim=True)
    came, last = tuple(images.shape), images.shape[-1]
    hint = f": with {last} channels last? Put them first, image.movedim(-1, -3)" if last in (1, 2, 3, 4) else ""
    raise ValueError(f"images must have {channels} channels (or be grey) and the shape (B, C, H, W), got {came}{hint}")


def has_alpha(images: Tensor, channels: int) -> bool:
    """Whether the last channel of ``(B, C, H, W)`` images is an alpha to a network that observes ``channels``."""
    return images.shape[1] in (2, 4) and channels in (1, 3)


def on_a_ground(images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The colour of images with an alpha, on white or on black: what its opaque part stands out from.

    ``dtype`` is that which their pixels came in, if they were converted since: it says what is opaque.
    In files of icons the colour is often the same everywhere, and the drawing is what is opaque.
    """
    dtype = images.dtype if dtype is None else dtype
    top = 1.0 if dtype.is_floating_point or dtype == torch.bool else float(torch.iinfo(dtype).max)
    colour, alpha = images[:, :-1].float(), (images[:, -1:].float() / top).clamp(0, 1)
    total, opaque = (one.mean((1, 2, 3), keepdim=True) for one in (colour * alpha, alpha))
    ground = torch.where(total < opaque * top / 2, top, 0.0)
    return torch.lerp(ground.to(colour.dtype), colour, alpha)
