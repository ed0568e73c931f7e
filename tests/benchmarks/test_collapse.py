"""The collapse benchmark at a reduced size: it resumes, and its report stands on the rows alone."""

import json
import statistics
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.collapse import report
from benchmarks.collapse import run as collapse

SMALL = "--size 64 --width 4 --stage-1-epochs 1 --epochs 2 --out"


def test_the_report_knows_every_arm() -> None:
    assert set(report.ARMS) == {*collapse.ARMS, *report.OLD_ARMS} and not {*report.OLD_ARMS} & {*collapse.ARMS}


def test_each_arm_and_seed_makes_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "rows.jsonl"
    threads = torch.get_num_threads()
    for arms, seeds in ((["printed"], "0"), (["printed", "calibrated (default)"], "0"), (["printed"], "01")):
        argv = ["run", *SMALL.split(), str(out), "--arms", *arms, "--seeds", *seeds]
        monkeypatch.setattr(sys, "argv", argv)
        collapse.main()
    torch.set_num_threads(threads)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["arm"], row["seed"]) for row in rows] == [("printed", 0), ("calibrated (default)", 0), ("printed", 1)]
    for row in rows:
        assert len(row["curves"]["displacement"]) == 2
        assert row["steps"] == 2
        assert 0 <= row["agreement"] <= 1
    assert rows[0]["theta_minus_identity"] < 0.01  # two steps of 1e-4 from the identity

    page = tmp_path / "collapse.md"
    page.write_text("by hand\n<!-- collapse -->\nold\n<!-- /collapse -->\nby hand too\n")
    for name, value in (("ROWS", out), ("PAGE", page), ("IMAGES", tmp_path)):
        monkeypatch.setattr(report, name, value)
    report.main()
    text = page.read_text()
    assert text.startswith("by hand\n") and text.endswith("by hand too\n")
    assert "| printed | " in text and "old" not in text
    displacements = [100 * row["displacement"] for row in rows if row["arm"] == "printed"]
    assert f"| printed | {statistics.mean(displacements):.2f} ± {statistics.stdev(displacements):.2f} |" in text
    assert len(list(tmp_path.glob("*.png"))) == 3
