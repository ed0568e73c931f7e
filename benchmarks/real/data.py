"""The six sets of real pictures, read once from a folder and checked before any training, and batches of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

PARTS = ("train", "heldout", "test")
SUFFIXES = (".jpg", ".jpeg", ".png")
SIZES = {"blood-cells": 48, "aerial": 48, "traffic-signs": 40, "letters": 40, "flowers": 48, "hands": 48}  # pixels
MIRRORED_ALIKE = "AHIMOTUVWXY08"  # letters that a left-right flip leaves what they are
SIDES = {  # classes that a left-right flip turns into another one, or into none
    "traffic-signs": ("19", "20", "33", "34", "36", "37", "38", "39"),
    "letters": tuple(one for one in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" if one not in MIRRORED_ALIKE),
}


@dataclass
class Pictures:
    """Pixels ``(N, 3, S, S)`` uint8, and the places of their classes ``(N,)``."""

    images: Tensor
    labels: Tensor


@dataclass
class RealSet:
    """A set: what is trained on, what a policy is judged on, and what is reported on."""

    name: str
    classes: list[str]
    train: Pictures
    held_out: Pictures
    test: Pictures


def read_set(root: Path, name: str) -> RealSet:
    """The pictures of ``root/name/{train,heldout,test}/<class>/``, resized.

    Raises:
        SystemExit: naming the folder or file, where a part or a class is missing, or an image is broken.
    """
    folders = [root / name / part for part in PARTS]
    for folder in folders:
        if not folder.is_dir():
            raise SystemExit(f"--root must hold {name}/{{{','.join(PARTS)}}}/<class>/<images>, got no folder {folder}")
    classes = classes_of(folders[0])
    if not classes:
        raise SystemExit(f"{folders[0]} must hold a folder for each class, got none")
    for folder in folders[1:]:
        if differing := set(classes_of(folder)) ^ set(classes):
            raise SystemExit(f"{folder} must have the classes of {folders[0]}, got a difference in {sorted(differing)}")
    return RealSet(name, classes, *(read_part(folder, classes, SIZES.get(name, 48)) for folder in folders))


def classes_of(folder: Path) -> list[str]:
    """The names of its folders, in order."""
    return sorted(one.name for one in folder.iterdir() if one.is_dir())


def read_part(folder: Path, classes: list[str], size: int) -> Pictures:
    """All images of a part, in memory."""
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(one for one in (folder / name).iterdir() if one.suffix.lower() in SUFFIXES)
        if not files:
            raise SystemExit(f"{folder / name} must hold images ({', '.join(SUFFIXES)}), got none")
        images += [read_image(file, size) for file in files]
        labels += [label] * len(files)
    return Pictures(torch.stack(images), torch.tensor(labels))


def read_image(file: Path, size: int) -> Tensor:
    """``(3, size, size)`` uint8."""
    try:
        with PIL.Image.open(file) as image:
            small = image.convert("RGB").resize((size, size), PIL.Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for files that it cannot read
        raise SystemExit(f"every file must be an image that PIL can read, got {file}: {error}") from None
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


class Batches:
    """Batches of float images in [0, 1] with their labels; in a new order each time if ``shuffle``.

    Args:
        pictures: what they are of.
        shuffle: for training.
        pipeline: applied to each image, as a PIL image.
        size: images a batch.
    """

    def __init__(
        self,
        pictures: Pictures,
        shuffle: bool = False,
        pipeline: Callable[[Any], Any] | None = None,
        size: int = 64,
    ) -> None:
        self.pictures, self.shuffle, self.pipeline, self.size = pictures, shuffle, pipeline, size

    def __len__(self) -> int:
        """How many batches."""
        return -(-len(self.pictures.labels) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in channels_last, and labels."""
        count = len(self.pictures.labels)
        for rows in (torch.randperm(count) if self.shuffle else torch.arange(count)).split(self.size):
            images = self.pictures.images[rows]
            if self.pipeline is not None:
                done = [self.pipeline(F.to_pil_image(image)) for image in images]
                images = torch.stack([F.pil_to_tensor(image) for image in done])
            yield (images.float() / 255).contiguous(memory_format=torch.channels_last), self.pictures.labels[rows]
