"""docs/evidence/fit_cost.md, from the rows alone.

Run it as ``python -m benchmarks.fit_cost.report``.
"""

import math
import statistics
from collections import defaultdict
from typing import Any

from benchmarks.common.pages import EVIDENCE
from benchmarks.common.rows import RESULTS, read
from learned_affine.fitting.loop import MOST_STEPS  # private: how long a default fit is on so much data

ROWS = RESULTS / "fitting.jsonl"
PAGE = EVIDENCE / "fit_cost.md"
LIMIT = 1.5  # times plain training, in time of a step and in memory
IMAGES, EPOCHS = 50_000, 30  # of the training that a whole fit is held against
Rows = list[dict[str, Any]]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(read(ROWS)))
    print(f"written: {PAGE}")


def page(rows: Rows) -> str:
    """The whole page."""
    steps, data = medians(rows), [row for row in rows if row["what"] == "data"]
    if not steps:
        return "# What a fit costs\n\nNo rows yet.\n"
    parts = [INTRODUCTION, targets(steps), "## A step, and memory", step_table(steps), STEP_NOTE]
    parts += ["## Against 30 epochs of training", share_table(steps), SHARE_NOTE]
    if data:
        parts += ["## As the data grow", data_table(data), DATA_NOTE]
    return "\n\n".join(parts) + "\n"


def medians(rows: Rows) -> Rows:
    """One row for each classifier on each device: the median of what its rows measured, and how far apart they lie."""
    groups = defaultdict(list)
    for row in rows:
        if row["what"] == "step":
            groups[row["classifier"], row["side"], row["batch"], row["device"], row["threads"]].append(row)
    found = []
    for group in groups.values():
        numbers = [key for key, value in group[0].items() if isinstance(value, float)]
        middle = {key: statistics.median(row[key] for row in group) for key in numbers}
        ratios = [row["time_ratio"] for row in group]
        ends = {"lowest": min(ratios), "highest": max(ratios), "most_memory": max(row["memory_ratio"] for row in group)}
        found.append({**group[0], **middle, **ends, "rows": len(group)})
    return found


def targets(steps: Rows) -> str:
    """What was to be reached, and whether it was."""
    lines = ["| target | measured | met |", "|---|---|---|"]
    for row in steps:
        threads = f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
        what = f"a step of {row['classifier']} at {row['side']} px, {threads}: at most {LIMIT} plain steps"
        lines.append(f"| {what} | {row['time_ratio']:.2f} | {met(row['time_ratio'])} |")
    most = max(row["most_memory"] for row in steps)
    worst = max(steps, key=lambda row: row["memory_ratio"])
    told = (
        f"{worst['memory_ratio']:.2f} ({worst['classifier']}, the largest of {len(steps)}; single rows to {most:.2f})"
    )
    lines.append(f"| peak memory: at most {LIMIT} times plain training | {told} | {met(worst['memory_ratio'])} |")
    return "\n".join(lines)


def met(ratio: float) -> str:
    """In a word."""
    return "yes" if ratio <= LIMIT else "no"


def step_table(steps: Rows) -> str:
    """Time and memory of a step of each kind."""
    lines = [
        "| classifier | side | batch | threads | rows | fitting step, ms | plain step, ms | ratio | of single rows |"
        " peak fit, MB | plain, MB | ratio |",
        "|" + "---|" * 12,
    ]
    for row in steps:
        spread = f"{row['lowest']:.2f} to {row['highest']:.2f}" if row["rows"] > 1 else ""
        lines.append(
            f"| {row['classifier']} | {row['side']} | {row['batch']} | {row['threads']} | {row['rows']} | "
            f"{row['fitting_ms']:.0f} | {row['training_ms']:.0f} | {row['time_ratio']:.2f} | {spread} | "
            f"{row['fit_peak_mb']:.0f} | {row['train_peak_mb']:.0f} | {row['memory_ratio']:.2f} |"
        )
    return "\n".join(lines)


def share_table(steps: Rows) -> str:
    """A whole fit against the training that it is for, computed from the step ratio."""
    lines = [
        "| classifier | threads | steps of a fit | steps of training | cost of the fit, of training |",
        "|" + "---|" * 5,
    ]
    for row in steps:
        training = EPOCHS * math.ceil(IMAGES / row["batch"])
        share = MOST_STEPS * row["time_ratio"] / training
        lines.append(f"| {row['classifier']} | {row['threads']} | {MOST_STEPS} | {training:,} | {share:.2%} |")
    return "\n".join(lines)


def data_table(data: Rows) -> str:
    """Whole fits, timed."""
    lines = [
        "| images | steps | whole fit, s | an epoch of training, s | fit, of 30 epochs | cross entropy | target |"
        " displacement |",
        "|" + "---|" * 8,
    ]
    for row in sorted({row["images"]: row for row in data}.values(), key=lambda row: row["images"]):
        lines.append(
            f"| {row['images']:,} | {row['fit_steps']} | {row['fit_seconds']:.0f} | {row['epoch_seconds']:.1f} | "
            f"{row['share_of_30_epochs']:.1%} | {row['cross_entropy']:.2f} | {row['target']:.2f} | "
            f"{row['displacement']:.2f} |"
        )
    return "\n".join(lines)


INTRODUCTION = """# What a fit costs

Made by `python -m benchmarks.fit_cost.report` from the rows in `benchmarks/results/fitting.jsonl`, measured on 2
CPU cores. A default fit takes 0.8 of a pass over the data, at least 60 steps and at most 300,
and no more than about two minutes."""
STEP_NOTE = """A plain step is forward, cross entropy, backward and AdamW of the classifier; a fitting step is all that
`fit` does with a batch. Both alternate in one run and medians are compared, so the ratio
stands while the milliseconds depend on what else ran. Memory is what each adds to a fresh process at its peak. Where
there are several rows, each number is the median over them. The smaller the classifier, the more the localization
network weighs beside it."""
SHARE_NOTE = f"""Computed, not timed: steps times the ratio above, for {IMAGES:,} images and {EPOCHS} epochs of plain
training at the same batch size. Reading images and measuring the target are left out of both."""
DATA_NOTE = """Timed as whole, the target's measurement on 2,000 held-out images and the loader included; the classifier
is the small one, after as many epochs as make about 10,000 images (one of 50,000). The steps grow with
the data up to 300. Fit and training were timed one after the other, so seconds and
shares hold whatever else the machine did meanwhile. Cross entropy and displacement are means over the last epoch: where
an epoch is longer than the fit, over all of it, the narrow start and the way to the target included."""


if __name__ == "__main__":
    main()
