"""What the gallery's scripts share: embedded images of ten kinds of clothes, and a classifier of them.

In a script of your own, use your data and your model instead.
"""

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from learned_affine.classifier import SmallConvNet, train_classifier

NAMES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
FILE = Path(__file__).parents[1] / "data" / "fashion_mini.npz"

torch.set_num_threads(1)  # on images this small, threads only wait for one another


def images(part: str = "train", start: int = 0, stop: int | None = None) -> tuple[Tensor, Tensor]:
    """Some of the 2,000 images of a part, ``(N, 1, 28, 28)`` in [0, 1], and their classes ``(N,)``."""
    arrays = np.load(FILE)
    pixels, labels = arrays[f"{part}_images"][start:stop], arrays[f"{part}_labels"][start:stop]
    return torch.from_numpy(pixels)[:, None] / 255, torch.from_numpy(labels.astype(np.int64))


def batches(pixels: Tensor, labels: Tensor, shuffle: bool = True) -> DataLoader:
    """Batches of 64."""
    return DataLoader(TensorDataset(pixels, labels), batch_size=64, shuffle=shuffle)


def trained_classifier() -> SmallConvNet:
    """A small network after twelve passes over the first 1,000 training images: a few seconds."""
    return copy.deepcopy(_train())


@functools.cache
def _train() -> SmallConvNet:
    torch.manual_seed(0)
    classifier = SmallConvNet(classes=10, channels=1, width=16).to(memory_format=torch.channels_last)
    train_classifier(classifier, batches(*images("train", 0, 1000)), epochs=12, learning_rate=4e-3, seed=0)
    return classifier
