"""Write the tables of README.md and of docs/evidence/paper.md, from the committed rows.

    python -m benchmarks.common.tables                                            # fill the pages between their markers
    python -m benchmarks.common.tables --add runs/three_stages/results.json       # commit a run as a row first

README's results are those of ``benchmarks.real``. Its demo and the paper's own settings are runs of
``examples/three_stages.py``, a row each; a later run of the same options takes the place of an earlier one. A row
carries a digest of the code that decides its numbers.
"""

import argparse
import json
from pathlib import Path

from benchmarks.common.digests import digest
from benchmarks.common.pages import EVIDENCE, README, fill
from benchmarks.common.rows import RESULTS, read
from benchmarks.real import report
from examples.three_stages import ARMS, COLUMNS

ROWS = RESULTS / "three_stages.jsonl"


def key(row: dict) -> str:
    """What tells one run from another."""
    options = {name: value for name, value in row["options"].items() if name not in ("out", "root", "download")}
    return json.dumps(options, sort_keys=True)


def add(path: Path) -> None:
    """Add a run, or put it in the place of an earlier one with the same options."""
    row = {**json.loads(path.read_text()), "code": digest("three stages")}
    for name in ("out", "root"):  # where a machine keeps things
        row["options"].pop(name)
    rows = {key(old): old for old in read(ROWS)} | {key(row): row}
    ROWS.write_text("".join(json.dumps(one) + "\n" for one in rows.values()))


def demo(rows: list[dict]) -> str:
    """What ``make demo`` prints."""
    lines = [f"| accuracy in % | {' | '.join(COLUMNS.values())} |", "|---|---|---|---|"]
    wanted = {"data": "icons", "preset": "default", "limits": "modest", "seed": 0}
    row = next(row["accuracy"] for row in reversed(rows) if wanted.items() <= row["options"].items())
    for arm in ARMS:
        lines.append(f"| {arm} | {' | '.join(f'{100 * row[arm][column]:.1f}' for column in COLUMNS)} |")
    return "\n".join(lines)


def paper(rows: list[dict]) -> str:
    """Where the paper's loss led, run by run."""
    lines = [
        "| loss | data | images | epochs of stages 1 and 3 | mean displacement | clean % after stage 3 | without |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [row for row in rows if row["options"]["preset"].startswith("paper")]
    for row in rows:
        options = row["options"]
        count = (options["train_size"] or 2000) - options["val_size"]
        none, *_, learned = (f"{100 * arm['clean']:.1f}" for arm in row["accuracy"].values())
        epochs, moved = f"{options['epochs']}, {options['finetune_epochs']}", f"{row['displacement']:.2%}"
        lines.append(f"| {options['preset']} | {options['data']} | {count} | {epochs} | {moved} | {learned} | {none} |")
    told = "Seed 0, one run a row; 50 epochs of stage 2 and augmented images alone in stage 3, as in the paper."
    if older := sum(row["code"] != digest("three stages") for row in rows):
        told += f" {older} of the {len(rows)} rows are of an earlier version of the code."
    return "\n".join([*lines, "", told])


def main() -> None:
    """Add rows, then fill the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", type=Path, nargs="*", default=[])
    for path in parser.parse_args().add:
        add(path)
    rows = read(ROWS)
    fill(README, "results", report.readme(report.grouped(read(report.ROWS))[0]))
    fill(README, "demo", demo(rows))
    fill(EVIDENCE / "paper.md", "three-stages", paper(rows))


if __name__ == "__main__":
    main()
