"""The localization network: from a thumbnail of the image to a distribution over its affine parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine.geometry import in_full_precision
from learned_affine.parameters import NAMES, AffineLimits, AffineParameters

DIMENSIONS = len(NAMES)
PRIOR_WIDTH = 0.9  # standard deviation before the tanh at which tanh(z) is nearest to uniform on [-1, 1]
START_WIDTH = 0.1  # of the prior's: a wide start gets stuck where the classifier is sure and wrong


@dataclass(frozen=True)
class Policy:
    """Distributions over the unit cube, one an image: ``tanh(mean + L noise)``.

    Args:
        mean: ``(B, 6)``, before the tanh.
        scale_tril: ``(B, 6, 6)``, the lower triangular ``L``.
    """

    mean: Tensor
    scale_tril: Tensor

    @property
    def width(self) -> Tensor:
        """The diagonal of ``L``, ``(B, 6)``: the standard deviations, before the tanh, of a policy without slants."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1)

    def sample(self, noise: Tensor) -> Tensor:
        """The points that ``(B, 6)`` standard normal noise leads to, ``(B, 6)`` within [-1, 1]."""
        return torch.tanh(self.mean + (self.scale_tril * noise[..., None, :]).sum(-1))

    def mode(self) -> Tensor:
        """The points that no noise leads to."""
        return torch.tanh(self.mean)


def thumbnail(images: Tensor, size: int, channels: int) -> Tensor:
    """A small standardised copy, so that pixel range, normalisation and resolution do not matter.

    Args:
        images: ``(B, C, H, W)`` of any dtype.
        size: side of the result in pixels.
        channels: channels of the result, see :func:`match_channels`.

    Returns:
        ``(B, channels, size, size)`` float32, mean 0 and deviation 1 for each image and channel; a flat channel is 0.
    """
    images = match_channels(images, channels)
    small = images if images.dtype in (torch.float32, torch.float64) else images.float()
    if small.shape[-2:] != (size, size):
        # averages are exact and cheap on the way down, and only the way up needs interpolation
        height, width = min(small.shape[-2], size), min(small.shape[-1], size)
        if small.shape[-2:] != (height, width):
            small = _average(small, height, width)
        if (height, width) != (size, size):
            small = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    flat = small.float().flatten(2)
    mean = flat.mean(-1, keepdim=True)
    centred = flat - mean
    # mean and norm are each one fast pass; torch.std_mean takes ten times as long, layer_norm twice
    deviation = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / size
    # rounding alone gives a flat channel a deviation near 1e-7 of its mean: that is no content
    floor = 1e-5 * mean.abs().clamp_min(1e-3)
    return (centred / torch.maximum(deviation, floor)).view(len(flat), channels, size, size)


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
    """Of each ``step`` rows the sum of four, the middle ones of their quarters."""
    first, second, third, fourth = (images[..., (2 * part + 1) * step // 8 :: step, :] for part in range(4))
    return (first + second) + (third + fourth)


def match_channels(images: Tensor, channels: int) -> Tensor:
    """The channels that a network fitted on ``channels`` looks at.

    Grey is expanded; alpha (the last of 2 or 4) is left out; RGB for a grey network is averaged.

    Raises:
        ValueError: if the images have channels that this cannot match.
    """
    count = images.shape[1]
    if count == channels:
        return images
    if count in (2, 4) and channels in (1, 3):
        images, count = images[:, :-1], count - 1
    if count == 1:
        return images.expand(-1, channels, -1, -1)
    if count == 3 and channels == 1:
        return (images if images.is_floating_point() else images.float()).mean(1, keepdim=True)
    if count == channels:
        return images
    raise ValueError(f"images must have {channels} channels (or be grey), got {tuple(images.shape)}")


class LocalizationNetwork(nn.Module):
    """One hidden layer over the thumbnail, and a head that gives each image's own mean and ``L``.

    The part that a spatial transformer calls localization network (Jaderberg et al. 2015). Two convolutions in front
    of the hidden layer led to policies as wide and classifiers as good, at three times the cost.

    LayerNorm and LeakyReLU, since a plain ReLU net was seen to die while fitting; no BatchNorm, since one image's warp
    must not depend on its neighbours. The last layer starts at zero: an unfitted network gives every image the same
    small random warps round the identity.

    Args:
        channels: channels that it looks at.
        size: side of the thumbnail in pixels.
        width: features of the hidden layer.
        per_image: if False, the image is not looked at: one learned policy for all.
    """

    deterministic = False

    def __init__(self, channels: int = 3, size: int = 16, width: int = 64, per_image: bool = True) -> None:
        super().__init__()
        self.channels, self.size, self.width, self.per_image = channels, size, width, per_image
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width),
            nn.LayerNorm(width),
            nn.LeakyReLU(0.1),
        )
        rows, columns = torch.tril_indices(DIMENSIONS, DIMENSIONS)
        self.head = nn.Linear(width, DIMENSIONS + len(rows))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        source = torch.full((DIMENSIONS, DIMENSIONS), DIMENSIONS)
        source[rows, columns] = DIMENSIONS + torch.arange(len(rows))
        self._source: Tensor  # of each of L's 36 entries: the output of the head that it is made of
        self._scale: Tensor  # what that is multiplied with off the diagonal: nothing above it
        self._diagonal: Tensor  # whether an entry is on the diagonal
        self.register_buffer("_source", source.flatten(), persistent=False)
        self.register_buffer("_scale", PRIOR_WIDTH * torch.ones(DIMENSIONS, DIMENSIONS).tril(), persistent=False)
        self.register_buffer("_diagonal", torch.eye(DIMENSIONS, dtype=torch.bool), persistent=False)
        self._start = math.log(START_WIDTH * PRIOR_WIDTH)

    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to build it again."""
        return {"channels": self.channels, "size": self.size, "width": self.width, "per_image": self.per_image}

    def forward(self, images: Tensor) -> Policy:
        """The policy of each of ``(B, C, H, W)`` images."""
        with in_full_precision(images):
            return self.policy(self.look(images))

    def look(self, images: Tensor) -> Tensor:
        """All that it sees of the images: thumbnails ``(B, channels, size, size)``; ones where it is blind to them."""
        head = self.head
        if self.per_image:
            return thumbnail(images, self.size, self.channels).to(head.weight.dtype)
        return head.weight.new_ones(len(images), head.in_features)

    def policy(self, seen: Tensor) -> Policy:
        """The policies that :meth:`look` leads to."""
        raw = self.head(self.features(seen) if self.per_image else seen).float()
        entries = raw.index_select(1, self._source).view(-1, DIMENSIONS, DIMENSIONS)
        width = (entries.clamp(-6, 3) + self._start).exp()
        return Policy(raw[:, :DIMENSIONS], torch.where(self._diagonal, width, entries * self._scale))

    def draw(self, images: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float) -> AffineParameters:
        """Parameters within ``limits``: from ``(B, 6)`` noise, or the mode without."""
        policy: Policy = self(images)
        unit = policy.mode() if noise is None else policy.sample(noise)
        return limits.parameters(unit if strength == 1 else strength * unit)


class RawHead(nn.Module):
    """The paper's own head: one unbounded 2x3 matrix an image, no randomness, the identity at the start.

    As in a spatial transformer, the matrix maps output to input in coordinates that run from -1 to 1.
    Only for reproducing the paper: nothing keeps it from destroying the image.
    """

    deterministic = True

    def __init__(self, channels: int = 3, size: int = 16, width: int = 16) -> None:
        super().__init__()
        self.channels, self.size, self.width = channels, size, width
        side = -(-size // 4)
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * side * side, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 6)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))

    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to build it again."""
        return {"channels": self.channels, "size": self.size, "width": self.width}

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 2, 3)`` output-to-input matrices in normalised coordinates."""
        small = thumbnail(images, self.size, self.channels).to(self.head.weight.dtype)
        return self.head(self.features(small)).float().unflatten(-1, (2, 3))

    def draw(self, images: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float) -> AffineParameters:
        """The parameters of the matrix; ``noise`` and ``limits`` play no part."""
        theta = self(images)
        theta = theta * strength + (1 - strength) * torch.eye(2, 3, device=theta.device)
        (a, b, x), (c, d, y) = (row.unbind(-1) for row in theta.unbind(-2))
        height, width = images.shape[-2:]
        determinant = a * d - b * c
        aspect = width / height  # normalised to pixel units: x by half the width, y by half the height
        linear = (d, -b * aspect, -c / aspect, a)
        shift = (-(d * x - b * y) * width / 2, -(a * y - c * x) * height / 2)
        rows = torch.stack([linear[0], linear[1], shift[0], linear[2], linear[3], shift[1]], -1)
        about_centre = rows.unflatten(-1, (2, 3)) / determinant[:, None, None]
        centre = theta.new_tensor([(width - 1) / 2, (height - 1) / 2])
        offset = about_centre[..., 2] + centre - about_centre[..., :2] @ centre
        matrix = torch.cat([about_centre[..., :2], offset[..., None]], -1)
        return AffineParameters.from_matrix(matrix, height, width)


HEADS: dict[str, type[LocalizationNetwork] | type[RawHead]] = {"bounded": LocalizationNetwork, "raw": RawHead}
