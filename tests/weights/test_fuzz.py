"""Mutated files load as what they say or raise one error, within limits of time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from learned_affine import LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.weights.container import MAX_FILE
from tests.weights.fuzz import KINDS

pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
ROOT = Path(__file__).parents[2]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by /proc")


@on_linux
@pytest.mark.parametrize(
    ("count", "unseen", "least", "most"), [(200, 1, 5, 75), pytest.param(10_000, 0, 100, 2500, marks=pytest.mark.long)]
)
def test_mutated_files_load_as_they_say_or_raise_one_error(tmp_path, count, unseen, least, most):
    """Load mutated files in a process with limits, and see what it measured."""
    command = [sys.executable, "-m", "tests.weights.fuzz", str(count), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])  # -27: the timer; -11, -6: a crash
    found = json.loads(done.stdout)
    assert len(KINDS - set(found["kinds"])) <= unseen and least < found["loaded"] < most


@on_linux
@pytest.mark.long
def test_the_largest_file_that_is_loaded_stays_within_the_limits(tmp_path):
    network = LocalizationNetwork(3, size=128, width=160)
    path = LearnedAffineAugment(localization=network).save_pretrained(tmp_path / "model.safetensors")
    assert 0.9 * MAX_FILE < path.stat().st_size <= MAX_FILE
    code = f"from tests.weights.fuzz import *; limit_memory(); assert attempt({str(path)!r}) is not None"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
