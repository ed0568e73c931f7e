"""What the classifier makes of warped images: the cost of each, against that of the same image as it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from learned_affine.fitting.adversary import Adversary
from learned_affine.fitting.pool import CPU, Pool
from learned_affine.fitting.processes import Processes
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.model import Model
from learned_affine.tasks.targets import on_device
from learned_affine.transforms.transform import PolicyTransform


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

    def __init__(
        self,
        augment: PolicyTransform,
        model: Model,
        pool: Pool,
        processes: Processes,
        device: torch.device,
        resampling: float = 0.0,
    ) -> None:
        self.augment, self.model, self.pool = augment, model, pool
        self.processes, self.device, self.resampling = processes, device, resampling
        count = len(pool.images)
        self.cost, self.entropy = torch.zeros(count), torch.zeros(count)
        self.outputs: list[Tensor] = [torch.empty(0)] * count  # of the images as they are
        self.classes = torch.full((count,), -1)
        self._judge_plain()

    @torch.no_grad()
    def _judge_plain(self) -> None:
        task = self.model.task
        for places, images, given in self.pool.batches(torch.arange(len(self.pool.images))):
            images = images.to(self.device)
            answer = self.model.answer(images)
            labels = self.model.labels_of(images, given, answer)
            output = self.model.output(answer, labels)
            self.cost[places] = task.loss(output, labels).float().cpu()
            self.entropy[places] = task.relative_entropy(output).float().cpu()
            self.classes[places] = task.class_of(labels).cpu()
            own = on_device(labels, CPU)
            for index, place in enumerate(places.tolist()):
                self.outputs[place] = output[index].float().cpu()
                if self.model.labels == "predicted":
                    self.pool.labels[place] = own[index : index + 1]

    @torch.no_grad()
    def __call__(self, rows: Tensor, parameters: AffineParameters, adversary: Adversary | None = None) -> Judged:
        """Warp the images of some rows, ``(N,)``, by ``N`` parameters, and judge each; all processes together."""
        own = torch.arange(len(rows))[self.processes.own(len(rows))]
        mine, drawn = rows[own], parameters[own]
        found = Judged(*torch.zeros(len(Judged._fields), len(own)).unbind())
        for places, images, labels in self.pool.batches(mine):
            judged = self._batch(mine[places], images, labels, drawn[places].to(self.device), adversary)
            for column, values in zip(found, judged, strict=True):
                column[places] = values.float().cpu()
        return Judged(*self.processes.gather(*found))

    def _batch(
        self, rows: Tensor, images: Tensor, labels: Any, drawn: AffineParameters, adversary: Adversary | None
    ) -> tuple[Tensor, ...]:
        task, images = self.model.task, images.to(self.device)
        warped = self.augment.warp(images, drawn)
        labels = self.model.follow(on_device(labels, self.device), drawn, self.augment.apply)
        output = self.model.output(self.model.answer(warped, strict=False), labels)
        plain = torch.stack([self.outputs[row] for row in rows.tolist()]).to(self.device)
        cost = task.loss(output, labels) - (self.cost[rows] + self.resampling).to(self.device)
        entropy = task.relative_entropy(output) - self.entropy[rows].to(self.device)
        score = torch.zeros_like(cost) if adversary is None else adversary.rise(images, warped)
        right, agrees = task.right(output, labels), task.agrees(output, task.predicted(plain))
        return cost, entropy, score, right, agrees, *answers(task, output)


def answers(task: SingleLabel, output: Tensor) -> tuple[Tensor, Tensor]:
    """The class that each output gives and its probability, ``(N,)`` each; -1 and 0 where a task has no one class."""
    predicted = task.predicted(output)
    if predicted.ndim != 1 or predicted.is_floating_point():
        return torch.full((len(output),), -1), torch.zeros(len(output))
    return predicted, output.float().softmax(-1).amax(-1).nan_to_num()
