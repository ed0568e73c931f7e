"""docs/results.md from the rows of ``accuracy.py`` alone: means, spread, and intervals of paired differences."""

import math
import statistics
from collections import defaultdict
from pathlib import Path

from rows import read

HERE = Path(__file__).parent
ROWS = HERE / "results" / "accuracy.jsonl"
DOCS = HERE.parent / "docs" / "results.md"
# 97.5 % points of Student's t for 1 to 9 degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
HEAD = """# Results

Made by `python benchmarks/accuracy.py --report` from `benchmarks/results/accuracy.jsonl`; nothing here is written by
hand below this paragraph. Each run: stage 1, then stage 3 from the same classifier for as many steps, batch 64, small
CNN (or the model named), AdamW, accuracy of the last epoch on the whole test set. Differences to "none" are paired by
seed; ± is the half-width of their 95 % interval (Student's t). Affine: uniform warps within the modest limits.
"""


def write_results(codes: dict[str, str], rows: Path = ROWS, path: Path = DOCS) -> None:
    """One table a data set and size; rows that another version of an arm's code made are counted, and left out."""
    found = read(rows)
    mine = [row for row in found if row["code"] == codes.get(row["arm"])]
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in mine:
        groups[row["data"], row["size"], row["model"], row["epochs"]].append(row)
    parts = [HEAD]
    if len(mine) < len(found):
        parts.append(f"{len(found) - len(mine)} rows of other versions of the code are left out.\n")
    for (data, size, model, epochs), some in sorted(groups.items()):
        parts.append(f"## {data}, {size:,} training images, {model}, {epochs} + {epochs} epochs\n")
        parts.append(table(some) + "\n")
    path.write_text("\n".join(parts))


def table(rows: list[dict]) -> str:
    """One line an arm."""
    arms: dict[str, dict[int, dict]] = defaultdict(dict)
    for row in rows:
        arms[row["arm"]][row["seed"]] = row
    lines = [
        "| stage 3 with | seeds | clean % | minus none | affine % | worst of 10 % | NLL | ECE % | fit / stage 1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, runs in arms.items():
        gain = paired(runs, arms.get("none", {})) if arm != "none" else ""
        cost = statistics.mean(run["fit_seconds"] / run["stage_1_seconds"] for run in runs.values())
        columns = [
            arm,
            str(len(runs)),
            spread(runs, "clean"),
            gain,
            spread(runs, "affine"),
            spread(runs, "worst_of_10"),
            f"{statistics.mean(run['nll'] for run in runs.values()):.3f}",
            f"{100 * statistics.mean(run['calibration_error'] for run in runs.values()):.1f}",
            f"{cost:.2f}" if cost > 0.005 else "",
        ]
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


def spread(runs: dict[int, dict], key: str) -> str:
    """Mean and standard deviation in percent."""
    values = [100 * run[key] for run in runs.values()]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def paired(runs: dict[int, dict], base: dict[int, dict]) -> str:
    """Mean of the differences by seed, and the half-width of its 95 % interval."""
    gains = [100 * (run["clean"] - base[seed]["clean"]) for seed, run in runs.items() if seed in base]
    return interval(gains) if gains else ""


def interval(gains: list[float], digits: int = 2) -> str:
    """Mean of paired differences, and the half-width of its 95 % interval (Student's t) where there are several."""
    mean = f"{statistics.mean(gains):+.{digits}f}"
    if len(gains) == 1:
        return mean
    t = STUDENT[min(len(gains) - 1, len(STUDENT)) - 1]
    return f"{mean} ± {t * statistics.stdev(gains) / math.sqrt(len(gains)):.{digits}f}"
