"""Train on labels that name a side or a direction: an augmenter after which labels are what their images now show."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn
from torchvision import tv_tensors

from learned_affine._checks import check_type, shown
from learned_affine.geometry.parameters import AffineParameters
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
        images, labels = self.augment(*both)
        drawn = self.augment.last_parameters
        assert drawn is not None
        is_one = isinstance(images, PIL.Image.Image) or images.ndim == dimensions_of(images)
        return images, self._of_one(labels, drawn) if is_one else self._of_many(labels, drawn)

    def _of_many(self, labels: Any, drawn: AffineParameters) -> Any:
        """The labels of a batch; arrays and lists of numbers stay arrays and lists where no function wants them."""
        stays = isinstance(labels, Tensor) or self.label_map.has_functions or holds_points(labels)
        numbers = None if stays else numbers_of(labels)
        renamed = self.label_map(labels if numbers is None else numbers, drawn.mirror, drawn.quarter_turns)
        if numbers is None:
            return renamed
        return renamed.numpy().astype(labels.dtype) if isinstance(labels, np.ndarray) else renamed.tolist()

    def _of_one(self, label: Any, drawn: AffineParameters) -> Any:
        """The label of one image: a number is that of a batch of one."""
        if isinstance(label, Integral):  # Python's, or numpy's
            kind: Any = type(label)
            return kind(int(self._of_one(torch.tensor(int(label)), drawn)))
        if isinstance(label, Tensor) and not isinstance(label, tv_tensors.TVTensor):
            return self.label_map(label[None], drawn.mirror, drawn.quarter_turns)[0]
        for key, which in self.label_map.steps(drawn.mirror, drawn.quarter_turns):
            if bool(which[0]):
                label = self.label_map.renamed(key, label)
        return label
