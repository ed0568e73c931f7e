"""docs/pretrained.md and its pictures, from the shipped files and committed rows.

    python -m benchmarks.transfer.report
    python -m benchmarks.transfer.report --again CIFAR10_V1 FILE "two threads"    # compares another run first

Nothing is trained.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import torch

from benchmarks.common.intervals import paired, spread
from benchmarks.common.pages import DOCS, IMAGES, ROOT, fill
from benchmarks.common.rows import RESULTS, read
from benchmarks.transfer.run import BASE, EPOCHS, HOMES, ROWS, SETTINGS, TEST, TRAIN, digest
from learned_affine import LearnedAffineAugment, LearnedAffineAugment_Weights
from learned_affine.plots import plot_before_after
from learned_affine.weights import describe  # private: ``meta`` has neither limits nor arguments

PAGE = DOCS / "pretrained.md"
DATA = ROOT / "examples" / "data"
AGAIN = RESULTS / "recipes.jsonl"
UNITS = {"angle": "°", "shear": "°", "translate_x": " of the width", "translate_y": " of the height"}


def main() -> None:
    """Compare if asked to, then fill and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", nargs=3, metavar=("POLICY", "FILE", "HOW"))
    again = parser.parse_args().again
    if again:
        with AGAIN.open("a") as file:
            file.write(json.dumps(compare(*again)) + "\n")
    members = list(LearnedAffineAugment_Weights)
    for member in members:
        fill(PAGE, member.name, card(member))
        plot_before_after(LearnedAffineAugment.from_pretrained(member), pictures(member), picture(member))
    fill(PAGE, "transfer", transfer(members))
    print(f"written: {PAGE}")


def rows(path: Path = ROWS) -> list[dict]:
    """Committed rows, those of other policies than the shipped ones left out."""
    return [row for row in read(path) if "policy" not in row or row["digest"] == digest(row["policy"])]


def picture(member: LearnedAffineAugment_Weights) -> Path:
    """Where a policy's picture is."""
    return IMAGES / f"policy_{member.name.lower()}.png"


def pictures(member: LearnedAffineAugment_Weights) -> torch.Tensor:
    """Images that we may show: of Fashion-MNIST, and of photographs in the public domain."""
    if member.meta["channels"] == 3:
        pixels = np.load(DATA / "photos_mini.npz")["images"]
    else:
        arrays = np.load(DATA / "fashion_mini.npz")
        first = [int(np.flatnonzero(arrays["test_labels"] == label)[0]) for label in range(10)]
        pixels = arrays["test_images"][first][:, None]
    return torch.from_numpy(pixels).float() / 255


def card(member: LearnedAffineAugment_Weights) -> str:
    """The card of one policy."""
    meta, described = member.meta, describe(member)
    facts = {
        "fitted on": meta["data"],
        "to the classifier": f"{meta['classifier']}; accuracy {meta['measured']['classifier_test_accuracy']:.1%}",
        "recipe": f"`{meta['recipe']}`",
        "seed": meta["seed"],
        "versions": ", ".join(f"{name} {version}" for name, version in meta["versions"].items()),
        "licence of the weights": meta["licence"],
        "file": f"`{member.url}`, {member.path.stat().st_size / 1e3:.0f} kB, {meta['num_params']:,} parameters",
        "as loaded": ", ".join(f"`{name}={value!r}`" for name, value in described["arguments"].items()),
    }
    lines = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(
        [
            *["| | |", "|---|---|", *lines, ""],
            ranges(meta["ranges"], described["limits"]),
            *mirrors(meta.get("mirror_by_class")),
            measured(meta["measured"]),
            accuracy(member.name),
            reproduced(member.name),
        ]
    ).strip()


def ranges(found: dict[str, list[float]], limits: dict[str, float]) -> str:
    """What is drawn, parameter by parameter."""
    head = "| parameter | may reach | 5 % of draws below | half below | 95 % below |\n|---|---|---|---|---|"
    lines = []
    for name, values in found.items():
        limit = limits[name.split("_")[0]]
        reach = f"{1 / limit:.2f} to {limit:g}" if name.startswith("scale") else f"±{limit:g}{UNITS[name]}"
        lines.append(f"| `{name}` | {reach} | " + " | ".join(f"{value:.3g}" for value in values) + " |")
    return "\n".join([head, *lines, ""])


def mirrors(found: dict[str, float] | None) -> list[str]:
    """How often held-out images of each class are flipped, the least often first; nothing of a policy of before."""
    if found is None:
        return []
    told = (f"{name} {chance:.0%}" for name, chance in sorted(found.items(), key=lambda pair: pair[1]))
    return [f"Chance of a left-right flip by class, the mean over held-out images: {', '.join(told)}.\n"]


def measured(found: dict[str, float]) -> str:
    """What it does to the classifier that it was fitted to."""
    return (
        f"On 2,000 images that the classifier was not trained on, every one of them warped: accuracy "
        f"{found['clean_accuracy']:.1%} before and {found['accuracy']:.1%} after, the prediction kept on "
        f"{found['agreement']:.1%}, entropy {found['clean_entropy']:.2f} and {found['entropy']:.2f} bits, corners "
        f"moved by {found['displacement']:.1%} of the side, {found['visible_area']:.0%} of the image visible.\n"
    )


def accuracy(policy: str) -> str:
    """With, without, and with uniform warps within the same limits."""
    arms = {arm: runs_of(policy, "home", arm) for arm in ("none", "uniform", "policy")}
    titles = {"none": "no augmentation", "uniform": "uniform within its limits", "policy": "this policy"}
    lines = ["| trained with | seeds | test accuracy % | minus none | cross entropy |", "|---|---|---|---|---|"]
    for arm, runs in arms.items():
        if runs:
            gain = paired(runs, arms["none"]) if arm != "none" else ""
            lines.append(f"| {titles[arm]} | {len(runs)} | {spread(runs, 'clean')} | {gain} | {nats(runs)} |")
    told = (
        f"SmallConvNet from scratch on {TRAIN} images of the same data, {EPOCHS} epochs, accuracy and cross entropy "
        f"(nats) of the last on {TEST:,} test images; ± is the standard deviation, and the half-width of the 95 % "
        "interval of the paired difference.\n"
    )
    return "\n".join([*lines, "", told])


def runs_of(policy: str, setting: str, arm: str) -> dict[int, dict]:
    """The runs of an arm by seed; those without a policy are of the data alone."""
    abroad = [data for data in HOMES.values() if data != HOMES[policy]]
    wanted = {"setting": setting, "arm": arm, "data": HOMES[policy] if setting != "abroad" else abroad[0]}
    wanted |= {"policy": policy} if arm == "policy" else {}
    return {
        row["seed"]: {"clean": row["accuracy"], "nats": row["cross_entropy"]}
        for row in rows()
        if wanted.items() <= row.items()
    }


def nats(runs: dict[int, dict]) -> str:
    """Mean cross entropy on the test images, in nats."""
    return f"{statistics.mean(run['nats'] for run in runs.values()):.3f}" if runs else ""


def transfer(members: list[LearnedAffineAugment_Weights]) -> str:
    """One line a policy and setting."""
    lines = [
        "| policy | used | seeds | without % | with % | difference | cross entropy |",
        "|---|---|---|---|---|---|---|",
    ]
    for member in members:
        for name, setting in SETTINGS.items():
            runs = runs_of(member.name, name, "policy")
            base = runs_of(member.name, BASE.get(name, name), "none")
            if name == "abroad":  # compared to what those images are learned to without
                other = next(policy for policy, data in HOMES.items() if data != HOMES[member.name])
                base = runs_of(other, "home", "none")
            base = {seed: run for seed, run in base.items() if seed in runs}
            if runs:
                numbers = f"{spread(base, 'clean')} | {spread(runs, 'clean')} | {paired(runs, base)}"
                numbers += f" | {nats(base)} → {nats(runs)}"
                lines.append(f"| {member.name} | {setting.title} | {len(runs)} | {numbers} |")
    seconds = [row["seconds"] for row in rows()]
    told = (
        f"Trained as above; {len(seconds)} runs in all, {statistics.median(seconds):.0f} s each in the median, on one "
        "of 2 CPU cores that other jobs used, too."
    )
    return "\n".join([*lines, "", told])


@torch.no_grad()
def compare(policy: str, path: str, how: str) -> dict:
    """Another run of a recipe beside the shipped file."""
    member = LearnedAffineAugment_Weights.verify(policy)
    one, two = (LearnedAffineAugment.from_pretrained(source) for source in (member, path))
    states = (augment.localization.state_dict() for augment in (one, two))
    largest = max(float((a - b).abs().max()) for a, b in zip(*(state.values() for state in states), strict=True))
    drawn = []
    for augment in (one, two):
        torch.manual_seed(0)
        drawn.append(augment.sample_parameters(pictures(member)).stacked() / torch.tensor(augment.limits.extent()))
    off = (drawn[0] - drawn[1]).abs()
    return {
        "policy": policy,
        "digest": digest(policy),
        "how": how,
        "same_bytes": Path(path).read_bytes() == member.path.read_bytes(),
        "largest_weight_difference": largest,
        "mean_draw_difference": float(off.mean()),
        "largest_draw_difference": float(off.max()),
    }


def reproduced(policy: str) -> str:
    """How another run of the recipe came out."""
    lines = []
    for row in rows(AGAIN):
        if row["policy"] == policy and row["same_bytes"]:
            lines.append(f"{row['how']}: the same file, byte for byte")
        elif row["policy"] == policy:
            lines.append(
                f"{row['how']}: weights off by up to {row['largest_weight_difference']:.2g}, draws for the images "
                f"above by {row['mean_draw_difference']:.0%} of a limit in the mean, "
                f"{row['largest_draw_difference']:.0%} at most"
            )
    return f"The recipe run again, {'; '.join(lines)}.\n" if lines else "The recipe has not been run again.\n"


if __name__ == "__main__":
    main()
