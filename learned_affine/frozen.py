"""The user's side of a fit: the classifier, which comes back as it was, and the loader, whatever its batches are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from learned_affine._checks import shown

IMAGE_KEYS = ("image", "images", "pixel_values", "img", "x", "input", "inputs")
LABEL_KEYS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
NO_GRADIENT = (
    "classifier must pass a gradient to its input, got logits without one: do not run it under torch.no_grad or "
    "inference mode, and let preprocess be differentiable"
)
PROBED = 16  # images that tell whether the logits depend on them


@contextmanager
def frozen(classifier: Any, device: torch.device) -> Iterator[None]:
    """Evaluation mode on ``device`` and no gradient for its parameters; afterwards everything is as it was.

    Restores every module's ``training`` flag, every ``requires_grad``, every buffer bit by bit, and the device, also
    after an exception or Ctrl-C. A classifier that is no module is left alone.
    """
    if not isinstance(classifier, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in classifier.modules()]
    grads = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    devices = {tensor.device for tensor in (*classifier.parameters(), *classifier.buffers())}
    buffers = [(buffer, buffer.detach().clone()) for buffer in classifier.buffers()]
    owned = [(module, dict(module._buffers)) for module in classifier.modules()]
    moves = len(devices) == 1 and devices != {device}
    try:
        if moves:
            classifier.to(device)
        classifier.eval()
        for parameter, _ in grads:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, own in owned:  # buffers that were replaced or added, by .to() or the classifier
            module._buffers.clear()
            module._buffers.update(own)
        if moves:
            classifier.to(devices.pop())
        for module, training in modes:
            module.training = training
        for parameter, needed in grads:
            parameter.requires_grad_(needed)
        with torch.no_grad():
            for buffer, saved in buffers:
                if not torch.equal(buffer, saved):
                    buffer.copy_(saved)


def logits_of(classifier: Callable[..., Any], images: Tensor) -> Tensor:
    """The classifier's logits ``(B, m)``, from a tensor or from an output that has ``.logits``.

    Raises:
        TypeError: if it is neither.
        ValueError: if the shape is another one, m < 2, or something in it is not finite.
    """
    output = classifier(images)
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise TypeError(f"classifier must return logits or something with .logits, got {type(output).__name__}")
    if logits.ndim != 2 or logits.shape[0] != len(images) or logits.shape[1] < 2:
        raise ValueError(
            f"classifier must return logits of shape ({len(images)}, m) with m >= 2, got {tuple(logits.shape)}"
        )
    if not bool(torch.isfinite(logits.detach().sum())):
        raise ValueError("classifier must return finite logits, got NaN or infinity: look at its weights and its input")
    return logits.float()


def count_classes(classify: Callable[[Tensor], Tensor], images: Tensor, by_gradient: bool = True) -> int:
    """How many classes a classifier has, once it is clear that a fit can learn from it.

    Args:
        classify: from images ``(B, C, H, W)`` to logits ``(B, m)``, ``preprocess`` included.
        images: some, on the classifier's device.
        by_gradient: whether the fit goes through the classifier; else its values are all that is needed.

    Raises:
        ValueError: if the logits do not depend on the images, or no gradient comes from them that is needed.
    """
    if not torch.is_grad_enabled():
        raise ValueError("fit must be called with gradients on, which its network needs, got torch.no_grad around it")
    if not by_gradient:
        return _count_by_values(classify, images[:PROBED])
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
def _count_by_values(classify: Callable[[Tensor], Tensor], images: Tensor) -> int:
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


def unpack(batch: Any, image_key: str | None = None, label_key: str | None = None) -> tuple[Tensor, Tensor | None]:
    """Images and labels (None if there are none) of a batch: a tensor, a tuple ``(x, y, ...)`` or a dict.

    Raises:
        TypeError: if there are no images in it.
        ValueError: if the images are no ``(B, C, H, W)``, not finite, or as many labels do not come along.
    """
    if isinstance(batch, Mapping) or (hasattr(batch, "keys") and hasattr(batch, "__getitem__")):
        images = batch[_find_key(batch, "image_key", image_key, IMAGE_KEYS)]
        found = _find_key(batch, "label_key", label_key, LABEL_KEYS, required=label_key is not None)
        labels = None if found is None else batch[found]
    elif isinstance(batch, tuple | list) and len(batch) > 0:
        images, labels = batch[0], batch[1] if len(batch) > 1 else None
    else:
        images, labels = batch, None
    if not isinstance(images, Tensor):
        raise TypeError(f"loader must give images as a tensor (B, C, H, W), got {shown(images)}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"loader must give images of shape (B, C, H, W), none of them empty, got {shown(images)}")
    return _floating(images), _class_indices(labels, len(images))


def _floating(images: Tensor) -> Tensor:
    """Images as float32 or float64; 8-bit ones as [0, 1]."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise TypeError(f"loader must give floating or uint8 images, got {images.dtype}")
    images = images if images.dtype == torch.float64 else images.float()
    if not bool(torch.isfinite(images.sum())):
        raise ValueError("loader must give finite images, got NaN or infinity among their pixels")
    return images


def _class_indices(labels: Any, count: int) -> Tensor | None:
    """Labels as ``(B,)`` class indices; None if they are none."""
    if isinstance(labels, list | tuple) and all(isinstance(label, int) for label in labels):
        labels = torch.tensor(labels)
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        return None
    if labels.numel() != count:
        raise ValueError(f"loader must give one class index an image ({count}), got {shown(labels)}")
    return labels.reshape(count).long()


def _find_key(batch: Any, name: str, given: str | None, usual: tuple[str, ...], required: bool = True) -> str | None:
    """The key to use: the given one, else the first usual name that is there."""
    keys = list(batch.keys())
    for key in (given,) if given is not None else usual:
        if key in keys:
            return key
    if not required:
        return None
    wanted = repr(given) if given is not None else f"one of {', '.join(usual)} (or name it by {name}=)"
    raise ValueError(f"{name} must be {wanted}, got a batch with the keys {', '.join(map(str, keys))}")


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
