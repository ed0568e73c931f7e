"""Small classifiers and images that tests use, each with a truth that can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from learned_affine import AffineLimits, AffineParameters, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork

STILL = AffineLimits(angle=0, scale=1, shear=0, translate=0)  # but for the symmetries


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at_seed(transform: Callable[..., Any], *sample: Any, seed: int = 0) -> Any:
    """What a transform draws where torch's generator starts from a seed."""
    torch.manual_seed(seed)
    return transform(*sample)


def blobs(count: int = 64, size: int = 16, channels: int = 1, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with one soft blob each, whose place tells the class: left for 0, right for the last."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % classes
    x = (labels + 0.5) / classes * size + torch.randn(count, generator=generator)
    y = size / 2 + torch.randn(count, generator=generator)
    steps = torch.arange(size) + 0.5
    squared = (steps[None, None, :] - x[:, None, None]) ** 2 + (steps[None, :, None] - y[:, None, None]) ** 2
    return torch.exp(-squared / 8)[:, None].expand(-1, channels, -1, -1).contiguous(), labels


class Halves(nn.Module):
    """A classifier that compares the left and right halves of an image: exact, differentiable, nothing to train."""

    def __init__(self, sharpness: float = 20.0) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images, half = images.float(), images.shape[-1] // 2  # a loader may give any dtype
        left, right = images[..., :half].mean((1, 2, 3)), images[..., half:].mean((1, 2, 3))
        return self.sharpness * torch.stack([left, right], dim=1) / (left + right + 1e-6)[:, None]


def sides(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of which one in forty names a side: its left half is bright (class 0), or its right half (class 1).

    The others hold a faint square (class 2) or a bright one (class 3).
    """
    number = torch.arange(count)
    labels = torch.where(number % 40 == 0, number // 40 % 2, 2 + number % 2)
    images = 0.02 * torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    images[labels == 0, :, :, :8] += 0.4
    images[labels == 1, :, :, 8:] += 0.4
    images[labels == 2, :, 4:12, 4:12] += 0.4
    images[labels == 3, :, 4:12, 4:12] += 1.2
    return images, labels


class Sides(nn.Module):
    """Tells the classes of ``sides`` apart; those that name a side by 6 nats."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = images[..., :8].mean((1, 2, 3)), images[..., 8:].mean((1, 2, 3))
        tilt, bright = left - right, (left + right) / 2 - 0.2
        return torch.stack([7.5 * tilt, -7.5 * tilt, -30 * bright, 30 * bright], dim=1)


COMPASS = {"mirror": [0, 3, 2, 1], "quarter_turn": [1, 2, 3, 0]}  # what the classes of ``compass`` become


def compass(count: int = 160) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with one bright side, clockwise from the top: the class."""
    labels = torch.arange(count) % 4
    images = 0.3 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(count))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, :2] += 1
        image.copy_(torch.rot90(image, -label, (1, 2)))
    return images, labels


class Compass(nn.Module):
    """Tells the brightest side of an image, exactly."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        sides = [images[..., :2, :], images[..., -2:], images[..., -2:, :], images[..., :2]]
        return 10 * torch.stack([side.mean((1, 2, 3)) for side in sides], dim=1)


def small_net(channels: int = 1, classes: int = 2) -> nn.Sequential:
    """A net with BatchNorm and dropout, whose state a careless fit would change."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, classes),
    )


def vivid(limits: AffineLimits | None = None, **options: object) -> LearnedAffineAugment:
    """An augmenter whose policy differs from image to image and fills its limits."""
    torch.manual_seed(5)
    augment = LearnedAffineAugment(limits, **{"p": 1.0, **options})
    nn.init.normal_(augment.localization.head.weight, std=0.3)
    with torch.no_grad():
        augment.localization.head.bias[6:].fill_(1.0)
    return augment


def flipping(**options: object) -> LearnedAffineAugment:
    """Mirrors half of the images, and does nothing else."""
    network = LocalizationNetwork(symmetries="mirror")
    with torch.no_grad():
        network.head.bias[-1] = 0.0  # costs nothing
    limits = replace(STILL, symmetries="mirror")
    return LearnedAffineAugment(limits, localization=network, **{"p": 1.0, **options})


class EverySymmetry(LocalizationNetwork):
    """Draws each symmetry that an image may get as often as the others, whatever the image; none without noise."""

    def draw(
        self, images: torch.Tensor, noise: torch.Tensor | None, limits: AffineLimits, strength: float
    ) -> AffineParameters:
        drawn = super().draw(images, noise, limits, strength)
        if noise is None:
            return drawn
        allowed = torch.tensor(limits.allowed_symmetries(*images.shape[-2:])).to(images.device)
        place = strength * len(allowed) * torch.special.ndtr(noise[:, -1])
        code = allowed[place.long().clamp(0, len(allowed) - 1)]
        return replace(drawn, mirror=code >= 4, quarter_turns=code % 4)


def symmetric(limits: AffineLimits | None = None, **options: object) -> LearnedAffineAugment:
    """As ``vivid``, and each image gets any symmetry that it may."""
    return vivid(limits, localization=EverySymmetry(options.pop("channels", 3)), **options)
