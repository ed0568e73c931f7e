"""The discriminator, which tells original images from augmented ones (section 3 of the paper)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Discriminator(nn.Module):
    """Three strided convolutions and a score: positive where it takes an image for an original.

    It sees images at most ``size`` pixels wide, so its cost does not grow with the image, and the blur of resampling,
    by which it could tell the two apart without looking at the content, is averaged away on larger ones.

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
        return self.layers(images).squeeze(-1)
