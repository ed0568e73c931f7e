"""What to fit to: the table by hand, and the measures of a policy whose ranges are known."""

import pytest
import torch

from benchmarks.what_to_fit_to import report, run
from examples.datasets import Images, load
from learned_affine import AffineLimits, FitHistory, LearnedAffineAugment


def row(seed: int, teacher: str, far: float, near: float, accuracy: float) -> dict:
    classes = load("icons", "data", False)[1].classes
    angles = [far if name in report.ANY else near if name in report.DIRECTED else 99.0 for name in classes]
    known = {"teacher_accuracy": 0.9, "teacher_accuracy_rotated": 0.3, "accuracy": accuracy, "angle_by_class": angles}
    return {"seed": seed, "teacher": teacher, "fit": "default", "code": "a", **known}


def test_the_table_by_hand():
    rows = [row(seed, "plain", 4.0 + seed, 2.0, 0.91 + seed / 1000) for seed in range(3)]
    line = report.table([*rows, row(0, "generous", 8.0, 2.0, 0.92)]).splitlines()[2]
    assert "| 5.0 ± 1.0° | 2.0 ± 0.0° | 2.5 ± 1.2 | 91.1 ± 0.1 | +1.10 ± 0.25 |" in line  # 4.303 * 0.5 / sqrt(3)


def test_the_deviation_of_the_angle_is_that_of_draws():
    policy = LearnedAffineAugment(AffineLimits.wide())
    info = dict.fromkeys(("target", "held_out_accuracy"), 0.0)
    policy.history = FitHistory(info=info).add(cost=0.0, budget=0.0, price=0.0, kl=0.0)
    images = torch.rand(64, 1, 12, 12)
    found = run.described(policy, Images(images, torch.zeros(64, dtype=torch.long), ("one",)))
    drawn = torch.cat([policy.sample_parameters(images).angle for _ in range(100)])
    assert found["angle_by_class"][0] == pytest.approx(float(drawn.std()), rel=0.05)
