"""Train on labels that name a side or a direction: an augmenter after which labels are what their images now show."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import PIL.Image
from torch import Tensor, nn
from torchvision.tv_tensors import TVTensor

from learned_affine._checks import check_type, shown
from learned_affine.geometry.parameters import AffineParameters, is_traced
from learned_affine.tasks.targets import LabelMap, holds_points, numbers_of
from learned_affine.transforms.sample import dimensions_of
from learned_affine.transforms.transform import PolicyTransform


class MappedLabels(nn.Module):
    """An augmenter of ``(images, labels)`` after which labels are those of the flipped and rotated images.

    Takes one image with its label, or a batch with its labels, as two arguments or as a tuple, and is used where the
    augmenter would be. Labels are class indices, one row of numbers per image (class probabilities, or several
    labels), or anything that holds ``KeyPoints``, whose order changes.

    Args:
        augment: the augmenter.
        label_map: as for ``fit``, ``{"mirror": rule, "quarter_turn": rule}``. A rule is a permutation of the classes or
            of the key points, whose entry ``c`` is what class ``c`` becomes by a left-right flip or by a quarter turn,
            clockwise as displayed; or a function from labels to those of the moved image, or of the moved images of a
            batch. With one rule alone, labels stay in every symmetry but its own.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> import torch
        >>> from learned_affine import LearnedAffineAugment
        >>> label_map = {"mirror": [1, 0, 2]}  # left, right, neither
        >>> augment = MappedLabels(LearnedAffineAugment(p=1.0), label_map)
        >>> images, labels = augment(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 2]))
        >>> labels.shape
        torch.Size([4])
    """

    def __init__(self, augment: PolicyTransform, label_map: Mapping[str, Any]) -> None:
        super().__init__()
        self.augment = check_type("augment", augment, PolicyTransform, "a LearnedAffineAugment")
        self.label_map = LabelMap(label_map)

    def forward(self, *sample: Any) -> tuple[Any, Any]:
        """Images and labels, as they came."""
        both = sample[0] if len(sample) == 1 else sample
        if not isinstance(both, tuple | list) or len(both) != 2:
            raise TypeError(f"the sample must be images and labels, got {shown(both)}")
        check_type("images", both[0], Tensor | PIL.Image.Image | list, "one image, a batch (B, C, H, W), or a list")
        own = self.augment if is_traced() else copy.copy(self.augment)  # whose last draw no other thread changes
        images, labels = own(*both)
        drawn, self.augment._last = own.last_parameters, own._last
        if drawn is None:
            raise ValueError(f"the sample must hold an image whose labels are renamed, got {shown(both[0])}")
        is_many = isinstance(images, list) or (isinstance(images, Tensor) and images.ndim > dimensions_of(images))
        return images, self._renamed(labels, drawn, not is_many)

    def _renamed(self, labels: Any, drawn: AffineParameters, is_one: bool) -> Any:
        """The labels of a batch or of one image; arrays, lists and numbers keep their type."""
        moves, has_functions = (drawn.mirror, drawn.quarter_turns), self.label_map.has_functions
        is_plain = isinstance(labels, Tensor | Integral if is_one else Tensor) and not isinstance(labels, TVTensor)
        if holds_points(labels) or (has_functions and not is_plain):
            if not is_one:
                return self.label_map(labels, *moves)
            for key, which in self.label_map.steps(*moves):
                labels = self.label_map.renamed(key, labels) if bool(which[0]) else labels
            return labels
        numbers = _numbers(labels)
        if numbers is None:
            rule = "of functions where labels are no numbers and hold no key points"
            raise ValueError(f"label_map must be {rule}, got a permutation for {shown(labels)}")
        if is_one:  # that of a batch of one
            return _like(labels, self.label_map(numbers[None], *moves)[0])
        if numbers.ndim == 0 or len(numbers) != len(drawn):
            raise ValueError(f"labels must be one for each of {len(drawn)} images, got {shown(labels)}")
        return _like(labels, self.label_map(numbers, *moves))


def _numbers(labels: Any) -> Tensor | None:
    """As a tensor, in the precision that they came in; None for anything else."""
    if isinstance(labels, Tensor):
        return None if isinstance(labels, TVTensor) else labels
    try:
        return numbers_of(np.asarray(labels))
    except (TypeError, ValueError):  # rows of different lengths
        return None


def _like(labels: Any, numbers: Tensor) -> Any:
    if isinstance(labels, Tensor):
        return numbers
    if isinstance(labels, np.ndarray):
        return numbers.numpy().astype(labels.dtype)
    if isinstance(labels, list | tuple):
        return numbers.tolist() if isinstance(labels, list) else tuple(numbers.tolist())
    return type(labels)(numbers.item())
