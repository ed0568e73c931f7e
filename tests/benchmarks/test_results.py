"""The tables that the reports share: intervals by hand, and runs of the demo as rows."""

import json

import pytest

from benchmarks.common import tables
from benchmarks.common.digests import digest
from benchmarks.common.intervals import differences, interval
from benchmarks.common.rows import read


def test_an_interval_by_hand_of_differences_that_are_paired_by_seed():
    # deviation 1, three values: 4.303 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == "+2.00 ± 2.48"
    assert interval([-1.0]) == "-1.00"
    learned, none = {0: {"clean": 0.6}, 1: {"clean": 0.7}}, {1: {"clean": 0.65}, 2: {"clean": 0.1}}
    assert differences(learned, none, "clean") == {1: pytest.approx(5.0)}


def test_a_later_run_of_three_stages_takes_the_place_of_an_earlier_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", tmp_path / "rows.jsonl")
    options = {"data": "icons", "preset": "default", "limits": "modest", "seed": 0, "out": "runs", "root": "data"}
    options["download"] = False
    accuracy = {arm: {"clean": 0.5, "sides": 0.25, "others": 0.625} for arm in tables.ARMS}
    (tmp_path / "results.json").write_text(json.dumps({"options": options, "accuracy": accuracy}))
    (tmp_path / "rows.jsonl").touch()
    tables.add(tmp_path / "results.json")
    tables.add(tmp_path / "results.json")
    (run,) = read(tables.ROWS)
    assert run["code"] == digest("three stages") and not {"out", "root"} & set(run["options"])
    assert tables.demo([run]).splitlines()[2] == "| no augmentation | 50.0 | 25.0 | 62.5 |"
