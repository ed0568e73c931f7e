"""docs/evidence/optimum.md's table and its figure, from the rows alone.

Run it as ``python -m benchmarks.optimum.report``.
"""

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.common.digests import digest
from benchmarks.common.intervals import about
from benchmarks.common.pages import EVIDENCE, IMAGES, LEFT_TOLD, fill, told_held_on
from benchmarks.common.rows import RESULTS, newest_version, read

ROWS = RESULTS / "optimum.jsonl"
PAGE = EVIDENCE / "optimum.md"
SETTING = ("data", "size", "width", "limits", "held_on", "images", "points", "gaussian_images", "steps")
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def main() -> None:
    """Fill the page between its markers; draw the figure."""
    rows, told = newest_version(read(ROWS), digest("optimum"))
    picture = "![Regret over the fitting steps](../images/optimum_regret.png)"
    text = "\n".join([table(rows), "", LEFT_TOLD, told, "", picture]) if rows else "Not run at full size yet."
    fill(PAGE, "optimum", text)
    if rows:
        draw(rows, IMAGES / "optimum_regret.png")
    print(f"written: {PAGE}")


def table(rows: list[dict[str, Any]]) -> str:
    """One line a setting, means over its seeds."""
    lines = [
        "| data, limits | held on | steps | seeds | dual | J prior | J network | J best | "
        "from prior points alone | KL of best | regret, % of gap | of some images: network's, best Gaussian's |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for runs in by_setting(rows):
        first = runs[0]
        names = ("dual", "prior", "network", "best", "best_from_prior", "kl_of_best")
        numbers = [about([row[name] for row in runs], 1) for name in names]
        few = [
            about([100 * row[name] / row["few_gap"] for row in runs], 1)
            for name in ("few_regret", "few_regret_of_gaussian")
        ]
        lines.append(
            f"| {first['data']} {first['size']:,}, {first['limits']} | {told_held_on(first)} | {first['steps']} | "
            f"{len(runs)} | {' | '.join(numbers)} | {about([100 * share(row) for row in runs], 1)} | "
            f"{first['gaussian_images']} images: {few[0]}, {few[1]} |"
        )
    return "\n".join(lines)


def by_setting(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each setting, by seed."""
    found: dict[tuple, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        found.setdefault(tuple(row[name] for name in SETTING), []).append(row)
    return [found[key] for key in sorted(found, key=str)]


def share(row: dict[str, Any]) -> float:
    """Regret as a share of the gap between prior and optimum."""
    return float(row["regret"] / row["gap"])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Regret over the fitting steps: a line a setting, the mean of its seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2), layout="constrained", facecolor="white")
    axis = figure.subplots()
    styles = [(colour, line) for line in ("-", "--", ":") for colour in (BLUE, ORANGE, GREEN, PURPLE)]
    for runs, (colour, line) in zip(by_setting(rows), styles, strict=False):
        first = runs[0]
        steps = [int(step) for step in first["regret_by_step"]]
        shares = [100 * mean(row["regret_by_step"][str(step)] / row["gap"] for row in runs) for step in steps]
        label = f"{first['data']}, {first['limits']}, held on {told_held_on(first)} images"
        axis.plot(steps, shares, line, color=colour, marker=".", label=label)
    axis.axhline(10, color="black", linewidth=0.8)
    axis.text(0, 10, " 10 %", fontsize=7, va="bottom")
    axis.set(xlabel="fitting steps", ylabel="regret, % of the gap prior to q*", yscale="log")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
