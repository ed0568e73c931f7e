"""The discriminator, which tells original images from augmented ones (section 3 of the paper)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine import losses
from learned_affine.config import FitConfig
from learned_affine.policy.thumbnail import match_channels, without_bad_cells
from learned_affine.runtime.distributed import Distributed


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
    """The discriminator, its optimizer and its loss. In the paper's objective it learns by SGD, else by Adam.

    Args:
        channels: channels that it observes; images with others are matched to them.
        config: for its learning rate and the objective.
        processes: one or several.
        device: where it computes.
    """

    def __init__(self, channels: int, config: FitConfig, processes: Distributed, device: torch.device) -> None:
        self.channels, self.processes, self.device = channels, processes, device
        size = 32 if config.objective == "paper" else 16  # which is as good a judge of where things are, for a third
        self.discriminator = Discriminator(channels, size=size).to(device)
        self.discriminator.to(memory_format=torch.channels_last)  # in which its convolutions are fastest
        processes.broadcast_parameters(self.discriminator)
        kind: Any = torch.optim.SGD if config.objective == "paper" else torch.optim.Adam
        self.optimizer = kind(self.discriminator.parameters(), lr=config.discriminator_rate)

    def score(self, images: Tensor) -> Tensor:
        """The scores ``(B,)`` of ``(B, C, H, W)`` images."""
        scale = 1.0 if images.is_floating_point() else 1 / torch.iinfo(images.dtype).max
        scores: Tensor = self.discriminator(match_channels(images, self.channels).float() * scale)
        return scores

    def loss(self, originals: Tensor, warped: Tensor) -> Tensor:
        """What the discriminator minimises, in nats."""
        return losses.discriminator_nats(self.score(originals).float(), self.score(warped).float())

    def backward(self, originals: Tensor, warped: Tensor) -> Tensor:
        """Give the discriminator the gradients of its loss, which is returned."""
        with self.processes.autocast(self.device):
            loss = self.loss(originals, warped)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.processes.average_gradients(list(self.discriminator.parameters()))
        return loss.detach()

    def step(self) -> None:
        """Take a step along the gradients."""
        self.optimizer.step()

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "discriminator_optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was taken."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["discriminator_optimizer"])
