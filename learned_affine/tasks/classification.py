"""What labels and logits mean and cost: one small class a task, each of them pure arithmetic of tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine._checks import check_range, check_weights, shown
from learned_affine.losses import cross_entropy_nats, shannon_entropy_bits
from learned_affine.tasks.batches import (
    Batch,
    as_many,
    bounded,
    check_labels,
    check_probabilities,
    class_indices,
    numbers_of,
    smoothed,
)

RAREST = 1e-6  # the least chance that a guess gives a label


class SingleLabel:
    """One of ``m`` classes an image, by cross entropy: ``"single-label"``, the task where none is named.

    Labels are class indices ``(B,)``, or class probabilities ``(B, m)`` (soft or smoothed labels).

    Args:
        weight: of each class, ``(m,)``, as in ``torch.nn.functional.cross_entropy``.
        ignore_index: class index of images that have no label: they are left out. None: all have one.
        label_smoothing: in [0, 1), as in ``torch.nn.functional.cross_entropy``.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """

    name = "single-label"
    is_loss = False  # what is measured of an answer is logits, whose cost needs the labels

    def __init__(self, weight: Any = None, ignore_index: int | None = None, label_smoothing: float = 0.0) -> None:
        self.weight = check_weights("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = check_range("label_smoothing", label_smoothing, 0.0, 1 - 1e-6, "in [0, 1)")

    def answer(self, output: Any, count: int) -> Tensor:
        """The logits ``(B, m)`` in what a model returned for ``count`` images."""
        return as_classes(logits_in(output), count)

    def measured(self, answer: Tensor, targets: Any) -> Tensor:
        """What is kept of an answer: the logits themselves."""
        return answer

    def labels(self, given: Any, count: int) -> Tensor | None:
        """A loader's labels of ``count`` images in the task's own form; None where they are of another kind."""
        numbers = numbers_of(given)
        if numbers is None or not numbers.is_floating_point() or numbers.ndim != 2 or numbers.shape[1] < 2:
            return class_indices(given, count)
        return as_many(numbers, count).float()

    def known(self, images: Tensor, labels: Tensor | None) -> Batch:
        """Those of the images of which something is known, perhaps none."""
        if self.ignore_index is None or labels is None:
            return images, labels
        there = self._there(labels).view(len(labels), -1).any(1)
        return images[there.to(images.device)], labels[there]

    def _there(self, labels: Tensor) -> Tensor:
        """Which labels are not ignored: class indices alone can be."""
        if self.ignore_index is None or labels.ndim > 1:
            return torch.ones(len(labels), dtype=torch.bool)
        return labels != self.ignore_index

    def check(self, labels: Tensor | None, output: Tensor, name: str = "loader") -> Tensor:
        """Labels that fit the output ``(B, m)``; ``name`` is the argument that they come from."""
        if labels is None or labels.ndim == 1:
            return check_labels(labels, output.shape[1], "calibrated", name)
        return check_probabilities(labels, output.shape[1], name)

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """The cross entropy of each image, ``(B,)`` in nats."""
        if self.weight is None and not self.label_smoothing:
            return cross_entropy_nats(output, labels)
        weight = None if self.weight is None else self.weight.to(output.device)
        labels = smoothed(output, labels, self.label_smoothing) if self.label_smoothing else labels
        return F.cross_entropy(output.float(), labels, weight, reduction="none")

    def guess(self, output: Tensor, labels: Tensor) -> float:
        """What a guess that does not depend on the image costs, in nats: all classes alike."""
        if self.weight is None:
            return math.log(output.shape[1])
        return float(self.loss(torch.zeros_like(output), labels).mean())

    def predicted(self, output: Tensor) -> Tensor:
        """The model's own labels."""
        return output.argmax(-1)

    def entropy_bits(self, output: Tensor) -> Tensor:
        """Entropy of the output, ``(B,)`` in bits."""
        return shannon_entropy_bits(output)

    def relative_entropy(self, output: Tensor) -> Tensor:
        """Entropy as a share of its maximum, ``(B,)``, for the max-entropy term."""
        return self.entropy_bits(output) / math.log2(output.shape[-1])

    def right(self, output: Tensor, labels: Tensor) -> Tensor:
        """1 where the output gives the label, else 0: ``(B,)``."""
        return self.agrees(output, self.class_of(labels))

    def agrees(self, output: Tensor, predicted: Tensor) -> Tensor:
        """1 where the output gives what was :meth:`predicted`, else 0: ``(..., B)``."""
        return (output.argmax(-1) == predicted).float()

    def chance(self, output: Tensor) -> float:
        """How often the outputs of two images that have nothing to do with each other agree."""
        return 1 / output.shape[1]

    def members(self, labels: Tensor, classes: int) -> Tensor:
        """Which images are of which class, ``(B, m)`` bool."""
        return F.one_hot(self.class_of(labels), classes).bool()

    def class_of(self, labels: Tensor) -> Tensor:
        """The class index of each image, ``(B,)``; -1 where it has several."""
        return labels if labels.ndim == 1 else labels.argmax(-1)

    def permuted(self, labels: Tensor, order: Tensor) -> Tensor:
        """The labels where class ``c`` has become ``order[c]``; one that is no class, as an ignored one, stays."""
        order, named = order.to(labels.device), labels.long()  # of uint8 or bool an index would be a mask
        renamed = torch.where((named >= 0) & (named < len(order)), order[named.clamp(0, len(order) - 1)], named)
        return renamed.to(labels.dtype) if labels.ndim == 1 else labels[:, order.argsort()]

    def __repr__(self) -> str:
        """What it was made with, so that a checkpoint can be held against it."""
        told = {name: one.tolist() if isinstance(one, Tensor) else one for name, one in vars(self).items()}
        return f"{type(self).__name__}({', '.join(f'{name}={one}' for name, one in told.items() if one is not None)})"


class Binary(SingleLabel):
    """Yes or no, ``"binary"``: a model of one logit (that of yes), or of two (of no and of yes).

    One logit ``z`` is read as the two ``(0, z)``, so both give the same policy, and so do two classes. Labels are 0 and
    1, True and False, or the chance of a yes, ``(B,)`` or ``(B, 1)``. The arguments are those of :class:`SingleLabel`;
    the ``pos_weight`` of ``binary_cross_entropy_with_logits`` is ``weight=(1, pos_weight)``.
    """

    name = "binary"

    def answer(self, output: Any, count: int) -> Tensor:
        """Two logits ``(B, 2)``."""
        logits = logits_in(output)
        if logits.shape in ((count,), (count, 1)):
            logits = torch.stack([torch.zeros_like(logits).view(count), logits.view(count)], dim=1)
        if logits.shape != (count, 2):
            raise ValueError(
                f"classifier must return logits of shape ({count},), ({count}, 1) or ({count}, 2) for the task "
                f"'binary', got {tuple(logits.shape)}"
            )
        return bounded(logits)

    def labels(self, given: Any, count: int) -> Tensor | None:
        """Class indices ``(B,)``, or the chances of no and of yes, ``(B, 2)``."""
        numbers = numbers_of(given)
        if numbers is None or numbers.shape[1:] == (2,):
            return super().labels(given, count)
        numbers = as_many(numbers.reshape(-1), count)
        if not numbers.is_floating_point():
            return numbers.long()
        return torch.stack([1 - numbers, numbers], dim=1).float()

    def _there(self, labels: Tensor) -> Tensor:
        """The chance of a yes can be ignored, too."""
        return super()._there(labels if labels.ndim == 1 else labels[:, 1])


class MultiLabel(SingleLabel):
    """Any of ``m`` labels an image, ``"multi-label"``: binary cross entropy, summed over labels.

    The sum is what all labels of an image cost together, in nats an image as in the other tasks. Labels are ``(B, m)``
    of 0 and 1, True and False, or chances. A guess knows how frequent each label is, since most labels are rare.

    Args:
        weight: of each label, ``(m,)``.
        pos_weight: of each label where it is 1, ``(m,)``, as in ``binary_cross_entropy_with_logits``.
        ignore_index: stands for a label that is not known and counts nothing; images without a known one are left out.
            None: all are known.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """

    name = "multi-label"

    def __init__(self, weight: Any = None, pos_weight: Any = None, ignore_index: int | None = None) -> None:
        super().__init__(weight, ignore_index)
        self.pos_weight = check_weights("pos_weight", pos_weight)

    def answer(self, output: Any, count: int) -> Tensor:
        """Logits ``(B, m)``, one a label."""
        return as_classes(logits_in(output), count, least=1)

    def labels(self, given: Any, count: int) -> Tensor | None:
        """Labels ``(B, m)`` as floats."""
        numbers = numbers_of(given)
        return None if numbers is None or numbers.ndim != 2 else as_many(numbers, count).float()

    def check(self, labels: Tensor | None, output: Tensor, name: str = "loader") -> Tensor:
        """Labels that fit the output."""
        if labels is None or labels.shape[1] != output.shape[1]:
            raise ValueError(
                f"{name} must give labels (B, {output.shape[1]}), each within [0, 1], for the task 'multi-label', got "
                f"{'none' if labels is None else shown(labels)}"
            )
        inside = (labels >= 0) & (labels <= 1) | ~self._there(labels)
        if not bool(inside.all()):
            raise ValueError(f"{name}'s labels must be within [0, 1] or ignore_index, got {float(labels[~inside][0])}")
        return labels

    def _there(self, labels: Tensor) -> Tensor:
        """Which labels are known, ``(B, m)`` bool."""
        return torch.ones_like(labels, dtype=torch.bool) if self.ignore_index is None else labels != self.ignore_index

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """The binary cross entropy of each image, summed over its labels, ``(B,)`` in nats."""
        weight, positive = (None if one is None else one.to(output.device) for one in (self.weight, self.pos_weight))
        every = F.binary_cross_entropy_with_logits(output.float(), labels, weight, None, None, "none", positive)
        return (every * self._there(labels)).sum(-1)

    def guess(self, output: Tensor, labels: Tensor) -> float:
        """What the best output that is the same for all images costs, in nats."""
        there = self._there(labels)
        ones = (labels * there).sum(0) * (1.0 if self.pos_weight is None else self.pos_weight)
        rate = (ones / (ones + ((1 - labels) * there).sum(0)).clamp_min(RAREST)).clamp(RAREST, 1 - RAREST)
        return float(self.loss(rate.logit().expand_as(labels), labels).mean())

    def predicted(self, output: Tensor) -> Tensor:
        """1 where a label is more likely than not, else 0."""
        return (output > 0).float()

    def entropy_bits(self, output: Tensor) -> Tensor:
        """Entropy of all labels together, ``(..., B)`` in bits."""
        return shannon_entropy_bits(torch.stack([torch.zeros_like(output), output], dim=-1)).sum(-1)

    def relative_entropy(self, output: Tensor) -> Tensor:
        """Entropy as a share of its maximum, one bit a label."""
        return self.entropy_bits(output) / output.shape[-1]

    def right(self, output: Tensor, labels: Tensor) -> Tensor:
        """The share of an image's known labels that the output gives, ``(B,)``."""
        there = self._there(labels)
        hits = ((output > 0) == (labels > 0.5)) & there
        return hits.sum(-1) / there.sum(-1).clamp_min(1)

    def agrees(self, output: Tensor, predicted: Tensor) -> Tensor:
        """The share of an image's labels that are as :meth:`predicted`, ``(..., B)``."""
        return ((output > 0) == (predicted > 0.5)).float().mean(-1)

    def chance(self, output: Tensor) -> float:
        """How many labels of two images that have nothing to do with each other agree."""
        rate = self.predicted(output).mean(0)
        return float((rate.square() + (1 - rate).square()).mean())

    def members(self, labels: Tensor, classes: int) -> Tensor:
        """Which images have which label."""
        return (labels > 0.5) & self._there(labels)

    def class_of(self, labels: Tensor) -> Tensor:
        """None: an image has several."""
        return labels.new_full((len(labels),), -1, dtype=torch.long)


# -- logits -----------------------------------------------------------------------------------------------------------


def logits_in(output: Any) -> Tensor:
    """The logits in what a classifier returned."""
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise TypeError(
            "classifier must return logits, something with .logits, or a dict with 'logits', got "
            f"{type(output).__name__}"
        )
    return logits


def as_classes(logits: Tensor, count: int, least: int = 2) -> Tensor:
    """Logits ``(count, m)`` with m at least ``least``."""
    if logits.ndim != 2 or logits.shape[0] != count or logits.shape[1] < least:
        hint = ": one logit is task='binary'" if logits.shape in ((count,), (count, 1)) and least == 2 else ""
        raise ValueError(
            f"classifier must return logits of shape ({count}, m) with m >= {least}, got {tuple(logits.shape)}{hint}"
        )
    return bounded(logits)
