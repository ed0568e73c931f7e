"""What learned flips were to reach, each target judged by the rows alone."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.common.intervals import Runs, differences, half_width, interval
from benchmarks.pipelines.groups import OTHER, SIDE, Arms, Setting, chances

MET, MISSED, OPEN = "met", "**missed**", "not measured yet"
LEARNED, UNMIRRORED, SHUFFLED = "learned", "learned, no mirrors", "learned, mirrors shuffled"
EVERYTHING = ("flip", "flip + learned, no mirrors")  # every image mirrored: without warps, and with the learned ones
USUAL = "flip + crop"
ICONS = Setting("icons", None, "small", "stages", 14)
FASHION = Setting("fashion-mnist", 1000, "small", "stages", 40)
CIFAR = tuple(
    Setting("cifar10", size, model, "stages", epochs)
    for size, epochs in ((1000, 40), (4000, 20))
    for model in ("small", "resnet")
)
SHOES = ("Sandal", "Sneaker", "Ankle boot")
NEVER = {ICONS: ("arrow-left", "arrow-right", "check", "play", "flag"), FASHION: ("Ankle boot",)}
OFTEN = {ICONS: ("heart", "star", "sun", "plus", "home"), FASHION: ("T-shirt/top", "Trouser", "Bag")}
MOST, LEAST = {ICONS: 0.1, FASHION: 0.05}, {ICONS: 0.35, FASHION: 0.3}
SEEDS = {ICONS: 5, FASHION: 10} | dict.fromkeys(CIFAR, 5)


class Target(NamedTuple):
    """What was to be reached, what was measured, and whether that is enough."""

    text: str
    measured: str = ""
    verdict: str = OPEN


Rule = Callable[[float, float], bool]  # of a mean and the half-width of its interval
Groups = dict[Setting, Arms]


def above(mean: float, half: float) -> bool:
    """Beyond the interval."""
    return mean > half


def not_below(mean: float, half: float) -> bool:
    """Zero or more lies within the interval."""
    return mean >= -half


def at_least(least: float) -> Rule:
    """Of the mean alone."""
    return lambda mean, half: mean >= least


def told(yes: bool) -> str:
    """The verdict."""
    return MET if yes else MISSED


def counted(measured: str, found: int, asked: int) -> str:
    """With the number of seeds."""
    return f"{measured} ({found} seeds)" if found >= asked else f"{measured} ({found} of {asked} seeds)"


def held(text: str, gains: dict[int, float], asked: int, rule: Rule) -> Target:
    """A target for a mean of paired differences; it stays open until all seeds are there."""
    values = list(gains.values())
    if not values:
        return Target(text)
    measured = counted(interval(values), len(values), asked)
    if len(values) < asked:
        return Target(text, measured)
    return Target(text, measured, told(rule(statistics.mean(values), half_width(values))))


def between(arms: Arms, first: str, second: str, key: str = "accuracy") -> dict[int, float]:
    """First minus second arm in points, by the seeds that both have."""
    return differences(arms.get(first, {}), arms.get(second, {}), key)


def targets(groups: Groups) -> list[Target]:
    """All that these rows can judge."""
    icons, fashion = groups.get(ICONS, {}), groups.get(FASHION, {})
    return [
        *on_icons(icons),
        *of_chances(ICONS, icons),
        *on_fashion(fashion),
        *of_chances(FASHION, fashion),
        *on_cifar(groups),
    ]


def on_icons(arms: Arms) -> list[Target]:
    """Harm avoided where a name says a side, nothing lost elsewhere, gain over all."""
    seeds = SEEDS[ICONS]
    all_classes = ("none", *EVERYTHING, SHUFFLED)
    return [
        held(
            f"icons, {SIDE}: `learned` within 1 point of `none`",
            between(arms, LEARNED, "none", SIDE),
            seeds,
            at_least(-1),
        ),
        *(
            held(
                f"icons, {OTHER}: `learned` not below `{other}` beyond the interval",
                between(arms, LEARNED, other, OTHER),
                seeds,
                not_below,
            )
            for other in EVERYTHING
        ),
        *(
            held(
                f"icons, all classes: `learned` above `{other}` by its interval",
                between(arms, LEARNED, other),
                seeds,
                above,
            )
            for other in all_classes
        ),
    ]


def of_chances(setting: Setting, arms: Arms) -> list[Target]:
    """The chance of a flip by class, the mean over the seeds."""
    runs = arms.get(LEARNED, {})
    return [
        chance_target(setting, runs, NEVER[setting], f"at most {MOST[setting]}", lambda one: one <= MOST[setting]),
        chance_target(setting, runs, OFTEN[setting], f"at least {LEAST[setting]}", lambda one: one >= LEAST[setting]),
    ]


def chance_target(
    setting: Setting, runs: Runs, names: tuple[str, ...], rule: str, holds: Callable[[float], bool]
) -> Target:
    """One bound for some classes."""
    text, asked = f"{setting.data}: chance of a flip {rule} for {', '.join(names)}", SEEDS[setting]
    if not runs:
        return Target(text)
    found = {name: statistics.mean(chances(runs, setting.data)[name]) for name in names}
    measured = counted(", ".join(f"{name} {chance:.3f}" for name, chance in found.items()), len(runs), asked)
    return Target(text, measured, told(all(map(holds, found.values()))) if len(runs) >= asked else OPEN)


def on_fashion(arms: Arms) -> list[Target]:
    """Nothing lost against the fit without mirrors, for shoes neither."""
    text, seeds = f"fashion-mnist: `{LEARNED}` not below `{UNMIRRORED}` by more than 0.2", SEEDS[FASHION]
    return [
        held(text, between(arms, LEARNED, UNMIRRORED), seeds, at_least(-0.2)),
        *(
            held(
                f"fashion-mnist, {name}: `{LEARNED}` not below `{UNMIRRORED}`",
                between(arms, LEARNED, UNMIRRORED, name),
                seeds,
                at_least(0),
            )
            for name in SHOES
        ),
    ]


def on_cifar(groups: Groups) -> list[Target]:
    """Against the usual pipeline in four settings, and in how many of them the gain is beyond its interval."""
    found = {setting: between(groups.get(setting, {}), LEARNED, USUAL) for setting in CIFAR}
    lines = [
        held(
            f"{setting.title}: `learned` at least as good as `{USUAL}` in the mean", gains, SEEDS[setting], at_least(0)
        )
        for setting, gains in found.items()
    ]
    text = f"cifar10: `learned` above `{USUAL}` by its interval in at least two of the four"
    ready = [list(gains.values()) for setting, gains in found.items() if len(gains) >= SEEDS[setting]]
    count = sum(above(statistics.mean(gains), half_width(gains)) for gains in ready)
    if not ready:
        return [*lines, Target(text)]
    known = count >= 2 or len(ready) == len(CIFAR)  # no more settings can undo two
    return [*lines, Target(text, f"in {count} of {len(ready)} measured", told(count >= 2) if known else OPEN)]
