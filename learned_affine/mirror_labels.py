"""Train on labels that name a side: an augmenter that says what the label of a mirrored image becomes."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn
from torchvision import tv_tensors

from learned_affine._checks import shown
from learned_affine.tasks.batches import numbers_of
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.targets import LabelMirror, permuted_points
from learned_affine.transforms.transform import PolicyTransform


class MirrorLabels(nn.Module):
    """An augmenter of ``(images, labels)`` after which the labels of mirrored images are what they should be.

    Takes one image with its label, or a batch with its labels, as two arguments or as a tuple, and stands where the
    augmenter would. Labels are class indices, one row of numbers an image (class probabilities, or several labels), or
    anything that holds ``KeyPoints``, whose order changes.

    Args:
        augment: the augmenter.
        label_mirror: a permutation of the classes, or of the key points; or a function from labels to those of the
            mirror image, or of the mirror images of a batch.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> augment = MirrorLabels(LearnedAffineAugment(p=1.0), label_mirror=[1, 0, 2])  # left, right, neither
        >>> images, labels = augment(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 2]))
        >>> labels.shape
        torch.Size([4])
    """

    def __init__(self, augment: PolicyTransform, label_mirror: Any) -> None:
        super().__init__()
        if not isinstance(augment, PolicyTransform):
            raise TypeError(f"augment must be a LearnedAffineAugment, got {type(augment).__name__}")
        self.augment, self.rule = augment, LabelMirror(label_mirror)

    def forward(self, *sample: Any) -> tuple[Any, Any]:
        """Images and labels, as they came."""
        both = sample[0] if len(sample) == 1 else sample
        if not isinstance(both, tuple | list) or len(both) != 2:
            raise TypeError(f"the sample must be images and labels, got {shown(both)}")
        images, labels = self.augment(*both)
        drawn = self.augment.last_parameters
        assert drawn is not None
        own = 4 if isinstance(images, tv_tensors.Video) else 3  # dimensions of one image, or of one clip
        if not isinstance(images, PIL.Image.Image) and images.ndim > own:
            return images, self._of_many(labels, drawn.mirror)
        return images, self._of_one(labels) if bool(drawn.mirror[0]) else labels

    def _of_many(self, labels: Any, mirror: Tensor) -> Any:
        """The labels of a batch; arrays and lists of numbers stay arrays and lists."""
        numbers = None if isinstance(labels, Tensor) or self.rule.order is None else numbers_of(labels)
        if numbers is None:
            return self.rule(labels, mirror, _permuted)
        renamed = self.rule(numbers, mirror, _permuted)
        return renamed.numpy().astype(labels.dtype) if isinstance(labels, np.ndarray) else renamed.tolist()

    def _of_one(self, label: Any) -> Any:
        """The label of one image that is mirrored."""
        if isinstance(label, Integral):  # Python's, or numpy's
            kind: Any = type(label)
            return kind(int(self._of_one(torch.tensor(int(label)))))
        if isinstance(label, Tensor) and not isinstance(label, tv_tensors.TVTensor):
            return self.rule(label[None], torch.ones(1, dtype=torch.bool), _permuted)[0]
        return self.rule.renamed(label, permuted_points)


def _permuted(labels: Any, order: Tensor) -> Any:
    plain = isinstance(labels, Tensor) and not isinstance(labels, tv_tensors.TVTensor)
    return SingleLabel().permuted(labels, order) if plain else permuted_points(labels, order)
