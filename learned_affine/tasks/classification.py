"""What labels and outputs mean and cost: one small class a task, each of them pure arithmetic of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine._checks import check_range, check_weights, shown
from learned_affine.losses import relative_entropy, shannon_entropy_bits
from learned_affine.tasks.batches import MASKED, Batch, class_indices, logits_in, masked
from learned_affine.tasks.targets import count_of, each_tensor, numbers_of, on_device

RAREST = 1e-6  # the least chance that a guess gives a label
ROUNDING = 1e-2  # of probabilities that add up to 1, in half precision too


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
    least = 2  # logits of an image

    def __init__(self, weight: Any = None, ignore_index: int | None = None, label_smoothing: float = 0.0) -> None:
        self.weight = check_weights("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = check_range("label_smoothing", label_smoothing, 0.0, 1 - 1e-6, "in [0, 1)")

    # -- from what a model and a loader give to logits and labels -----------------------------------------------------

    def answer(self, output: Any, count: int) -> Any:
        """The logits ``(B, m)`` in what a model returned for ``count`` images."""
        logits, least = logits_in(output), self.least
        if logits.ndim != 2 or logits.shape[0] != count or logits.shape[1] < least:
            text = f"classifier must return logits of shape ({count}, m) with m >= {least}, got {tuple(logits.shape)}"
            one = logits.shape in ((count,), (count, 1)) and least == 2
            raise ValueError(f"{text}: one logit is task={Binary.name!r}, and numbers need a loss=" if one else text)
        return logits

    def output(self, answer: Any, labels: Any) -> Tensor:
        """What is measured of an answer, before the temperature: here the logits themselves."""
        return answer

    def labels(self, given: Any, count: int, name: str = "loader") -> Any:
        """A loader's labels of ``count`` images in the task's own form; None where they are of another kind."""
        numbers = numbers_of(given)
        if numbers is None or not numbers.is_floating_point() or numbers.ndim != 2 or numbers.shape[1] < 2:
            return class_indices(given, count, name)
        return numbers.float()

    def known(self, images: Tensor, labels: Any) -> Batch:
        """Those of the images of which something is known, perhaps none."""
        if self.ignore_index is None or labels is None:
            return images, labels
        there = self._there(labels).view(len(labels), -1).any(1)
        return images[there.to(images.device)], labels[there]

    def _there(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool) if self.ignore_index is None else labels != self.ignore_index

    def check_weights(self, classes: int) -> None:
        """Raise a ValueError where there are weights of another number of classes."""
        for name in ("weight", "pos_weight"):
            weights = getattr(self, name, None)
            if weights is not None and len(weights) != classes:
                raise ValueError(f"{name} must be of {classes} classes, the classifier's, got {len(weights)} numbers")

    def check(self, labels: Any, output: Any, name: str = "loader") -> Any:
        """Labels that fit the output ``(B, m)``; ``name`` is the argument that they come from."""
        classes = output.shape[1]
        if labels is None:
            text = f"{name} must give labels (class indices) for each image, got none or no integers"
            raise ValueError(f"{text}; a fit goes without by FitConfig(labels='predicted')")
        if labels.ndim == 1:
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= classes:
                rule = f"within [0, {classes}), the classifier's"
                raise ValueError(f"{name}'s labels must be {rule}, got {low} to {high}")
            return labels
        if labels.shape[1] != classes:
            raise ValueError(f"{name}'s labels must be of {classes} classes, the classifier's, got {shown(labels)}")
        totals = labels.sum(1)
        if bool((labels < 0).any()) or not bool(((totals - 1).abs() < ROUNDING).all()):
            raise ValueError(
                f"{name}'s labels of shape (B, m) must be probabilities that add up to 1 for each image, got sums from "
                f"{float(totals.min()):.3g} to {float(totals.max()):.3g}: several labels per image are "
                f"task='multi-label', and class indices beside them within [0, {classes})"
            )
        return labels

    # -- what outputs are worth ---------------------------------------------------------------------------------------

    def loss(self, output: Tensor, labels: Any) -> Tensor:
        """What each image costs, ``(B,)`` in nats: here its cross entropy."""
        if self.label_smoothing:  # a share is dealt to all classes but the masked ones
            given = F.one_hot(labels, output.shape[1]) if labels.ndim == 1 else labels
            allowed = (~masked(output)).float()
            labels = given.float().lerp(allowed / allowed.sum(-1, keepdim=True), self.label_smoothing)
        return F.cross_entropy(output.float(), labels, on_device(self.weight, output.device), reduction="none")

    def narrowed(self, output: Tensor, *labels: Any) -> Tensor:
        """The output with those classes masked that no labels name: of a thousand a user may need ten."""
        classes = output.shape[1]
        counts = [torch.bincount(one, minlength=classes) if one.ndim == 1 else one.sum(0) for one in labels]
        named = (torch.stack(counts) > 0).any(0)
        # of a single class nobody knows what else there is
        return output if bool(named.all()) or int(named.sum()) == 1 else output.masked_fill(~named, MASKED)

    def guess(self, output: Tensor, labels: Any) -> float:
        """What a guess that does not depend on the image costs, in nats: the same logit for all but masked classes."""
        hidden = masked(output)
        if self.weight is None:
            return math.log(int((~hidden).any(0).sum()))
        return float(self.loss(torch.zeros_like(output).masked_fill(hidden, MASKED), labels).mean())

    def predicted(self, output: Tensor) -> Tensor:
        """The model's own labels."""
        return output.argmax(-1)

    def right(self, output: Tensor, labels: Any) -> Tensor:
        """1 where the output ``(..., B, m)`` gives the labels, given or :meth:`predicted`, else 0: ``(..., B)``."""
        return (output.argmax(-1) == self.class_of(labels)).float()

    def chance(self, output: Tensor) -> float:
        """How often the outputs of two images that have nothing to do with each other agree."""
        return 1 / output.shape[1]

    def entropy_bits(self, output: Tensor) -> Tensor:
        """Entropy of the output, ``(..., B)`` in bits."""
        return shannon_entropy_bits(output)

    def relative_entropy(self, output: Tensor) -> Tensor:
        """Entropy as a share of its maximum, ``(B,)``, for the max-entropy term."""
        return relative_entropy(output)

    def class_of(self, labels: Any) -> Tensor:
        """The class index of each image, ``(B,)``; -1 where it has several, or none is known."""
        return labels if labels.ndim == 1 else labels.argmax(-1)

    def members(self, labels: Tensor, classes: int) -> Tensor:
        """Which images are of which class, ``(B, m)`` bool."""
        own = self.class_of(labels)
        return own[:, None] == torch.arange(classes, device=own.device)


class Binary(SingleLabel):
    """Yes or no, ``"binary"``: a model of one logit (that of yes), or of two (of no and of yes).

    One logit ``z`` is read as the two ``(0, z)``, so both give the same policy, and so do two classes. Labels are 0 and
    1, True and False, or the chance of a yes, ``(B,)`` or ``(B, 1)``. The arguments are those of :class:`SingleLabel`;
    the ``pos_weight`` of ``binary_cross_entropy_with_logits`` is ``weight=(1, pos_weight)``.
    """

    name = "binary"

    def answer(self, output: Any, count: int) -> Tensor:
        logits = logits_in(output)
        if logits.shape in ((count,), (count, 1)):
            logits = torch.stack([torch.zeros_like(logits).view(count), logits.view(count)], dim=1)
        if logits.shape != (count, 2):
            rule = f"logits of shape ({count},), ({count}, 1) or ({count}, 2) for the task 'binary'"
            raise ValueError(f"classifier must return {rule}, got {tuple(logits.shape)}")
        return logits

    def labels(self, given: Any, count: int, name: str = "loader") -> Any:
        numbers = numbers_of(given)
        if numbers is None or numbers.shape[1:] == (2,):
            return super().labels(given, count, name)
        numbers = numbers.reshape(-1)
        if not numbers.is_floating_point():
            return numbers.long()
        no = torch.where(self._there(numbers), 1 - numbers, numbers)  # a chance can be ignored, too
        return torch.stack([no, numbers], dim=1).float()


class MultiLabel(SingleLabel):
    """Any of ``m`` labels per image, ``"multi-label"``: binary cross entropy, summed over labels.

    The sum is what all labels of an image cost together, in nats an image as in the other tasks. Labels are ``(B, m)``
    of 0 and 1, True and False, or chances. A guess knows how frequent each label is, since most labels are rare.

    Args:
        weight: of each label, ``(m,)``.
        pos_weight: of each label where it is 1, ``(m,)``, as in ``binary_cross_entropy_with_logits``.
        ignore_index: the value of a label that is not known and does not count; images without known ones are left out.
            None: all are known.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """

    name = "multi-label"
    least = 1

    def __init__(self, weight: Any = None, pos_weight: Any = None, ignore_index: int | None = None) -> None:
        super().__init__(weight, ignore_index)
        self.pos_weight = check_weights("pos_weight", pos_weight)

    def labels(self, given: Any, count: int, name: str = "loader") -> Any:
        numbers = numbers_of(given)
        return None if numbers is None or numbers.ndim != 2 else numbers.float()

    def check(self, labels: Any, output: Any, name: str = "loader") -> Any:
        if labels is None or labels.shape[1] != output.shape[1]:
            rule = f"labels (B, {output.shape[1]}), each within [0, 1], for the task 'multi-label'"
            raise ValueError(f"{name} must give {rule}, got {'none' if labels is None else shown(labels)}")
        inside = (labels >= 0) & (labels <= 1) | ~self._there(labels)
        if not bool(inside.all()):
            raise ValueError(f"{name}'s labels must be within [0, 1] or ignore_index, got {float(labels[~inside][0])}")
        return labels

    def loss(self, output: Tensor, labels: Any) -> Tensor:
        weight, positive = on_device([self.weight, self.pos_weight], output.device)
        every = F.binary_cross_entropy_with_logits(output.float(), labels, weight, None, None, "none", positive)
        return (every * self._there(labels)).sum(-1)

    def narrowed(self, output: Tensor, *labels: Any) -> Tensor:
        """Labels are independent of each other: those that no image has are known, too."""
        return output

    def guess(self, output: Tensor, labels: Any) -> float:
        """The best output that is the same for all images."""
        there = self._there(labels)
        ones = (labels * there).sum(0) * (1.0 if self.pos_weight is None else self.pos_weight)
        rate = (ones / (ones + ((1 - labels) * there).sum(0)).clamp_min(RAREST)).clamp(RAREST, 1 - RAREST)
        return float(self.loss(rate.logit().expand_as(labels), labels).mean())

    def predicted(self, output: Tensor) -> Tensor:
        return (output > 0).float()

    def right(self, output: Tensor, labels: Any) -> Tensor:
        """The share of an image's known labels that the output gives."""
        there = self._there(labels)
        hits = ((output > 0) == (labels > 0.5)) & there
        return hits.sum(-1) / there.sum(-1).clamp_min(1)

    def chance(self, output: Tensor) -> float:
        rate = self.predicted(output).mean(0)
        return float((rate.square() + (1 - rate).square()).mean())

    def entropy_bits(self, output: Tensor) -> Tensor:
        """Of all labels together."""
        return shannon_entropy_bits(torch.stack([torch.zeros_like(output), output], dim=-1)).sum(-1)

    def relative_entropy(self, output: Tensor) -> Tensor:
        """One bit a label is the maximum."""
        return self.entropy_bits(output) / output.shape[-1]

    def class_of(self, labels: Any) -> Tensor:
        return torch.full((len(labels),), -1, device=labels.device)

    def members(self, labels: Tensor, classes: int) -> Tensor:
        return (labels > 0.5) & self._there(labels)


class OwnLoss(SingleLabel):
    """A loss of the user's own, ``function(output, targets) -> (B,)``: no labels, no classes, no entropy.

    Its output is the loss itself, in units of the mean loss on held-out images: the temperature by which it is divided.
    """

    name = "own loss"
    is_loss = True

    def __init__(self, function: Callable[[Any, Any], Tensor]) -> None:
        if not callable(function):
            raise TypeError(f"loss must be a function of output and targets, got {type(function).__name__}")
        super().__init__()
        self.function = function

    def output(self, answer: Any, labels: Any) -> Tensor:
        """The loss of each image, ``(B,)``."""
        count = count_of(labels)
        losses = self.function(answer, each_tensor(labels, torch.clone))  # a function may change what it is given
        if not isinstance(losses, Tensor) or losses.shape != (count,):
            text = f"loss must return one number per image, a tensor of shape ({count},), got {shown(losses)}: with a "
            raise ValueError(f"{text}loss of torch's take reduction='none', and the mean over the other dimensions")
        return losses.as_subclass(Tensor).float()

    def predicted(self, output: Any, _: Any = None) -> Any:
        return output

    answer = loss = predicted  # type: ignore[assignment]  # which name their arguments

    def labels(self, given: Any, count: int, name: str = "loader") -> Any:
        if given is None:
            raise ValueError(f"{name} must give targets beside its images for loss=, got none")
        return given

    def check(self, labels: Any, output: Any, name: str = "loader") -> Any:
        return labels

    def narrowed(self, output: Tensor, *labels: Any) -> Tensor:
        return output

    def guess(self, output: Tensor, labels: Any) -> float:
        """Twice the mean: what a guess costs is not known, so that the budget is a share of the loss itself."""
        return 2 * float(output.mean())

    def right(self, output: Tensor, labels: Any) -> Tensor:
        return torch.full_like(output, torch.nan)

    def chance(self, output: Tensor) -> float:
        return 0.0

    def relative_entropy(self, output: Tensor) -> Tensor:
        return torch.zeros_like(output)  # there is no max-entropy term

    def class_of(self, labels: Any) -> Tensor:
        return torch.full((count_of(labels),), -1, device="cpu")
