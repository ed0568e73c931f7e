"""Images that the classifier was not trained on: some at hand for each step, and how sure it may be of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from learned_affine import losses

KEPT = 1024  # images at most; a step needs some tens, drawn anew each time
KEPT_NUMBERS = 2**26  # pixels times channels at most: 256 MB of float32
Batch = tuple[Tensor, Tensor | None]


class Unseen:
    """Some unseen images, each equally likely to be kept (Vitter 1985, algorithm R), those of the first one's shape.

    Kept in memory, since a step needs a few of them in random order, which a loader for validation does not give.

    Args:
        seed: decides which.
    """

    def __init__(self, seed: int) -> None:
        self.images: list[Tensor] = []
        self.labels: list[Tensor | None] = []
        self.passed = 0
        self.chance = torch.Generator().manual_seed(seed % 2**63)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, of whose images some are kept as they pass."""
        for images, labels in batches:
            for row, image in enumerate(images):
                self._meet(image, None if labels is None else labels[row])
            yield images, labels

    def _meet(self, image: Tensor, label: Tensor | None) -> None:
        if self.images and image.shape != self.images[0].shape:
            return
        room = max(64, min(KEPT, KEPT_NUMBERS // image.numel()))
        place = len(self.images) if len(self.images) < room else self._any(self.passed + 1)
        self.passed += 1
        if place < room:
            # a row of a batch would hold all of the batch in memory
            self.images[place : place + 1] = [image.detach().cpu().clone()]
            self.labels[place : place + 1] = [None if label is None else label.detach().cpu().clone()]

    def _any(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.chance))

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        """``count`` images in random order, ``(count, C, H, W)``, and their labels; again from the start if too few."""
        rounds = -(-count // len(self.images))
        orders = [torch.randperm(len(self.images), generator=generator) for _ in range(rounds)]
        order = torch.cat(orders)[:count].tolist()
        labels = [self.labels[row] for row in order]
        known = [label for label in labels if label is not None]
        return torch.stack([self.images[row] for row in order]), torch.stack(known) if len(known) == count else None


def temperature_of(logits: Tensor, labels: Tensor) -> float:
    """What to divide the logits by so that the classifier is as sure as it is right on these images.

    Args:
        logits: ``(N, m)``.
        labels: ``(N,)``.

    Returns:
        The one of 300 within [0.1, 100] with the least cross entropy.

    Source: Guo et al., "On calibration of modern neural networks" (2017), section 4.2.
    """
    scales = torch.cat([torch.logspace(-1, 1, 200), torch.logspace(1, 2, 101)[1:]]).tolist()

    def surprise(place: int) -> float:
        return float(losses.cross_entropy_nats(logits / scales[place], labels).mean())

    low, high = 0, len(scales) - 1
    while low < high:  # convex in the inverse of the temperature: one valley
        middle = (low + high) // 2
        low, high = (low, middle) if surprise(middle) <= surprise(middle + 1) else (middle + 1, high)
    return scales[low]
