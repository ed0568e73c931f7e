"""Images that are kept in memory, since they are judged many times: those of a fit, and of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from learned_affine.tasks.batches import Batch
from learned_affine.tasks.targets import form_of, join, on_device, take

MOST_NUMBERS = 2**26  # pixels times channels that are kept at most: 256 MB of float32
AT_ONCE, NUMBERS_AT_ONCE = 64, 2**22  # judged together; of 256 each takes up to twice as long on a CPU, by its caches
CPU = torch.device("cpu")


class Reservoir:
    """Some images of any sizes, each of those that pass equally likely to be kept (Vitter 1985, algorithm R).

    Args:
        seed: decides which.
        most: how many are kept at most; fewer where they are large.
    """

    def __init__(self, seed: int, most: int) -> None:
        self.images: list[Tensor] = []
        self.labels: list[Any] = []  # batches of one
        self.numbers: list[int] = []  # of each among those that passed
        self.outputs = torch.empty(0, device=CPU)  # the classifier's for each, as soon as whoever watches has set them
        self.most, self.passed = most, 0
        self.generator = torch.Generator().manual_seed(seed % 2**63)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, of whose images some are kept as they pass."""
        for images, labels in batches:
            for row, image in enumerate(images):
                room = max(64, min(self.most, MOST_NUMBERS // image.numel()))
                place = len(self.images)
                if place >= room:
                    place = int(torch.randint(self.passed + 1, (), generator=self.generator, device=CPU))
                if place < room:
                    # a row of a batch would hold all of the batch in memory
                    self.images[place : place + 1] = [image.detach().cpu().clone()]
                    self.labels[place : place + 1] = [on_device(take(labels, [row]), CPU)]
                    self.numbers[place : place + 1] = [self.passed]
                self.passed += 1
            yield images, labels


class Pool:
    """Held-out images, then training images; a row is an image's place in it.

    Without held-out images the price is set on the training images, too.
    """

    def __init__(self, held_out: Reservoir | None, training: Reservoir | None) -> None:
        parts = [part for part in (held_out, training) if part is not None]
        self.images = [image for part in parts for image in part.images]
        self.labels = [label for part in parts for label in part.labels]
        self.outputs = torch.cat([part.outputs for part in parts])
        every = torch.arange(len(self.images), device=CPU)
        self.held_out, self.training = (
            (every, every) if held_out is None else every.tensor_split([len(held_out.images)])
        )

    def batches(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, Any]]:
        """Images ``(n, C, H, W)`` of one size and dtype, with labels of one form, and their places among ``rows``."""
        order = rows.tolist()
        groups: dict[tuple[torch.Size, torch.dtype, Any], list[int]] = {}
        for place, row in enumerate(order):
            image = self.images[row]
            groups.setdefault((image.shape, image.dtype, form_of(self.labels[row])), []).append(place)
        for (shape, _, _), places in groups.items():
            size = max(1, min(AT_ONCE, NUMBERS_AT_ONCE // shape.numel()))
            for start in range(0, len(places), size):
                some = places[start : start + size]
                images = torch.stack([self.images[order[place]] for place in some])
                yield torch.tensor(some, device=CPU), images, join([self.labels[order[place]] for place in some])

    def some(self, rows: Tensor, count: int, generator: torch.Generator, again: bool = True) -> Tensor:
        """``count`` of the rows in random order; from the start again where there are fewer, if ``again``."""
        rounds = -(-count // max(1, len(rows))) if again else 1
        orders = [torch.randperm(len(rows), generator=generator, device=CPU) for _ in range(rounds)]
        return rows[torch.cat(orders)[:count]] if orders else rows[:0]
