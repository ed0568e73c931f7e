"""The tables of real pictures in docs/evidence/accuracy.md, from the rows alone.

Paired differences with 95 % intervals, mean ranks, harm to classes.
Run it as ``python -m benchmarks.real.report``.
"""

import statistics
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.common.intervals import Runs, about, half_width, interval, signed
from benchmarks.common.pages import ACCURACY, IMAGES, fill, paragraphs
from benchmarks.common.rows import newest_version, read
from benchmarks.pipelines.report import head, line
from benchmarks.real import allowed
from benchmarks.real.arms import ARMS, EXPERTS, fits
from benchmarks.real.data import SETS, SIDES
from benchmarks.real.nets import NETS
from benchmarks.real.run import ROWS, code_of

RIVALS = ("affine_by_hand", "flip_crop", "trivial_augment", "colour")
PARTS = ("learned_shuffled", "learned_no_entropy", "learned_no_adversary")
MAPS = ("learned_map", "learned_map_colour")
# in README; learned first, where a phone shows it
SHOWN = ("learned", "learned_colour", "flip_crop", "affine_by_hand", "trivial_augment", "colour")
TOLD_BY_CLASS = ("flip_crop", "affine_by_hand", "colour", "learned", "learned_colour")
TITLES = {
    "flip_crop": "flip + crop",
    "affine_by_hand": "affine by hand",
    "trivial_augment": "TrivialAugment",
    "rand_augment": "RandAugment",
    "all_eight": "all eight symmetries",
    "learned_colour": "learned + colour",
    "learned_shuffled": "learned, shuffled",
    "learned_map": "learned with a label map",
    "learned_map_colour": "learned with a label map + colour",
    "learned_no_entropy": "learned without the max-entropy loss",
    "learned_no_adversary": "learned without the adversarial loss",
    "symmetries_alone": "learned symmetries alone",
}
NAMES = {
    "blood-cells": "blood cells",
    "aerial": "aerial pictures",
    "traffic-signs": "traffic signs",
    "letters": "letters",
    "flowers": "flowers",
    "hands": "hand signs",
}
FEWEST = 10  # test pictures of a class that is looked at alone
MOST_LOST = 5  # points, of such a class
Sets = dict[str, dict[str, Runs]]  # rows by set, arm and seed


def main() -> None:
    """Fill the page between its markers; draw what may be done."""
    if found := read(allowed.ROWS):
        allowed.draw(found, IMAGES / "real_allowed.png")
    for name, text in parts(read(ROWS)).items():
        fill(ACCURACY, name, text)
    print(f"written: {ACCURACY}")


def parts(rows: list[dict[str, Any]]) -> dict[str, str]:
    """What stands between the markers of the page, by their names."""
    found = {}
    for net, texts in (("small", of_small), ("backbone", of_pretrained)):
        sets, version = grouped(rows, net)
        found |= texts(sets, version) if sets else {}
    return found


def of_small(sets: Sets, version: str) -> dict[str, str]:
    """Of the net that is trained from scratch."""
    known = {name: sets[name] for name in SIDES if name in sets}
    of_sides = table(
        (*TOLD_BY_CLASS, "symmetries_alone", *MAPS),
        known,
        lambda name, arm: told(gains(sets[name], arm, "none", SIDES[name])),
    )
    of_classes = table(TOLD_BY_CLASS, sets, lambda name, arm: worst_class(sets[name], arm))
    return {
        "gains": paragraphs(version, gain_table(sets), ranking(sets)),
        "minus": minus(sets, (*RIVALS, *PARTS)),
        "sides": of_sides,
        "classes": paragraphs(of_classes, harmed(sets)),
        "fits": fit_table(sets),
        "letters": flips_of_letters(sets.get("letters", {})),
    }


def of_pretrained(sets: Sets, version: str) -> dict[str, str]:
    """Of the arms that were run on all sets."""
    shared = set.intersection(*map(set, sets.values()))
    sets = {name: {arm: arms[arm] for arm in ARMS if arm in shared} for name, arms in sets.items()}
    _, _, *lines = minus(sets, ("affine_by_hand", "expert")).splitlines()
    against = [one.replace("| ", "| learned minus ", 1) for one in lines]
    gained = "\n".join([gain_table(sets), *against])
    return {"pretrained": paragraphs(version, gained, ranking(sets), harmed(sets))}


def gain_table(sets: Sets) -> str:
    """The accuracy without augmentation, and what each arm gains over it."""
    arms = [arm for arm in ARMS if arm not in ("none", *PARTS, *MAPS)]
    none = [about([100 * run["accuracy"] for run in runs["none"].values()]) for runs in sets.values()]
    first, rule, *lines = table(arms, sets, lambda name, arm: told(gains(sets[name], arm, "none"))).splitlines()
    return "\n".join([first, rule, line("none: accuracy in %", *none), *lines])


def minus(sets: Sets, others: Iterable[str]) -> str:
    """Learned against other arms."""
    return table(others, sets, lambda name, arm: told(gains(sets[name], "learned", arm)))


def readme(sets: Sets) -> str:
    """Accuracy without augmentation and mean paired gains, of the arms that all sets have; bold where sure."""
    shown = [arm for arm in SHOWN if all(arm in arms for arms in sets.values())]
    lines = head("gain in points", "none, %", *(TITLES.get(arm, arm) for arm in shown))
    for name, arms in sets.items():
        none = f"{100 * statistics.mean(run['accuracy'] for run in arms['none'].values()):.1f}"
        lines.append(line(NAMES[name], none, *(seedless(gains(arms, arm, "none")) for arm in shown)))
    return "\n".join(lines)


def seedless(values: list[float]) -> str:
    """The mean alone."""
    mean = signed(statistics.mean(values))
    return f"**{mean}**" if is_sure(values) else mean


def grouped(rows: list[dict[str, Any]], net: str = "small") -> tuple[Sets, str]:
    """The rows of a net and version by set, arm and seed, the version if old; an expert's choice may be another arm."""
    rows = [row for row in rows if row["net"] == net]
    fixed, of_fixed = newest_version([row for row in rows if not fits(row["arm"])], code_of("none"))
    fitted, of_fitted = newest_version([row for row in rows if fits(row["arm"])], code_of("learned"))
    found: Sets = {name: {} for name in SETS}
    for row in fixed + fitted:
        if row["epochs"] != NETS[net].epochs[row["set"]]:
            continue  # too short, or too long
        found[row["set"]].setdefault(row["arm"], {})[row["seed"]] = row
    for name, arm in EXPERTS.items():
        if arm in found[name]:
            found[name]["expert"] = found[name][arm]
    versions = {"Arms that fit nothing": of_fixed, "Arms that fit a policy": of_fitted if fitted else "no rows yet."}
    told_of = " ".join(f"{what}: {version}" for what, version in versions.items() if version)
    return {name: arms for name, arms in found.items() if "none" in arms}, told_of


def table(arms: Iterable[str], sets: Sets, cell: Callable[[str, str], str]) -> str:
    """A line an arm that any set has, a column a set; an expert has no cell where it is another arm."""
    lines = []
    for arm in arms:
        own = [name for name in sets if arm in sets[name] and not (arm == "expert" and name in EXPERTS)]
        if own:
            lines.append(line(TITLES.get(arm, arm), *(cell(name, arm) if name in own else "" for name in sets)))
    return "\n".join([*head("", *sets), *lines])


def ranking(sets: Sets) -> str:
    """The mean ranks in words, the best first."""
    ranks = mean_ranks(sets)
    order = sorted(ranks, key=lambda arm: (ranks[arm], arm))
    told_of = ", ".join(f"{TITLES.get(arm, arm)} {ranks[arm]:.1f}" for arm in order)
    return textwrap.fill(f"Mean rank over the sets: {told_of}.", 120)


def mean_ranks(sets: Sets) -> dict[str, float]:
    """The mean over the sets of an arm's rank by its mean gain over none, of the pipelines that every set has."""
    means = [{arm: statistics.mean(gains(arms, arm, "none")) for arm in arms} for arms in sets.values()]
    shared = set.intersection(*map(set, means)) - set(PARTS)
    return {arm: statistics.mean(1 + sum(one[other] > one[arm] for other in shared) for one in means) for arm in shared}


def worst_class(arms: dict[str, Runs], arm: str) -> str:
    """The class that loses most by an arm, and its mean paired difference."""
    means = changes(arms, arm)
    return f"{min(means, key=means.__getitem__)} {signed(min(means.values()))}" if means else ""


def harmed(sets: Sets) -> str:
    """How many classes learned harms and the expert's choice does not, and the other way round."""
    found = {name: (lost(arms, "learned"), lost(arms, "expert")) for name, arms in sets.items()}
    ours, theirs = ([pair[i] - pair[1 - i] for pair in found.values()] for i in (0, 1))
    where = ", ".join(f"{name} {len(own)}" for name, own in zip(found, ours, strict=True) if own)
    told_of = (
        f"Of {sum(len(changes(arms, 'none')) for arms in sets.values())} classes, {sum(map(len, ours))} lose more than "
        f"{MOST_LOST} points with *learned* and not with what an expert would choose ({where}), and "
        f"{sum(map(len, theirs))} the other way round."
    )
    return textwrap.fill(told_of, 120)


def lost(arms: dict[str, Runs], arm: str) -> set[str]:
    """The classes that lose much against none."""
    return {name for name, mean in changes(arms, arm).items() if mean < -MOST_LOST}


def changes(arms: dict[str, Runs], arm: str) -> dict[str, float]:
    """The mean paired difference to none of each class that is looked at alone."""
    counts = next(iter(arms["none"].values()))["by_class"]
    found = {name: gains(arms, arm, "none", (name,)) for name, (_, count) in counts.items() if count >= FEWEST}
    return {name: statistics.mean(values) for name, values in found.items() if values}


def fit_table(sets: Sets) -> str:
    """Means over the seeds."""
    lines = head("set", "fit over training, s", "cost", "budget, nats", "displacement", "chance of another symmetry")
    for name, arms in sets.items():
        if runs := list(arms.get("learned", {}).values()):
            cost, budget, moved, chance = (
                f"{statistics.mean(run['fit'][key] for run in runs):.2f}"
                for key in ("cost", "budget", "displacement", "symmetry_chance")
            )
            fit, training = (f"{statistics.mean(run[key] for run in runs):.0f}" for key in ("fit_seconds", "seconds"))
            lines.append(line(name, f"{fit} / {training}", cost, budget, moved, chance))
    return "\n".join(lines)


def flips_of_letters(arms: dict[str, Runs]) -> str:
    """The mean chance of a left-right flip by class of held-out letters, over the fits; the largest first."""
    runs = list(arms.get("learned", {}).values())
    if not runs:
        return ""
    names = sorted(runs[0]["by_class"])
    chances = [{names[int(one)]: chance[4] for one, chance in run["chances"].items()} for run in runs]
    means = {name: statistics.mean(own) for name in names if (own := [one[name] for one in chances if name in one])}
    flipped = sorted((name for name in means if means[name] >= 0.005), key=means.__getitem__, reverse=True)
    told_of = ", ".join(f"{name} {100 * means[name]:.0f}" for name in flipped)
    return textwrap.fill(f"Over {len(runs)} fits, held-out letters are flipped left-right by (%): {told_of}.", 120)


def gains(arms: dict[str, Runs], arm: str, base: str, classes: tuple[str, ...] = ()) -> list[float]:
    """One arm minus another in points, by the seeds that both have: in all, or on some classes over their images."""
    one, other = arms.get(arm, {}), arms.get(base, {})
    seeds = sorted(set(one) & set(other))
    return [100 * (accuracy(one[seed], classes) - accuracy(other[seed], classes)) for seed in seeds]


def accuracy(run: dict[str, Any], classes: tuple[str, ...]) -> float:
    """Of a run, in all or on some classes."""
    found = [run["by_class"][name] for name in classes or run["by_class"]]
    return sum(share * count for share, count in found) / sum(count for _, count in found)


def told(values: list[float]) -> str:
    """The interval, bold where it leaves out 0; nothing where nothing was measured."""
    if not values:
        return ""
    return f"**{interval(values, 1)}**" if is_sure(values) else interval(values, 1)


def is_sure(values: list[float]) -> bool:
    """Whether the interval leaves out 0."""
    return abs(statistics.mean(values)) > half_width(values)


if __name__ == "__main__":
    main()
