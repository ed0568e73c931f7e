"""Fit one of the policies that ship with the package.

    python examples/fit_pretrained.py fashion-mnist --root data --out fashion_mnist_v3.safetensors
    python examples/fit_pretrained.py cifar10 --images folder:DIR --out cifar10_v3.safetensors

10,000 training images, 2,000 held-out images to measure the target on, a small CNN for 10 epochs, seed 0, one thread.
The same versions on the same machine give the same file, byte for byte; docs/pretrained.md says how far others may
be off.
"""

import argparse
from pathlib import Path

import torch
from datasets import Images, load
from torch import nn

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier
from learned_affine.geometry.parameters import NAMES

EPOCHS, TRAIN, HELD_OUT = 10, 10_000, 2_000
PADDING = {"fashion-mnist": "zeros", "cifar10": "reflection"}  # clothes on black; photographs to the edge
DATA = {"fashion-mnist": "Fashion-MNIST (MIT licence)", "cifar10": "CIFAR-10 (no licence given by its authors)"}


def main() -> None:
    """Train, fit, write."""
    options = parse()
    torch.set_num_threads(options.threads)
    pool, test = load(options.images or options.data, options.root, download=False)
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(options.seed))
    train, held_out = pool.take(order[:TRAIN]), pool.take(order[TRAIN : TRAIN + HELD_OUT])
    channels, loader = train.images.shape[1], train.loader(64, shuffle=True)
    torch.manual_seed(options.seed)
    classifier = SmallConvNet(10, channels).to(memory_format=torch.channels_last)
    train_classifier(classifier, loader, epochs=EPOCHS, seed=options.seed)
    augment = LearnedAffineAugment.fit(
        classifier,
        loader,
        val_loader=held_out.loader(64),
        limits=AffineLimits.modest(),
        padding_mode=PADDING[options.data],
        seed=options.seed,
    )
    source = " --images folder:DIR" if (options.images or "").startswith("folder:") else ""
    augment.history.info |= {
        "data": f"{DATA[options.data]}, {TRAIN:,} training images{', as JPEG copies' if source else ''}",
        "classifier": f"SmallConvNet(10, {channels}), {EPOCHS} epochs",
        "recipe": f"python examples/fit_pretrained.py {options.data}{source} --seed {options.seed}",
        "licence": "Apache-2.0",
        "measured": measure(augment, classifier, held_out, test),
        "ranges": ranges(augment, held_out),
        "class_names": list(pool.classes),
    }
    augment.save_pretrained(options.out)
    for name in ("measured", "ranges"):
        print(*augment.history.info[name].items(), sep="\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=PADDING)
    parser.add_argument("--images", help="folder:DIR with the images, instead of torchvision's copy of the data set")
    parser.add_argument("--root", default="data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="the last digits follow from their number")
    return parser.parse_args()


def measure(augment: LearnedAffineAugment, classifier: nn.Module, held_out: Images, test: Images) -> dict[str, float]:
    """What the policy does to held-out images, and how good the classifier is."""
    torch.manual_seed(0)
    found = augment.evaluate(classifier, held_out.loader(500))
    names = ("clean_accuracy", "accuracy", "agreement", "clean_entropy", "entropy", "displacement", "visible_area")
    names += ("symmetry_chance", "symmetry_spread")
    measures = {name: found[name] for name in names}
    measures["classifier_test_accuracy"] = evaluate_classifier(classifier, test.loader(500))["accuracy"]
    return {name: round(value, 4) for name, value in measures.items()}


@torch.no_grad()
def ranges(augment: LearnedAffineAugment, images: Images, draws: int = 8) -> dict[str, list[float]]:
    """Of each parameter the 5 %, 50 % and 95 % point of what is drawn, over all images."""
    torch.manual_seed(0)
    drawn = torch.cat([augment.sample_parameters(images.images).stacked() for _ in range(draws)]).double()
    points = drawn.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64), dim=0).T
    return {name: [round(value, 4) for value in row] for name, row in zip(NAMES, points.tolist(), strict=True)}


if __name__ == "__main__":
    main()
