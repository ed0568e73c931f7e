"""The truth of the drawn glyphs by brute force, its drawings against our own warp, and rank correlation."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.common import rows
from benchmarks.invariances import glyphs
from benchmarks.invariances.run import parse, run, spearman


@pytest.mark.parametrize("name", ["turn", "shift", "size"])
def test_true_interval_is_where_the_label_holds(name: str) -> None:
    task = glyphs.TASKS[name]
    tolerance = torch.tensor(task.tolerances).repeat(40)
    generator = torch.Generator().manual_seed(0)
    pose = task.reach * (2 * torch.rand(len(tolerance), generator=generator) - 1)
    beyond = pose.abs() > tolerance
    low, high = glyphs.intervals(task, pose, tolerance, beyond)
    grid = torch.linspace(0, task.limit, 2001)
    for sign, end in ((1, high), (-1, -low)):
        moved = pose + sign * grid[:, None]  # (G, N)
        if name == "turn":
            moved = (moved + 180) % 360 - 180
        same = (moved.abs() > tolerance) == beyond
        if name != "turn":
            same &= moved.abs() <= task.reach  # nothing further out is ever shown
        reached = same.int().cumprod(0).sum(0).clamp_min(1) - 1  # the last step before the label is lost
        torch.testing.assert_close(grid[reached], end, atol=2 * float(grid[1]), rtol=0)


def test_rank_correlation_by_hand() -> None:
    assert spearman(torch.tensor([1.0, 2, 3, 4]), torch.tensor([10.0, 30, 20, 40])) == pytest.approx(0.8)
    # ranks 1.5 1.5 3 4 against 1 2 3 4: covariance 4.5, variances 4.5 and 5
    assert spearman(torch.tensor([1.0, 1, 3, 4]), torch.tensor([1.0, 2, 3, 4])) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_rows_survive_a_killed_writer_and_versions_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows.append(path, {"code": "a", "arm": "x", "value": float("nan")})
    with path.open("a") as file:
        file.write('{"code": "a", "ar')
    rows.append(path, {"code": "b", "arm": "x", "value": 1.0})
    assert rows.has(path, {"code": "b", "arm": "x"})
    assert not rows.has(path, {"code": "c", "arm": "x"})
    mine, told = rows.newest_version(rows.read(path), "b")
    assert [row["value"] for row in mine] == [1.0]
    assert "1 rows of others are left out" in told
    mine, told = rows.newest_version(rows.read(path), "c")
    assert [row["code"] for row in mine] == ["b"]
    assert "an earlier version (b)" in told


@pytest.mark.long
def test_a_small_run_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    small = "--size 66 --width 4 --epochs 1 --rounds 1 --images 60"
    monkeypatch.setattr(sys, "argv", ["run", *small.split()])
    row = run(glyphs.TASKS["size"], 0, parse())
    assert -1 <= row["rank_correlation"] <= 1
    assert len(row["truth_by_label"]) == len(row["fitted_by_label"]) == 11
    assert row["label_kept"] > 0.2  # the first warps are small
    for name in ("none", "learned", "shuffled"):
        assert 0 <= row[f"accuracy_{name}"] <= 1
