"""The accuracy benchmark from its command line to its rows, at a size that takes seconds."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import accuracy
from rows import read

SMALL = ["--data", "fashion-mini", "--sizes", "64", "--seeds", "0", "--epochs", "1", "--test-size", "40"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    def rows(*options: str) -> list[dict]:
        given = [*SMALL, "--arms", "none", "learned", "--out", str(tmp_path / "rows.jsonl"), *options]
        monkeypatch.setattr(sys, "argv", ["accuracy.py", *given])
        accuracy.main()
        return read(tmp_path / "rows.jsonl")

    threads = torch.get_num_threads()
    yield rows
    torch.set_num_threads(threads)


def test_a_run_leaves_a_row_and_is_not_run_again(run):
    first = run()
    assert [row["arm"] for row in first] == ["none", "learned"]
    assert all(0 <= row["worst_of_10"] <= row["affine"] <= 1 and 0 <= row["clean"] <= 1 for row in first)
    assert first[0]["fit_seconds"] < 0.1 < first[1]["fit_seconds"] and first[1]["target"] > 0
    assert run() == first


def test_a_row_of_other_code_does_not_stand_for_a_run(run, monkeypatch):
    run("--arms", "none")
    monkeypatch.setattr(accuracy, "code_of", lambda arm: "other")
    assert [row["code"] != "other" for row in run("--arms", "none")] == [True, False]


@pytest.mark.long
def test_full_is_a_resnet_on_all_images_unless_it_is_told_otherwise(run, monkeypatch):
    rows = run("--full")
    assert [row["model"] for row in rows] == ["resnet18", "resnet18"] and rows[0]["size"] == 64
    monkeypatch.setattr(sys, "argv", ["accuracy.py", "--full"])
    options = accuracy.parse()
    assert (options.model, options.sizes, options.epochs) == ("resnet18", [49_600], 100)


def test_too_few_images_are_refused(run):
    with pytest.raises(SystemExit, match=r"--sizes must leave 400 of .* images unseen, got 100000"):
        run("--sizes", "100000")
