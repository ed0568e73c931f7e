"""Held-out images, kept at hand for each step by reservoir sampling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from learned_affine.tasks.batches import Batch

KEPT = 1024  # images at most; a step needs some tens, drawn anew each time
KEPT_NUMBERS = 2**26  # pixels times channels at most: 256 MB of float32


class Reservoir:
    """Some held-out images, each equally likely to be kept (Vitter 1985, algorithm R), those of the first one's shape.

    Kept in memory, since a step needs a few of them in random order, which a loader for validation does not give.

    Args:
        seed: decides which.
    """

    def __init__(self, seed: int) -> None:
        self.images: list[Tensor] = []
        self.labels: list[Tensor | None] = []
        self.passed = 0
        self.generator = torch.Generator().manual_seed(seed % 2**63)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, of whose images some are kept as they pass."""
        for images, labels in batches:
            for row, image in enumerate(images):
                self._offer(image, None if labels is None else labels[row])
            yield images, labels

    def _offer(self, image: Tensor, label: Tensor | None) -> None:
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
        return int(torch.randint(count, (), generator=self.generator))

    def draw(self, count: int, generator: torch.Generator) -> Batch:
        """``count`` images in random order, ``(count, C, H, W)``, and their labels; again from the start if too few."""
        rounds = -(-count // len(self.images))
        orders = [torch.randperm(len(self.images), generator=generator) for _ in range(rounds)]
        order = torch.cat(orders)[:count].tolist()
        labels = [self.labels[row] for row in order]
        known = [label for label in labels if label is not None]
        return torch.stack([self.images[row] for row in order]), torch.stack(known) if len(known) == count else None
