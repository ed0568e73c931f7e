"""The localization network: from a thumbnail of the image to a distribution over its affine parameters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.geometry.warp import in_full_precision, is_one_on_cpu
from learned_affine.policy.distribution import DIMENSIONS, LARGEST, PRIOR_WIDTH, SMALLEST, START, Policy
from learned_affine.policy.raw_head import RawHead
from learned_affine.policy.single import draw_of_one
from learned_affine.policy.thumbnail import thumbnail

UNIT = 10.0  # the head's last output for an image that it costs a nat to mirror is -UNIT
DIFFERENT = (
    0.5  # mean difference from the mirror image, in deviations of the pixels, from which on an image counts whole
)
MIRROR_START = math.log(0.05 / 0.95)  # a chance of 5 %
NUMBERS = DIMENSIONS + DIMENSIONS * (DIMENSIONS + 1) // 2  # outputs of the head: the mean, and the entries of L
# no buffers, which the meta device and from_pretrained lose: constants, on the CPU whatever torch's default device is
ONES = torch.ones(DIMENSIONS, DIMENSIONS, dtype=torch.float32, device="cpu")
LOG_START = START + ONES.triu().tril().log()  # beside the diagonal -inf, whose exp is 0
BELOW = PRIOR_WIDTH * ONES.tril(-1)
# of each of L's 36 entries the output of the head that it is made of; above the diagonal any
SOURCE = (DIMENSIONS - 1 + ONES.tril().flatten().cumsum(0)).long()


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
        mirrors: whether it also gives each image's chance of a mirror.
    """

    deterministic = False

    def __init__(
        self, channels: int = 3, size: int = 16, width: int = 64, per_image: bool = True, mirrors: bool = True
    ) -> None:
        super().__init__()
        self.channels, self.size, self.width, self.per_image, self.mirrors = channels, size, width, per_image, mirrors
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width),
            nn.LayerNorm(width),
            nn.LeakyReLU(0.1),
        )
        self.head = nn.Linear(width, NUMBERS + mirrors)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if mirrors:
            nn.init.constant_(self.head.bias[NUMBERS:], MIRROR_START)
        self.price = 1.0  # while a fit is under way: the dual variable over UNIT, by which costs become logits

    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to build it again."""
        names = ("channels", "size", "width", "per_image", "mirrors")
        return {name: getattr(self, name) for name in names}

    def noise(self, count: int, limits: AffineLimits, generator: torch.Generator | None) -> Tensor:
        """The noise of ``count`` images: with a seventh number where images may be mirrored."""
        return Policy.noise(count, mirror=self.mirrors and limits.symmetries != "none", generator=generator)

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
        features = self.features(observation) if self.per_image else observation
        raw = self.head(features).float()
        source, start, below = (one.to(raw.device, non_blocking=True) for one in (SOURCE, LOG_START, BELOW))
        entries = raw.index_select(1, source).view(-1, DIMENSIONS, DIMENSIONS)
        width = (entries.clamp(SMALLEST, LARGEST) + start).exp()
        logit = self._logit(raw[:, NUMBERS], observation) if self.mirrors else None
        return Policy(raw[:, :DIMENSIONS], torch.addcmul(width, entries, below), logit)

    def _logit(self, output: Tensor, observation: Tensor) -> Tensor:
        """The logarithm of the odds of a mirror, ``(B,)``, of the head's last output."""
        gated = self._gated(output, observation)
        return (gated if self.price == 1 else self.price * gated).clamp_max(0)

    def mirror_output(self, observation: Tensor) -> Tensor:
        """What a mirror costs, ``(B,)``, in ``-1 / UNIT`` nats: the head's last output alone."""
        features = self.features(observation) if self.per_image else observation
        output = F.linear(features, self.head.weight[NUMBERS:], self.head.bias[NUMBERS:])[:, 0]
        return self._gated(output, observation)

    def _gated(self, output: Tensor, observation: Tensor) -> Tensor:
        """The output, which counts as much as the image differs from its mirror image.

        One that equals its mirror image bears the flip whatever it shows: the network need not learn that.
        """
        if not self.per_image:
            return output
        differs = (observation - observation.flip(-1)).abs().mean((1, 2, 3))
        return (differs / DIFFERENT).clamp_max(1).to(output.dtype) * output

    @torch.no_grad()
    def set_price(self, price: float) -> None:
        """Take another price without changing any chance; 1 at the end of a fit."""
        self.head.weight[NUMBERS:] *= self.price / price
        self.head.bias[NUMBERS:] *= self.price / price
        self.price = price

    def draw(self, images: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float) -> AffineParameters:
        """Parameters within ``limits``: from the images' noise, or the mode without."""
        if is_one_on_cpu(images) and type(self).forward is LocalizationNetwork.forward:
            return self._draw_of_one(images, noise, limits, strength)
        policy: Policy = self(images)
        return policy.draw(noise, limits, strength)

    def _draw_of_one(
        self, image: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float
    ) -> AffineParameters:
        with in_full_precision(image):
            observation = self.observe(image)
            raw = self.head(self.features(observation) if self.per_image else observation)[0].float()
        numbers = None if noise is None else noise[0].tolist()
        output = raw.tolist()

        def mirror_logit() -> float:
            differs = float((observation - observation.flip(-1)).abs().mean()) if self.per_image else DIFFERENT
            return self.price * min(1.0, differs / DIFFERENT) * output[NUMBERS]

        return draw_of_one(output, numbers, limits, strength, mirror_logit if self.mirrors else None)


HEADS: dict[str, type[LocalizationNetwork] | type[RawHead]] = {"bounded": LocalizationNetwork, "raw": RawHead}
