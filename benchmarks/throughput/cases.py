"""What is timed: ways to warp a batch, one image, or the images of a loader, all with the same limits."""

import itertools
from collections.abc import Callable

import kornia.augmentation
import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork  # private: one that knows one flip alone
from learned_affine.policy.thumbnail import thumbnail  # private: a part of a call, timed alone

BATCHES = {32: 128, 96: 64, 224: 32, 512: 8}
ON_GPU = {32: 1024, 224: 256}
EPOCH = 256  # images of a loader
LIMITS, ONE_FLIP = AffineLimits(), AffineLimits(symmetries="mirror")
BILINEAR = v2.InterpolationMode.BILINEAR
Cases = dict[str, Callable[[], object]]


def ours(limits: AffineLimits = LIMITS, **options: object) -> LearnedAffineAugment:
    """An augmenter that goes as far as its limits: an unfitted one would hardly move anything."""
    torch.manual_seed(0)
    network = LocalizationNetwork(3, symmetries=limits.symmetries)
    augment = LearnedAffineAugment(limits, localization=network, **{"p": 1.0, **options})
    nn.init.normal_(augment.localization.head.weight, std=0.3)
    with torch.no_grad():
        augment.localization.head.bias[6:12].fill_(-3.0)  # of the curvatures: wide
        augment.localization.head.bias[12:].fill_(0.0)  # of the symmetries: all alike
    return augment


def random_affine() -> v2.RandomAffine:
    """torchvision's, with the same limits; it pads with zeros."""
    shift = (LIMITS.translate, LIMITS.translate)
    return v2.RandomAffine(LIMITS.angle, shift, (1 / LIMITS.scale, LIMITS.scale), LIMITS.shear, BILINEAR)


def kornia_affine(keepdim: bool = False) -> nn.Module:
    """kornia's, with the same limits and padding."""
    shift, scale = (LIMITS.translate, LIMITS.translate), (1 / LIMITS.scale, LIMITS.scale)
    options = {"p": 1.0, "padding_mode": "reflection", "keepdim": keepdim}
    return kornia.augmentation.RandomAffine(LIMITS.angle, shift, scale, LIMITS.shear, **options)


def matrices(images: Tensor, count: int) -> list[Tensor]:
    """``count`` draws of the policy above for ``(B, C, H, W)`` images, ``(B, 2, 3)`` each."""
    augment = ours()
    with torch.no_grad():
        return [augment.sample_parameters(images).matrix(*images.shape[-2:]) for _ in range(count)]


def kornia_alone(images: Tensor, padding: str = "reflection") -> Callable[[], Tensor]:
    """``warp_affine`` by ready matrices, other ones at each call."""
    size = images.shape[-2:]
    ready = itertools.cycle(matrices(images, 16))
    return lambda: warp_affine(images, next(ready), size, "bilinear", padding, align_corners=False)


def grid_sample_alone(images: Tensor) -> Callable[[], Tensor]:
    """``grid_sample`` by ready grids, other ones at each call."""
    grids = []
    for matrix in matrices(images, 4):
        scale = matrix.new_tensor([images.shape[-1] / 2, images.shape[-2] / 2])
        centre = scale - 0.5
        linear = torch.linalg.inv(matrix[:, :, :2])
        shift = (linear @ (centre - matrix[:, :, 2])[..., None])[..., 0] - centre
        theta = torch.cat([linear * scale / scale[:, None], (shift / scale)[..., None]], dim=-1)
        grids.append(functional.affine_grid(theta, list(images.shape), align_corners=False))
    ready = itertools.cycle(grids)
    return lambda: functional.grid_sample(images, next(ready), "bilinear", "reflection", align_corners=False)


def batch_cases(size: int, kind: str) -> Cases:
    """Ways to warp a batch; with "loop", image by image, which is how torchvision gets parameters of their own."""
    images = torch.rand(BATCHES[size], 3, size, size)
    pixels = images if kind == "float" else (images * 255).byte()
    full, half, affine = ours(), ours(p=0.5), random_affine()
    cases: Cases = {"ours": lambda: full(pixels), "ours, p=0.5": lambda: half(pixels)}
    if kind == "float":
        random = kornia_affine()
        zeros, sharp, flip = ours(padding_mode="zeros"), ours(interpolation="sharp"), ours(ONE_FLIP)
        cases["ours, sharp"] = lambda: sharp(pixels)
        cases["ours, one flip"] = lambda: flip(pixels)
        cases["ours, zeros"] = lambda: zeros(pixels)
        cases["kornia warp_affine, zeros"] = kornia_alone(pixels, "zeros")
        cases["kornia warp_affine"] = kornia_alone(pixels)
        cases["grid_sample"] = grid_sample_alone(pixels)
        cases["kornia RandomAffine"] = lambda: random(pixels)
    cases["v2.RandomAffine, loop"] = lambda: torch.stack([affine(image) for image in pixels])
    return cases


def single_cases(size: int, kind: str) -> Cases:
    """Ways to warp one image, as a worker of a loader does: as bytes, and as a PIL image."""
    item = (255 * torch.rand(3, size, size)).byte()
    picture = v2.functional.to_pil_image(item)
    full, zeros, half, affine = ours(), ours(padding_mode="zeros"), ours(p=0.5), random_affine()
    sharp, flip = ours(interpolation="sharp"), ours(ONE_FLIP)
    cases: Cases = {
        "ours": lambda: full(item),
        "ours, sharp": lambda: sharp(item),
        "ours, one flip": lambda: flip(item),
        "ours, zeros": lambda: zeros(item),
        "v2.RandomAffine": lambda: affine(item),
        "ours, p=0.5": lambda: half(item),
        "ours, PIL": lambda: full(picture),
        "v2.RandomAffine, PIL": lambda: affine(picture),
    }
    return cases


def part_cases(size: int, kind: str) -> Cases:
    """What a call of ours is made of, each part alone, for one image or a batch."""
    images = torch.rand(1 if kind == "one" else BATCHES[size], 3, size, size)
    augment, identity = ours(), v2.Identity()
    network, noise = augment.localization, augment.noise(len(images))
    drawn = augment.sample_parameters(images)
    small, item = thumbnail(images, network.size, network.channels), images[0] if kind == "one" else images
    return {
        "ours": lambda: augment(item),
        "grid_sample": grid_sample_alone(images),
        "warp": lambda: augment.warp(images, drawn),
        "draw": lambda: augment.draw_parameters(images, noise),
        "thumbnail": lambda: thumbnail(images, network.size, network.channels),
        "network": lambda: network.head(network.features(small)),
        "torchvision's flow": lambda: identity(item),
    }


class Pictures(Dataset):
    """PIL images in memory, each augmented and turned into a tensor when asked for."""

    def __init__(self, size: int, count: int, transform: Callable[..., object]) -> None:
        self.images = [v2.functional.to_pil_image(torch.rand(3, size, size)) for _ in range(32)]
        self.count, self.transform = count, v2.Compose([transform, v2.PILToTensor()])

    def __len__(self) -> int:
        """Images of an epoch."""
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        """One augmented image."""
        return self.transform(self.images[index % len(self.images)])


def loader_cases(size: int, workers: str) -> Cases:
    """An epoch of a loader with each of the transforms."""
    transforms = {
        "ours": ours(),
        "ours, zeros": ours(padding_mode="zeros"),
        "v2.RandomAffine": random_affine(),
        "no augmentation": v2.Identity(),
    }

    def epoch(loader: DataLoader) -> int:
        return sum(len(batch) for batch in loader)

    options = {"num_workers": int(workers), "persistent_workers": int(workers) > 0}
    loaders = {name: DataLoader(Pictures(size, EPOCH, one), 32, **options) for name, one in transforms.items()}
    return {name: lambda loader=loader: epoch(loader) for name, loader in loaders.items()}


def gpu_cases(size: int, kind: str) -> Cases:
    """A batch on the GPU."""
    images, random = torch.rand(ON_GPU[size], 3, size, size, device="cuda"), kornia_affine()
    full, half = ours(), ours(p=0.5)
    return {
        "ours": lambda: full(images),
        "ours, p=0.5": lambda: half(images),
        "kornia RandomAffine": lambda: random(images),
        "kornia warp_affine": kornia_alone(images),
        "grid_sample": grid_sample_alone(images),
    }


SECTIONS: dict[str, tuple[Callable[[int, str], Cases], tuple[int, ...], tuple[str, ...]]] = {
    "batch": (batch_cases, tuple(BATCHES), ("float", "uint8")),
    "single": (single_cases, tuple(BATCHES), ("uint8",)),
    "parts": (part_cases, tuple(BATCHES), ("one", "batch")),
    "loader": (loader_cases, (224,), ("2",)),
    "gpu": (gpu_cases, tuple(ON_GPU), ("float",)),
}
