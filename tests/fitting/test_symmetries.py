"""What symmetries cost, image by image and class by class: by hand, and by torchvision's own moves."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tv

from learned_affine import LearnedAffineAugment
from learned_affine.fitting.judge import Judge
from learned_affine.fitting.pool import Pool, Reservoir
from learned_affine.fitting.processes import Processes
from learned_affine.fitting.symmetries import (
    FREE,
    SymmetryCosts,
    class_means,
    class_table,
    judge_symmetries,
    recognised_as,
    shrunk,
)
from learned_affine.policy.costs import MOST
from learned_affine.policy.distribution import Policy
from learned_affine.tasks.model import Model
from tests.fits import IMAGES, LABELS
from tests.subjects import Halves

ALL = tuple(range(8))


def found(cost, classes, held_out=None, answer=None) -> SymmetryCosts:
    """Costs ``(N, 8)`` as judged, of images of some classes."""
    count = len(cost)
    answer = torch.full((count, 8), -1) if answer is None else answer
    rows = torch.arange(count)
    return SymmetryCosts(rows, held_out or count, cost, rows, cost, answer, torch.tensor(classes), ALL, 0.1)


def policy(chances: torch.Tensor) -> Policy:
    return Policy(torch.zeros(len(chances), 6), torch.ones(len(chances), 6), chances, ALL)


# -- as judged --------------------------------------------------------------------------------------------------------


def kept(images, labels) -> Reservoir:
    reservoir = Reservoir(0, 1000)
    for _ in reservoir.watch([(images, labels)]):
        pass
    return reservoir


@pytest.fixture(scope="module")
def judged() -> SymmetryCosts:
    """40 of 48 held-out images and 8 of 16 training images, of which resampling would take something off."""
    pool = Pool(kept(IMAGES[:48], LABELS[:48]), kept(IMAGES[48:], LABELS[48:]))
    judge = Judge(LearnedAffineAugment(), Model(Halves(4.0)), pool, Processes(), torch.device("cpu"), resampling=0.3)
    rows = torch.cat([torch.arange(40), torch.arange(50, 58)])
    return judge_symmetries(judge, rows, 40, (0, 2, 4, 5, 6), 0.8)


def moved(images: torch.Tensor, code: int) -> torch.Tensor:
    return tv.rotate(tv.horizontal_flip(images) if code >= 4 else images, -90 * (code % 4))


def test_each_allowed_symmetry_is_judged_as_torchvision_moves(judged):
    images, labels = IMAGES[judged.rows], LABELS[judged.rows]
    plain = F.cross_entropy(Halves(4.0)(images), labels, reduction="none")
    for code in (2, 4, 5, 6):
        logits = Halves(4.0)(moved(images, code)).detach()
        expected = F.cross_entropy(logits, labels, reduction="none") - plain.detach()
        torch.testing.assert_close(judged.cost[:, code], expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(judged.answer[:, code], logits.argmax(1))
    assert not judged.cost[:, [0, 1, 3, 7]].any() and judged.free == FREE * 0.8


def test_images_that_were_not_judged_are_learned_by_their_class(judged):
    assert sorted(judged.learned.tolist()) == [*range(64)] and judged.target.shape == (64, 8)
    others = judged.learned[48:]
    for one in (0, 1):
        target = judged.target[48:][LABELS[others] == one]
        assert float(target.std(0).max()) < 1e-6 and float(target[0, 4]) > 2


def test_what_symmetries_are_expected_to_cost(judged):
    chances = torch.rand(40, 8, generator=torch.Generator().manual_seed(0)).softmax(-1)
    expected = sum(float(chances[row] @ judged.cost[row].clamp_max(MOST)) for row in range(40)) / 40
    assert judged.expected(policy(chances)) == pytest.approx(expected, rel=1e-5)


# -- class by class ---------------------------------------------------------------------------------------------------


def test_the_mean_of_a_class_by_hand():
    """Two held-out images count twice, a training image once, and all images as two."""
    cost = torch.tensor([1.0, 2.0, 4.0, 10.0])[:, None].expand(4, 8)
    means = class_means(cost, torch.tensor([0, 0, 0, 1]), 2)
    everything = (2 * 1 + 2 * 2 + 4 + 10) / 6
    assert set(means) == {0, 1}
    torch.testing.assert_close(means[0], torch.full((8,), (2 * 1 + 2 * 2 + 4 + 2 * everything) / 7))
    torch.testing.assert_close(means[1], torch.full((8,), (10 + 2 * everything) / 3))


def test_an_image_is_drawn_to_its_class_by_hand():
    cost, means = torch.tensor([[1.0], [5.0]]).expand(2, 8), {3: torch.full((8,), 2.0)}
    expected = torch.tensor([[0.3 * 1 + 0.7 * 2], [5.0]]).expand(2, 8)
    torch.testing.assert_close(shrunk(cost, torch.tensor([3, -1]), means), expected)


def test_without_classes_nothing_is_drawn_anywhere():
    cost = torch.rand(5, 8)
    means = class_means(cost, torch.full((5,), -1), 5)
    assert means == {} and torch.equal(shrunk(cost, torch.full((5,), -1), means), cost)


# -- what is told -----------------------------------------------------------------------------------------------------


def test_the_table_by_hand():
    """Six held-out images of class 7, four of class 1, which are too few, and training images, which do not count."""
    cost, answer = torch.zeros(20, 8), torch.zeros(20, 8).long()
    cost[:6, 4], answer[:6, 4] = torch.tensor([1.0, 1, 1, 2, 2, 2]), torch.tensor([7, 7, 3, 3, 3, 3])
    chances, plain = torch.zeros(20, 8), torch.full((20,), 7)
    chances[:, 0], chances[:3, 4], plain[0] = 0.5, 0.5, 2
    (row,) = class_table(found(cost, [7] * 6 + [1] * 4 + [7] * 10, 10, answer), policy(chances), plain)
    assert row["class"] == 7 and row["images"] == 6
    assert row["chance"][:5] == pytest.approx([0.5, 0, 0, 0, 0.25])
    assert row["cost"][4] == pytest.approx(1.5) and row["harm"][4] == pytest.approx(0.25)
    assert row["right"][0] == pytest.approx(5 / 6, abs=1e-4) and row["right"][4] == pytest.approx(1 / 3, abs=1e-4)


def test_what_moved_images_are_taken_for_by_hand():
    answer = torch.zeros(16, 8).long()
    answer[:6, 1] = torch.tensor([2, 2, 2, 2, 0, 1])
    answer[6:11, 1] = -1  # where the answer is no class
    classes = [0] * 6 + [1] * 5 + [2] * 5
    assert recognised_as(found(torch.zeros(16, 8), classes, None, answer), 1) == {0: (2, 4 / 6), 2: (0, 1.0)}
