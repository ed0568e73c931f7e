"""docs/evidence/collapse.md's table and figures, from the rows alone.

Run it as ``python -m benchmarks.collapse.report``.
"""

import math
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.collapse.images import images_of
from benchmarks.common.digests import digest
from benchmarks.common.intervals import about
from benchmarks.common.pages import EVIDENCE, IMAGES, LEFT, LEFT_TOLD, fill
from benchmarks.common.rows import RESULTS, newest_version, read
from learned_affine import AffineParameters, LearnedAffineAugment

ROWS = RESULTS / "collapse.jsonl"
PAGE = EVIDENCE / "collapse.md"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
READINGS = ("printed", "sign corrected", "adversarial term alone", "+ bounded head")
REMEDIES = ("+ randomness", "+ entropy target", "+ KL floor", "calibrated (default)")
PANELS = (
    ("displacement", "mean displacement, share of the side"),
    ("entropy", "entropy, bits"),
    ("agreement", "agreement with clean prediction"),
    ("visible_area", "visible area"),
    ("discriminator_loss", "discriminator's loss, nats"),
)
OLD_ARMS = (  # whose code has left: commit 278965f has it
    "+ bounded head",
    "+ randomness",
    "+ entropy target",
    "+ KL floor",
    "+ KL floor, no discriminator",
    "+ KL floor, discriminator shown warped originals",
    "calibrated, pathwise, with discriminator",
    "calibrated, pathwise",
    "calibrated, held on training images",
)
ARMS = (
    "printed",
    "printed, no discriminator",
    "adversarial term alone",
    "sign corrected",
    "sign corrected, no discriminator",
    *OLD_ARMS,
    "calibrated (default), with discriminator",
    "calibrated (default)",
)
SETTING = ("data", "size", "width", "stage_1_epochs", "epochs")
Rows = dict[str, list[dict[str, Any]]]  # of each arm, by seed


def main() -> None:
    """Fill the page between its markers; draw the figures."""
    rows, told = newest_version(read(ROWS), digest("collapse"))
    if not rows:
        fill(PAGE, "collapse", "Not run at full size yet.")
        return
    last = {name: rows[-1][name] for name in SETTING}
    mine = sorted((row for row in rows if last.items() <= row.items()), key=lambda row: row["seed"])
    found: Rows = {arm: [row for row in mine if row["arm"] == arm] for arm in ARMS}
    arms = {arm: runs for arm, runs in found.items() if runs}
    text = [table(arms), "", LEFT_TOLD, "", sentence(mine), told, ""]
    text += ["![What each arm does over the epochs](../images/collapse_curves.png)", ""]
    text += ["![Losses of augmenter and discriminator, the paper's Figure 2](../images/collapse_losses.png)"]
    draw_curves(arms, IMAGES / "collapse_curves.png")
    draw_losses(arms, IMAGES / "collapse_losses.png")
    if last["data"] == "fashion-mini":
        text += ["", "![Before and after, the paper's Figure 3](../images/collapse_images.png)"]
        draw_images(arms, IMAGES / "collapse_images.png")
    fill(PAGE, "collapse", "\n".join(text))
    print(f"written: {PAGE}")


def table(arms: Rows) -> str:
    """One line an arm: what became of the training images at the end."""
    lines = [
        "| arm | displacement % | entropy, bits | agreement % | visible area % | CE, nats | D's loss | warned of |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm, runs in arms.items():
        scores = [row["curves"]["discriminator_loss"][-1] for row in runs]
        warned = sorted({name.removesuffix("Warning") for row in runs for name in row["warned"]})
        cells = [
            about([100 * row["displacement"] for row in runs], 2),
            about([row["entropy"] for row in runs], 3),
            about([100 * row["agreement"] for row in runs], 1),
            about([100 * row["visible_area"] for row in runs], 0),
            about([row["cross_entropy"] for row in runs], 3),
            "" if None in scores else about(scores, 3),
            ", ".join(warned),
        ]
        lines.append(f"| {arm}{f' {LEFT}' if arm in OLD_ARMS else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sentence(rows: list[dict[str, Any]]) -> str:
    """What the runs have in common."""
    row, seeds = rows[0], sorted({row["seed"] for row in rows})
    surprise, entropy = (about([row[name] for row in rows], 3) for name in ("clean_cross_entropy", "clean_entropy"))
    return (
        f"{row['data']}, {row['size']:,} training images, small CNN of width {row['width']} trained for "
        f"{row['stage_1_epochs']} epochs, after which the training images have a cross entropy of "
        f"{surprise} nats and an entropy of {entropy} bits; {row['epochs']} epochs of stage 2; "
        f"seeds {', '.join(map(str, seeds))}, mean ± standard deviation; 2 CPU cores."
    )


def curve(runs: list[dict[str, Any]], key: str) -> list[float]:
    """The mean over the seeds, epoch by epoch; NaN where a run has no such number."""
    epochs = zip(*(run["curves"][key] for run in runs), strict=False)
    return [math.nan if None in values else statistics.mean(values) for values in epochs]


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return figure, figure.subplots(rows, columns, squeeze=False)


def draw_curves(arms: Rows, path: Path) -> None:
    """What each arm does over the epochs: the paper's readings above, the remedies below."""
    figure, axes = _figure(2, len(PANELS), 14, 5.4)
    for line, names in zip(axes, (READINGS, REMEDIES), strict=True):
        for axis, (key, title) in zip(line, PANELS, strict=True):
            for name, colour, style in zip(names, (BLUE, ORANGE, GREEN, PURPLE), ("-", "--", ":", "-."), strict=True):
                values = curve(arms[name], key) if name in arms else []
                if not all(map(math.isnan, values)):
                    axis.plot(range(1, len(values) + 1), values, style, color=colour, label=name)
            axis.set_title(title, fontsize=8)
            axis.set_xlabel("epoch", fontsize=8)
            axis.grid(alpha=0.3)
        if line[0].lines:
            line[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def draw_losses(arms: Rows, path: Path) -> None:
    """The paper's Figure 2: the losses of augmenter and discriminator, on training and on held-out images."""
    names = [name for name in ("printed", "sign corrected", "calibrated (default)") if name in arms]
    figure, axes = _figure(1, max(len(names), 1), 4 * max(len(names), 1), 3)
    for axis, name in zip(axes[0], names, strict=False):
        for key, colour, style, label in (
            ("loss", BLUE, "-", "augmenter"),
            ("val_loss", BLUE, ":", "augmenter, unseen"),
            ("discriminator_loss", ORANGE, "-", "discriminator"),
            ("val_discriminator_loss", ORANGE, ":", "discriminator, unseen"),
        ):
            values = curve(arms[name], key)
            axis.plot(range(1, len(values) + 1), values, style, color=colour, label=label)
        axis.set(title=name, xlabel="epoch", ylabel="nats")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def draw_images(arms: Rows, path: Path) -> None:
    """The paper's Figure 3: the first training images above, what each arm makes of them below."""
    first = {name: arms[name][0] for name in (*READINGS, *REMEDIES) if name in arms}  # of each arm's runs
    row = next(iter(first.values()))
    images = images_of("fashion-mini", "", False, len(row["shown"]), row["seed"])[0].images
    augment = LearnedAffineAugment(padding_mode="zeros")
    figure, axes = _figure(len(first) + 1, len(images), len(images), len(first) + 1.2)
    rows = {"images": images}
    for name, run in first.items():
        rows[name] = augment.warp(images, AffineParameters(*torch.tensor(run["shown"]).unbind(-1)))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture[0].numpy(), cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name, fontsize=7, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
