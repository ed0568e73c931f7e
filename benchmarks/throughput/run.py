"""What a call costs, beside what one would use instead: interleaved medians, as rows in ``results/throughput.jsonl``.

    python -m benchmarks.throughput.run batch --threads 1      # and: kept, single, parts, loader, compile, import, gpu
    python -m benchmarks.throughput.report                     # the page

Rows of a section and number of threads are replaced by a newer run of it. "kept" is "batch" in a process that keeps
the memory that it frees. Needs the extra ``benchmark``.
"""

import argparse
import gc
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

import kornia.augmentation
import numpy as np
import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.common.rows import read
from benchmarks.throughput.report import ROWS
from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.policy.thumbnail import thumbnail  # private: a part of a call, timed alone

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for its newest version
BATCHES = {32: 128, 96: 64, 224: 32, 512: 8}
LIMITS = AffineLimits()
# for glibc: memory that is freed stays with the process, and need not be mapped page by page again
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
CHANCE = 8  # calls that a time is the mean of at least, where chance decides how many images are warped
BILINEAR = v2.InterpolationMode.BILINEAR
Cases = dict[str, Callable[[], object]]


def ours(**options: object) -> LearnedAffineAugment:
    """An augmenter that goes as far as its limits: an unfitted one would hardly move anything."""
    torch.manual_seed(0)
    augment = LearnedAffineAugment(LIMITS, **{"p": 1.0, **options})
    nn.init.normal_(augment.localization.head.weight, std=0.3)
    with torch.no_grad():
        augment.localization.head.bias[6:].fill_(1.0)
    return augment


def random_affine() -> v2.RandomAffine:
    """torchvision's, with the same limits."""
    shift = (LIMITS.translate, LIMITS.translate)
    return v2.RandomAffine(LIMITS.angle, shift, (1 / LIMITS.scale, LIMITS.scale), LIMITS.shear, BILINEAR)


def kornia_affine(keepdim: bool = False) -> nn.Module:
    """kornia's, with the same limits and padding."""
    shift, scale = (LIMITS.translate, LIMITS.translate), (1 / LIMITS.scale, LIMITS.scale)
    options = {"p": 1.0, "padding_mode": "reflection", "keepdim": keepdim}
    return kornia.augmentation.RandomAffine(LIMITS.angle, shift, scale, LIMITS.shear, **options)


def albumentations_affine() -> Callable[..., dict] | None:
    """That of albumentations 2.0.8, its last release; None where it is not installed."""
    try:
        import albumentations
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(torch.get_num_threads())
    shift, shear = (-LIMITS.translate, LIMITS.translate), {"x": (-LIMITS.shear, LIMITS.shear), "y": (0, 0)}
    return albumentations.Affine(
        scale=(1 / LIMITS.scale, LIMITS.scale),
        translate_percent=shift,
        rotate=(-LIMITS.angle, LIMITS.angle),
        shear=shear,
        border_mode=cv2.BORDER_REFLECT_101,
        p=1.0,
    )


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
    trivial, rand = v2.TrivialAugmentWide(interpolation=BILINEAR), v2.RandAugment(interpolation=BILINEAR)
    last = pixels.contiguous(memory_format=torch.channels_last)
    cases: Cases = {
        "ours": lambda: full(pixels),
        "ours, p=0.5": lambda: half(pixels),
        "ours, channels_last": lambda: full(last),
        "v2.RandomAffine, one draw": lambda: affine(pixels),
        "v2.RandomAffine, loop": lambda: torch.stack([affine(image) for image in pixels]),
        "v2.TrivialAugmentWide, one draw": lambda: trivial(pixels),
        "v2.RandAugment, one draw": lambda: rand(pixels),
    }
    if kind == "float":
        cases["kornia warp_affine"] = kornia_alone(pixels)
        cases["grid_sample"] = grid_sample_alone(pixels)
        random = kornia_affine()
        cases["kornia RandomAffine"] = lambda: random(pixels)
    if (albumentations := albumentations_affine()) is not None:
        arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in pixels]
        cases["albumentations.Affine, loop"] = lambda: np.stack([albumentations(image=one)["image"] for one in arrays])
    return cases


def single_cases(size: int, kind: str) -> Cases:
    """Ways to warp one image, as a worker of a loader does."""
    image = torch.rand(3, size, size)
    item = {"float": image, "uint8": (image * 255).byte(), "pil": v2.functional.to_pil_image(image)}[kind]
    names = {
        "ours": ours(),
        "ours, zeros": ours(padding_mode="zeros"),
        "ours, p=0.5": ours(p=0.5),
        "v2.RandomAffine": random_affine(),
        "v2.TrivialAugmentWide": v2.TrivialAugmentWide(interpolation=BILINEAR),
        "v2.RandAugment": v2.RandAugment(interpolation=BILINEAR),
    }
    cases: Cases = {name: lambda call=call: call(item) for name, call in names.items()}
    if kind == "float":
        random = kornia_affine(keepdim=True)
        cases["kornia RandomAffine"] = lambda: random(image)
        cases["kornia warp_affine"] = kornia_alone(image[None])
        cases["grid_sample"] = grid_sample_alone(image[None])
    if kind == "uint8" and (albumentations := albumentations_affine()) is not None:
        array = np.ascontiguousarray(item.permute(1, 2, 0).numpy())
        cases["albumentations.Affine"] = lambda: albumentations(image=array)["image"]
    return cases


def part_cases(size: int, kind: str) -> Cases:
    """What a call of ours is made of, each part alone, for one image or a batch."""
    images = torch.rand(1 if kind == "one" else BATCHES[size], 3, size, size)
    augment = ours()
    network, noise = augment.localization, torch.randn(len(images), 6)
    drawn = augment.sample_parameters(images).map(Tensor.detach)
    small = thumbnail(images, network.size, network.channels)
    item, identity = images[0] if kind == "one" else images, v2.Identity()
    pixels = (item * 255).byte()
    others: Cases = {"ours, uint8": lambda: augment(pixels)}
    if kind == "one":
        picture, affine = v2.functional.to_pil_image(pixels), random_affine()
        others |= {"ours, PIL": lambda: augment(picture), "v2.RandomAffine": lambda: affine(item)}
    return others | {
        "ours": lambda: augment(item),
        "kornia warp_affine": kornia_alone(images),
        "grid_sample": grid_sample_alone(images),
        "draw": lambda: network.draw(images, noise, LIMITS, 1.0),
        "thumbnail": lambda: thumbnail(images, network.size, network.channels),
        "network": lambda: network.head(network.features(small)),
        "matrix": lambda: drawn.matrix(size, size),
        "torchvision's flow": lambda: identity(item),
    }


def interleaved(cases: Cases, rounds: int = 9, slice_: float = 0.02) -> dict[str, dict[str, float]]:
    """Median and quartiles of the seconds a call, all cases in turn, ``rounds`` times, ``slice_`` seconds each."""
    calls = {}
    for name, case in cases.items():
        case()
        start = time.perf_counter()
        case()
        least = CHANCE if "p=" in name else 1
        calls[name] = max(least, int(slice_ / (time.perf_counter() - start)))
    found: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    for _ in range(rounds):
        for name, case in cases.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                case()
            found[name].append((time.perf_counter() - start) / calls[name])
    return {name: spread(values) for name, values in found.items()}


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"seconds": middle, "low": low, "high": high, "rounds": len(values)}


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


def loader_cases(size: int, workers: int) -> Cases:
    """An epoch of a loader with each of the transforms."""
    transforms = {
        "no augmentation": v2.Identity(),
        "ours": ours(),
        "ours, p=0.5": ours(p=0.5),
        "v2.RandomAffine": random_affine(),
        "v2.TrivialAugmentWide": v2.TrivialAugmentWide(interpolation=BILINEAR),
    }
    count = 1024 if size == 32 else 256

    def epoch(loader: DataLoader) -> int:
        return sum(len(batch) for batch in loader)

    loaders = {
        name: DataLoader(Pictures(size, count, one), 32, num_workers=workers, persistent_workers=workers > 0)
        for name, one in transforms.items()
    }
    return {name: lambda loader=loader: epoch(loader) for name, loader in loaders.items()}


def compile_cases(size: int, kind: str) -> Cases:
    """A batch through the transform as it is, and compiled by inductor."""
    images, augment = torch.rand(BATCHES[size], 3, size, size), ours()
    compiled = torch.compile(augment)
    return {"ours": lambda: augment(images), "ours, compiled": lambda: compiled(images)}


def gpu_cases(size: int, kind: str) -> Cases:
    """A batch on the GPU; each call waits for it to be done."""
    images, random = torch.rand(8 * BATCHES[size], 3, size, size, device="cuda"), kornia_affine()
    full, half, alone = ours(), ours(p=0.5), kornia_alone(images)
    calls = {"ours": full, "ours, p=0.5": half, "kornia RandomAffine": random, "kornia warp_affine": lambda _: alone()}

    def waited(call: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        return lambda: (call(images), torch.cuda.synchronize())[1]

    return {name: waited(call) for name, call in calls.items()}


def import_seconds() -> dict[str, dict[str, float]]:
    """What importing the package takes when what it stands on is there already; each time in a fresh process."""
    code = (
        "import time, numpy, torch, torchvision.transforms.v2, kornia.geometry.transform\n"
        "start = time.perf_counter()\nimport learned_affine\nprint(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    seconds = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(9)]
    return {"learned_affine": spread(seconds)}


def measure(section: str) -> list[dict]:
    """All rows of a section."""
    if section == "import":
        return [{"method": name, **row} for name, row in import_seconds().items()]
    kinds: dict[str, tuple] = {
        "batch": (batch_cases, BATCHES, ("float", "uint8")),
        "kept": (batch_cases, BATCHES, ("float",)),
        "single": (single_cases, BATCHES, ("float", "uint8", "pil")),
        "parts": (part_cases, BATCHES, ("one", "batch")),
        "loader": (loader_cases, (32, 224), (0, 1, 2)),
        "compile": (compile_cases, (32, 224), ("float",)),
        "gpu": (gpu_cases, BATCHES, ("float",)),
    }
    make, sizes, among = kinds[section]
    rows = []
    for size, kind in itertools.product(sizes, among):
        cases = make(size, kind)
        with torch.no_grad():
            found = interleaved(cases, 5 if section == "loader" else 9)
        batch = 1 if section == "single" or kind == "one" else BATCHES[size]
        rows += [{"method": name, "size": size, "kind": kind, "batch": batch, **row} for name, row in found.items()]
        print(section, size, kind, {name: round(1e3 * row["seconds"], 3) for name, row in found.items()}, flush=True)
    return rows


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = ("batch", "kept", "single", "parts", "loader", "compile", "import", "gpu")
    parser.add_argument("section", choices=sections)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Measure one section."""
    options = parse()
    if options.section == "gpu" and not torch.cuda.is_available():
        return print("no GPU here: nothing measured")
    if options.section == "kept" and not KEPT.items() <= os.environ.items():
        command = [sys.executable, "-m", "benchmarks.throughput.run", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **KEPT})
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    packages = ["torch", "torchvision", "kornia", "learned_affine"]
    packages += ["albumentations"] if find_spec("albumentations") else []
    shared = {
        "section": options.section,
        "threads": options.threads,
        "machine": torch.cuda.get_device_name() if options.section == "gpu" else f"{os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
    kept = [row for row in read(ROWS) if (row["section"], row["threads"]) != (options.section, options.threads)]
    rows = kept + [{**shared, **row} for row in measure(options.section)]
    ROWS.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
