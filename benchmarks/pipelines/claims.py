"""What the right strength, and the recipe "learned + colour", were to reach, judged by the rows alone."""

import statistics

from benchmarks.common.intervals import half_width, interval
from benchmarks.pipelines.arms import ARMS
from benchmarks.pipelines.groups import Arms, Setting, comparable, order
from benchmarks.pipelines.targets import LEARNED, USUAL, Groups, Target, above, at_least, between, held, not_below, told

RECIPE = "learned + colour"
RIVALS = ("flip + crop + TrivialAugmentWide", "flip + crop + colour")
RIVALS_OF_ALL = ("TrivialAugmentWide", "flip + crop + colour")  # with all images the plan has no more arms
RESNET = {size: Setting("cifar10", size, "resnet", "scratch", epochs) for size, epochs in ((1000, 40), (10_000, 15))}
WHOLE = {
    "cifar10": Setting("cifar10", None, "resnet", "scratch", 5),
    "fashion-mnist": Setting("fashion-mnist", None, "small", "scratch", 5),
}
SEEDS = {**dict.fromkeys([RESNET[1000]], 5), RESNET[10_000]: 3} | dict.fromkeys(WHOLE.values(), 2)
HARM = 2.0  # points of a class
PER_NAT = 60  # points of held-out accuracy that a nat of budget costs at most: 58 in 100 fits of other seeds
GEOMETRIC = ("flip", "flip + affine")
PARTS = {  # each with the two arms that it is the difference of
    "the adversarial loss adds": (LEARNED, "learned, no adversarial loss"),
    "the max-entropy loss adds": (LEARNED, "learned, no entropy loss"),
    "`learned + colour` has over `RandAugment`": (RECIPE, "RandAugment"),
    "RandAugment's colours have over TrivialAugment's": ("learned + RandAugment's colour", RECIPE),
}


def claims(groups: Groups) -> list[Target]:
    """All that these rows can judge."""
    return [
        *of_strong_classifiers(groups),
        *of_the_recipe(groups),
        *mean_ranks(groups),
        *of_harmed_classes(groups),
        *of_parts(groups),
    ]


def of_strong_classifiers(groups: Groups) -> list[Target]:
    """Nothing lost with all images, and held-out images that bear the warps as the rule says."""
    lines = [
        held(
            f"{setting.title}: `{LEARNED}` not below `none` beyond the interval",
            between(groups.get(setting, {}), LEARNED, "none"),
            SEEDS[setting],
            not_below,
        )
        for setting in WHOLE.values()
    ]
    falls = {
        (setting.title, seed): 100 * (run["held_out_clean_accuracy"] - run["held_out_accuracy"]) / run["budget"]
        for setting, arms in groups.items()
        for seed, run in arms.get(LEARNED, {}).items()
        if "held_out_accuracy" in run
    }
    text = f"every fit: warps cost held-out images at most {PER_NAT} points of accuracy a nat of budget"
    if not falls:
        return [*lines, Target(text)]
    worst = max(falls, key=lambda key: falls[key])
    measured = f"median {statistics.median(falls.values()):.0f}, most {falls[worst]:.0f} ({worst[0]}, seed {worst[1]})"
    return [*lines, Target(text, f"{measured}, {len(falls)} fits", told(falls[worst] <= PER_NAT))]


def of_the_recipe(groups: Groups) -> list[Target]:
    """CIFAR-10, ResNet-8, from scratch."""
    lines = []
    for setting in (*RESNET.values(), WHOLE["cifar10"]):
        arms, few = groups.get(setting, {}), setting.size is not None
        rule, words = (above, "above {} by its interval") if few else (not_below, "not below {} beyond the interval")
        for rival in RIVALS if few else RIVALS_OF_ALL:
            text = f"{setting.title}: `{RECIPE}` {words.format(f'`{rival}`')}"
            lines.append(held(text, between(arms, RECIPE, rival), SEEDS[setting], rule))
        text = f"{setting.title}: `{LEARNED}` at least as good as `{USUAL}` in the mean"
        lines.append(held(text, between(arms, LEARNED, USUAL), SEEDS[setting], at_least(0)))
    return lines


def mean_ranks(groups: Groups) -> list[Target]:
    """Over all settings from scratch, and over those that have most arms; and where the recipe is below none."""
    found = {
        setting: {
            arm: runs for arm, runs in comparable(arms).items() if arm in ARMS and not arm.startswith("learned, ")
        }
        for setting, arms in groups.items()
        if setting.protocol == "scratch"
    }
    found = {setting: arms for setting, arms in found.items() if RECIPE in arms}
    most = max(map(len, found.values()), default=0)
    below = []
    for setting in found:
        gains = list(between(groups[setting], RECIPE, "none").values())
        below += [setting.title] if gains and not not_below(statistics.mean(gains), half_width(gains)) else []
    first = f"the mean rank of `{RECIPE}` is the first"
    return [
        rank_target(f"all settings from scratch: {first}", found),
        rank_target(
            f"those with most arms: {first}", {setting: arms for setting, arms in found.items() if len(arms) == most}
        ),
        Target(
            f"all settings from scratch: `{RECIPE}` is nowhere below `none` beyond the interval",
            *([f"below: {', '.join(below) or 'nowhere'}", told(not below)] if found else []),
        ),
    ]


def rank_target(text: str, found: Groups) -> Target:
    """The mean ranks of the arms that all of these settings have."""
    if not found:
        return Target(text)
    ranks: dict[str, list[int]] = {}
    for arms in found.values():
        means = {arm: statistics.mean(run["accuracy"] for run in runs.values()) for arm, runs in arms.items()}
        for arm in means:
            ranks.setdefault(arm, []).append(1 + sum(other > means[arm] for other in means.values()))
    everywhere = {arm: places for arm, places in ranks.items() if len(places) == len(found)}
    by_rank = sorted((statistics.mean(places), arm) for arm, places in everywhere.items())
    shown = ", ".join(f"{arm} {rank:.1f}" for rank, arm in by_rank)
    return Target(text, f"{shown}; {len(found)} settings", told(by_rank[0][1] == RECIPE))


def of_harmed_classes(groups: Groups) -> list[Target]:
    """Classes that a fixed geometry harms: how much of that the learned policy leaves."""
    lines = []
    for setting, arms in sorted(groups.items(), key=lambda item: order(item[0])):
        for fixed in GEOMETRIC:
            harmed = harms(arms, fixed)
            if harmed and LEARNED in arms:
                own = harms(arms, LEARNED, least=-100.0)
                kept = [name for name in harmed if own[name] < harmed[name] / 2]
                text = (
                    f"{setting.title}: classes that `{fixed}` harms by {HARM:g} points: `{LEARNED}` by less than half"
                )
                told_classes = f"{len(kept)} of {len(harmed)} classes; mean harm {statistics.mean(harmed.values()):.1f}"
                measured = f"{told_classes}, learned {statistics.mean(own[name] for name in harmed):.1f}"
                lines.append(Target(text, measured, told(len(kept) == len(harmed))))
    return lines


def harms(arms: Arms, arm: str, least: float = HARM) -> dict[int, float]:
    """By class: by how many points an arm is below none in the mean over shared seeds, where that is ``least``."""
    shared = sorted(set(arms.get(arm, {})) & set(arms.get("none", {})))
    if not shared:
        return {}
    count = len(arms["none"][shared[0]]["by_class"])
    found = {}
    for place in range(count):
        found[place] = 100 * statistics.mean(
            arms["none"][seed]["by_class"][place] - arms[arm][seed]["by_class"][place] for seed in shared
        )
    return {place: harm for place, harm in found.items() if harm >= least}


def of_parts(groups: Groups) -> list[Target]:
    """What parts and rivals make of a difference: no targets, but told with their intervals."""
    lines = []
    for setting, arms in groups.items():
        for what, (arm, other) in PARTS.items():
            gains = list(between(arms, arm, other).values())
            if len(gains) > 1:
                mean, half = statistics.mean(gains), half_width(gains)
                verdict = "a gain" if mean > half else "a cost" if mean < -half else "no difference beyond the interval"
                lines.append(
                    Target(f"{setting.title}: what {what}", f"{interval(gains)} ({len(gains)} seeds)", verdict)
                )
    return lines
