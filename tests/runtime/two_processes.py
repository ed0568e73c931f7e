"""Run by torchrun: fits in two processes, and what each of them ends with."""

import os
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import FitConfig, LearnedAffineAugment
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
CONFIG = FitConfig(target=0.4, steps=12)


def fit(loader, **options):
    """A fit, and the steps that the callback was told of."""
    told = []
    device = "cpu" if torch.cuda.is_available() else None  # without a GPU nobody names the CPU
    options = {"config": CONFIG, "device": device, "callbacks": told.append, **options}
    return LearnedAffineAugment.fit(Halves(4.0), loader, **options), len(told)


def shuffled(batch):
    return DataLoader(TensorDataset(IMAGES, LABELS), batch, shuffle=True)


def of_two_sizes():
    """Held-out images: processes that draw some of them do not draw as many of each size."""
    return [(IMAGES[::2], LABELS[::2]), (nn.functional.interpolate(IMAGES[1::2], size=(20, 20)), LABELS[1::2])]


def main() -> None:
    """Fit in several ways, then save what this rank has."""
    torch.set_num_threads(1)
    folder, batch = Path(sys.argv[1]), int(sys.argv[2])
    rank = int(os.environ.get("RANK", "0"))
    val = DataLoader(TensorDataset(IMAGES, LABELS), 16)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        whole, told = fit(shuffled(batch), config=CONFIG.replace(target=None), log_dir=folder / "log")
    fit(shuffled(batch), val_loader=val, max_steps=5, checkpoint=folder)
    parts, _ = fit(shuffled(batch), val_loader=val, checkpoint=folder, resume=True)
    unbroken, _ = fit(shuffled(batch), val_loader=val)
    sizes, _ = fit(shuffled(batch), val_loader=of_two_sizes())
    shards = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 24 + 8 * rank, 8)]  # of unequal length
    uneven, _ = fit(shards)
    fits = {"whole": whole, "parts": parts, "unbroken": unbroken, "sizes": sizes, "uneven": uneven}
    found = [one for one in found if "target is a guess" in str(one.message)]
    result = {
        "weights": {name: one.localization.state_dict() for name, one in fits.items()},
        "loss": {name: torch.tensor(one.history["loss"]) for name, one in fits.items()},
        "steps": [one.history.info["steps"] for one in fits.values()],
        "processes": [one.history.info["processes"] for one in fits.values()],
        "chances": {name: one.localization(IMAGES).mirror_chance.detach() for name, one in fits.items()},
        "told": told,
        "warnings": len(found),
    }
    torch.save(result, folder / f"rank{rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
