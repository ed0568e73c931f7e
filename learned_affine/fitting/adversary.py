"""The discriminator, which separates original images from augmented ones (section 3 of the paper)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine import losses
from learned_affine.policy.thumbnail import match_channels, without_bad_cells
from learned_affine.tasks.pool import CPU

WIDTH = 16  # channels of the first convolution
USUAL, FLAT = (0.05, 2.0), 1e-6  # deviations of pixels within [0, 1] or standardised; of images that show nothing
SIZE = 16  # as good a judge of where things are as 32, for a third of the time


class Adversary:
    """The discriminator with its optimizer: three strided convolutions and a score, positive for an original.

    It observes at most ``size`` pixels a side, so its cost does not grow with the image, and the blur of resampling is
    averaged away, which would separate the two whatever the content. Images are matched to its ``channels``.
    """

    def __init__(self, channels: int, device: torch.device, size: int = SIZE) -> None:
        self.channels, self.size = channels, size
        self.scale: float | None = None  # of pixels, as soon as images have shown their range
        layers: list[nn.Module] = []
        with CPU:  # the same weights on every device
            for inner, outer in pairwise((channels, WIDTH, 2 * WIDTH, 4 * WIDTH)):
                layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * WIDTH, 1)]
        self.layers = nn.Sequential(*layers).to(device, torch.float32)
        self.layers.to(memory_format=torch.channels_last)  # in which its convolutions are fastest
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(self.layers.parameters())

    def score(self, images: Tensor) -> Tensor:
        """The scores ``(B,)`` of ``(B, C, H, W)`` images; ``D = sigmoid(score)``."""
        scale = 1.0 if images.is_floating_point() else 1 / torch.iinfo(images.dtype).max
        images = match_channels(images, self.channels).float() * scale
        if max(images.shape[-2:]) > self.size:
            images = F.adaptive_avg_pool2d(images, (min(images.shape[-2], self.size), min(images.shape[-1], self.size)))
        images = without_bad_cells(images)
        if self.scale is None:
            spread = float(images.detach().std(correction=0))
            self.scale = 1.0 if USUAL[0] <= spread <= USUAL[1] else 1 / (4 * max(spread, FLAT))
        scores: Tensor = self.layers(self.scale * images)
        return scores.squeeze(-1)

    def rise(self, images: Tensor, warped: Tensor) -> Tensor:
        """How much higher the adversarial loss is for warped images than for the same images as they are, ``(B,)``."""
        return losses.adversarial_nats(self.score(warped)) - losses.adversarial_nats(self.score(images))

    def learn(self, images: Tensor, warped: Tensor) -> float:
        """Take a step of the discriminator; its loss before that, in nats."""
        loss = losses.discriminator_nats(self.score(images), self.score(warped))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())
