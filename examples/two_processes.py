"""Fit in several processes, on as many GPUs or machines as torchrun is given.

    torchrun --standalone --nproc_per_node 2 examples/two_processes.py  # two processes, GPUs if there are
    python examples/two_processes.py                                    # one process, the same policy

Nothing changes in the script: ``fit`` sees that torchrun started it. The processes share the judging of warped images,
and each has the same policy in the end, up to rounding. Needs the extra ``train``.
"""

import argparse
import os
from pathlib import Path

import torch
from datasets import load

from learned_affine import LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, train_classifier


def main() -> None:
    """Train a small classifier, fit, and let the main process write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/two_processes"))
    options = parser.parse_args()

    # Every process must have the same classifier: here each trains it from the same seed; else load it from a file.
    images, _ = load("fashion-mini", "data", download=False)
    train, held_out = images.take(torch.arange(400, len(images))), images.take(torch.arange(400))
    torch.manual_seed(0)
    classifier = SmallConvNet(10, 1).to(memory_format=torch.channels_last)
    train_classifier(classifier, train.loader(64, shuffle=True), epochs=3, seed=0, progress=False)

    options.out.mkdir(parents=True, exist_ok=True)
    augment = LearnedAffineAugment.fit(classifier, train.loader(64, shuffle=True), val_loader=held_out.loader(64))
    if int(os.environ.get("RANK", "0")) == 0:
        augment.save_pretrained(options.out / "augmenter.safetensors")
        print(augment.history, f"written to {options.out}")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
