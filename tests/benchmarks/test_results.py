"""The tables that the reports share: intervals by hand, and runs of the demo as rows."""

import argparse
import json

import pytest

from benchmarks.common import tables
from benchmarks.common.digests import digest
from benchmarks.common.intervals import differences, interval
from benchmarks.common.rows import append, read, rows_file


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


def test_lines_that_are_no_rows_are_left_out_and_stay_in_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"seed": 1}\n{"seed": 2\nnull\n5\n[1]\n\xff\xfe\x00\n{"se')
    append(path, {"seed": 3})
    assert read(path) == [{"seed": 1}, {"seed": 3}] and path.read_bytes().startswith(b'{"seed": 1}\n{"seed": 2\n')


def test_a_file_that_cannot_be_written_is_refused_as_an_option(tmp_path):
    (tmp_path / "file").touch()
    assert rows_file(str(tmp_path / "new" / "rows.jsonl")).exists()
    for text in (tmp_path, tmp_path / "file" / "rows.jsonl", "/proc/nowhere/rows.jsonl"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be a file that can be written, got"):
            rows_file(str(text))
