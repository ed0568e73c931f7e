"""What to fit to: the table by hand, and the measures of a policy whose ranges are known."""

from benchmarks.what_to_fit_to import report
from examples.datasets import load


def row(seed: int, teacher: str, far: float, near: float, accuracy: float) -> dict:
    classes = load("icons", "data", False)[1].classes
    angles = [far if name in report.ANY else near if name in report.DIRECTED else 99.0 for name in classes]
    known = {"teacher_accuracy": 0.9, "teacher_accuracy_rotated": 0.3, "accuracy": accuracy, "angle_by_class": angles}
    return {"seed": seed, "teacher": teacher, "fit": "default", "code": "a", **known}


def test_the_table_by_hand():
    rows = [row(seed, "plain", 4.0 + seed, 2.0, 0.91 + seed / 1000) for seed in range(3)]
    line = report.table([*rows, row(0, "generous", 8.0, 2.0, 0.92)]).splitlines()[2]
    assert "| 5.0 ± 1.0° | 2.0 ± 0.0° | 2.5 ± 1.2 | 91.1 ± 0.1 | +1.10 ± 0.25 |" in line  # 4.303 * 0.5 / sqrt(3)
