"""The discriminator, which tells original images from augmented ones (section 3 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine import losses
from learned_affine.policy.thumbnail import match_channels, without_bad_cells


class Discriminator(nn.Module):
    """Three strided convolutions and a score: positive where it takes an image for an original.

    It observes images at most ``size`` pixels wide, so its cost does not grow with the image. On larger images the blur
    of resampling is averaged away, by which it could tell the two apart whatever the content.

    Args:
        channels: channels of the images.
        width: channels of the first convolution.
        size: side in pixels that larger images are averaged down to.
    """

    def __init__(self, channels: int = 3, width: int = 16, size: int = 32) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * width, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``(B,)`` of ``(B, C, H, W)`` images; ``D = sigmoid(score)``."""
        if max(images.shape[-2:]) > self.size:
            images = F.adaptive_avg_pool2d(images, (min(images.shape[-2], self.size), min(images.shape[-1], self.size)))
        return self.layers(without_bad_cells(images)).squeeze(-1)


class Adversary:
    """The discriminator, its optimizer and its loss.

    Args:
        channels: channels that it observes; images with others are matched to them.
        device: where it computes.
        size: side in pixels of what it observes: 16 is as good a judge of where things are as 32, for a third.
        optimizer: of its parameters.
    """

    def __init__(
        self, channels: int, device: torch.device, size: int = 16, optimizer: type[torch.optim.Optimizer] | None = None
    ) -> None:
        self.channels, self.seen = channels, 0
        self.discriminator = Discriminator(channels, size=size).to(device)
        self.discriminator.to(memory_format=torch.channels_last)  # in which its convolutions are fastest
        kind = torch.optim.Adam if optimizer is None else optimizer
        self.optimizer = kind(self.discriminator.parameters(), lr=1e-3 if optimizer is None else 1e-4)  # type: ignore

    def score(self, images: Tensor) -> Tensor:
        """The scores ``(B,)`` of ``(B, C, H, W)`` images."""
        scale = 1.0 if images.is_floating_point() else 1 / torch.iinfo(images.dtype).max
        scores: Tensor = self.discriminator(match_channels(images, self.channels).float() * scale)
        return scores

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
