"""Fit an augmenter in several processes: ``torchrun --nproc_per_node 2 torchrun_fit.py FILE``.

The same call as in one process. Each process gets its part of the loader, gradients are averaged, and every process
ends up with the same weights.
"""

import sys

import torch
from fashion import batches, images, trained_classifier
from torch import distributed

from learned_affine import FitConfig, LearnedAffineAugment

classifier = trained_classifier()
augment = LearnedAffineAugment.fit(
    classifier,
    batches(*images("train", 0, 1000)),
    val_loader=batches(*images("train", 1000, 1400), shuffle=False),
    config=FitConfig(steps=30),
    padding_mode="zeros",
    device="cpu",
)
weights = torch.cat([value.flatten() for value in augment.localization.parameters()]).detach()
place = f"process {distributed.get_rank()} of {distributed.get_world_size()}"
print(f"{place}: sum of weights {float(weights.sum()):.6f}\n", end="")
if distributed.get_rank() == 0:
    augment.save_pretrained(sys.argv[1])
distributed.destroy_process_group()
