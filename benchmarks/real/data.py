"""The six sets of real pictures, read from a folder and checked before any training, and batches of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional as F

from learned_affine.fitting.target import LEAST_IMAGES  # private: held-out images that a fit takes at least

PARTS = ("train", "heldout", "test")
SETS = ("blood-cells", "aerial", "traffic-signs", "letters", "flowers", "hands")
SIDES = {  # classes that a left-right flip turns into another one, or into none
    "traffic-signs": ("19", "20", "33", "34", "36", "37", "38", "39"),
    "letters": tuple("12345679BCDEFGJKLNPQRSZ"),
}
MIRRORED = {
    "traffic-signs": (("19", "20"), ("33", "34"), ("36", "37"), ("38", "39"))
}  # one becomes the other by a flip


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


def read_set(root: Path, name: str, size: int, most: int | None = None) -> RealSet:
    """The pictures of ``root/name/{train,heldout,test}/<class>/``, resized.

    Args:
        root: of all sets.
        name: of one.
        size: sides of the pictures in pixels.
        most: how many training pictures there are at most, as evenly from the classes as the folders have them.

    Raises:
        SystemExit: naming the folder or file, where a part or a class is missing, images are too few, or one is broken.
    """
    folders = []
    for folder in (root / name / part for part in PARTS):
        if not folder.is_dir():
            raise SystemExit(f"--root must hold {name}/train, heldout and test, got no folder {folder}")
        try:
            folders.append(ImageFolder(str(folder)))
        except FileNotFoundError as error:
            raise SystemExit(f"{folder} must hold a folder of images for each class: {error}") from None
        if differing := set(folders[0].classes) ^ set(folders[-1].classes):
            raise SystemExit(f"{folder} must have the classes of train, got a difference in {sorted(differing)}")
    if len(folders[0].classes) < 2:
        raise SystemExit(f"{root / name} must have at least two classes, got {folders[0].classes}")
    if len(folders[1]) < LEAST_IMAGES:
        raise SystemExit(f"{root / name / PARTS[1]} must hold {LEAST_IMAGES} images or more, got {len(folders[1])}")
    images = [torch.stack([read(file, size) for file, _ in part.imgs]) for part in folders]
    labels = [torch.tensor(part.targets) for part in folders]
    train, held_out, test = map(Pictures, images, labels)
    step = 1 if most is None else -(-len(train.labels) // most)  # class follows class, so that each gives its share
    return RealSet(name, folders[0].classes, Pictures(train.images[::step], train.labels[::step]), held_out, test)


def read(file: str, size: int) -> Tensor:
    """``(3, size, size)`` uint8."""
    try:
        with PIL.Image.open(file) as image:
            small = image.convert("RGB").resize((size, size), PIL.Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:  # what PIL cannot read
        raise SystemExit(f"every file must be an image that PIL can read, got {file}: {error}") from None
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


@dataclass
class Batches:
    """Batches of float images in [0, 1] with their labels; in a new order each time if ``shuffle``.

    Args:
        pictures: what they are of.
        shuffle: for training.
        pipeline: applied to each image, as a PIL image.
        moved: applied to the images and labels of a batch.
        size: images a batch.
    """

    pictures: Pictures
    shuffle: bool = False
    pipeline: Callable[[Any], Any] | None = None
    moved: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    size: int = 64

    def __len__(self) -> int:
        """How many batches."""
        return -(-len(self.pictures.labels) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in channels_last, and labels."""
        count = len(self.pictures.labels)
        for rows in (torch.randperm(count) if self.shuffle else torch.arange(count)).split(self.size):
            images = self.pictures.images[rows]
            if self.pipeline is not None:
                images = torch.stack([F.pil_to_tensor(self.pipeline(F.to_pil_image(image))) for image in images])
            images, labels = images.float() / 255, self.pictures.labels[rows]
            if self.moved is not None:
                images, labels = self.moved(images, labels)
            yield images.contiguous(memory_format=torch.channels_last), labels
