"""The table of docs/what_to_fit_to.md, from the rows alone.

Run it as ``python -m benchmarks.what_to_fit_to.report``.
"""

from statistics import mean
from typing import Any

from benchmarks.common.digests import digest
from benchmarks.common.intervals import about, interval
from benchmarks.common.pages import DOCS, fill, paragraphs
from benchmarks.common.rows import RESULTS, newest_version, read
from examples.datasets import load

ROWS = RESULTS / "what_to_fit_to.jsonl"
PAGE = DOCS / "what_to_fit_to.md"
ANY = ("sun", "star")  # classes that keep their label whatever the angle
DIRECTED = tuple(f"{shape}-{way}" for shape in ("arrow", "chevron") for way in ("left", "right", "up", "down"))
SHOWN = {"plain": "without augmentation", "generous": "with generous augmentation"}
FITS = {"default": "default", "long": "twice the rounds, 40,000 images"}
HEAD = """| classifier trained | fit | accuracy upright / rotated, % | sun, star by | arrows, chevrons by | ratio | \
final model, % |
|---|---|---|---|---|---|---|"""


def main() -> None:
    """Fill the page between its markers."""
    rows, told = newest_version(read(ROWS), digest("what to fit to"))
    fill(PAGE, "measured", paragraphs(table(rows), told) if rows else "Not measured yet.")
    print(f"written: {PAGE}")


def table(rows: list[dict[str, Any]]) -> str:
    """One line a classifier and fit, over the seeds."""
    classes = load("icons", "data", False)[1].classes
    lines = [HEAD]
    for teacher in SHOWN:
        for fit in FITS:
            runs = [row for row in rows if (row["teacher"], row["fit"]) == (teacher, fit)]
            if runs:
                lines.append(line(runs, classes))
    return "\n".join(lines)


def line(runs: list[dict[str, Any]], classes: tuple[str, ...]) -> str:
    """The runs of one classifier and fit."""
    far, near = ([deviation(row, classes, names) for row in runs] for names in (ANY, DIRECTED))
    times = [one / other for one, other in zip(far, near, strict=True)]
    measured = ("teacher_accuracy", "teacher_accuracy_rotated", "accuracy")
    upright, rotated, final = (about([100 * row[name] for row in runs]) for name in measured)
    first = runs[0]
    return (
        f"| {SHOWN[first['teacher']]} | {FITS[first['fit']]} | {upright} / {rotated} | {about(far)}° | "
        f"{about(near)}° | {interval(times, 1).removeprefix('+')} | {final} |"
    )


def deviation(row: dict[str, Any], classes: tuple[str, ...], names: tuple[str, ...]) -> float:
    """The mean over some classes of the standard deviation of the angle, in degrees."""
    return mean(row["angle_by_class"][classes.index(name)] for name in names)


if __name__ == "__main__":
    main()
