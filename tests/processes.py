"""Scripts in one process, or in several under torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def run(module, folder, processes):
    """What each process of a module of the tests has saved as ``rank*.pt`` in its folder."""
    folder.mkdir()
    launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "--module"]
    command = [sys.executable, "-m", *(launch if processes > 1 else []), module, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank*.pt"))]
