"""The questions of benchmarks/tasks: what a mirror makes of a class, and measures by hand."""

import pytest
import torch

from benchmarks.tasks.attributes import LABELS, attributes_of, label_mirror, mirror_of
from benchmarks.tasks.run import average_precision, flipped
from examples.datasets import load

ICONS = load("icons", "", False)[1]


def test_attributes_go_with_the_mirror():
    """The attributes of a mirrored class are the mirrored attributes."""
    for name in ICONS.classes:
        own = attributes_of(name)
        assert attributes_of(mirror_of(name)) == [own[one] for one in label_mirror()], name
    assert {LABELS[row] for row, has in enumerate(attributes_of("arrow-left")) if has} == {"left", "arrow"}
    assert not any(attributes_of("minus"))


def test_average_precision_by_hand():
    """In order of their scores: hit, miss, hit. Precision 1 at the first hit, 2/3 at the second."""
    assert average_precision(torch.tensor([0.3, 0.9, 0.5]), torch.tensor([1.0, 1.0, 0.0])) == pytest.approx(5 / 6)


@pytest.mark.parametrize("mirror", [None, [1, 0, 2]])
def test_flips_rename_what_they_mirror(mirror):
    torch.manual_seed(0)
    images, labels = torch.rand(40, 1, 4, 4), torch.arange(40) % 3
    moved, new = flipped(images, labels, mirror)
    mirrored = (moved != images).flatten(1).any(1)
    assert torch.equal(moved[mirrored], images[mirrored].flip(-1)) and 5 < int(mirrored.sum()) < 35
    renamed = labels if mirror is None else torch.where(mirrored, torch.tensor([1, 0, 2])[labels], labels)
    assert torch.equal(new, renamed)
