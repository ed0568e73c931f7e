"""What docs/results.md claims, each from the rows of ``accuracy.py``: paired differences held against a target."""

import statistics

from arms import GRID
from intervals import Runs, differences, interval

Arms = dict[str, Runs]  # of one data set, size and model
CHANGED = {  # one thing about the default that is another way, and the arm that it is held against
    "learned": (
        "learned, shuffled",
        "learned, one for all",
        "learned, held on training images",
        "learned, predicted labels",
        "learned, held per class",
        "learned, weighted samples",
        "learned, with discriminator",
        "learned, no entropy term",
        "learned, entropy term x 10",
        "learned, tolerance 0.05",
        "learned, tolerance 0.3",
        "learned, refitted",
        "learned p 1",
        "pathwise",
        "entropy target",
        "hardness",
        "paper",
        "paper, sign corrected",
    ),
    "learned wide": (
        "learned wide, held on training images",
        "learned wide, held per class",
        "learned wide, weighted samples",
        "learned wide, no entropy term",
        "learned wide, entropy term x 10",
        "learned wide, tolerance 0.05",
        "learned wide, tolerance 0.3",
        "pathwise wide",
        "entropy target wide",
    ),
}
HEAD = ["| claim | data | target | measured | seeds |", "|---|---|---|---|---|"]


def with_best_of_grid(arms: Arms) -> Arms:
    """The arms, and one more: for each seed the grid's point that was best on unseen images, at the cost of all ten."""
    points = [arms.get(name, {}) for name in GRID]
    seeds = set.intersection(*(set(runs) for runs in points))
    best = {}
    for seed in sorted(seeds):
        rows = [runs[seed] for runs in points]
        chosen = max(rows, key=lambda row: row["unseen"])
        best[seed] = {**chosen, "fit_seconds": sum(row["seconds"] for row in rows) - chosen["seconds"]}
    return {**arms, "best of the grid": best} if best else arms


def between(arms: Arms, first: str, second: str, key: str = "clean") -> dict[int, float]:
    """First minus second arm in points, by seed; nothing where one has no rows."""
    return differences(arms.get(first, {}), arms.get(second, {}), key)


def claims(models: dict[str, dict[str, Arms]]) -> str:
    """The table of claims, at 1,000 images: by the classifier's model and the data set."""
    return "\n".join(HEAD + [line for model, groups in models.items() for line in _claims(model, groups)])


def _claims(model: str, groups: dict[str, Arms]) -> list[str]:
    lines = []
    for name, arms in groups.items():
        data, gain = f"{name}, {model}", "+1.0" if name == "fashion-mnist" else "+3.0" if name == "cifar10" else ""
        lines += _line("learned minus none, clean", data, gain, between(arms, "learned", "none"))
        lines += _line("the same, affine", data, "", between(arms, "learned", "none", "affine"))
        lines += _line("learned wide minus learned, clean", data, "-0.5", between(arms, "learned wide", "learned"))
        for other in ("uniform wide p .5", "uniform wide p 1", "entropy target wide"):
            lines += _line(f"{other} minus learned, clean", data, "below -0.5", between(arms, other, "learned"))
        best = "best of the grid"
        lines += _line(f"learned minus {best}, clean", data, "-0.3", between(arms, "learned", best))
        lines += _line("the same, affine", data, "", between(arms, "learned", best, "affine"))
        lines += _cost(arms, data)
        for key, name in (("clean", "learned minus shuffled, clean"), ("affine", "the same, affine")):
            lines += _line(name, data, "", between(arms, "learned", "learned, shuffled", key))
    return lines + fixed_strengths(groups, model)


def fixed_strengths(groups: dict[str, Arms], model: str) -> list[str]:
    """Learned minus each fixed strength, one for all data: by seed the mean over the data sets that have both."""
    lines = []
    for learned in ("learned", "learned wide"):
        for name in [*GRID, "uniform wide p .5"]:
            found = [by_seed for arms in groups.values() if (by_seed := between(arms, learned, name))]
            data = f"mean of {len(found)}, {model}"
            lines += _line(f"{learned} minus {name}, clean", data, "above 0", _means(found))
    return lines


def _line(claim: str, data: str, target: str, by_seed: dict[int, float]) -> list[str]:
    if not by_seed:
        return []
    return [f"| {claim} | {data} | {target} | {interval(list(by_seed.values()))} | {len(by_seed)} |"]


def _cost(arms: Arms, data: str) -> list[str]:
    """Seconds of fitting over stage 1's; fit and one training over the grid's ten."""
    runs, grid = arms.get("learned", {}), arms.get("best of the grid", {})
    if not runs:
        return []
    share = statistics.mean(row["fit_seconds"] / row["stage_1_seconds"] for row in runs.values())
    lines = [f"| fit over stage 1, seconds | {data} | 0.25 | {share:.2f} | {len(runs)} |"]
    both = sorted(set(runs) & set(grid))
    if both:
        parts = [_whole(runs[seed]) / _whole(grid[seed]) for seed in both]
        lines.append(
            f"| fit and training over the grid's, seconds | {data} | 0.2 | {statistics.mean(parts):.2f} | {len(both)} |"
        )
    return lines


def _whole(row: dict) -> float:
    return float(row["fit_seconds"] + row["seconds"])


def ablations(groups: dict[str, Arms]) -> str:
    """The table of what each change to the default does: accuracy minus the default's, data set by data set."""
    heads = ["changed", *groups, "mean of all", "mean of all, affine"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for default, changed in CHANGED.items():
        for arm in changed:
            clean, affine = (
                [between(arms, arm, default, key) for arms in groups.values()] for key in ("clean", "affine")
            )
            if any(clean):
                columns = [*clean, _means(clean), _means(affine)]
                lines.append(" | ".join([f"| {arm}", *map(_counted, columns)]) + " |")
    return "\n".join(lines)


def _means(found: list[dict[int, float]]) -> dict[int, float]:
    """By seed the mean over the data sets, of the seeds that all of them have."""
    shared = set.intersection(*map(set, found)) if found else set()
    return {seed: statistics.mean(by_seed[seed] for by_seed in found) for seed in sorted(shared)}


def _counted(by_seed: dict[int, float]) -> str:
    """The interval, and of how many seeds."""
    return f"{interval(list(by_seed.values()))} ({len(by_seed)})" if by_seed else ""
