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
    steps, fits = ([row for row in rows if row["what"] == what] for what in ("step", "data"))
    PAGE.write_text(
        "\n\n".join([INTRODUCTION, data_table(fits), DATA_NOTE, STEPS, step_table(steps), STEP_NOTE]) + "\n"
    )
    print(f"written: {PAGE}")


def step_table(rows: Rows) -> str:
    """Time and memory of a step of each kind."""
    lines = [
        "| classifier | side | batch | threads | fitting step, ms | plain step, ms | ratio |"
        " peak fit, MB | plain, MB | ratio |",
        "|" + "---|" * 10,
    ]
    for row in rows:
        lines.append(
            f"| {row['classifier']} | {row['side']} | {row['batch']} | {row['threads']} | "
            f"{row['fitting_ms']:.0f} | {row['training_ms']:.0f} | {row['time_ratio']:.2f} | "
            f"{row['fit_peak_mb']:.0f} | {row['train_peak_mb']:.0f} | {row['memory_ratio']:.2f} |"
        )
    return "\n".join(lines)


def data_table(rows: Rows) -> str:
    """Whole fits as the data grow."""
    lines = [
        "| images | steps | whole fit, s | an epoch of training, s | fit, of 30 epochs | cross entropy | target |"
        " displacement |",
        "|" + "---|" * 8,
    ]
    for row in sorted(rows, key=lambda row: row["images"]):
        lines.append(
            f"| {row['images']:,} | {row['fit_steps']} | {row['fit_seconds']:.0f} | {row['epoch_seconds']:.1f} | "
            f"{row['share_of_30_epochs']:.1%} | {row['cross_entropy']:.2f} | {row['target']:.2f} | "
            f"{row['displacement']:.2f} |"
        )
    return "\n".join(lines)


INTRODUCTION = """# What a fit costs

Made by `python -m benchmarks.fit_cost.report` from the rows in `benchmarks/results/fitting.jsonl`, measured on 2
CPU cores. A default fit takes 0.8 of a pass over the data, at least 60 steps and at most 300,
and no more than about two minutes.

## As the data grow"""
DATA_NOTE = """Timed as whole, the target's measurement on 2,000 held-out images and the loader included; the classifier
is the small one, after as many epochs as make about 10,000 images (one of 50,000). The steps grow with
the data up to 300. Fit and training were timed one after the other, so seconds and
shares hold whatever else the machine did meanwhile. Cross entropy and displacement are means over the last epoch: where
an epoch is longer than the fit, over all of it, the narrow start and the way to the target included."""
STEPS = "## A step, and memory"
STEP_NOTE = """A plain step is forward, cross entropy, backward and AdamW of the classifier; a fitting step is all that
`fit` does with a batch. Both alternate in one run and medians are compared, so the ratio
stands while the milliseconds depend on what else ran. Memory is what each adds to a fresh process at its peak. The
smaller the classifier, the more the localization network weighs beside it."""


if __name__ == "__main__":
    main()
