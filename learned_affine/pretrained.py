"""The policies that ship with the package, by torchvision's own convention for weights."""

from __future__ import annotations

from importlib import resources
from typing import Any

from torchvision.models import Weights, WeightsEnum

LICENCE = "Apache-2.0"


def _entry(file: str, **meta: Any) -> Weights:
    """An entry whose url is the file's name inside the package: nothing is fetched."""
    return Weights(url=file, transforms=_Pipeline(file), meta={"licence": LICENCE, **meta})


class _Pipeline:
    """Makes the augmenter of a file: what ``weights.transforms(**changes)`` gives, as torchvision's weights do."""

    def __init__(self, file: str) -> None:
        self.file = file

    def __call__(self, **changes: Any) -> Any:
        """The augmenter, with constructor arguments changed."""
        from learned_affine.transform import LearnedAffineAugment

        return LearnedAffineAugment.from_pretrained(package_file(self.file), **changes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pipeline) and other.file == self.file

    def __hash__(self) -> int:
        return hash(self.file)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.file!r})"


class LearnedAffineAugment_Weights(WeightsEnum):
    """Policies in the package, each fitted by ``examples/fit_pretrained.py``; see docs/pretrained.md for the cards.

    Example:
        >>> LearnedAffineAugment_Weights.verify("FASHION_MNIST_V1").meta["classes"]
        10
    """

    FASHION_MNIST_V1 = _entry(
        "fashion_mnist_v1.safetensors",
        data="Fashion-MNIST, 10,000 training images",
        classifier="SmallConvNet(10, 1)",
        recipe="python examples/fit_pretrained.py fashion-mnist",
        channels=1,
        classes=10,
    )
    CIFAR10_V1 = _entry(
        "cifar10_v1.safetensors",
        data="CIFAR-10 (JPEG copies), 10,000 training images",
        classifier="SmallConvNet(10, 3)",
        recipe="python examples/fit_pretrained.py folder:DIR",
        channels=3,
        classes=10,
    )
    DEFAULT = CIFAR10_V1


def list_weights() -> list[str]:
    """The names that ``LearnedAffineAugment.from_pretrained`` knows."""
    return [name for name in LearnedAffineAugment_Weights.__members__ if name != "DEFAULT"]


def package_file(name: str) -> Any:
    """The path of a file in the package."""
    return resources.files("learned_affine") / "data" / name
