"""Images and labels for the examples, in memory: the embedded part of Fashion-MNIST, or torchvision's datasets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets
from torchvision.transforms import v2
from tqdm.auto import tqdm

MINI = Path(__file__).parent / "data" / "fashion_mini.npz"
SPLITS = {"cifar10": datasets.CIFAR10, "fashion-mnist": datasets.FashionMNIST}


@dataclass
class Images:
    """Pixels in [0, 1], ``(N, C, H, W)``, with class indices ``(N,)``."""

    images: Tensor
    labels: Tensor

    def take(self, index: Tensor) -> "Images":
        """Some of them."""
        return Images(self.images[index], self.labels[index])

    def loader(self, batch: int, shuffle: bool = False) -> DataLoader:
        """Batches of them."""
        return DataLoader(TensorDataset(self.images, self.labels), batch, shuffle=shuffle)

    def __len__(self) -> int:
        """How many."""
        return len(self.labels)


def load(name: str, root: str, download: bool, size: int = 32) -> tuple[Images, Images]:
    """Training and test images of ``fashion-mini``, ``fashion-mnist``, ``cifar10`` or ``folder:DIR``.

    A folder holds ``train/<class>/`` and ``test/<class>/``; its images are resized to ``size`` pixels.
    """
    if name == "fashion-mini":
        arrays = np.load(MINI)
        return tuple(_from_arrays(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test"))
    if name.startswith("folder:"):
        return _from_folder(Path(name.removeprefix("folder:")), size)
    if name not in SPLITS:
        raise SystemExit(f"--data must be fashion-mini, {', '.join(SPLITS)} or folder:DIR, got {name!r}")
    try:
        parts = [SPLITS[name](root, train=train, download=download) for train in (True, False)]
    except RuntimeError as error:
        raise SystemExit(f"--root {root!r} holds no {name}: add --download, or name its folder ({error})") from None
    return tuple(_from_arrays(np.asarray(part.data), np.asarray(part.targets)) for part in parts)


def _from_arrays(images: np.ndarray, labels: np.ndarray) -> Images:
    pixels = torch.from_numpy(images.copy())
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return Images(pixels.float() / 255, torch.from_numpy(labels.astype(np.int64)))


def _from_folder(folder: Path, size: int) -> tuple[Images, Images]:
    steps = [v2.ToImage(), v2.RGB(), v2.Resize((size, size)), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()]
    parts = []
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise SystemExit(f"--data folder:DIR must hold DIR/{part}/<class>/<images>, got {str(folder)!r} without it")
        found = datasets.ImageFolder(str(folder / part), v2.Compose(steps))
        pixels = torch.stack([image for image, _ in tqdm(found, desc=f"read {part}", unit="image", disable=None)])
        parts.append(Images(pixels, torch.tensor(found.targets)))
    if int(parts[1].labels.max()) > int(parts[0].labels.max()):
        raise SystemExit(f"--data folder:DIR must have the same classes in train and test, got {str(folder)!r}")
    return parts[0], parts[1]
