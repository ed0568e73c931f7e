"""Does a policy help beyond one label per image? Icons: several labels, yes or no, and labels that name a side.

    python -m benchmarks.tasks.run --questions classes "several labels" --size 500 --epochs 60    # resumable
    python -m benchmarks.tasks.run --questions "left or right" --size 200 --epochs 150
    python -m benchmarks.tasks.report                              # the page

A net is trained without augmentation; policies are fitted to it on icons of held-out design sets; then a new net is
trained with each arm from the beginning, for as many epochs. Seeds 0 and 100 are for looking at settings; the page has
the others, at the newest settings of each question.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.v2.functional import horizontal_flip
from tqdm.auto import tqdm

from benchmarks.common.digests import digest
from benchmarks.common.rows import append, has, rows_file
from benchmarks.tasks.attributes import class_mirror, label_mirror, several_labels, sided
from benchmarks.tasks.report import ROWS, SETTINGS
from examples.datasets import Images, count, load
from learned_affine import LearnedAffineAugment
from learned_affine.classifier import SmallConvNet
from learned_affine.diagnostics import FitWarning
from learned_affine.label_map import MappedLabels

RATE, BATCH, HELD_OUT = 3e-3, 64, 400
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # images and labels to augmented images and their labels


@dataclass(frozen=True)
class Question:
    """What is asked of icons.

    Args:
        labels: of the icons, and which of them are used.
        outputs: of the net.
        task: its name for a fit.
        loss: what the net is trained with.
        mirror: what labels become in a mirror.
        measure: from logits, labels and icons to what a row holds.
    """

    labels: Callable[[Images], tuple[Images, Tensor]]
    outputs: int
    task: str
    loss: Callable[[Tensor, Tensor], Tensor]
    mirror: list[int]
    measure: Callable[[Tensor, Tensor, Images], dict[str, float]]


def measure_classes(logits: Tensor, labels: Tensor, icons: Images) -> dict[str, float]:
    """Accuracy of all classes, and of those that name a side."""
    right, side = (logits.argmax(-1) == labels).double(), icons.names_side()
    return {"accuracy": float(right.mean()), "sides": float(right[side].mean())}


def measure_several(logits: Tensor, labels: Tensor, icons: Images) -> dict[str, float]:
    """How often all labels of an icon are right, mean precision, and how often the direction is, where it has one."""
    right, directed = (logits > 0) == (labels > 0), labels[:, :4].any(1)
    precision = [average_precision(logits[:, one], labels[:, one]) for one in range(labels.shape[1])]
    return {
        "accuracy": float(right.all(1).double().mean()),
        "precision": sum(precision) / len(precision),
        "sides": float(right[directed, :4].all(1).double().mean()),
    }


def average_precision(scores: Tensor, labels: Tensor) -> float:
    """The mean over a label's icons of the share of that label among those with a score as high."""
    hits = labels[scores.argsort(descending=True)].double()
    return float((hits * hits.cumsum(0) / torch.arange(1, len(hits) + 1)).sum() / hits.sum())


def measure_side(logits: Tensor, labels: Tensor, icons: Images) -> dict[str, float]:
    """Accuracy; all of them name a side."""
    right = float(((logits[:, 0] > 0).long() == labels).double().mean())
    return {"accuracy": right, "sides": right}


def questions(classes: tuple[str, ...]) -> dict[str, Question]:
    """All of them, by name."""
    several = several_labels(Images(torch.zeros(1), torch.zeros(1).long(), classes)).shape[1]
    bits = F.binary_cross_entropy_with_logits
    return {
        "several labels": Question(
            lambda icons: (icons, several_labels(icons)), several, "multi-label",
            lambda output, labels: bits(output, labels, reduction="none").sum(1).mean(),
            label_mirror(), measure_several,
        ),
        "left or right": Question(
            lambda icons: (sided(icons), sided(icons).labels), 1, "binary",
            lambda output, labels: bits(output[:, 0], labels.float()), [1, 0], measure_side,
        ),
        "classes": Question(
            lambda icons: (icons, icons.labels), len(classes), "single-label", F.cross_entropy,
            class_mirror(classes), measure_classes,
        ),
    }  # fmt: skip


ARMS = ("none", "flip", "flip, label mirror", "learned", "learned, label mirror")


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(1)
    common = {name: getattr(options, name) for name in SETTINGS} | {"code": digest("tasks")}
    for seed in tqdm(options.seeds, desc="seed", disable=None):
        for name in options.questions:
            key = {**common, "question": name, "seed": seed}
            missing = [arm for arm in options.arms if not has(options.out, {**key, "arm": arm})]
            for arm, row in run(name, seed, missing, options).items():
                append(options.out, {**key, "arm": arm, **row})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = list(questions(load("icons", "", False)[0].classes))
    parser.add_argument("--questions", nargs="+", default=names, choices=names, metavar="QUESTION")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--epochs", type=count, default=30)
    parser.add_argument("--size", type=count, default=750, help="icons to train on, at most")
    parser.add_argument("--width", type=count, default=16, help="of the net")
    parser.add_argument("--out", type=rows_file, default=ROWS)
    return parser.parse_args()


def run(name: str, seed: int, arms: list[str], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """A row for each arm that is missing."""
    if not arms:
        return {}
    train, test = load("icons", "", False)
    question = questions(train.classes)[name]
    mine, held_out = train.hold_out(HELD_OUT, seed)
    images, labels = pixels(question, mine)
    batches = loader(images[: options.size], labels[: options.size], shuffle=True)
    base = trained(question, batches, None, seed, options)
    found = {}
    for arm in arms:
        mirror = question.mirror if "label mirror" in arm else None
        held = loader(*pixels(question, held_out))
        augment, told = fit(base, batches, held, question, mirror, seed) if "learned" in arm else (None, {})
        step = step_of(augment, mirror)
        net = base if arm == "none" else trained(question, batches, step, seed, options)
        found[arm] = {"size": len(batches.dataset), **judged(net, question, test), **told}
    return found


def pixels(question: Question, icons: Images) -> tuple[Tensor, Tensor]:
    """Images and labels of a question."""
    own, labels = question.labels(icons)
    return own.images, labels


def loader(images: Tensor, labels: Tensor, shuffle: bool = False) -> DataLoader:
    """Batches of them."""
    return DataLoader(TensorDataset(images, labels), BATCH, shuffle=shuffle)


def fit(
    net: nn.Module, batches: DataLoader, held: DataLoader, question: Question, mirror: list[int] | None, seed: int
) -> tuple[LearnedAffineAugment, dict[str, Any]]:
    """The policy, and what a row tells of it."""
    start = time.perf_counter()
    label_map = None if mirror is None else {"mirror": mirror}
    options = {"val_loader": held, "task": question.task, "label_map": label_map, "padding_mode": "border"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        augment = LearnedAffineAugment.fit(net, batches, seed=seed, progress=False, p=0.8, **options)
    last, info = augment.history.last(), augment.history.info
    told = {name: last[name] for name in ("cost", "budget", "displacement", "symmetry_chance")}
    told |= {name: info[name] for name in ("target", "held_out_cost")}
    return augment, {**told, "fit_seconds": time.perf_counter() - start}


def step_of(augment: LearnedAffineAugment | None, mirror: list[int] | None) -> Step:
    """What an arm does to a batch: by a policy, or by plain flips."""
    if augment is None:
        return lambda images, labels: flipped(images, labels, mirror)
    if mirror is None:
        return lambda images, labels: (augment(images), labels)
    return MappedLabels(augment, {"mirror": mirror})


def flipped(images: Tensor, labels: Tensor, mirror: list[int] | None) -> tuple[Tensor, Tensor]:
    """Each image mirrored half of the time."""
    which = torch.rand(len(images)) < 0.5
    images = torch.where(which[:, None, None, None], horizontal_flip(images), images)
    if mirror is None:
        return images, labels
    other = torch.tensor(mirror)[labels] if labels.ndim == 1 else labels[:, mirror]
    return images, torch.where(which if labels.ndim == 1 else which[:, None], other, labels)


def trained(
    question: Question, batches: DataLoader, step: Step | None, seed: int, options: argparse.Namespace
) -> nn.Module:
    """A net, trained from the beginning by AdamW with a rate that falls along a cosine."""
    torch.manual_seed(seed)
    net = SmallConvNet(question.outputs, 1, options.width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    for _ in range(options.epochs):
        for images, labels in batches:
            images, labels = (images, labels) if step is None else step(images, labels)
            loss = question.loss(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    return net.eval()


@torch.no_grad()
def judged(net: nn.Module, question: Question, test: Images) -> dict[str, float]:
    """What a row holds of a net."""
    own, labels = question.labels(test)
    logits = torch.cat([net(some) for some in own.images.split(500)])
    return question.measure(logits, labels, own)


if __name__ == "__main__":
    main()
