"""Run by torchrun: fit in two processes, and write what each ends with."""

import sys
import warnings
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import FitConfig, LearnedAffineAugment
from tests.subjects import Halves, blobs


def main() -> None:
    """Fit, then save this rank's weights."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder, batch = Path(sys.argv[1]), int(sys.argv[2])
    loader = DataLoader(TensorDataset(*blobs(64)), batch)
    config = FitConfig(target=0.4, steps=12, deterministic=True)
    augment = LearnedAffineAugment.fit(Halves(4.0), loader, config=config, device="cpu", checkpoint=folder)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    torch.save(augment.localization.state_dict(), folder / f"rank{rank}.pt")
    print(f"rank {rank}: {augment.history.info['steps']} steps")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
