"""What symmetries make of each class, and what it is then taken for: tables counted by hand."""

import pytest
import torch

from learned_affine.fitting.symmetries import SymmetryCosts, class_table, recognised_as
from learned_affine.policy.distribution import Policy

CLASSES = torch.tensor([0] * 5 + [1] * 4 + [2] * 2 + [0])  # the last image is one of training
HELD = 11


def costs(answers: list[int], sure: list[float], **options) -> SymmetryCosts:
    """All images are recognised as they are, by 0.8; flipped, they get these answers."""
    count = len(CLASSES)
    answer, probability = CLASSES[:, None].repeat(1, 8), torch.full((count, 8), 0.8)
    answer[:, 4], probability[:, 4] = torch.tensor(answers), torch.tensor(sure)
    right = (answer == CLASSES[:, None]).float()
    rows, cost = torch.arange(count), torch.zeros(count, 8)
    cost[:, 4] = torch.arange(count) / 10
    return SymmetryCosts(rows, HELD, cost, rows, cost, answer, probability, CLASSES, tuple(range(8)), 0.1, right)


def test_what_moved_images_are_taken_for():
    """Of class 0 four in five become class 1, by 0.6 each; of class 1 all become class 2, of which two are known."""
    found = recognised_as(costs([1, 1, 1, 1, 0] + [2] * 4 + [0, 0] + [2], [0.6] * 5 + [0.4] * 7), 4)
    assert found[0] == (1, 0.8, pytest.approx(4 * 0.6 / 5 / 0.8))
    assert found[1] == (2, 1.0, pytest.approx(0.4 / 0.8))
    assert list(found) == [0, 1]  # two images of class 2 are too few


def test_nothing_is_sure_where_the_other_class_is_not_known():
    assert recognised_as(costs([3] * 12, [0.9] * 12), 4)[0] == (3, 1.0, 0.0)


def test_the_table_has_classes_with_enough_held_out_images():
    one = costs([0, 0, 0, 1, 1] + [1] * 7, [0.5] * 12)
    chances = torch.full((12, 8), 0.125)
    chances[:5, 4] = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    (row,) = class_table(one, Policy(torch.zeros(12, 6), torch.ones(12, 6), chances, tuple(range(8))))
    assert (row["class"], row["images"]) == (0, 5)
    assert row["right"] == [1, 1, 1, 1, 0.6, 1, 1, 1]
    assert (row["chance"][4], row["cost"][4]) == (pytest.approx(0.3), pytest.approx(0.2))
    assert row["harm"][4] == pytest.approx((0.1 * 0.2 + 0.2 * 0.3 + 0.3 * 0.4 + 0.4 * 0.5) / 5, abs=1e-4)
