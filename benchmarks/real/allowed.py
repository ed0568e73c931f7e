"""What may be done to each of the real sets, by a default fit alone: a row for each set and seed. Resumable.

    python -m benchmarks.real.allowed --root DIR [--sets SET ...]

``python -m benchmarks.real.report`` draws them.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.common.rows import RESULTS, append, has
from benchmarks.real.arms import Arm, Setting
from benchmarks.real.data import SETS, Batches, read_set
from benchmarks.real.nets import NETS
from benchmarks.real.run import code_of, trained
from learned_affine.diagnostics import FitWarning
from learned_affine.diagnostics.measures import moments_by_class  # private: the summary has these as text alone
from learned_affine.diagnostics.summary import HEADS, ranges_of  # private: likewise

ROWS = RESULTS / "allowed.jsonl"
SEED = 1
FULL = 0.5  # a chance that is drawn as dark as can be


def main() -> None:
    """Train, fit and measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), metavar="SET")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FitWarning)
    net = NETS["small"]
    for name in options.sets:
        key = {"set": name, "seed": SEED, "code": code_of("learned")}
        if has(ROWS, key):
            continue
        pictures = read_set(options.root, name, net.size)
        classifier, _ = trained(net, pictures, Arm(), net.epochs[name], SEED)
        policy = Setting(pictures, SEED, lambda classifier=classifier: classifier).learned()
        append(ROWS, key | {"classes": by_class(policy, pictures)})


def by_class(policy: Any, pictures: Any) -> dict[str, dict[str, list[float]]]:
    """Chances of the eight symmetries, and standard deviations: degrees, a share, degrees, a share of the side."""
    moments = moments_by_class(policy, Batches(pictures.test, size=256))
    return {
        pictures.classes[label]: {
            "chances": one.chances.mean(0).tolist(),
            "ranges": ranges_of(one.mean, one.deviation).tolist(),
        }
        for label, one in moments.items()
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel a set: a line per class, its symmetries as dark as they are probable, and its ranges in numbers."""
    columns: tuple[list[dict[str, Any]], ...] = ([], [])
    for row in sorted(rows, key=lambda row: -len(row["classes"])):
        min(columns, key=height).append(row)
    tallest = max(map(height, columns))
    figure = Figure(figsize=(12, 0.19 * tallest))
    for side, column in enumerate(columns):
        top = 0
        for row in column:
            count = len(row["classes"])
            box = (0.1 + 0.5 * side, 1 - (top + 3 + count) / tallest, 0.24, count / tallest)
            panel(figure.add_axes(box), row, first=top == 0)
            top += height([row])
    figure.savefig(path, dpi=100)


def height(rows: list[dict[str, Any]]) -> int:
    """Of panels below each other, in lines."""
    return sum(len(row["classes"]) + 4 for row in rows)


def panel(axes: Any, row: dict[str, Any], first: bool) -> None:
    """One set."""
    found = row["classes"]
    axes.imshow([one["chances"] for one in found.values()], cmap="Blues", vmin=0, vmax=FULL, aspect="auto")
    axes.set_yticks(range(len(found)), list(found), fontsize=7)
    axes.set_xticks(range(8), HEADS if first else [""] * 8, fontsize=7, rotation=40, ha="left")
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.set_title(row["set"].replace("-", " "), fontsize=10, loc="left", x=-0.35, y=1.0)
    for place, one in enumerate(found.values()):
        text = "±{:.0f}°  ±{:.0%}  ±{:.0f}°  ±{:.0%}".format(*one["ranges"])
        axes.text(7.7, place, text, fontsize=7, va="center")


if __name__ == "__main__":
    main()
