"""Do the shipped policies help where they were not fitted? Small classifiers trained from scratch, with and without.

    python -m benchmarks.transfer.run --cifar folder:DIR --root data     # 15 minutes of one core
    python -m benchmarks.transfer.report                                 # the page

One row of ``results/transfer.jsonl`` a run: 300 training images of a seed's own, 60 epochs, accuracy of the last one on
2,000 test images. A run that has a row is not run again, so an interrupted benchmark goes on where it stopped; a row
carries a digest of the policy, so that another policy is run anew. None of the classifiers is one that a policy was
fitted to: "home" has that architecture, trained anew on fewer images (some of which the fit may have seen).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from tqdm.auto import tqdm

from benchmarks.common.rows import RESULTS, append, has
from examples.datasets import Images, count, load
from examples.three_stages import UniformAffine
from learned_affine import LearnedAffineAugment, LearnedAffineAugment_Weights
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier
from learned_affine.weights.container import read_file  # private: the digest in a file, by which rows know a policy

ROWS = RESULTS / "transfer.jsonl"
TRAIN, TEST, EPOCHS = 300, 2000, 60
HOMES = {"FASHION_MNIST_V3": "fashion-mnist", "CIFAR10_V3": "cifar10"}
Augment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """A place to use a policy in."""

    title: str
    prepare: Callable[[Tensor], Tensor] = lambda images: images  # of the images, once
    classifier: Callable[[int], nn.Module] = lambda channels: SmallConvNet(10, channels)
    pipeline: Callable[[Augment], Augment] = lambda augment: augment  # what training applies to a batch
    normalized: bool = False  # the classifier is given normalised images


class Residual(nn.Sequential):
    """Two convolutions and a way round them."""

    def __init__(self, width: int) -> None:
        first, second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        super().__init__(first, nn.BatchNorm2d(width), nn.ReLU(), second, nn.BatchNorm2d(width))

    def forward(self, images: Tensor) -> Tensor:
        """The same shape."""
        return torch.relu(images + super().forward(images))


def small_resnet(channels: int) -> nn.Module:
    """A residual net of two blocks with a stem of stride 2 and a mean over all places, as SmallConvNet has not."""
    stem = nn.Conv2d(channels, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), Residual(32)
    wider = nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), Residual(64)
    return nn.Sequential(*stem, *wider, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def shrunk(images: Tensor) -> Tensor:
    """Three quarters of the side."""
    side = images.shape[-1] * 3 // 4
    return v2.functional.resize(images, [side, side]).clamp(0, 1)


def other_channels(images: Tensor) -> Tensor:
    """Grey as RGB, and RGB as grey."""
    return images.expand(-1, 3, -1, -1).contiguous() if images.shape[1] == 1 else images.mean(1, keepdim=True)


def normalize(images: Tensor) -> Tensor:
    """To mean 0 and deviation 1, roughly, of either data set."""
    return (images - 0.4) / 0.3


def on_bytes(augment: Augment) -> Augment:
    """The policy on uint8 images."""
    return lambda images: augment((255 * images).round().to(torch.uint8)).float() / 255


SETTINGS = {
    "home": Setting("same architecture, trained anew"),
    "resnet": Setting("small ResNet", classifier=small_resnet),
    "shrunk": Setting("images of three quarters of the side", prepare=shrunk),
    "channels": Setting("grey as RGB, RGB as grey", prepare=other_channels),
    "normalized": Setting(
        "after Normalize", pipeline=lambda augment: lambda images: augment(normalize(images)), normalized=True
    ),
    "uint8": Setting("on uint8 images", pipeline=on_bytes),
    "abroad": Setting("images of the other data set"),
}
BASE = {"uint8": "home", "abroad": "home"}  # whose run without a policy theirs is compared to


def main() -> None:
    """Run what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fashion", default="fashion-mnist")
    parser.add_argument("--cifar", default="cifar10", help="cifar10, or folder:DIR with its images")
    parser.add_argument("--root", default="data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--home-seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", nargs="+", default=list(HOMES.values()), help="only runs on these")
    parser.add_argument("--arms", nargs="+", default=["none", "uniform", "policy"], help="only these")
    parser.add_argument("--threads", type=count, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    todo = [key for key in runs(options.seeds, options.home_seeds) if not has(ROWS, key)]
    data = {}
    for key in tqdm(todo, unit="run", disable=None):
        if key["data"] not in options.data or key["arm"] not in options.arms:
            continue
        if key["data"] not in data:
            source = options.fashion if key["data"] == "fashion-mnist" else options.cifar
            data[key["data"]] = load(source, options.root, download=False)
        append(ROWS, key | run(key, *data[key["data"]]))


def runs(seeds: list[int], home_seeds: list[int]) -> list[dict]:
    """The keys of all runs, seed by seed."""
    found = []
    for seed in sorted({*seeds, *home_seeds}):
        for policy, home in HOMES.items():
            for setting in SETTINGS if seed in seeds else ["home"]:
                data = home if setting != "abroad" else next(other for other in HOMES.values() if other != home)
                arms = ["policy"] if setting in BASE else ["none", "policy"] + ["uniform"] * (setting == "home")
                for arm in arms:
                    key = {"data": data, "setting": setting, "arm": arm, "seed": seed}
                    key |= {"policy": policy, "digest": digest(policy)} if arm == "policy" else {}
                    found.append(key | {"images": TRAIN, "test": TEST, "epochs": EPOCHS})
    return [key for place, key in enumerate(found) if key not in found[:place]]  # policies of one data set share some


def digest(policy: str) -> str:
    """Of the policy: its tensors and all that its file says."""
    return str(read_file(LearnedAffineAugment_Weights[policy].path).digest)[:12]


def run(key: dict, train: Images, test: Images) -> dict:
    """Train from scratch, and measure."""
    setting, start = SETTINGS[key["setting"]], time.perf_counter()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(2000 + key["seed"]))
    chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:TEST]
    mine, held = (part.take(index) for part, index in ((train, order[:TRAIN]), (test, chosen)))
    mine, held = (Images(setting.prepare(part.images), part.labels) for part in (mine, held))
    torch.manual_seed(key["seed"])
    classifier = setting.classifier(mine.images.shape[1]).to(memory_format=torch.channels_last)
    augment = augmenter(key)
    train_classifier(
        classifier,
        mine.loader(32, shuffle=True),
        augment=setting.pipeline(augment) if augment is not None else normalize if setting.normalized else None,
        epochs=EPOCHS,
        seed=key["seed"],
        progress=False,
    )
    found = evaluate_classifier(classifier, held.loader(500), preprocess=normalize if setting.normalized else None)
    return {name: round(value, 5) for name, value in found.items()} | {"seconds": round(time.perf_counter() - start, 1)}


def augmenter(key: dict) -> Augment | None:
    """What an arm trains with; uniform warps lie within the limits of the data's own policy, with its padding and p."""
    if key["arm"] == "none":
        return None
    home = next(policy for policy, data in HOMES.items() if data == key["data"])
    policy = LearnedAffineAugment.from_pretrained(key.get("policy", home))
    return policy if key["arm"] == "policy" else UniformAffine(policy, policy.p)


if __name__ == "__main__":
    main()
