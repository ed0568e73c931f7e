"""The localization network: from a thumbnail of the image to a distribution over its affine parameters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from learned_affine.geometry.parameters import AffineLimits, AffineParameters
from learned_affine.geometry.warp import in_full_precision
from learned_affine.policy.distribution import DIMENSIONS, PRIOR_WIDTH, Policy
from learned_affine.policy.raw_head import RawHead
from learned_affine.policy.thumbnail import thumbnail

START_WIDTH = 0.1  # of the prior's: a wide start gets stuck where the classifier is sure and wrong


class LocalizationNetwork(nn.Module):
    """One hidden layer over the thumbnail, and a head that gives each image's own mean and ``L``.

    The part that a spatial transformer calls localization network (Jaderberg et al. 2015). Two convolutions in front
    of the hidden layer led to policies as wide and classifiers as good, at three times the cost.

    LayerNorm and LeakyReLU, since a plain ReLU net was seen to die while fitting; no BatchNorm, since one image's warp
    must not depend on its neighbours. The last layer starts at zero: an unfitted network gives every image the same
    small random warps round the identity.

    Args:
        channels: channels that it observes.
        size: side of the thumbnail in pixels.
        width: features of the hidden layer.
        per_image: if False, the image is not observed: one learned policy for all.
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
            return self.policy(self.observe(images))

    def observe(self, images: Tensor) -> Tensor:
        """All that it uses of the images: thumbnails ``(B, channels, size, size)``; ones if not ``per_image``."""
        head = self.head
        if self.per_image:
            return thumbnail(images, self.size, self.channels).to(head.weight.dtype)
        return head.weight.new_ones(len(images), head.in_features)

    def policy(self, observation: Tensor) -> Policy:
        """The policies of what :meth:`observe` gave."""
        raw = self.head(self.features(observation) if self.per_image else observation).float()
        entries = raw.index_select(1, self._source).view(-1, DIMENSIONS, DIMENSIONS)
        width = (entries.clamp(-6, 3) + self._start).exp()
        return Policy(raw[:, :DIMENSIONS], torch.where(self._diagonal, width, entries * self._scale))

    def draw(self, images: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float) -> AffineParameters:
        """Parameters within ``limits``: from ``(B, 6)`` noise, or the mode without."""
        policy: Policy = self(images)
        return policy.draw(noise, limits, strength)


HEADS: dict[str, type[LocalizationNetwork] | type[RawHead]] = {"bounded": LocalizationNetwork, "raw": RawHead}
