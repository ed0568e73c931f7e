"""What icons are beside their class: several labels per icon, a side or none, and what a mirror makes of a class."""

import torch
from torch import Tensor

from examples.datasets import Images, names_a_side

DIRECTIONS = ("left", "right", "up", "down")
SIDES = {"undo": "left", "redo": "right", "upload": "up", "download": "down"}
KINDS = {
    "arrow": ("arrow", "chevron", "rotate", "undo", "redo", "upload", "download", "login", "logout"),
    "lines": ("align",),
    "sky": ("cloud", "moon", "sun", "star"),
    "paper": ("book", "bookmark", "calendar", "folder", "mail", "tag", "flag"),
    "vehicle": ("car", "truck"),
    "body": ("user", "thumbs", "heart"),
    "device": ("phone", "camera", "battery", "clock", "bell", "play", "pause"),
}
LABELS = (*DIRECTIONS, *KINDS)


def attributes_of(name: str) -> list[bool]:
    """Which of ``LABELS`` a class has: arrow-left is "left" and "arrow"."""
    first, _, last = name.partition("-")
    direction = SIDES.get(name, last if last in DIRECTIONS else None)
    return [direction == one for one in DIRECTIONS] + [first in names or name in names for names in KINDS.values()]


def several_labels(icons: Images) -> Tensor:
    """The attributes of each icon, ``(N, m)`` of 0 and 1."""
    return torch.tensor([attributes_of(name) for name in icons.classes]).float()[icons.labels]


def sided(icons: Images) -> Images:
    """Icons whose class names a side, with the label 1 where that is the right one."""
    chosen = icons.take(icons.names_side().nonzero().flatten())
    right = [SIDES.get(name, name).endswith("right") for name in chosen.classes]
    chosen.labels = torch.tensor(right).long()[chosen.labels]
    return chosen


def mirror_of(name: str) -> str:
    """The class of a mirrored icon: arrow-left becomes arrow-right, and undo redo."""
    pairs = {"undo": "redo", "redo": "undo"}
    if not names_a_side(name):
        return name
    if name in pairs:
        return pairs[name]
    return name.replace("left", "right") if "left" in name else name.replace("right", "left")


def class_mirror(classes: tuple[str, ...]) -> list[int]:
    """What each class becomes in a mirror, as ``label_mirror`` takes it."""
    return [classes.index(mirror_of(name)) for name in classes]


def label_mirror() -> list[int]:
    """Likewise of ``LABELS``: left and right change places."""
    return [1, 0, *range(2, len(LABELS))]
