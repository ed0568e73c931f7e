"""The rows of the pipelines by setting, arm and seed, with accuracies of single classes and of groups of classes."""

import functools
from typing import Any, NamedTuple

import numpy as np
from torchvision import datasets

from benchmarks.common.intervals import Runs
from examples.datasets import load, names_a_side

Row = dict[str, Any]
Arms = dict[str, Runs]  # of one setting
SIDE, OTHER = "classes that name a side", "other classes"
DATA = ("icons", "fashion-mnist", "cifar10")  # in the order in which they are shown; others come after
NAMES = {
    "icons": "icons",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
}
MODELS = {"small": "small CNN", "resnet": "ResNet-8"}


class Setting(NamedTuple):
    """What the runs that may be compared have in common; ``size`` is None for all but the held-out ones."""

    data: str
    size: int | None
    model: str
    epochs: int

    @property
    def images(self) -> str:
        """How many there are to train on."""
        return f"{self.size:,} images" if self.size else "3,700 images" if self.data == "icons" else "all images"

    @property
    def what(self) -> str:
        """What is trained on what."""
        return f"{NAMES.get(self.data, self.data)}, {self.images}, {MODELS[self.model]}"

    @property
    def how(self) -> str:
        """How long it is trained."""
        return f"{2 * self.epochs} epochs"


def grouped(rows: list[Row]) -> dict[Setting, Arms]:
    """Rows by setting, then by arm and seed."""
    found: dict[Setting, Arms] = {}
    for row in rows:
        setting = Setting(*(row[name] for name in Setting._fields))
        found.setdefault(setting, {}).setdefault(row["arm"], {})[row["seed"]] = {**row, **of_classes(row)}
    return dict(sorted(found.items(), key=lambda item: order(item[0])))


def order(setting: Setting) -> tuple[int, str, int, bool]:
    """By data, size and model."""
    place = DATA.index(setting.data) if setting.data in DATA else len(DATA)
    return place, setting.data, setting.size or 0, setting.model != "small"


def comparable(arms: Arms) -> Arms:
    """The arms that have half as many seeds as any, or more, each with the seeds that all of these share."""
    most = max(map(len, arms.values()), default=0)
    taken = {arm: runs for arm, runs in arms.items() if 2 * len(runs) >= most}
    shared = set.intersection(*map(set, taken.values())) if taken else set()
    return {arm: {seed: runs[seed] for seed in sorted(shared)} for arm, runs in taken.items() if shared}


@functools.cache
def classes(data: str) -> dict[str, int]:
    """The classes that are known by name, in their order, and how many test images each has."""
    if data == "icons":
        test = load("icons", "", download=False)[1]
        return dict(zip(test.classes, np.bincount(test.labels, minlength=len(test.classes)).tolist(), strict=True))
    return dict.fromkeys(datasets.FashionMNIST.classes, 1000) if data == "fashion-mnist" else {}


def of_classes(row: Row) -> dict[str, float]:
    """Accuracy of each class that is known by name, and of icons that of both groups, over images."""
    known = classes(row["data"])
    found = dict(zip(known, row["by_class"], strict=True)) if known else {}
    if row["data"] != "icons":
        return found
    groups = {SIDE: [name for name in known if names_a_side(name)]}
    groups[OTHER] = [name for name in known if name not in groups[SIDE]]
    return found | {
        group: sum(known[name] * found[name] for name in names) / sum(known[name] for name in names)
        for group, names in groups.items()
    }
