"""The images of a seed: those that a classifier is trained on, and held-out ones."""

import torch

from examples.datasets import Images, load

HELD_OUT = 400


def images_of(data: str, root: str, download: bool, size: int, seed: int) -> tuple[Images, Images]:
    """``size`` training images, and held-out ones for the targets."""
    train, _ = load(data, root, download)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return train.take(order[HELD_OUT : HELD_OUT + size]), train.take(order[:HELD_OUT])
