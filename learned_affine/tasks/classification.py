"""Single-label classification: the one place that knows what an output is, what it costs, and at which temperature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from learned_affine.losses import cross_entropy_nats

NO_GRADIENT = (
    "classifier must pass a gradient to its input, got logits without one: do not run it under torch.no_grad or "
    "inference mode, and let preprocess be differentiable"
)
PRIOR_SPREAD = 0.5  # of the logarithm of a temperature
PROBED = 16  # images that tell whether the logits depend on them


class Classification:
    """A classifier with one label an image, and what its outputs mean.

    Args:
        classifier: from ``(B, C, H, W)`` to logits ``(B, m)``, or to something with ``.logits``.
        preprocess: applied to the images first.
        labels: ``"given"`` ones are needed; ``"predicted"``: the classifier's own on the untouched image stand in;
            ``"optional"``: given ones are used where they are class indices of the classifier.
        objective: who needs the labels, for the message where they are missing.
    """

    def __init__(
        self,
        classifier: Callable[..., Any],
        preprocess: Callable[[Tensor], Tensor] | None = None,
        labels: Literal["given", "predicted", "optional"] = "given",
        objective: str = "calibrated",
    ) -> None:
        self.classifier, self.preprocess, self.labels, self.objective = classifier, preprocess, labels, objective
        self.temperature = 1.0

    def logits(self, images: Tensor) -> Tensor:
        """The classifier's logits ``(B, m)`` of images that ``preprocess`` was not applied to yet."""
        return logits_of(self.classifier, images if self.preprocess is None else self.preprocess(images))

    def output(self, images: Tensor) -> Tensor:
        """The logits divided by the temperature, at which the classifier is calibrated: as sure as it is right."""
        return self.at_temperature(self.logits(images))

    def at_temperature(self, logits: Tensor) -> Tensor:
        """Logits divided by the temperature."""
        return logits if self.temperature == 1 else logits / self.temperature

    def cost(self, output: Tensor, labels: Tensor) -> Tensor:
        """What each image's output costs: its cross entropy, ``(B,)`` in nats."""
        return cross_entropy_nats(output, labels)

    def cost_of_guess(self, output: Tensor) -> float:
        """The cross entropy of a guess that does not depend on the image, in nats."""
        return math.log(output.shape[1])

    def check(self, labels: Tensor | None, output: Tensor, name: str = "loader") -> Tensor:
        """Labels that fit the output; ``name`` is the argument that they come from."""
        return check_labels(labels, output.shape[1], self.objective, name)

    @torch.no_grad()
    def labels_of(self, images: Tensor, given: Tensor | None, output: Tensor) -> Tensor | None:
        """The labels ``(B,)`` that augmented ``images`` should keep, on their device; None if there are none."""
        if self.labels == "predicted":
            return self.output(images).argmax(-1)
        if self.labels == "optional":
            fits = given is not None and int(given.min()) >= 0 and int(given.max()) < output.shape[1]
            return given.to(images.device) if given is not None and fits else None
        return self.check(given, output).to(images.device)

    def find_temperature(self, logits: Tensor, labels: Tensor) -> float:
        """The temperature at which the classifier is calibrated on these images."""
        return temperature_of(logits, labels)


def logits_of(classifier: Callable[..., Any], images: Tensor) -> Tensor:
    """The classifier's logits ``(B, m)``: a tensor, an output that has ``.logits``, or a dict with ``"logits"``.

    Raises:
        TypeError: if it is neither.
        ValueError: if the shape is another one, m < 2, or something in it is not finite.
    """
    output = classifier(images)
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise TypeError(
            "classifier must return logits, something with .logits, or a dict with 'logits', got "
            f"{type(output).__name__}"
        )
    if logits.ndim != 2 or logits.shape[0] != len(images) or logits.shape[1] < 2:
        raise ValueError(
            f"classifier must return logits of shape ({len(images)}, m) with m >= 2, got {tuple(logits.shape)}"
        )
    logits = logits.float()  # before they are added up, which half precision would not hold
    if not bool(torch.isfinite(logits.detach().sum())):
        raise ValueError("classifier must return finite logits, got NaN or infinity: look at its weights and its input")
    return logits


def count_classes(classify: Callable[[Tensor], Tensor], images: Tensor, through_gradient: bool = True) -> int:
    """How many classes a classifier has, once it is clear that a fit can learn from it.

    Args:
        classify: from images ``(B, C, H, W)`` to logits ``(B, m)``, ``preprocess`` included.
        images: some, on the classifier's device.
        through_gradient: whether the fit needs a gradient through the classifier; else its logits are enough.

    Raises:
        ValueError: if the logits do not depend on the images, or no gradient comes from them that is needed.
    """
    if not torch.is_grad_enabled():
        raise ValueError("fit must be called with gradients on, which its network needs, got torch.no_grad around it")
    if not through_gradient:
        return _count_without_gradient(classify, images[:PROBED])
    if not images.is_floating_point():
        raise TypeError(f"loader must give floating images for a fit by gradient, got {images.dtype}")
    probe = images[:PROBED].detach().clone().requires_grad_()
    logits = classify(probe)
    if not logits.requires_grad:
        raise ValueError(NO_GRADIENT)
    weighted = (logits * torch.linspace(-1, 1, logits.shape[1], device=logits.device)).sum()
    (gradient,) = torch.autograd.grad(weighted, probe, allow_unused=True)
    if gradient is None or not bool(gradient.any()):
        raise ValueError(
            f"classifier must give logits that depend on its input, got a gradient of 0 at every pixel of {len(probe)} "
            "images: look for weights that are 0, a detach(), an argmax or a rounding, and at preprocess"
        )
    return logits.shape[1]


@torch.no_grad()
def _count_without_gradient(classify: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """The classes, once the logits were seen to change with the images: with one's pixels put elsewhere, at least."""
    order = torch.randperm(images[0].numel(), generator=torch.Generator().manual_seed(0)).to(images.device)
    elsewhere = images.flatten(1)[:, order].view_as(images)
    logits = classify(torch.cat([images, elsewhere]))
    if bool((logits == logits[:1]).all()):
        raise ValueError(
            f"classifier must give logits that depend on its input, got the same for {len(logits)} different images: "
            "look for weights that are 0, and at preprocess"
        )
    return logits.shape[1]


def check_labels(labels: Tensor | None, classes: int, objective: str, name: str = "loader") -> Tensor:
    """Return labels that the objective can use; ``name`` is the argument that they come from.

    Raises:
        ValueError: if there are none, or one is outside ``[0, classes)``.
    """
    if labels is None:
        raise ValueError(
            f"{name} must give labels (class indices) for the objective {objective!r}, got none or no integers; "
            "use FitConfig(labels='predicted') to go without"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{name}'s labels must be within [0, {classes}), the classifier's, got {low} to {high}")
    return labels


def temperature_of(logits: Tensor, labels: Tensor) -> float:
    """What to divide the logits by so that the classifier is calibrated: as sure as it is right on these images.

    Args:
        logits: ``(N, m)``.
        labels: ``(N,)``.

    Returns:
        The one of 300 within [0.1, 100] with the least cross entropy, and a weak prior at 1: where all of few images
        are right, none would be sharp enough.

    Source: Guo et al., "On calibration of modern neural networks" (2017), section 4.2.
    """
    scales = torch.cat([torch.logspace(-1, 1, 200), torch.logspace(1, 2, 101)[1:]]).tolist()

    def cost(place: int) -> float:
        prior = math.log(scales[place]) ** 2 / (2 * PRIOR_SPREAD**2) / len(labels)
        return float(cross_entropy_nats(logits / scales[place], labels).mean()) + prior

    low, high = 0, len(scales) - 1
    while low < high:  # convex in the inverse of the temperature: one valley
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) <= cost(middle + 1) else (middle + 1, high)
    return scales[low]
