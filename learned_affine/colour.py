"""``TrivialAugmentColour``: the half of torchvision's ``TrivialAugmentWide`` that a policy does not replace."""

from __future__ import annotations

from torchvision.transforms import v2

GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


class TrivialAugmentColour(v2.TrivialAugmentWide):
    """``TrivialAugmentWide`` without its five geometric operations: one random operation on colours a call.

    Put it before a learned policy, which takes the place of the geometric operations. Takes PIL images and uint8
    tensors, as ``TrivialAugmentWide`` does, and its arguments. It draws once a call, so it belongs into a dataset's
    transform.

    Example:
        >>> import torch
        >>> TrivialAugmentColour()(torch.zeros(3, 32, 32, dtype=torch.uint8)).shape
        torch.Size([3, 32, 32])

    Source: Müller and Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", ICCV 2021.
    """

    _AUGMENTATION_SPACE = {  # noqa: RUF012  # torchvision's own table, of which this is a part
        name: entry for name, entry in v2.TrivialAugmentWide._AUGMENTATION_SPACE.items() if name not in GEOMETRIC
    }
