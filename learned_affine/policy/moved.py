"""How much an image differs from its moved copies: by pairs of pixels, each of which is read once.

A symmetry that undoes itself would meet each pair twice, and the two quarter turns meet the same pairs. Half of the
reading is left, and with one row of memory for each pixel, over all images, it takes less than half of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine.geometry.warp import rearrange

QUARTER_TURN, BACK = 1, 3  # codes of symmetries that do not undo themselves: a network knows both or neither


def pairs_of_pixels(codes: Sequence[int], size: int, channels: int) -> tuple[Tensor, Tensor]:
    """Pairs of pixels of flattened images ``(channels, size, size)``, and which of them belong to which symmetry.

    The pairs, ``(2, parts * length)``, come in parts of one length. The weights, ``(parts, len(codes))``, make a mean
    over all pixels of what is summed in the parts.
    """
    pixels, length = torch.arange(size * size, device="cpu"), (size * size + 1) // 2
    parts, weights = [], []
    for code in codes:
        if code == BACK:  # has the pairs of the quarter turn
            continue
        pairs = torch.stack([pixels, rearrange(pixels.view(size, size), code).flatten()])
        count, same = 2, {QUARTER_TURN, BACK}
        if code != QUARTER_TURN:  # it undoes itself
            pairs, count, same = pairs[:, pairs[0] < pairs[1]], 1, {code}
        pairs = F.pad(pairs, (0, count * length - pairs.shape[1]))  # the first pixel and itself do not differ
        parts += [*pairs.unflatten(1, (count, length)).unbind(1)]
        weights += [[2 / count * (one in same) for one in codes]] * count
    first = size * size * torch.arange(channels, device="cpu")[:, None]  # pixel of each channel
    pairs = torch.stack(parts, 1)[:, :, None] + first if parts else torch.zeros(2, 0, dtype=torch.long, device="cpu")
    shares = torch.tensor(weights, dtype=torch.float32, device="cpu")
    return pairs.flatten(1), shares / (channels * size * size)


def mean_differences(images: Tensor, pairs: Tensor, weights: Tensor) -> Tensor:
    """Of ``(B, C, H, W)`` images the mean absolute difference from each moved copy, ``(B, S)``."""
    rows = images.flatten(1).T.contiguous().squeeze(1)  # a single image's numbers are read faster without rows
    first, second = (rows.index_select(0, some) for some in pairs)
    sums = first.sub_(second).abs_().unflatten(0, (len(weights), -1)).sum(1)
    return sums.view(len(weights), len(images)).T @ weights
