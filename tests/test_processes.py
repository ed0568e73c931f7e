"""Two processes by torchrun: equal ranks, and the result of one process at the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


def run(folder, batch, processes):
    folder.mkdir()
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launch if processes > 1 else []), str(ROOT / "tests/two_processes.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(folder), str(batch)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank*.pt"))]


def test_two_processes_stay_equal_and_agree_with_one(tmp_path):
    pytest.importorskip("accelerate")
    first, second = run(tmp_path / "two", 8, 2)
    (alone,) = run(tmp_path / "one", 16, 1)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
        torch.testing.assert_close(value, alone[key], atol=2e-3, rtol=2e-2)
    assert (tmp_path / "two" / "fit.pt").exists()
