"""What the pictures draw, without a picture."""

import torch


def seeded(augment, images, draws, seed=0):
    """What an augmenter with its own generator draws."""
    augment.generator = torch.Generator().manual_seed(seed)
    return [augment.sample_parameters(images) for _ in range(draws)]
