"""The demo from its command line to its table and files, at a size that takes seconds."""

import json
import re
import sys

import pytest

from examples import three_stages
from learned_affine import LearnedAffineAugment

TINY = "--train-size 300 --val-size 100 --test-size 200 --epochs 1 --fit-rounds 1 --finetune-epochs 1"
NUMBER = r" +(\d{1,3}\.\d)"


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "columns"),
    [("", 3), ("--data fashion-mini", 1), ("--preset paper", 3)],
    ids=["icons", "clothes", "paper"],
)
def test_the_table_and_the_files(tmp_path, monkeypatch, capsys, options, columns):
    monkeypatch.setattr(sys, "argv", ["three_stages.py", *TINY.split(), *options.split(), "--out", str(tmp_path)])
    three_stages.main()
    printed, results = capsys.readouterr().out, json.loads((tmp_path / "results.json").read_text())
    for arm in three_stages.ARMS:
        found = re.search(f"^{arm}{NUMBER * columns}$", printed, re.MULTILINE).groups()
        measures = [results["accuracy"][arm][name] for name in ("clean", "sides", "others")[:columns]]
        assert list(found) == [f"{100 * one:.1f}" for one in measures]
    assert ("naming a side" in printed) == (columns == 3)
    assert {path.name for path in tmp_path.iterdir()} == set(three_stages.FILES)
    assert all(path.stat().st_size > 1000 for path in tmp_path.glob("*.png"))
    assert LearnedAffineAugment.from_pretrained(tmp_path / "augmenter.safetensors").history is not None
