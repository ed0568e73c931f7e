"""``benchmarks/collapse.py`` at a reduced size: it resumes, and its report stands on the rows alone."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_two_arms_make_two_rows_once(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    script = str(ROOT / "benchmarks" / "collapse.py")
    small = ["--size", "64", "--width", "4", "--stage-1-epochs", "1", "--epochs", "2"]
    command = [sys.executable, script, *small, "--no-report", "--out", str(out), "--arms", "printed"]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run([*command, "calibrated (default)"], check=True, capture_output=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["arm"] for row in rows] == ["printed", "calibrated (default)"]
    for row in rows:
        assert len(row["curves"]["displacement"]) == 2
        assert row["steps"] == 2
        assert 0 <= row["agreement"] <= 1
    assert rows[0]["theta_minus_identity"] < 0.01  # two steps of 1e-4 from the identity
