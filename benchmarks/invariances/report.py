"""docs/evidence/invariances.md's table and its figure, from the rows alone.

Run it as ``python -m benchmarks.invariances.report``.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.common.digests import digest
from benchmarks.common.intervals import interval
from benchmarks.common.pages import EVIDENCE, IMAGES, fill, paragraphs
from benchmarks.common.rows import RESULTS, newest_version, read

ROWS = RESULTS / "invariances.jsonl"
PAGE = EVIDENCE / "invariances.md"
BLUE = "#0072B2"
SETTINGS = ("size", "epochs", "width", "rounds", "images", "thumbnail", "hidden")
NAMES = {"turn": "rotation", "shift": "shift", "size": "size"}  # of the tasks, as a reader calls them
UNITS = {"turn": "degrees", "shift": "share of the side", "size": "log factor"}


def main() -> None:
    """Fill the page between its markers; draw the figure."""
    rows, told = newest_version(read(ROWS), digest("invariances"))
    groups: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[(row["task"], *(row.get(name) for name in SETTINGS))].append(row)
    text = "Not run at full size yet."
    if groups:
        picture = "![Fitted ranges over true ones](../images/invariances.png)"
        text = paragraphs(table(groups), told, picture)
        draw(groups, IMAGES / "invariances.png")
    fill(PAGE, "invariances", text)
    print(f"written: {PAGE}")


def table(groups: dict[tuple, list[dict[str, Any]]]) -> str:
    """One line a task and setting."""
    lines = [
        "| task | seeds | rank corr., within tolerance | all | label kept % | "
        "shuffled | difference | accuracy % none / learned / shuffled | learned minus shuffled |",
        "|" + 9 * "---|",
    ]
    for rows in groups.values():
        first = rows[0]
        accuracy = " / ".join(f"{mean(rows, f'accuracy_{name}'):.1f}" for name in ("none", "learned", "shuffled"))
        lines.append(
            f"| {NAMES[first['task']]} | {len(rows)} | {mean(rows, 'rank_correlation_within_tolerance') / 100:.2f} | "
            f"{mean(rows, 'rank_correlation') / 100:.2f} | {mean(rows, 'label_kept'):.1f} | "
            f"{mean(rows, 'label_kept_shuffled'):.1f} | {difference(rows, 'label_kept', 'label_kept_shuffled')} | "
            f"{accuracy} | {difference(rows, 'accuracy_learned', 'accuracy_shuffled')} |"
        )
    return "\n".join(lines)


def mean(rows: list[dict[str, Any]], key: str) -> float:
    """In percent."""
    return 100 * sum(row[key] for row in rows) / len(rows)


def difference(rows: list[dict[str, Any]], first: str, second: str) -> str:
    """Mean of the paired differences in points, and the half-width of its 95 % interval."""
    return interval([100 * (row[first] - row[second]) for row in rows], digits=1)


def draw(groups: dict[tuple, list[dict[str, Any]]], path: Path) -> None:
    """Fitted range over true range, a dot an image, for the first seed of each task and setting."""
    from matplotlib.figure import Figure

    lines = -(-len(groups) // 3)
    figure = Figure(figsize=(10.8, 3.4 * lines), layout="constrained", facecolor="white")
    axes = figure.subplots(lines, 3, squeeze=False).flatten()
    for axis in axes[len(groups) :]:
        axis.set_visible(False)
    for axis, rows in zip(axes, groups.values(), strict=False):
        row = rows[0]
        fitted, truth = row["shown"]
        axis.plot(truth, fitted, ".", color=BLUE, markersize=3, alpha=0.6)
        axis.set_title(
            f"{NAMES[row['task']]}, {row['rounds']} rounds\nrank correlation {row['rank_correlation']:.2f}", fontsize=11
        )
        axis.set_xlabel(f"true range, {UNITS[row['task']]}", fontsize=10)
        axis.set_ylabel("fitted range, 10 % to 90 %", fontsize=10)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
