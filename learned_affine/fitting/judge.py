"""What the classifier makes of warped images: the cost of each, against that of the same image as it is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from learned_affine.fitting.adversary import Adversary
from learned_affine.fitting.processes import Processes
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.model import Model
from learned_affine.tasks.pool import CPU, Pool
from learned_affine.tasks.targets import join, on_device
from learned_affine.transforms.transform import PolicyTransform

ADVERSARY_STEPS, ADVERSARY_BATCH = 4, 96  # of the discriminator in a round; draws of each


class Judged(NamedTuple):
    """What became of ``N`` warped images, each a tensor ``(N,)`` on the CPU."""

    cost: Tensor  # how much more each costs than the same image as it is, in nats; resampling is not charged
    entropy: Tensor  # how much the entropy of the output rose, as a share of its maximum
    score: Tensor  # how much the adversarial loss rose, in nats
    right: Tensor  # 1 where the classifier gives the label, else 0
    agrees: Tensor  # 1 where it gives what it gave for the image as it is, else 0
    answer: Tensor  # the class that it gives, -1 where that is not one
    sure: Tensor  # the probability that it gives that class, 0 where it gives none


class Judge:
    """The classifier at its temperature, with the images of a fit; processes share the judging.

    Predicted labels take the place of those in the pool. ``resampling`` is what resampling alone costs, in nats.
    """

    def __init__(self, augment: PolicyTransform, model: Model, pool: Pool, processes: Processes) -> None:
        self.augment, self.model, self.pool, self.processes = augment, model, pool, processes
        self.resampling = 0.0
        task, self.outputs = model.task, pool.outputs
        if task.is_loss:
            self.labels = self.outputs  # all that a loss needs
        else:
            self.labels = task.predicted(self.outputs) if model.labels == "predicted" else join(pool.labels)
            pool.labels = list(self.labels.split(1))  # in one form, class indices beside probabilities, too
        # what costs are measured against: of each image as it is
        self.cost, self.entropy = task.loss(self.outputs, self.labels), task.relative_entropy(self.outputs)
        self.classes = task.class_of(self.labels)

    @torch.no_grad()
    def __call__(self, rows: Tensor, parameters: AffineParameters, adversary: Adversary | None = None) -> Judged:
        """Warp the images of some rows, ``(N,)``, by ``N`` parameters, and judge each; all processes together."""
        own = self.processes.own(len(rows))
        mine, drawn = rows[own], parameters[own]
        found = Judged(*torch.zeros(len(Judged._fields), len(mine), dtype=torch.float32, device=CPU).unbind())
        for places, images, labels in self.pool.batches(mine):
            judged = self._batch(mine[places], images, labels, drawn[places], adversary)
            for column, values in zip(found, judged, strict=True):
                column[places] = values.float().cpu()
        return Judged(*self.processes.gather(*found))

    def _batch(
        self, rows: Tensor, images: Tensor, labels: Any, drawn: AffineParameters, adversary: Adversary | None
    ) -> tuple[Tensor, ...]:
        task, device = self.model.task, self.processes.device
        images, drawn = images.to(device), drawn.to(device)
        warped = self.augment.warp(images, drawn)
        labels = on_device(labels, device)
        plain = self.model.expected(self.outputs[rows].to(device), labels, drawn, self.augment.apply)
        labels = self.model.follow(labels, drawn, self.augment.apply)
        output = self.model.output(self.model.answer(warped, strict=False), labels)
        cost = task.loss(output, labels) - (self.cost[rows] + self.resampling).to(device)
        entropy = task.relative_entropy(output) - self.entropy[rows].to(device)
        score = torch.zeros_like(cost) if adversary is None else adversary.rise(images, warped)
        right, agrees = task.right(output, labels), task.right(output, plain)
        return cost, entropy, score, right, agrees, *answers(task, output)

    def teach(
        self, adversary: Adversary | None, rows: Tensor, parameters: AffineParameters, generator: torch.Generator
    ) -> float:
        """Some steps of the discriminator on some of the rows, as they are and warped; its last loss."""
        loss, device = math.nan, self.processes.device
        if adversary is None:
            return loss
        chosen = torch.randperm(len(rows), generator=generator, device=CPU)[: ADVERSARY_STEPS * ADVERSARY_BATCH]
        for some in chosen.split(ADVERSARY_BATCH):
            for places, images, _ in self.pool.batches(rows[some]):
                images = images.to(device)
                loss = adversary.learn(images, self.augment.warp(images, parameters[some[places]].to(device)))
        return loss


def answers(task: SingleLabel, output: Tensor) -> tuple[Tensor, Tensor]:
    """The class that each output gives and its probability, ``(N,)`` each; -1 and 0 where a task has no one class."""
    predicted = task.predicted(output)
    if predicted.ndim != 1 or predicted.is_floating_point():
        return torch.full((len(output),), -1, device=CPU), torch.zeros(len(output), device=CPU)
    return predicted, output.float().softmax(-1).amax(-1).nan_to_num()
