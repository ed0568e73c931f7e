"""The policies that ship with the package, by torchvision's own convention for weights."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from torchvision.models import Weights, WeightsEnum

from learned_affine.augment import LearnedAffineAugment
from learned_affine.weights.container import read_file
from learned_affine.weights.locate import DATA


def _entry(name: str) -> Weights:
    """An entry whose url is the file's name inside the package: nothing is fetched."""
    return Weights(f"{name.lower()}.safetensors", partial(LearnedAffineAugment.from_pretrained, name), meta={})


class LearnedAffineAugment_Weights(WeightsEnum):
    """The shipped policies. ``examples/fit_pretrained.py`` fitted them; docs/pretrained.md has their cards.

    As torchvision's weights: ``DEFAULT``, ``verify``, ``meta``, ``transforms(**changes)`` (the augmenter) and
    ``get_state_dict()`` (its network's). What ``meta`` says is read from the file. ``url`` is the file's name in the
    package. ``torchvision.models.get_weight`` looks in torchvision alone: use ``list_weights()`` and ``verify``.

    Example:
        >>> LearnedAffineAugment_Weights.verify("FASHION_MNIST_V3").meta["channels"]
        1
    """

    FASHION_MNIST_V3 = _entry("FASHION_MNIST_V3")
    CIFAR10_V3 = _entry("CIFAR10_V3")
    DEFAULT = CIFAR10_V3

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member of a name; a member, or None, as it is.

        Raises:
            ValueError: if there is no such name; it lists those there are.
            TypeError: if it is of another kind.
        """
        try:
            return super().verify(obj)
        except KeyError as error:
            raise ValueError(f"weights must be one of {', '.join(cls.__members__)}, got {obj!r}") from error

    def get_state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The tensors of the localization network; torchvision's arguments for a download play no part."""
        return read_file(self.path).tensors()

    @property
    def path(self) -> Path:
        """The file in the package."""
        return DATA / self.url

    @property
    def meta(self) -> dict[str, Any]:
        """What the file says of its fit: data, classifier, recipe, seed, measures, versions."""
        file = read_file(self.path)
        history = file.description["history"]
        return {
            "num_params": sum(math.prod(entry["shape"]) for entry in file.table.values()),
            "channels": file.description["localization"]["channels"],
            **history["info"],
            "measures": {key: values[-1] for key, values in history["rounds"].items() if values},
        }
