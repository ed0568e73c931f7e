"""A data set of which every image stands at an angle of its own."""

from dataclasses import replace

import torch
from torchvision.transforms.v2 import InterpolationMode, functional

from examples.datasets import Images


def each_rotated(images: Images, fill: float | None = None) -> Images:
    """Each image rotated by its own angle, once and for good: here wide rotation is right. ``fill``: black if None."""
    draw = torch.Generator().manual_seed(0)
    angles = (360 * torch.rand(len(images), generator=draw)).tolist()
    bilinear = InterpolationMode.BILINEAR
    pairs = zip(images.images, angles, strict=True)
    rotated = [functional.rotate(image, angle, bilinear, fill=fill) for image, angle in pairs]
    return replace(images, images=torch.stack(rotated))
