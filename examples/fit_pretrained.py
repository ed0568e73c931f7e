"""Fit one of the policies that ship with the package.

    python examples/fit_pretrained.py fashion-mnist --root data --out fashion_mnist_v1.safetensors
    python examples/fit_pretrained.py folder:DIR --out cifar10_v1.safetensors      # CIFAR-10 as an image folder

10,000 training images, 2,000 of the others to measure the target on, a small CNN for 10 epochs, seed 0. On another
machine or with another number of threads the last digits of the weights may differ.
"""

import argparse
from pathlib import Path

import torch
from datasets import load

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier


def main() -> None:
    """Train, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--root", default="data")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pool, test = load(options.data, options.root, download=False)
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(0))
    train, unseen = pool.take(order[:10_000]), pool.take(order[10_000:12_000])
    torch.manual_seed(0)
    classifier = SmallConvNet(10, train.images.shape[1]).to(memory_format=torch.channels_last)
    loader = train.loader(64, shuffle=True)
    train_classifier(classifier, loader, epochs=10, seed=0)
    print("classifier:", evaluate_classifier(classifier, test.loader(500)))
    augment = LearnedAffineAugment.fit(classifier, loader, val_loader=unseen.loader(64), limits=AffineLimits.modest())
    augment.save_pretrained(options.out)
    print("policy:", augment.history.last(), augment.history.info["target"], sep="\n")


if __name__ == "__main__":
    main()
