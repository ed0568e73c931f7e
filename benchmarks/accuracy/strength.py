"""docs/images/results.png: what random affine gains at each strength, and what the fit gains with nothing chosen.

python -m benchmarks.accuracy.strength
"""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common.intervals import differences, half_width
from benchmarks.common.pages import IMAGES
from benchmarks.common.rows import RESULTS, newest_version, read

ROWS = RESULTS / "accuracy.jsonl"
PICTURE = IMAGES / "results.png"
STRENGTHS = {0.25: "uniform x 0.25 p .5", 0.5: "uniform x 0.5 p .5", 0.75: "uniform x 0.75 p .5", 1.0: "uniform p .5"}
STRENGTHS |= {1.5: "uniform x 1.5 p .5"}
DATA = {
    "cifar10": "CIFAR-10",
    "fashion-mnist": "Fashion-MNIST",
    "fashion-mnist turned": "Fashion-MNIST,\nrotated at random",
}
BLUE, ORANGE = "#0072B2", "#D55E00"


def main() -> None:
    """Draw the picture from the newest rows of each arm."""
    rows = [row for row in read(ROWS) if (row["size"], row["model"], row["epochs"]) == (1000, "small", 40)]
    draw(rows, PICTURE)
    print(f"written: {PICTURE}")


def gains(rows: list[dict[str, Any]], data: str, arm: str) -> list[float]:
    """Points over no augmentation, by seed, of the newest version of both arms."""
    found = []
    for name in (arm, "none"):
        mine = [row for row in rows if row["data"] == data and row["arm"] == name]
        found.append({row["seed"]: row for row in newest_version(mine, "")[0]})
    return list(differences(*found).values())


def draw(rows: list[dict[str, Any]], path: Path, names: Iterable[str] = tuple(DATA)) -> None:
    """A panel a data set: a curve over the strength, a line and its interval for the fit."""
    from matplotlib.figure import Figure

    names = list(names)
    figure = Figure(figsize=(2.4 * len(names), 3.4), layout="constrained", facecolor="white")
    for axis, data in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        points = {strength: gains(rows, data, arm) for strength, arm in STRENGTHS.items()}
        means = [statistics.mean(one) for one in points.values()]
        widths = [half_width(one) for one in points.values()]
        axis.errorbar(list(points), means, widths, fmt="o-", color=ORANGE, capsize=3, label="random affine")
        learned = gains(rows, data, "learned")
        mean, width = statistics.mean(learned), half_width(learned)
        axis.axhspan(mean - width, mean + width, color=BLUE, alpha=0.2, linewidth=0)
        axis.axhline(mean, color=BLUE, label="learned, nothing chosen")
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_title(DATA[data], fontsize=11)
        axis.set_xticks([0.5, 1.0, 1.5])
        axis.tick_params(labelsize=10)
        axis.set_xlabel("strength", fontsize=11)
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("gain in points", fontsize=11)
    figure.legend(*axis.get_legend_handles_labels(), fontsize=11, ncols=2, loc="outside lower center")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
