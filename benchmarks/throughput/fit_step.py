"""Prints the processor's seconds of a step of a fit: by what versions 0.1 and 0.2 have in common, or by more.

Run by ``benchmarks.throughput.run fit`` in the folder of each version, as text: it imports nothing of the benchmarks.
"""

import sys
import time
import warnings

import torch
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment

STEPS = 40


def main() -> None:
    """Fit twice, and take the time of the second. Arguments: threads, and ``plain``, ``mirrors`` or ``default``."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)
    images, labels = torch.rand(512, 3, 32, 32), torch.randint(0, 10, (512,))
    layers = [nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2), nn.ReLU(), nn.Flatten()]
    classifier = nn.Sequential(*layers, nn.Linear(64 * 49, 10)).eval()
    loader = list(zip(images.split(64), labels.split(64), strict=True))
    # "plain" is what 0.1 has: no mirrors, and the discriminator left out, which was not of its default
    config = FitConfig(steps=STEPS, draws=2, **({} if sys.argv[2] == "default" else {"adversarial_weight": 0.0}))
    plain = sys.argv[2] == "plain" and "symmetries" in AffineLimits.__dataclass_fields__
    limits = AffineLimits(symmetries="none") if plain else AffineLimits()
    for _ in range(2):
        start = time.process_time()
        LearnedAffineAugment(limits).fit(classifier, loader, val_loader=loader[:4], config=config, progress=False)
        seconds = time.process_time() - start
    print(seconds / STEPS)


if __name__ == "__main__":
    main()
