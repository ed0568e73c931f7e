"""The tables of pipelines in docs/evidence/accuracy.md and their picture, from the rows alone.

Run it as ``python -m benchmarks.pipelines.report``.
"""

import math
import statistics
from pathlib import Path
from typing import Any

from benchmarks.common.intervals import differences, half_width, interval
from benchmarks.common.pages import ACCURACY, IMAGES, fill, paragraphs
from benchmarks.common.rows import RESULTS, newest_version, read
from benchmarks.pipelines.arms import ARMS
from benchmarks.pipelines.groups import OTHER, SIDE, Arms, Row, Setting, comparable, grouped
from benchmarks.pipelines.run import code_of, fits

ROWS = RESULTS / "pipelines.jsonl"
PICTURE = IMAGES / "pipelines.png"
PIPELINES = (
    "none",
    "flip + crop",
    "RandAugment",
    "flip + crop + TrivialAugmentWide",
    "flip + crop + colour",
    "learned",
    "learned + colour",
)
SYMMETRIES = ("flip", "all eight symmetries", "learned, symmetries alone", "learned, proposed label map")
TOLD_BY_SIDE = ("none", "RandAugment", "learned", "learned + colour", *SYMMETRIES)
ICONS = Setting("icons", None, "small", 14)
SHOWN = (  # in the order of the page
    ICONS,
    Setting("fashion-mnist", 1000, "small", 40),
    Setting("cifar10", 1000, "resnet", 40),
    Setting("cifar10", 10_000, "resnet", 15),
)
RIVALS = (  # pairs of arms: the first minus the second
    ("learned", "none"),
    ("learned", "flip + crop"),
    ("learned + colour", "flip + crop + TrivialAugmentWide"),
    ("learned + colour", "flip + crop + colour"),
    ("learned + colour", "RandAugment"),
)
BLUE, GREY = "#0072B2", "#777777"
Groups = dict[Setting, Arms]


def main() -> None:
    """Fill the page between its markers; draw the figure."""
    rows, version = valid(read(ROWS))
    groups = grouped(rows)
    drawn = {setting: groups[setting] for setting in SHOWN if setting in groups}
    fill(ACCURACY, "pipelines", paragraphs(results(groups), version))
    fill(ACCURACY, "rivals", paired_table(drawn, {" minus ".join(pair): pair for pair in RIVALS}))
    fill(ACCURACY, "icons", side_table(groups.get(ICONS, {})))
    if rows:
        draw(drawn, PICTURE)
    print(f"written: {ACCURACY}")


def valid(rows: list[Row]) -> tuple[list[Row], str]:
    """The rows of this version of the code, and a sentence on the others: arms that fit a policy have one of theirs."""
    mine, told = [], []
    for name, fitted, code in (
        ("Arms that fit nothing", False, code_of("none")),
        ("Arms that fit a policy", True, code_of("learned")),
    ):
        found, version = newest_version([row for row in rows if fits(row["arm"]) == fitted], code)
        mine += found
        told += [f"{name}: {version[0].lower()}{version[1:]}"] if version else []
    return mine, " ".join(told)


def line(*cells: str) -> str:
    """Of a table."""
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    """The first two lines of a table; all columns but the first have numbers."""
    return [line(*cells), "|---|" + "---:|" * (len(cells) - 1)]


def results(groups: Groups) -> str:
    """Mean accuracy of what one may choose between, a line per setting; the best in bold."""
    named = {
        setting: {arm: groups[setting][arm] for arm in PIPELINES if arm in groups[setting]}
        for setting in SHOWN
        if setting in groups
    }
    found = {setting: comparable(arms) for setting, arms in named.items()}
    found = {setting: arms for setting, arms in found.items() if len(arms) > 1}
    if not found:
        return "Not measured yet."
    shown_arms = [name for name in PIPELINES if any(name in arms for arms in found.values())]
    lines = head("accuracy, %", *shown_arms)
    for setting, arms in found.items():
        seeds = len(next(iter(arms.values())))
        counted = f"{seeds} seeds" if seeds > 1 else "1 seed"
        lines.append(line(f"{setting.what} ({counted})", *(mean_of(arms, arm) for arm in shown_arms)))
    return "\n".join(lines)


def mean_of(arms: Arms, arm: str) -> str:
    """The mean accuracy in percent, bold where it is the best."""
    if arm not in arms:
        return ""
    mean = 100 * statistics.mean(run["accuracy"] for run in arms[arm].values())
    return f"**{mean:.1f}**" if arm == best_arm(arms) else f"{mean:.1f}"


def base_of(arms: Arms) -> str:
    """The arm that gains are measured from."""
    return "none" if "none" in arms else "flip + crop"


def in_order(arms: Arms) -> list[str]:
    """The arms as the code lists them."""
    return [arm for arm in ARMS if arm in arms] + [arm for arm in arms if arm not in ARMS]


def best_arm(arms: Arms) -> str:
    """By its mean accuracy over the seeds that arms share; no arm where they share none."""
    means = {arm: statistics.mean(run["accuracy"] for run in runs.values()) for arm, runs in comparable(arms).items()}
    return max(means, key=lambda arm: means[arm], default="")


def between(arms: Arms, first: str, second: str) -> list[float]:
    """First minus second arm in points, for the seeds that both have."""
    return list(differences(arms.get(first, {}), arms.get(second, {}), "accuracy").values())


def paired_table(groups: Groups, pairs: dict[str, tuple[str, str]]) -> str:
    """The mean paired difference of each pair of arms with its interval, a line per setting, where there are runs."""
    found = {
        setting: {name: interval(gains) for name, pair in pairs.items() if (gains := between(arms, *pair))}
        for setting, arms in groups.items()
    }
    shown = [name for name in pairs if any(name in gains for gains in found.values())]
    if not shown:
        return "Not measured with this version."
    lines = head("points of accuracy", *shown)
    lines += [line(setting.what, *(gains.get(name, "") for name in shown)) for setting, gains in found.items() if gains]
    return "\n".join(lines)


def side_table(arms: Arms) -> str:
    """Mean accuracy of the classes that name a side and of the others, a line an arm; what all gain over none."""
    lines = head("icons, accuracy in %", SIDE, OTHER, f"{SIDE}, minus none", "all, minus none")
    paired = comparable({arm: arms[arm] for arm in in_order(arms) if arm in TOLD_BY_SIDE})
    for arm, runs in paired.items():
        means = (statistics.mean(100 * run[group] for run in runs.values()) for group in (SIDE, OTHER))
        gains = (list(differences(runs, paired.get("none", {}), key).values()) for key in (SIDE, "accuracy"))
        gained = ("" if arm == "none" or not own else interval(own, 1) for own in gains)
        lines.append(line(arm, *(f"{mean:.1f}" for mean in means), *gained))
    return "\n".join(lines)


def draw(groups: Groups, path: Path) -> None:
    """Paired gains with their intervals, a panel a setting; narrow, so that a telephone shows it as it is."""
    from matplotlib.figure import Figure

    shown_groups = {setting: gains_of(arms) for setting, arms in groups.items()}
    shown_groups = {setting: gains for setting, gains in shown_groups.items() if gains}
    if not shown_groups:
        return
    heights = [len(gains) + 2.2 for gains in shown_groups.values()]
    figure = Figure(figsize=(3.9, 0.25 * sum(heights)), layout="constrained", facecolor="white")
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (setting, gains) in zip(axes, shown_groups.items(), strict=True):
        draw_panel(axis, gains, base_of(groups[setting]))
        axis.set_title(f"{setting.what}\n{setting.how}", fontsize=8)
    figure.savefig(path, dpi=200)


def gains_of(arms: Arms) -> dict[str, list[float]]:
    """By arm the paired gains over the base."""
    base = base_of(arms)
    shown_arms = [arm for arm in in_order(arms) if arm != base and arm not in SYMMETRIES[1:]]
    found = {arm: between(arms, arm, base) for arm in shown_arms}
    return {arm: gains for arm, gains in found.items() if gains}


def draw_panel(axis: Any, gains: dict[str, list[float]], base: str) -> None:
    """A dot an arm, with its interval where there are several seeds."""
    for place, (arm, values) in enumerate(gains.items()):
        mean, half = statistics.mean(values), half_width(values)
        colour = BLUE if arm.startswith("learned") else GREY
        axis.errorbar(mean, place, xerr=half if math.isfinite(half) else None, fmt="o", color=colour, markersize=4)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(gains)), [arm.replace(" + Trivial", " +\nTrivial") for arm in gains], fontsize=7)
    axis.set_ylim(len(gains) - 0.5, -0.5)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlabel(f"points of accuracy over {base}", fontsize=7)
    axis.grid(axis="x", alpha=0.3)


if __name__ == "__main__":
    main()
