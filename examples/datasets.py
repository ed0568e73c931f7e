"""Images and labels for the examples, in memory: embedded ones (a part of Fashion-MNIST, icons), or torchvision's."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets
from torchvision.transforms import v2
from tqdm.auto import tqdm

DATA = Path(__file__).parent / "data"
PARTS = ("train", "test")
CHOICES = "fashion-mini, icons, fashion-mnist, cifar10 or folder:DIR"
SPLITS = {"cifar10": datasets.CIFAR10, "fashion-mnist": datasets.FashionMNIST}


@dataclass
class Images:
    """Pixels in [0, 1], ``(N, C, H, W)``, with class indices ``(N,)``, and what is known besides.

    Args:
        classes: the classes' names.
        families: of icons, ``(N,)`` numbers of the design families that they were drawn for.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ()
    families: Tensor | None = None

    def take(self, index: Tensor) -> "Images":
        """Some of them."""
        families = None if self.families is None else self.families[index]
        return Images(self.images[index], self.labels[index], self.classes, families)

    def hold_out(self, count: int, seed: int) -> tuple["Images", "Images"]:
        """The others in random order, and ``count`` held-out images: of icons, at most so many, of whole families."""
        draw = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=draw)
        if self.families is None:
            return self.take(order[count:]), self.take(order[:count])
        kept = torch.zeros(len(self), dtype=torch.bool)
        for family in torch.randperm(int(self.families.max()) + 1, generator=draw).tolist():
            own = self.families == family
            kept |= own & (kept.sum() + own.sum() <= count)
        return self.take(order[~kept[order]]), self.take(order[kept[order]])

    def names_side(self) -> Tensor:
        """Whether each one's class names a side, ``(N,)`` bool."""
        sides = torch.tensor([names_a_side(name) for name in self.classes], dtype=torch.bool)
        return sides[self.labels] if self.classes else torch.zeros(len(self), dtype=torch.bool)

    def loader(self, batch: int, shuffle: bool = False) -> DataLoader:
        """Batches of them."""
        return DataLoader(TensorDataset(self.images, self.labels), batch, shuffle=shuffle)

    def __len__(self) -> int:
        """How many."""
        return len(self.labels)


def load(name: str, root: str, download: bool, size: int = 32) -> tuple[Images, Images]:
    """Training and test images of ``fashion-mini``, ``icons``, ``fashion-mnist``, ``cifar10`` or ``folder:DIR``.

    Icons are dark on white paper: give warps ``padding_mode="border"``. A folder holds ``train/<class>/`` and
    ``test/<class>/``; its images are resized to ``size`` pixels.
    """
    if name == "fashion-mini":
        return _embedded("fashion_mini.npz", datasets.FashionMNIST.classes)
    if name == "icons":
        return _icons()
    if name.startswith("folder:"):
        return _from_folder(Path(name.removeprefix("folder:")), size)
    if name not in SPLITS:
        raise SystemExit(f"--data must be {CHOICES}, got {name!r}")
    try:
        parts = [SPLITS[name](root, train=train, download=download) for train in (True, False)]
    except RuntimeError as error:
        raise SystemExit(f"--root {root!r} holds no {name}: add --download, or name its folder ({error})") from None
    return tuple(_from_arrays(np.asarray(part.data), np.asarray(part.targets), part.classes) for part in parts)


def count(text: str) -> int:
    """Of a command-line option that must be 1 or more."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)


def names_a_side(name: str) -> bool:
    """Whether a class's name says left or right, so that a mirror image is of another class: arrow-left, or undo."""
    return name.endswith(("-left", "-right")) or name in ("undo", "redo")


def _embedded(file: str, classes: Sequence[str] | None = None) -> tuple[Images, Images]:
    with np.load(DATA / file) as arrays:
        names = arrays["classes"].tolist() if classes is None else classes
        train, test = (_from_arrays(arrays[f"{part}_images"], arrays[f"{part}_labels"], names) for part in PARTS)
    return train, test


def _icons() -> tuple[Images, Images]:
    parts = _embedded("icons.npz")
    with np.load(DATA / "icons.npz") as arrays:
        numbers = np.unique(arrays["families"], return_inverse=True)[1]
        for part, name in zip(parts, PARTS, strict=True):
            part.families = torch.from_numpy(numbers[arrays[f"{name}_sets"]])
    return parts


def _from_arrays(images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Images:
    pixels = torch.from_numpy(images.copy())
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return Images(pixels.float() / 255, torch.from_numpy(labels.astype(np.int64)), tuple(classes))


def _from_folder(folder: Path, size: int) -> tuple[Images, Images]:
    steps = [v2.ToImage(), v2.RGB(), v2.Resize((size, size)), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()]
    parts = []
    for part in PARTS:
        if not (folder / part).is_dir():
            raise SystemExit(f"--data folder:DIR must hold DIR/{part}/<class>/<images>, got {str(folder)!r} without it")
        found = datasets.ImageFolder(str(folder / part), v2.Compose(steps))
        pixels = torch.stack([image for image, _ in tqdm(found, desc=f"read {part}", unit="image", disable=None)])
        parts.append(Images(pixels, torch.tensor(found.targets), tuple(found.classes)))
    if parts[1].classes != parts[0].classes:
        raise SystemExit(f"--data folder:DIR must have the same classes in train and test, got {str(folder)!r}")
    return parts[0], parts[1]
