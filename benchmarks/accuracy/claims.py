"""What docs/evidence/results.md claims, each from the rows: paired differences held against a target."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.accuracy.all_arms import LEFT_ARMS
from benchmarks.accuracy.arms import GRID
from benchmarks.common.intervals import Runs, differences, half_width, interval
from benchmarks.common.pages import LEFT

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
        "learned, tolerance 0.05",
        "learned, tolerance 0.3",
        "learned, entropy term x 10",
        "learned, dual rate x 0.3",
        "learned, 30 steps",
        "learned, 120 steps",
        "learned, thumbnail 8",
        "learned, width 256",
        "learned, p .25",
        "learned, p .75",
        "learned, any angle",
        "learned p 1",
        "learned, refitted",
        "pathwise",
        "entropy target",
        "hardness",
        "paper as printed",
        "paper, sign turned",
    ),
    "learned, held on training images": ("learned, held on training images, shuffled",),
    "learned wide": (
        "learned wide, shuffled",
        "learned wide, held on training images",
        "learned wide, predicted labels",
        "learned wide, held per class",
        "learned wide, weighted samples",
        "learned wide, no entropy term",
        "learned wide, entropy term x 10",
        "learned wide, tolerance 0.05",
        "learned wide, tolerance 0.3",
        "learned wide, 120 steps",
        "learned wide, wide start",
        "learned wide p 1",
        "pathwise wide",
        "entropy target wide",
    ),
}
FIXED = (*GRID, "uniform wide p .5", "uniform, any angle p .5", "uniform x 0.5, any angle p .5")
CHOSEN_ON = (0, 1)
HALF = "uniform x 0.5 p .5"
IN_SHORT = {  # arms of the short table, in a user's words
    "uniform p .5": "random affine, modest limits",
    HALF: "random affine, half of them",
    "uniform wide p .5": "random affine, wide limits",
    "uniform x 0.5, any angle p .5": "random affine, any angle, else half",
    "best of the grid": "the best of ten strengths",
    "learned": "learned, modest limits",
    "learned, any angle": "learned, any angle, else modest",
    "learned wide": "learned, wide limits",
}
HEAD = ["| claim | data | target | measured | met | seeds |", "|---|---|---|---|---|---|"]


def shown_name(arm: str) -> str:
    """The arm's name in a table, with a sign where its code has left."""
    return f"{arm} {LEFT}" if arm in LEFT_ARMS else arm


class Target(NamedTuple):
    """What a difference should reach, in words, and whether its mean and the half-width of its interval do."""

    text: str
    reached: Callable[[float, float], bool]


ABOVE_0 = Target("above 0", lambda mean, half: mean > half)
WORSE = Target("below -0.5", lambda mean, _: mean < -0.5)
GAINS = {
    "fashion-mnist": Target("+1.0", lambda mean, half: mean >= 1.0 and mean > half),
    "cifar10": Target("+3.0", lambda mean, half: mean >= 3.0 and mean > half),
}


def with_best_of_grid(arms: Arms) -> Arms:
    """The arms, and for each seed the point of the grid that was best on held-out images, at the cost of all ten."""
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


def at_least(least: float) -> Target:
    """The mean must not be below that."""
    return Target(f"{least}", lambda mean, _: mean >= least)


def claims(models: dict[str, dict[str, Arms]], others: dict[str, Arms]) -> str:
    """The table of claims: at 1,000 images by the classifier's model and the data set, then of other sizes."""
    lines = [line for model, groups in models.items() for line in _claims(model, groups)]
    for data, arms in others.items():
        lines += _gains(data, arms, None) + _line(f"learned minus {HALF}, clean", data, between(arms, "learned", HALF))
    return "\n".join(HEAD + lines)


def _claims(model: str, groups: dict[str, Arms]) -> list[str]:
    lines = []
    for name, arms in groups.items():
        data, best = f"{name}, {model}", "best of the grid"
        lines += _gains(data, arms, GAINS.get(name))
        for other in ("uniform wide p .5", "uniform wide p 1", "entropy target wide"):
            lines += _line(f"{shown_name(other)} minus learned, clean", data, between(arms, other, "learned"), WORSE)
        lines += _line(f"learned minus {best}, clean", data, between(arms, "learned", best), at_least(-0.3))
        lines += _line("the same, affine", data, between(arms, "learned", best, "affine"))
        for learned in ("learned", "learned wide"):
            other = f"{learned}, shuffled"
            lines += _line(f"{learned} minus shuffled, clean", data, between(arms, learned, other))
            lines += _line("the same, affine", data, between(arms, learned, other, "affine"))
    return lines + fixed_strengths(groups, model)


def _gains(data: str, arms: Arms, gain: Target | None) -> list[str]:
    """What the default gains, what wide limits cost it, and what the fit costs."""
    return [
        *_line("learned minus none, clean", data, between(arms, "learned", "none"), gain),
        *_line("the same, seeds that no dial was chosen on", data, _confirming(between(arms, "learned", "none"))),
        *_line("the same, affine", data, between(arms, "learned", "none", "affine")),
        *_line("learned wide minus learned, clean", data, between(arms, "learned wide", "learned"), at_least(-0.5)),
        *_cost(arms, data),
    ]


def _confirming(by_seed: dict[int, float]) -> dict[int, float]:
    """Without the seeds on whose test accuracy tolerance, steps and draws were chosen."""
    return {seed: gain for seed, gain in by_seed.items() if seed not in CHOSEN_ON}


def fixed_strengths(groups: dict[str, Arms], model: str) -> list[str]:
    """Learned minus each fixed strength, one for all data: by seed the mean over the data sets, where all have both."""
    lines = []
    for learned in ("learned", "learned wide"):
        for name in FIXED:
            by_seed = _means([between(arms, learned, name) for arms in groups.values()])
            lines += _line(f"{learned} minus {name}, clean", f"mean of {len(groups)}, {model}", by_seed, ABOVE_0)
    return lines


def _line(claim: str, data: str, by_seed: dict[int, float], target: Target | None = None) -> list[str]:
    if not by_seed:
        return []
    found, verdict = list(by_seed.values()), ""
    if target is not None:
        verdict = "yes" if target.reached(statistics.mean(found), half_width(found)) else "**no**"
    columns = [claim, data, target.text if target else "", interval(found), verdict, str(len(found))]
    return [f"| {' | '.join(columns)} |"]


def _cost(arms: Arms, data: str) -> list[str]:
    """Seconds of fitting over stage 1's; fit and one training over the grid's ten."""
    runs, grid = arms.get("learned", {}), arms.get("best of the grid", {})
    shares = [row["fit_seconds"] / row["stage_1_seconds"] for row in runs.values()]
    both = sorted(set(runs) & set(grid))
    parts = [_whole(runs[seed]) / _whole(grid[seed]) for seed in both]
    return [
        *_share("fit over stage 1, seconds", data, 0.25, shares),
        *_share("fit and training over the grid's, seconds", data, 0.2, parts),
    ]


def _share(claim: str, data: str, most: float, shares: list[float]) -> list[str]:
    if not shares:
        return []
    mean = statistics.mean(shares)
    return [f"| {claim} | {data} | {most} | {mean:.2f} | {'yes' if mean <= most else '**no**'} | {len(shares)} |"]


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
                lines.append(" | ".join([f"| {shown_name(arm)}", *map(_counted, columns)]) + " |")
    return "\n".join(lines)


def in_short(groups: dict[str, Arms]) -> str:
    """The short table: what each of a few arms gains over no augmentation, in points of clean accuracy."""
    heads = ["stage 3 with", *groups, "mean"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for arm, words in IN_SHORT.items():
        gains = [between(arms, arm, "none") for arms in groups.values()]
        cells = [interval(list(one.values())) if one else "" for one in [*gains, _means(gains)]]
        lines.append(f"| {' | '.join([words, *cells])} |")
    return "\n".join(lines)


def _means(found: list[dict[int, float]]) -> dict[int, float]:
    """By seed the mean over the data sets, of the seeds that all of them have."""
    shared = set.intersection(*map(set, found)) if found else set()
    return {seed: statistics.mean(by_seed[seed] for by_seed in found) for seed in sorted(shared)}


def _counted(by_seed: dict[int, float]) -> str:
    """The interval, and of how many seeds."""
    return f"{interval(list(by_seed.values()))} ({len(by_seed)})" if by_seed else ""
