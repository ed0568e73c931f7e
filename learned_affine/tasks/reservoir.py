"""Held-out images, kept at hand for each step by reservoir sampling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from learned_affine.tasks.batches import Batch
from learned_affine.tasks.targets import join, on_device, take

KEPT = 1024  # images at most; a step needs some tens, drawn anew each time
KEPT_NUMBERS = 2**26  # pixels times channels at most: 256 MB of float32


class Reservoir:
    """Some held-out images of any sizes, each equally likely to be kept (Vitter 1985, algorithm R).

    Kept in memory, since a step needs a few of them in random order, which a loader for validation does not give.

    Args:
        seed: decides which.
    """

    def __init__(self, seed: int) -> None:
        self.images: list[Tensor] = []
        self.labels: list[Any] = []  # batches of one
        self.passed = 0
        self.generator = torch.Generator().manual_seed(seed % 2**63)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, of whose images some are kept as they pass."""
        for images, labels in batches:
            for row, image in enumerate(images):
                self._offer(image, labels, row)
            yield images, labels

    def _offer(self, image: Tensor, labels: Any, row: int) -> None:
        room = max(64, min(KEPT, KEPT_NUMBERS // image.numel()))
        place = len(self.images) if len(self.images) < room else self._any(self.passed + 1)
        self.passed += 1
        if place < room:
            # a row of a batch would hold all of the batch in memory
            self.images[place : place + 1] = [image.detach().cpu().clone()]
            self.labels[place : place + 1] = [on_device(take(labels, [row]), torch.device("cpu"))]

    def _any(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.generator))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Which images a step uses, ``(count,)``, in random order; again from the start if there are too few."""
        rounds = -(-count // len(self.images))
        return torch.cat([torch.randperm(len(self.images), generator=generator) for _ in range(rounds)])[:count]

    def batches(self, chosen: Tensor) -> Iterator[tuple[list[int], Tensor, Any]]:
        """The chosen images ``(count, C, H, W)`` with their labels, batch by batch of one size, and their places."""
        order = chosen.tolist()
        shapes = list(dict.fromkeys(self.images[row].shape for row in order))
        for shape in shapes:
            places = [place for place, row in enumerate(order) if self.images[row].shape == shape]
            images = torch.stack([self.images[order[place]] for place in places])
            yield places, images, join([self.labels[order[place]] for place in places])
