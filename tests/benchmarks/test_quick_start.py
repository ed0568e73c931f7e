"""The quick start's comparison: its table by hand, and a page whose seed can be set."""

import runpy

import pytest

from benchmarks.common.pages import DOCS
from benchmarks.common.rows import read
from benchmarks.quick_start.report import PAGE, ROWS, table
from benchmarks.quick_start.run import LINE

ROW = {"code": "a", "page": "p", "seconds": 60.0}


def test_the_table_pairs_the_two_trainings_by_seed():
    rows = [{**ROW, "seed": seed, "without": 0.80, "with": 0.81 + seed / 1000} for seed in range(3)]
    lines = table([{**ROW, "page": "older", "seed": 9, "without": 0.5, "with": 0.5}, *rows])
    assert "| without | 80.0 ± 0.0 |" in lines and "| with | 81.1 ± 0.1 |" in lines
    assert "**+1.10 ± 0.25**" in lines and "3 seeds" in lines  # 4.303 * 0.1 / sqrt(3)


def test_the_page_has_its_seed_in_one_place_and_the_committed_rows_are_above():
    assert PAGE.read_text().count(LINE) == 1
    rows = read(ROWS)
    assert len(rows) >= 5 and all(row["with"] > row["without"] for row in rows)


def test_blocks_run_in_a_folder_with_the_examples_and_with_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nseed = 0\n```\ntext\n```python\nimport os\nfound = os.listdir()\n```\n")
    run = runpy.run_path(str(DOCS / "run_blocks.py"))["run"]
    names, count = run(page, {"seed = 0": "seed = 7"})
    assert count == 2 and names["seed"] == 7 and names["found"] == ["examples"]
    with pytest.raises(SystemExit, match="must have 'nothing' once, got it 0 times"):
        run(page, {"nothing": ""})
