"""A finer copy of images, for ``interpolation="sharp"``.

Bilinear reading blurs images whose detail is as fine as their pixels: a shift by half a pixel takes the mean of
neighbours. So images are first enlarged by a quarter along both sides with a cubic B-spline, whose prefilter sharpens
by as much as the spline and the bilinear reading blur on average (after Unser 1999, "Splines: a perfect fit for signal
and image processing"). A finer grid costs more and gains little.

The enlargement is a product with a banded matrix along each side: in dense blocks along the band, faster than a
convolution or ``interpolate``, and about as long as the bilinear reading itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from learned_affine.geometry.parameters import is_traced

FINER = 5 / 4
# The symmetric prefilter from its centre outwards: least squares, over all sub-pixel shifts, against the exact shift of
# images whose power falls with the square of the frequency. It sums to 1, so that constant images stay as they are.
PREFILTER = (2.3466, -0.9160, 0.3116, -0.0689)
REACH = len(PREFILTER) + 1  # pixels to either side that a finer sample is made of
BLOCK = 48  # samples to a block on a CPU: smaller ones are slow products, larger ones mostly zeros
LARGE_BLOCK = 512  # elsewhere, where starting a product takes longer than the product


class Band(NamedTuple):
    """Some rows of the matrix that enlarges: where they go, the pixels that they need, and the weights of those."""

    place: slice
    pixels: slice
    weights: Tensor


def enlarged(images: Tensor) -> Tensor:
    """Images a quarter finer along both sides, mirrored beyond their edges. Differentiable.

    ``(B, C, H, W)`` of float32 or float64 become ``(B, C, round(5 / 4 * H), round(5 / 4 * W))``. Coordinates from -1 to
    1 (``align_corners=False``) mean the same places there. A pixel that is not finite, or too large for sums, makes the
    samples NaN that are made of it, and no others.
    """
    make = bands.__wrapped__ if is_traced() else bands  # what is made inside of a graph must not outlive it
    rows, columns = (make(side, images.dtype, images.device) for side in map(int, images.shape[-2:]))
    if images.device.type == "cpu" and not is_traced():
        finer = _along_both_sides(images, rows, columns)
        # a zero in the matrix times NaN is NaN, so that one column of each block shows all pixels that it reads
        if math.isfinite(finer.detach()[..., ::BLOCK].sum().item()):
            return finer
    bad = ~(images.abs() < torch.finfo(images.dtype).max / 64)  # a sum of larger ones might overflow
    touched = ([one._replace(weights=one.weights.ne(0).to(images.dtype)) for one in side] for side in (rows, columns))
    spoiled = _along_both_sides(bad.to(images.dtype), *touched) > 0.5
    return _along_both_sides(images.masked_fill(bad, 0.0), rows, columns).masked_fill(spoiled, math.nan)


def _along_both_sides(images: Tensor, rows: Sequence[Band], columns: Sequence[Band]) -> Tensor:
    """The matrix of the rows, times each plane, times that of the columns."""
    batch, channels, height, width = images.shape
    # planes lie side by side, so that each block is one product for all of them
    lines = images.permute(2, 0, 1, 3).reshape(height, -1)
    if is_traced() or (torch.is_grad_enabled() and images.requires_grad):
        tall = torch.cat([band.weights @ lines[band.pixels] for band in rows]).view(-1, width)
        wide = torch.cat([tall[:, band.pixels] @ band.weights.mT for band in columns], 1)
    else:  # written in place, which saves the passes that join the blocks
        tall = lines.new_empty(rows[-1].place.stop, lines.shape[1])
        for band in rows:
            torch.mm(band.weights, lines[band.pixels], out=tall[band.place])
        del lines  # the less memory is in use at a time, the more of it is still in the cache
        tall = tall.view(-1, width)
        wide = tall.new_empty(len(tall), columns[-1].place.stop)
        for band in columns:
            torch.mm(tall[:, band.pixels], band.weights.mT, out=wide[:, band.place])
    return wide.view(rows[-1].place.stop, batch, channels, wide.shape[1]).permute(1, 2, 0, 3)


@lru_cache(maxsize=64)
def bands(side: int, dtype: torch.dtype, device: torch.device) -> tuple[Band, ...]:
    """The matrix ``(round(5 / 4 * side), side)`` that enlarges a side, in blocks of rows without the zeros around."""
    block = BLOCK if device.type == "cpu" else LARGE_BLOCK
    count, found = round(side * FINER), []
    with torch.inference_mode(False), torch.no_grad():
        for first in range(0, count, block):
            positions = [(row + 0.5) * side / count - 0.5 for row in range(first, min(first + block, count))]
            around = range(math.floor(positions[0]) - REACH + 1, math.floor(positions[-1]) + REACH + 1)
            mirrored = [min(pixel % (2 * side), 2 * side - 1 - pixel % (2 * side)) for pixel in around]  # at the edges
            low, high = min(mirrored), max(mirrored) + 1
            there, here = (torch.tensor(side, dtype=torch.float64, device="cpu") for side in (positions, around))
            weights = torch.zeros(len(positions), high - low, dtype=torch.float64, device="cpu")
            index = torch.tensor(mirrored, device="cpu") - low
            weights.index_add_(1, index, kernel(there[:, None] - here))
            weights = weights.to(dtype).to(device, non_blocking=True)
            found.append(Band(slice(first, first + len(positions)), slice(low, high), weights))
    return tuple(found)


def kernel(distance: Tensor) -> Tensor:
    """The weight of a pixel in a sample at a distance, in pixels: the prefilter, and the cubic B-spline."""
    total = torch.zeros_like(distance)
    for step in range(1 - len(PREFILTER), len(PREFILTER)):
        far = (distance - step).abs()
        spline = ((2 - far).clamp_min(0) ** 3 - 4 * (1 - far).clamp_min(0) ** 3) / 6
        total += PREFILTER[abs(step)] * spline
    return total
