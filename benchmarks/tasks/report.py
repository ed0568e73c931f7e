"""docs/evidence/tasks.md's tables, from the rows alone.

Run it as ``python -m benchmarks.tasks.report``.
"""

from typing import Any

from benchmarks.common.digests import digest
from benchmarks.common.intervals import Runs, differences, interval, spread
from benchmarks.common.pages import EVIDENCE, fill
from benchmarks.common.rows import RESULTS, newest_version, read

ROWS, SEGMENTATION = RESULTS / "tasks.jsonl", RESULTS / "segmentation.jsonl"
PAGE = EVIDENCE / "tasks.md"
SETTINGS = ("epochs", "width")
CHOOSING = range(11)  # seeds that the settings were chosen with
TITLES = {"accuracy": "accuracy %", "sides": "with a side or direction %"}
TITLES["iou"] = "mean intersection over union %"
Arms = dict[str, Runs]  # rows of each arm, by seed


def main() -> None:
    """Fill the page between its markers."""
    rows, told = newest_version(read(ROWS), digest("tasks"))
    for name in dict.fromkeys(row["question"] for row in rows):
        own = [row for row in rows if row["question"] == name]
        arms = by_arm([row for row in own if row["epochs"] == own[-1]["epochs"]])
        columns = [key for key in TITLES if key in next(iter(arms["none"].values()))]
        columns = columns if name != "left or right" else ["accuracy"]
        fill(PAGE, name, "\n".join([*table(arms, columns, "none"), "", between(arms, columns), told]).rstrip())
    arms = by_arm(read(SEGMENTATION))
    gain = paired(arms["learned"], arms["v2.RandomAffine(30)"], "iou")
    against = f"Learned, minus v2.RandomAffine(30): {gain} points."
    fill(PAGE, "segmentation", "\n".join([*table(arms, ["iou"], "none"), "", against]))


def by_arm(rows: list[dict[str, Any]]) -> Arms:
    """The rows of each arm by seed, without those that settings were chosen with."""
    arms: Arms = {}
    for row in rows:
        if row["seed"] not in CHOOSING:
            arms.setdefault(row["arm"], {})[row["seed"]] = row
    return arms


def table(arms: Arms, columns: list[str], base: str) -> list[str]:
    """Each arm's measures, and their paired differences from the base, in points."""
    titles = [title for key in columns for title in (TITLES[key], f"minus {base}")]
    heads = ("trained with", *titles, "chance of another symmetry")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for arm, runs in arms.items():
        cells = []
        for key in columns:
            gains = paired(runs, arms[base], key)
            cells += [spread(runs, key), "" if arm == base else gains]
        chances = {seed: run for seed, run in runs.items() if "symmetry_chance" in run}
        cells.append(spread(chances, "symmetry_chance") if chances else "")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def between(arms: Arms, columns: list[str]) -> str:
    """What the rule for labels adds to the learned policy."""
    one, other = arms["learned, label mirror"], arms["learned"]
    sides = f", {paired(one, other, 'sides')} on icons with a side or direction" if "sides" in columns else ""
    return f"*Learned, label mirror* minus *learned*: {paired(one, other, 'accuracy')} points of accuracy{sides}."


def paired(runs: Runs, base: Runs, key: str) -> str:
    """The interval of a measure, in points."""
    return interval(list(differences(runs, base, key).values()), 1)


if __name__ == "__main__":
    main()
