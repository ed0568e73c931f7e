"""The user's model, and the task that says what its outputs mean and cost."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine._checks import check_choice, shown
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.losses import cross_entropy_nats
from learned_affine.tasks.batches import Batch, check_allowed, check_finite, unpack
from learned_affine.tasks.classification import Binary, MultiLabel, OwnLoss, SingleLabel
from learned_affine.tasks.targets import LabelMap, moved, on_device, permuted, permuted_points, take

TO_DTYPE = "v2.ToDtype({}, scale=True)"
PRIOR_SPREAD = 0.5  # of the logarithm of a temperature
PROBED = 16  # images that show whether the logits depend on them
TASKS = {kind.name: kind for kind in (SingleLabel, Binary, MultiLabel)}


def task_of(task: str | SingleLabel | None, loss: Callable[[Any, Any], Tensor] | None = None) -> SingleLabel:
    """The task that is named, given, or that of a loss; single-label classification where there is neither."""
    if loss is not None:
        if task is not None:
            raise ValueError(f"task must be left out where loss is given, which says what an output costs, got {task}")
        return OwnLoss(loss)
    if isinstance(task, str | None):
        return TASKS[check_choice("task", SingleLabel.name if task is None else task, tuple(TASKS))]()
    if not isinstance(task, SingleLabel):
        raise TypeError(f"task must be a name or one of learned_affine.tasks, got {shown(task)}")
    return task


class Model:
    """A model, what is made of its outputs, and which labels its images should keep.

    ``labels``: ``"given"`` ones are needed; ``"predicted"``: the model's own on the untouched image are used.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        preprocess: Callable[[Tensor], Tensor] | None = None,
        labels: Literal["given", "predicted"] = "given",
        task: SingleLabel | None = None,
        label_map: LabelMap | None = None,
    ) -> None:
        self.model, self.preprocess, self.labels = model, preprocess, labels
        self.task = SingleLabel() if task is None else task
        self.label_map = label_map
        self.temperature = 1.0
        self.autocast: AbstractContextManager[Any] = nullcontext()  # around the model alone
        self.channels_last = False  # whether the model is given images in that memory format
        self.shape = torch.Size()  # of the images that the model took last
        self.classes = 0  # as soon as an answer has shown them

    def read(
        self, batch: Any, image_key: str | None = None, label_key: str | None = None, name: str = "loader"
    ) -> Batch:
        """Images and labels of a loader's batch, those without a label left out."""
        return self.task.known(*unpack(batch, image_key, label_key, self.task.labels, name))

    def answer(self, images: Tensor, strict: bool = True) -> Any:
        """Logits ``(B, m)``, finite if ``strict``, of images before ``preprocess``; or what a loss takes."""
        seen = self._preprocessed(images.clone())  # a model may write into what it is given
        seen = seen.contiguous(memory_format=torch.channels_last) if self.channels_last else seen
        with self.autocast:
            answer = self.task.answer(self._asked(seen), len(images))
        if strict and not self.task.is_loss:
            check_finite(answer)
            self.classes = answer.shape[1]
            self.task.check_weights(self.classes)
        return answer

    def _preprocessed(self, images: Tensor) -> Tensor:
        try:
            seen: Any = images if self.preprocess is None else self.preprocess(images)
        except TypeError as error:
            if images.is_floating_point():
                raise
            text = f"preprocess must take images of the loader's dtype, {images.dtype}, got an error ({error})"
            raise TypeError(f"{text}: put {TO_DTYPE.format(torch.float32)} before it, by v2.Compose") from error
        if not isinstance(seen, Tensor):
            text = f"preprocess must return a tensor, got {type(seen).__name__}: of an image processor give "
            raise TypeError(text + "v2.Normalize(processor.image_mean, processor.image_std)")
        return seen

    def _asked(self, seen: Tensor) -> Any:
        try:
            answer = self.model(seen)
        except RuntimeError as error:
            if self.shape and seen.shape[1:2] != self.shape[1:2]:
                text = f"images must all have the same channels, got {tuple(self.shape)} and {tuple(seen.shape)}"
                raise ValueError(f"{text}: put v2.RGB() or v2.Grayscale() into the loader") from error
            first = next(self.model.parameters(), seen) if isinstance(self.model, nn.Module) else seen
            if first.dtype == seen.dtype or torch.is_autocast_enabled(seen.device.type):
                raise
            text = f"classifier must be given images of its dtype, {first.dtype}, got {seen.dtype} ({error})"
            raise TypeError(
                f"{text}: as preprocess give {TO_DTYPE.format(first.dtype)}, or convert them in the loader"
            ) from error
        self.shape = seen.shape
        return answer

    def output(self, answer: Any, labels: Any = None) -> Tensor:
        """The logits at the temperature at which the model is calibrated; of a user's loss what it is, in its unit."""
        return self.task.output(answer, labels) / self.temperature

    def check(self, labels: Any, output: Any, name: str = "loader") -> Any:
        """Labels that fit the output; ``name`` is the argument that they come from."""
        labels = self.task.check(labels, output, name)
        if not self.task.is_loss:
            check_allowed(labels, output, name)
        return labels

    def fits(self, labels: Any, output: Any) -> bool:
        """Whether they are of the output's form and classes."""
        with suppress(ValueError):
            self.task.check(labels, output)
            return True
        return False

    def accuracies(self, **judged: Batch) -> dict[str, float]:
        """How often outputs give their labels, ``<name>_accuracy``, for each pair of them whose labels are known."""
        known = {name: pair for name, pair in judged.items() if not self.task.is_loss and self.fits(*reversed(pair))}
        return {f"{name}_accuracy": float(self.task.right(*pair).mean()) for name, pair in known.items()}

    def follow(self, labels: Any, parameters: AffineParameters, apply: Callable[..., Any]) -> Any:
        """The labels of images that are warped by their parameters; ``apply`` (an augmenter's) moves ``tv_tensors``."""
        if labels is None:
            return None
        if self.label_map is not None:
            # the order of classes, but of a user's loss only that of key points is known
            permute = permuted_points if self.task.is_loss else permuted
            labels = self.label_map(labels, parameters.mirror, parameters.quarter_turns, permute)
            if self.classes and self.label_map.has_functions:
                self.task.check(labels, torch.empty(0, self.classes, device="cpu"), "label_map")
        return moved(labels, lambda movable: apply(movable, parameters=parameters))

    def expected(self, output: Tensor, labels: Any, parameters: AffineParameters, apply: Callable[..., Any]) -> Tensor:
        """The model's own labels of images, by its output for them as they are, once they are warped."""
        predicted = self.task.predicted(output)
        if self.task.is_loss or self.label_map is None:
            return predicted
        if self.label_map.has_functions and isinstance(labels, Tensor) and labels.ndim > predicted.ndim:
            certain = F.one_hot(predicted, labels.shape[1]).to(labels.dtype)  # a function may know no other form
            return self.task.class_of(self.follow(certain, parameters, apply))
        known = isinstance(labels, Tensor) or not self.label_map.has_functions
        return self.follow(predicted, parameters, apply) if known else predicted


def temperature_of(
    logits: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy_nats
) -> float:
    """What to divide the logits ``(N, m)`` by so that the classifier is calibrated: as sure as it is right.

    It is the one of 300 within [0.1, 100] with the least mean loss, and a weak prior at 1: where all of few images are
    right, none would be sharp enough. Source: Guo et al., "On calibration of modern neural networks" (2017), 4.2.
    """
    parts = torch.logspace(-1, 1, 200, device="cpu"), torch.logspace(1, 2, 101, device="cpu")[1:]
    scales = torch.cat(parts).tolist()

    def cost(place: int) -> float:
        prior = math.log(scales[place]) ** 2 / (2 * PRIOR_SPREAD**2) / len(labels)
        return float(loss(logits / scales[place], labels).mean()) + prior

    # convex in the inverse of the temperature: one valley
    return scales[bisect_left(range(len(scales) - 1), True, key=lambda place: cost(place) <= cost(place + 1))]


# -- before a fit -----------------------------------------------------------------------------------------------------


def probe(model: Model, images: Tensor, labels: Any, through_gradient: bool = True) -> Tensor:
    """The output of some images, which must depend on them, and where the fit goes ``through_gradient`` pass one."""
    if not torch.is_grad_enabled():
        raise ValueError(
            "fit must be called with gradients on, which its network needs, got it under no_grad or inference_mode"
        )
    if not through_gradient:
        return _probe_outputs(model, images, labels)
    if not images.is_floating_point():
        raise TypeError(f"loader must give floating images for a fit by gradient, got {images.dtype}")
    some = images[:PROBED].detach().clone().requires_grad_()
    logits = model.output(model.answer(some))
    if not logits.requires_grad:
        hint = "do not run it under torch.no_grad or inference mode, and let preprocess be differentiable"
        raise ValueError(f"classifier must pass a gradient to its input, got logits without one: {hint}")
    weighted = (logits * torch.linspace(-1, 1, logits.shape[1], device=logits.device)).sum()
    (gradient,) = torch.autograd.grad(weighted, some, allow_unused=True)
    if gradient is None or not bool(gradient.any()):
        raise ValueError(
            f"classifier must give logits that depend on its input, got a gradient of 0 at every pixel of {len(some)} "
            "images: look for weights that are 0, a detach(), an argmax or a rounding, and at preprocess"
        )
    return logits


@torch.no_grad()
def _probe_outputs(model: Model, images: Tensor, labels: Any) -> Tensor:
    """The outputs, once they were seen to change with the images: with one's pixels put elsewhere, at least."""
    images = images[:PROBED]
    targets = on_device(take(labels, list(range(len(images)))), images.device)  # which a user's loss needs
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(images[0].numel(), generator=draw, device="cpu").to(images.device)
    elsewhere = images.flatten(1)[:, order].view_as(images)
    others = [one for one in (elsewhere, images.roll(1, 0)) if not torch.equal(one, images)]  # blank ones are the same
    output, *again = [model.output(model.answer(one), targets) for one in (images, *others)]
    if others and all(torch.equal(one, output) for one in again) and bool(output.isfinite().all()):
        given = "a loss that depends" if model.task.is_loss else "logits that depend"
        raise ValueError(
            f"classifier must give {given} on its input, got the same for {2 * len(images)} different images: look for "
            "weights that are 0, and at preprocess"
        )
    if images.device.type == "cpu":
        _try_channels_last(model, images, targets, output)
    return output


def _try_channels_last(model: Model, images: Tensor, targets: Any, output: Tensor) -> None:
    """Give the model images in channels_last if it takes them: on a CPU a fit to colour images lasts 30 % less."""
    model.channels_last = True
    try:
        again = model.output(model.answer(images), targets)
        model.channels_last = torch.allclose(again, output, rtol=1e-3, atol=1e-4)
    except Exception:  # a user's model may raise anything, as for a view of what is then not contiguous
        model.channels_last = False
