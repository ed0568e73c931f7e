"""Write the tables of ``examples/three_stages.py`` in README.md and docs/evidence/ from the committed result rows.

    python -m benchmarks.common.tables                                            # fill the pages between their markers
    python -m benchmarks.common.tables --add runs/three_stages/results.json       # commit a run as a row first

A row is one run of ``examples/three_stages.py``; a later run of the same options takes its place. It carries a digest
of the code that decides its numbers; below a table stands how many of its rows another version made.
"""

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.common.digests import digest
from benchmarks.common.intervals import interval
from benchmarks.common.pages import EVIDENCE, README, fill
from benchmarks.common.rows import RESULTS, read

ROWS = RESULTS / "three_stages.jsonl"
ARMS = ("no augmentation", "uniform affine", "learned affine")


def key(row: dict) -> str:
    """What tells one run from another."""
    options = {name: value for name, value in row["options"].items() if name not in ("out", "root", "download")}
    return json.dumps(options, sort_keys=True)


def older(rows: list[dict]) -> str:
    """A sentence on rows that another version of the code made, if any did."""
    mine = digest("three stages")
    count = sum(row["code"] != mine for row in rows)
    return f" {count} of these rows were made by another version of the code." if count else ""


def add(path: Path) -> None:
    """Add a run, or put it in the place of an earlier one with the same options."""
    row = {**json.loads(path.read_text()), "code": digest("three stages")}
    for name in ("out", "root"):  # where a machine keeps things
        row["options"].pop(name)
    rows = {key(old): old for old in read(ROWS)} | {key(row): row}
    ROWS.write_text("".join(json.dumps(one) + "\n" for one in rows.values()))


def spread(values: list[float]) -> str:
    """Mean and standard deviation, in percent."""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


def table(rows: list[dict], preset: str = "default") -> str:
    """Accuracy of the three arms for each of the limits, over all seeds."""
    lines = ["| limits | stage 3 with | clean % | affine % | clean, minus none |", "|---|---|---|---|---|"]
    rows = [row for row in rows if row["options"]["preset"] == preset]
    for limits in ("modest", "wide"):
        runs = [row for row in rows if row["options"]["limits"] == limits]
        if not runs:
            continue
        for arm in ARMS:
            clean = [run["accuracy"][arm]["clean"] for run in runs]
            base = [run["accuracy"][ARMS[0]]["clean"] for run in runs]
            affine = spread([run["accuracy"][arm]["affine"] for run in runs])
            gains = [100 * (a - b) for a, b in zip(clean, base, strict=True)]
            gain = "" if arm == ARMS[0] else interval(gains, 1)
            lines.append(f"| {limits} | {arm} | {spread(clean)} | {affine} | {gain} |")
    seeds = sorted({row["options"]["seed"] for row in rows})
    told = f"Seeds {', '.join(map(str, seeds))}; mean ± standard deviation; paired differences ± 95 % interval."
    return "\n".join([*lines, "", told + older(rows)])


def demo(rows: list[dict]) -> str:
    """What ``make demo`` prints."""
    lines = ["| stage 3 with | clean % | affine % |", "|---|---|---|"]
    row = next(row for row in rows if row["options"]["preset"] == "default" and row["options"]["seed"] == 0)
    for arm in ARMS:
        clean, affine = (f"{100 * row['accuracy'][arm][name]:.1f}" for name in ("clean", "affine"))
        lines.append(f"| {arm} | {clean} | {affine} |")
    return "\n".join(lines)


def collapse(rows: list[dict]) -> str:
    """Where the paper's loss led, run by run."""
    lines = [
        "| loss | data | images | epochs of stages 1 and 3 | mean displacement | clean % after stage 3 | of none |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [row for row in rows if row["options"]["preset"].startswith("paper")]
    for row in rows:
        options = row["options"]
        count = (options["train_size"] or 2000) - options["val_size"]
        clean = [f"{100 * row['accuracy'][arm]['clean']:.1f}" for arm in ("learned affine", "no augmentation")]
        moved = f"{row['displacement']:.2%}"
        told = [
            options["preset"],
            options["data"],
            count,
            f"{options['epochs']}, {options['finetune_epochs']}",
            moved,
            *clean,
        ]
        lines.append(f"| {' | '.join(map(str, told))} |")
    told = "Seed 0, one run a row; 50 epochs of stage 2 and augmented images alone in stage 3, as in the paper."
    return "\n".join([*lines, "", told + older(rows)])


def main() -> None:
    """Add rows, then fill the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--add", type=Path, nargs="*", default=[])
    for path in parser.parse_args().add:
        add(path)
    rows = read(ROWS)
    fill(README, "demo", demo(rows))
    fill(EVIDENCE / "results.md", "three-stages", table(rows))
    fill(EVIDENCE / "method.md", "collapse", collapse(rows))


if __name__ == "__main__":
    main()
