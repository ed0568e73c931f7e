"""Targets of any structure, row by row: a loss of the user's own on them, and what they become in a mirror."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torchvision import tv_tensors

from learned_affine._checks import shown
from learned_affine.tasks.classification import SingleLabel

MOVABLE = (tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)


class OwnLoss(SingleLabel):
    """A loss of the user's own, ``function(output, targets) -> (B,)``: no labels, no classes, no entropy.

    What is measured of an answer is the loss itself, and its unit is the mean loss on held-out images: the temperature
    by which it is divided.

    Args:
        function: from what the model returns and what the loader gives beside the images to a loss for each image.
    """

    name = "own loss"
    is_loss = True

    def __init__(self, function: Callable[[Any, Any], Tensor]) -> None:
        if not callable(function):
            raise TypeError(f"loss must be a function of output and targets, got {type(function).__name__}")
        super().__init__()
        self.function = function

    def __repr__(self) -> str:
        """The function's name."""
        return f"OwnLoss({getattr(self.function, '__name__', type(self.function).__name__)})"

    def answer(self, output: Any, count: int) -> Any:
        """What the model returned, as it is."""
        return output

    def measured(self, answer: Any, targets: Any) -> Tensor:
        """The loss of each image, ``(B,)``."""
        count = count_of(self.check(targets, None))
        losses = self.function(answer, targets)
        if not isinstance(losses, Tensor) or losses.shape != (count,):
            raise ValueError(
                f"loss must return one number an image, a tensor of shape ({count},), got {shown(losses)}: with a loss "
                "of torch's take reduction='none', and the mean over all dimensions but the first"
            )
        return losses.as_subclass(Tensor).float()

    def labels(self, given: Any, count: int) -> Any:
        """The targets, which must be those of ``count`` images."""
        if given is not None and count_of(given) != count:
            raise ValueError(f"loader must give targets of {count} images, as many as images, got {count_of(given)}")
        return given

    def check(self, labels: Any, output: Tensor | None, name: str = "loader") -> Any:
        """The targets, if there are any."""
        if labels is None:
            raise ValueError(f"{name} must give targets beside its images for loss=, got none")
        return labels

    def loss(self, output: Tensor, labels: Any) -> Tensor:
        """The loss that was measured."""
        return output

    def guess(self, output: Tensor, labels: Any) -> float:
        """Twice the mean: what a guess costs is not known, so that the budget is a share of the loss itself."""
        return 2 * float(output.mean())

    def entropy_bits(self, output: Tensor) -> Tensor:
        """Not known."""
        return torch.full_like(output, torch.nan)

    def relative_entropy(self, output: Tensor) -> Tensor:
        """0: there is no max-entropy term."""
        return torch.zeros_like(output)

    def predicted(self, output: Tensor) -> Tensor:
        """Not known."""
        return output

    def right(self, output: Tensor, labels: Any) -> Tensor:
        """Not known."""
        return torch.full_like(output, torch.nan)

    def agrees(self, output: Tensor, predicted: Tensor) -> Tensor:
        """Not known."""
        return torch.full_like(output, torch.nan)

    def chance(self, output: Tensor) -> float:
        """None."""
        return 0.0

    def class_of(self, labels: Any) -> Tensor:
        """None."""
        return torch.full((count_of(labels),), -1)

    def permuted(self, labels: Any, order: Tensor) -> Any:
        """The targets with their key points in another order."""
        return permuted_points(labels, order)


def unit_of(losses: Tensor) -> float:
    """The mean of losses ``(N,)``, in whose unit a fit counts.

    Raises:
        ValueError: if it is not above 0.
    """
    mean = float(losses.mean())
    if not math.isfinite(mean):
        raise ValueError("loss must return finite numbers, got NaN or infinity")
    if mean <= 0:
        raise ValueError(
            f"loss must be above 0 in the mean, since what warps may cost is a share of it, got {mean:.3g} on images "
            "without augmentation: add a constant"
        )
    return mean


# -- row by row -------------------------------------------------------------------------------------------------------


def count_of(targets: Any) -> int:
    """How many images targets are of: rows of a tensor, entries of a list, or those of a dict's first value."""
    if isinstance(targets, dict) and targets:
        return count_of(next(iter(targets.values())))
    if isinstance(targets, list) or (isinstance(targets, Tensor) and targets.ndim > 0):
        return len(targets)
    raise TypeError(
        f"loader must give targets as tensors with a row for each image, lists with an entry for each, or dicts of "
        f"these, got {shown(targets)}"
    )


def alike(values: Tensor, like: Tensor) -> Tensor:
    """Values in the ``tv_tensors`` type of another tensor."""
    return tv_tensors.wrap(values, like=like) if isinstance(like, tv_tensors.TVTensor) else values


def take(targets: Any, rows: list[int]) -> Any:
    """The targets of some of the images; None stays None."""
    if isinstance(targets, Tensor):
        return alike(targets.as_subclass(Tensor)[rows], targets)
    if isinstance(targets, dict):
        return {key: take(value, rows) for key, value in targets.items()}
    return None if targets is None else [targets[row] for row in rows]


def join(parts: list[Any]) -> Any:
    """The targets of several batches as those of one; None unless all have some."""
    first = parts[0] if parts else None
    if first is None or any(part is None for part in parts):
        return None
    if isinstance(first, Tensor):
        return alike(torch.cat(_in_one_form([part.as_subclass(Tensor) for part in parts])), first)
    if isinstance(first, dict):
        return {key: join([part[key] for part in parts]) for key in first}
    return [one for part in parts for one in part]


def _in_one_form(parts: list[Tensor]) -> list[Tensor]:
    """Class indices ``(B,)`` beside class probabilities ``(B, m)`` as such; a row of zeros where there is no class."""
    counts = {part.shape[1] for part in parts if part.ndim == 2 and part.is_floating_point()}
    if len(counts) != 1:
        return parts
    classes = torch.arange(counts.pop())
    hard = [part.ndim == 1 and not part.is_floating_point() for part in parts]
    return [
        (part[:, None] == classes.to(part.device)).float() if index else part
        for part, index in zip(parts, hard, strict=True)
    ]


def choose(which: Tensor, one: Any, other: Any) -> Any:
    """Row by row ``one`` where ``which``, ``(B,)`` bool, is true, else ``other``."""
    if isinstance(one, Tensor):
        chosen = which.to(one.device).view(-1, *[1] * (one.ndim - 1))
        return alike(torch.where(chosen, one.as_subclass(Tensor), other.as_subclass(Tensor)), other)
    if isinstance(one, dict):
        return {key: choose(which, one[key], other[key]) for key in one}
    return [mine if here else yours for here, mine, yours in zip(which.tolist(), one, other, strict=True)]


def copied(targets: Any) -> Any:
    """Targets of their own: containers and tensors."""
    return pytree.tree_map_only(Tensor, lambda tensor: alike(tensor.as_subclass(Tensor).clone(), tensor), targets)


def on_device(targets: Any, device: torch.device) -> Any:
    """All tensors in them on a device."""
    return pytree.tree_map_only(Tensor, lambda tensor: alike(tensor.as_subclass(Tensor).to(device), tensor), targets)


def moved(targets: Any, move: Callable[[Any], Any]) -> Any:
    """Targets whose masks, boxes and key points ``move`` has moved; it gets the targets with None for all others."""
    leaves, spec = pytree.tree_flatten(targets)
    if not any(isinstance(leaf, MOVABLE) for leaf in leaves):
        return targets
    there = move(pytree.tree_unflatten([leaf if isinstance(leaf, MOVABLE) else None for leaf in leaves], spec))
    pairs = zip(leaves, pytree.tree_leaves(there), strict=True)
    return pytree.tree_unflatten([new if isinstance(leaf, MOVABLE) else leaf for leaf, new in pairs], spec)


# -- in a mirror ------------------------------------------------------------------------------------------------------


class LabelMirror:
    """What labels become where their image is mirrored.

    Args:
        rule: a permutation of the classes, whose entry ``c`` is what class ``c`` becomes, or likewise of the key
            points; or a function from the labels of a batch to those of its mirror images.

    Raises:
        TypeError, ValueError: if it is neither, or mirroring twice would not give the first label back.
    """

    def __init__(self, rule: Any) -> None:
        self.function = rule if callable(rule) and not isinstance(rule, Tensor) else None
        self.order = None if self.function is not None else permutation_of(rule)

    def __call__(self, labels: Any, mirror: Tensor, permuted: Callable[[Any, Tensor], Any]) -> Any:
        """The labels after the mirror, for those images that ``mirror``, ``(B,)`` bool, names.

        ``permuted`` applies a permutation to labels.
        """
        if not bool(mirror.any()):
            return labels
        new = self.renamed(labels, permuted)
        if type(new) is not type(labels) or (isinstance(new, Tensor) and new.shape != labels.shape):
            raise ValueError(
                f"label_mirror must return labels of the kind that it is given, {shown(labels)}, got {shown(new)}"
            )
        return choose(mirror, new, labels)

    def renamed(self, labels: Any, permuted: Callable[[Any, Tensor], Any]) -> Any:
        """What the labels of images that are all mirrored become."""
        if self.order is not None:
            return permuted(labels, self.order)
        assert self.function is not None
        return self.function(copied(labels))  # which it may change in place

    def check(self, classes: int) -> None:
        """Raise a ValueError if it permutes another number of classes."""
        if self.order is not None and classes and len(self.order) != classes:
            raise ValueError(f"label_mirror must be a permutation of {classes} classes, got one of {len(self.order)}")

    def __repr__(self) -> str:
        """The permutation, or the function's name, so that a checkpoint can be held against it."""
        return str(getattr(self.function, "__name__", "function") if self.order is None else self.order.tolist())


def permutation_of(order: Any) -> Tensor:
    """A permutation ``(n,)`` that is its own inverse."""
    try:
        found = torch.as_tensor(order)
    except (TypeError, ValueError, RuntimeError):
        found = torch.zeros(())
    if found.ndim != 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise TypeError(f"label_mirror must be a permutation of class indices or a function, got {order!r}")
    found, places = found.long().cpu(), torch.arange(len(found))
    if not torch.equal(found.sort().values, places):
        raise ValueError(f"label_mirror must be a permutation of 0 to {len(found) - 1}, got {found.tolist()}")
    if not torch.equal(found[found], places):
        wrong = int((found[found] != places).nonzero()[0])
        raise ValueError(
            f"label_mirror must give every class back when it is used twice, got {wrong} to {int(found[wrong])} to "
            f"{int(found[found][wrong])}"
        )
    return found


def permuted_points(targets: Any, order: Tensor) -> Any:
    """Targets with the points of all ``KeyPoints`` ``(..., n, 2)`` in another order."""
    leaves, spec = pytree.tree_flatten(targets)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, tv_tensors.KeyPoints)]
    if not places:
        raise ValueError("label_mirror must be a function where the targets hold no key points, got a permutation")
    for place in places:
        points = leaves[place]
        if points.shape[-2] != len(order):
            raise ValueError(
                f"label_mirror must be a permutation of {points.shape[-2]} key points, got one of {len(order)}"
            )
        leaves[place] = alike(points.as_subclass(Tensor)[..., order.to(points.device), :], points)
    return pytree.tree_unflatten(leaves, spec)
