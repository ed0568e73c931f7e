"""What holds of a fit in every task: its measures, its evaluation, and that it goes by one process or two alike."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learned_affine.diagnostics.checks import check_fit
from learned_affine.fitting.history import KEYS
from tests.fits import few_steps
from tests.fitting.every_task import TASKS, fit, loader, of_two_sizes

OF_CLASSES = {"accuracy", "agreement"}  # which a loss of one's own does not know
NAMES = {"binary": "binary", "multi-label": "multi-label", "own loss": "own loss"}


@pytest.mark.parametrize("held_out", [loader, of_two_sizes])
@pytest.mark.parametrize("name", TASKS)
def test_history_and_evaluation_hold_what_is_known(name, held_out):
    classifier, _, options = TASKS[name]
    with few_steps():
        augment = fit(name, val_loader=held_out(name))
    history = augment.history
    measured = {key for key in KEYS if not math.isnan(history[key][0])}
    assert set(KEYS) - measured == (OF_CLASSES if name == "own loss" else set())
    assert history.info["task"] == NAMES.get(name, "single-label") and history.rounds == 5
    assert history.last()["budget"] > 0 and history.info["target"] > history.info["held_out_cost"]
    assert bool(history.info["classes_moved"]) == (name != "own loss")
    assert bool(history.info["recognised"]["4"]) == (name not in ("multi-label", "own loss"))
    check_fit(history)
    told = augment.evaluate(classifier, held_out(name), **options)
    assert all(math.isfinite(value) for value in told.values())


def run(folder, processes):
    """What each process has saved in its folder, in one process or in several under torchrun."""
    folder.mkdir()
    launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "--module"]
    command = [sys.executable, "-m", *(launch if processes > 1 else []), "tests.fitting.every_task", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank*.pt"))]


@pytest.mark.long
def test_two_processes_stay_equal_and_agree_with_one(tmp_path):
    pytest.importorskip("accelerate")
    main, other = run(tmp_path / "two", 2)
    (alone,) = run(tmp_path / "one", 1)
    assert (main["processes"], alone["processes"]) == (2, 1)
    assert (main["told"], other["told"], alone["told"]) == (5, 0, 5)
    assert len(main["policies"]) == 6
    for name in main["policies"]:
        assert all(map(torch.equal, main["weights"][name], other["weights"][name])), name
        # batches of other sizes are judged alike but for the last digits
        for mine, theirs in zip(main["policies"][name], alone["policies"][name], strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3, msg=name)
