"""Write the tables of README.md, and those of ``examples/three_stages.py`` in docs/evidence/, from the committed rows.

    python -m benchmarks.common.tables                                            # fill the pages between their markers
    python -m benchmarks.common.tables --add runs/three_stages/results.json       # commit a run as a row first

README's results are those of ``benchmarks.pipelines``. A row of the other tables is one run of
``examples/three_stages.py``; a later run of the same options takes its place. It carries a digest of the code that
decides its numbers; below a table stands how many of its rows another version made.
"""

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.common.digests import digest
from benchmarks.common.intervals import interval
from benchmarks.common.pages import EVIDENCE, README, fill
from benchmarks.common.rows import RESULTS, read
from benchmarks.pipelines import report
from benchmarks.pipelines.groups import grouped
from examples.three_stages import ARMS, COLUMNS

ROWS = RESULTS / "three_stages.jsonl"


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


def of_icons(rows: list[dict]) -> list[dict]:
    """Those on icons by the default objective."""
    return [row for row in rows if (row["options"]["data"], row["options"]["preset"]) == ("icons", "default")]


def table(rows: list[dict]) -> str:
    """Accuracy of the three arms for each of the limits, over all seeds."""
    titles = " % | ".join(COLUMNS.values())
    lines = [f"| limits | stage 3 with | {titles} % | all classes, minus none |", "|---|---|---|---|---|---|"]
    rows = of_icons(rows)
    for limits in ("modest", "wide"):
        runs = [row["accuracy"] for row in rows if row["options"]["limits"] == limits]
        for arm in ARMS if runs else ():
            cells = [spread([run[arm][column] for run in runs]) for column in COLUMNS]
            gains = [100 * (run[arm]["clean"] - run[ARMS[0]]["clean"]) for run in runs]
            cells.append("" if arm == ARMS[0] else interval(gains, 1))
            lines.append(f"| {limits} | {arm} | {' | '.join(cells)} |")
    seeds = sorted({row["options"]["seed"] for row in rows})
    told = f"Seeds {', '.join(map(str, seeds))}; mean ± standard deviation; paired differences ± 95 % interval."
    return "\n".join([*lines, "", told + older(rows)])


def demo(rows: list[dict]) -> str:
    """What ``make demo`` prints."""
    lines = [f"| accuracy in % | {' | '.join(COLUMNS.values())} |", "|---|---|---|---|"]
    wanted = {"seed": 0, "limits": "modest"}
    row = next(row["accuracy"] for row in of_icons(rows) if wanted.items() <= row["options"].items())
    for arm in ARMS:
        lines.append(f"| {arm} | {' | '.join(f'{100 * row[arm][column]:.1f}' for column in COLUMNS)} |")
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
        none, *_, learned = (f"{100 * arm['clean']:.1f}" for arm in row["accuracy"].values())
        moved = f"{row['displacement']:.2%}"
        told = [
            options["preset"],
            options["data"],
            count,
            f"{options['epochs']}, {options['finetune_epochs']}",
            moved,
            learned,
            none,
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
    fill(README, "results", report.results(grouped(report.valid(read(report.ROWS))[0])))
    fill(README, "demo", demo(rows))
    fill(EVIDENCE / "results.md", "three-stages", table(rows))
    fill(EVIDENCE / "paper.md", "collapse", collapse(rows))


if __name__ == "__main__":
    main()
