"""docs/evidence/fit_cost.md, from the rows alone.

Run it as ``python -m benchmarks.fit_cost.report``.
"""

from typing import Any

from benchmarks.common.pages import EVIDENCE
from benchmarks.common.rows import RESULTS, read

ROWS = RESULTS / "fitting.jsonl"
PAGE = EVIDENCE / "fit_cost.md"
Rows = list[dict[str, Any]]


def main() -> None:
    """Write the page."""
    rows = read(ROWS)
    fits, memory = ([row for row in rows if row["what"] == what] for what in ("data", "memory"))
    PAGE.write_text("\n\n".join([INTRODUCTION, data_table(fits), DATA_NOTE, memory_table(memory), MEMORY_NOTE]) + "\n")
    print(f"written: {PAGE}")


def data_table(rows: Rows) -> str:
    """Whole fits as the data grow."""
    lines = [
        "| images | whole fit, s | an epoch of training, s | the fit in epochs | cost | budget | displacement |",
        "|" + "---|" * 7,
    ]
    for row in sorted(rows, key=lambda row: row["images"]):
        lines.append(
            f"| {row['images']:,} | {row['fit_seconds']:.0f} | {row['epoch_seconds']:.1f} | {row['epochs']:.1f} | "
            f"{row['cost']:.2f} | {row['budget']:.2f} | {row['displacement']:.2f} |"
        )
    return "\n".join(lines) if rows else "Not measured yet."


def memory_table(rows: Rows) -> str:
    """Peak memory of a fit beside that of training."""
    lines = ["| classifier | side | batch | peak of a fit, MB | of training, MB | ratio |", "|" + "---|" * 6]
    for row in rows:
        lines.append(
            f"| {row['classifier']} | {row['side']} | {row['batch']} | {row['fit_peak_mb']:.0f} | "
            f"{row['train_peak_mb']:.0f} | {row['memory_ratio']:.2f} |"
        )
    return "\n".join(lines) if rows else "Not measured yet."


INTRODUCTION = """# What a fit costs

Made by `python -m benchmarks.fit_cost.report` from the rows in `benchmarks/results/fitting.jsonl`, measured on one
thread of a CPU. A default fit judges 8 warped images for each image of the data, at least 5,000 and at most 20,000, and
about a third as many on top in the symmetries; it takes no more than about two minutes.

## As the data grow"""
DATA_NOTE = """Whole fits within the processor's time, the measurement of the budget on 2,000 held-out images and the
loader included; the classifier is the small one, after as many epochs as make about 10,000 images (one of 50,000).

## Memory"""
MEMORY_NOTE = """What a fit and a training add to a fresh process at their peaks."""


if __name__ == "__main__":
    main()
