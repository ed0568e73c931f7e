"""Segmentation with a loss of your own: fit a policy to a small network, and train a new one with it.

    python examples/segmentation.py                      # one seed, about a minute and a half
    python examples/segmentation.py --seeds 1 2 3 4 5 --out rows.jsonl

The scenes are icons in a colour of chance on pieces of photographs; the mask says which pixels are the icon. Icons of
held-out scenes and of test scenes are of other design sets. Masks move with their images by the same draw, in the fit
and in training.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, StackDataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from learned_affine import LearnedAffineAugment

try:
    from examples.datasets import DATA, count, load
except ModuleNotFoundError:  # run as a script, which finds what is beside it
    from datasets import DATA, count, load

SIDE, ICON, BATCH = 48, 32, 16
Augment = Callable[[Tensor, tv_tensors.Mask], tuple[Tensor, tv_tensors.Mask]]


def main() -> None:
    """Train without augmentation, fit to that, then train with each pipeline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scenes", type=count, default=100, help="to train on; 100 more are held out for the fit")
    parser.add_argument("--epochs", type=count, default=80)
    parser.add_argument("--out", type=Path, help="a file to add a row a run to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.out is not None:
        options.out.open("a").close()  # fails before the training, not after
    for seed in options.seeds:
        for row in run(seed, options.scenes, options.epochs):
            print({name: round(one, 4) if isinstance(one, float) else one for name, one in row.items()}, flush=True)
            if options.out is not None:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def run(seed: int, count: int, epochs: int) -> list[dict[str, object]]:
    """A row for each pipeline: mean intersection over union on test scenes."""
    (train, held_out), (test, _) = parts(0, count, seed), parts(1, 300, seed)
    plain = trained(train, None, epochs, seed)
    start = time.perf_counter()
    options = {"p": 1.0, "interpolation": "nearest"}  # as in v2.RandomAffine: drawings are sharp
    learned = LearnedAffineAugment.fit(
        plain, batches(train), val_loader=batches(held_out), loss=per_image, seed=seed, progress=False, **options
    )
    seconds, last = time.perf_counter() - start, learned.history.last()
    measures = {name: last[name] for name in ("displacement", "symmetry_chance", "cost")}
    measures |= {"fit_seconds": seconds, "target": learned.history.info["target"]}
    arms: dict[str, Augment | None] = {
        "none": None,
        "v2.RandomAffine(30)": one_by_one(v2.RandomAffine(30)),
        "learned": learned,
    }
    rows = []
    for name, augment in arms.items():
        net = plain if augment is None else trained(train, augment, epochs, seed)
        common = {"seed": seed, "scenes": count, "epochs": epochs, "arm": name}
        rows.append({**common, "iou": overlap(net, test), **(measures if name == "learned" else {})})
    return rows


# -- the scenes -------------------------------------------------------------------------------------------------------


def parts(part: int, count: int, seed: int) -> tuple[StackDataset, StackDataset]:
    """Training scenes and held-out ones (``part`` 0), or test scenes (1), of other design sets."""
    icons = load("icons", "data", download=False)[part]
    own, held_out = icons.hold_out(400, seed) if part == 0 else (icons, icons)
    photos = torch.from_numpy(np.load(DATA / "photos_mini.npz")["images"]).float() / 255
    generator = torch.Generator().manual_seed(2 * seed + part)
    return scenes(own.images, photos, count, generator), scenes(held_out.images, photos, 100, generator)


def scenes(icons: Tensor, photos: Tensor, count: int, generator: torch.Generator) -> StackDataset:
    """Icons in any colour, somewhere on a piece of a photograph, with their masks."""

    def number(most: int) -> int:
        return int(torch.randint(most, (), generator=generator))

    images, masks = [], []
    for _ in range(count):
        ink = torch.zeros(SIDE, SIDE)
        top, left = number(SIDE - ICON + 1), number(SIDE - ICON + 1)
        ink[top : top + ICON, left : left + ICON] = 1 - icons[number(len(icons)), 0]
        row, column = number(64 - SIDE + 1), number(64 - SIDE + 1)
        photo = photos[number(len(photos)), :, row : row + SIDE, column : column + SIDE]
        colour = torch.rand(3, 1, 1, generator=generator)
        images.append((1 - ink) * photo + ink * colour)
        masks.append(tv_tensors.Mask(ink > 0.5))
    return StackDataset(images, masks)


def batches(data: StackDataset, shuffle: bool = True) -> DataLoader:
    """Batches of images and masks; torch's own collate would make a plain tensor of masks."""
    return DataLoader(data, BATCH, shuffle=shuffle, collate_fn=together)


def together(samples: list[tuple[Tensor, tv_tensors.Mask]]) -> tuple[Tensor, tv_tensors.Mask]:
    """Images ``(B, 3, H, W)`` and masks ``(B, H, W)``."""
    images, masks = zip(*samples, strict=True)
    return torch.stack(images), tv_tensors.Mask(torch.stack(masks))


# -- the network ------------------------------------------------------------------------------------------------------


class SmallUNet(nn.Module):
    """Three scales and a logit a pixel."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.down = nn.ModuleList([block(3, width), block(width, 2 * width), block(2 * width, 4 * width)])
        self.up = nn.ModuleList([block(6 * width, 2 * width), block(3 * width, width)])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, 1, H, W)``."""
        kept = [self.down[0](images)]
        for layer in list(self.down)[1:]:
            kept.append(layer(F.max_pool2d(kept[-1], 2)))
        features = kept.pop()
        for layer in self.up:
            features = layer(torch.cat([F.interpolate(features, scale_factor=2.0), kept.pop()], 1))
        return self.head(features)


def block(before: int, after: int) -> nn.Sequential:
    """A convolution."""
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def per_image(output: Tensor, masks: Tensor) -> Tensor:
    """The loss of each image, ``(B,)``: the mean binary cross entropy of its pixels, and what its soft overlap lacks.

    Cross entropy alone falls where an icon is moved out of the image, since a pixel of background is easily recognised.
    """
    target, said = masks.as_subclass(Tensor)[:, None].float(), output.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(output, target, reduction="none").mean((1, 2, 3))
    both, either = (said * target).sum((1, 2, 3)), (said + target).sum((1, 2, 3))
    return cross_entropy + 1 - 2 * both / either


def one_by_one(transform: Callable[..., tuple[Tensor, tv_tensors.Mask]]) -> Augment:
    """A transform that draws anew for each image of a batch; torchvision's draw once for all."""

    def augment(images: Tensor, masks: tv_tensors.Mask) -> tuple[Tensor, tv_tensors.Mask]:
        pairs = zip(images, masks, strict=True)
        return together([transform(tv_tensors.Image(image), tv_tensors.Mask(mask)) for image, mask in pairs])

    return augment


def trained(data: StackDataset, augment: Augment | None, epochs: int, seed: int) -> nn.Module:
    """A new network, trained by AdamW with a rate that falls along a cosine."""
    torch.manual_seed(seed)
    net = SmallUNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for images, masks in batches(data):
            if augment is not None:
                images, masks = augment(images, masks)
            loss = per_image(net(images), masks).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    return net.eval()


@torch.no_grad()
def overlap(net: nn.Module, data: StackDataset) -> float:
    """Mean over images of intersection over union of the icon."""
    found = []
    for images, masks in batches(data, shuffle=False):
        said, true = net(images)[:, 0] > 0, masks.as_subclass(Tensor).bool()
        union = (said | true).sum((1, 2)).clamp_min(1)
        found.append((said & true).sum((1, 2)) / union)
    return float(torch.cat(found).mean())


if __name__ == "__main__":
    main()
