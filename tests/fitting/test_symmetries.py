"""What symmetries cost, image by image and class by class: by hand, and by torch's own moves."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from learned_affine.fitting.judge import Judge
from learned_affine.fitting.symmetries import (
    SymmetryCosts,
    class_means,
    class_table,
    evenly,
    judge_symmetries,
    recognised_as,
    shrunk,
    try_symmetries,
)
from learned_affine.policy.costs import Costs
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.tasks.classification import OwnLoss
from learned_affine.tasks.model import Model
from learned_affine.tasks.pool import Pool
from tests.fits import IMAGES, LABELS, judge_of, kept
from tests.geometry.matrices import rearranged
from tests.subjects import Halves

ALL = tuple(range(8))


def found(classes, held_out: int, cost=None, answer=None, sure=None) -> SymmetryCosts:
    """Judgements ``(N, 8)`` of images of some classes."""
    rows, classes = torch.arange(len(classes)), torch.tensor(classes)
    cost, sure = (torch.zeros(len(rows), 8) if one is None else one for one in (cost, sure))
    answer = torch.full((len(rows), 8), -1) if answer is None else answer
    right = (answer == classes[:, None]).float()
    members = F.one_hot(classes.clamp_min(0)).bool()
    return SymmetryCosts(rows, held_out, cost, cost, answer, sure, classes, members, ALL, right)


def policy(chances: torch.Tensor) -> Policy:
    return Policy(torch.zeros(len(chances), 6), torch.ones(len(chances), 6), chances, ALL)


POOL = Pool(kept((IMAGES[:48], LABELS[:48])), kept((IMAGES[48:], LABELS[48:])))


@pytest.fixture(scope="module")
def judged() -> SymmetryCosts:
    """40 of 48 held-out images and 8 of 16 training images, of which resampling would take something off."""
    rows = torch.cat([torch.arange(40), torch.arange(50, 58)])
    return judge_symmetries(judge_of(POOL, Model(Halves(4.0)), resampling=0.3), rows, 40, (0, 2, 4, 5, 6))


def test_each_allowed_symmetry_is_judged_as_torch_moves(judged):
    images, labels = IMAGES[judged.rows], LABELS[judged.rows]
    plain = F.cross_entropy(Halves(4.0)(images), labels, reduction="none")
    for code in (2, 4, 5, 6):
        logits = Halves(4.0)(rearranged(images, code)).detach()
        expected = F.cross_entropy(logits, labels, reduction="none") - plain.detach()
        torch.testing.assert_close(judged.cost[:, code], expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(judged.answer[:, code], logits.argmax(1))
        assert torch.equal(judged.right[:, code], (logits.argmax(1) == labels).float())
        torch.testing.assert_close(judged.sure[:, code], logits.softmax(1).amax(1))
    assert not judged.cost[:, [0, 1, 3, 7]].any()
    assert torch.equal(judged.answer[:, 0], labels) and bool(judged.right[:, 0].all())


def test_a_loss_of_ones_own_teaches_symmetries(judged):
    """Nobody knows which images it is right about, so each counts: by cross entropy it is the task of classes."""
    task = OwnLoss(partial(F.cross_entropy, reduction="none"))
    own = judge_symmetries(judge_of(POOL, Model(Halves(4.0), task=task)), judged.rows, 40, judged.allowed)
    torch.testing.assert_close(own.cost, judged.cost, atol=1e-5, rtol=1e-4)
    assert not own.target[own.rows].isnan().any()
    assert own.target[own.rows, 4].min() > 0.5 > own.target[own.rows, 6].abs().max()


def test_images_that_were_not_judged_are_learned_by_their_class(judged):
    others = torch.ones(64, dtype=torch.bool).index_fill(0, judged.rows, False)
    assert judged.target.shape == (64, 8) and int(others.sum()) == 16 and not judged.target.isnan().any()
    for one in (0, 1):
        target = judged.target[others & (one == LABELS)]
        assert float(target.std(0).max()) < 1e-6 and float(target[0, 4]) > 2


def test_images_are_chosen_evenly_over_classes_and_at_random_within_them():
    classes = torch.tensor([0] * 60 + [1] * 6 + [2] * 2 + [-1] * 40)
    rows = torch.arange(4, 68)
    chosen = [evenly(rows, classes, 18, torch.Generator().manual_seed(seed)) for seed in range(40)]
    for one in chosen:
        assert classes[one].bincount().tolist() == [10, 6, 2] and len(set(one.tolist())) == 18
    assert len(set(torch.cat(chosen).tolist())) == len(rows)
    assert len(evenly(rows, torch.full((108,), -1), 18, torch.Generator())) == 18


@pytest.mark.parametrize(
    ("classes", "held_out"),
    [(8, 43), (12, 60), (20, 86)],  # two thirds of 64; five of each class; at most twice as many as without classes
)
def test_each_class_has_five_held_out_images_judged_where_that_is_not_twice_as_many(classes, held_out):
    labels = torch.arange(300) % classes
    images = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    pool = Pool(kept((images[:240], labels[:240])), kept((images[240:], labels[240:])))
    model = Model(lambda seen: seen.new_zeros(len(seen), classes))
    network = LocalizationNetwork(1)
    costs = try_symmetries(judge_of(pool, model), network, 0, torch.Generator().manual_seed(0))
    judged = costs.classes[: costs.held_out].bincount()
    assert costs.held_out == held_out and len(costs.rows) == held_out + 21
    assert int(judged.min()) == held_out // classes


def test_images_of_unknown_class_teach_nothing_of_symmetries(judged):
    target = judged.target.clone()
    target[1:] = torch.nan
    costs = Costs(torch.zeros(2, 6), torch.ones(2, 6), torch.zeros(2, 8), torch.ones(2, 8))
    known, allowed = replace(judged, target=target), list(judged.allowed)
    assert float(known.error(costs, torch.tensor([0, 5]))) == pytest.approx(float(target[0, allowed].square().mean()))
    assert float(known.error(costs, torch.tensor([5, 6]))) == 0.0


def test_what_training_images_cost_more_by_heart_is_taken_off_what_is_learned(monkeypatch):
    """Training images cost 2 nats more in the mean, whatever the symmetry."""
    judge, own = judge_of(POOL, Model(Halves(4.0))), Judge.__call__
    memory = 2.0 * (torch.arange(64) >= 48)

    def dearer(self, rows, moved):
        judged = own(self, rows, moved)
        return judged._replace(cost=judged.cost + memory[rows])

    monkeypatch.setattr(Judge, "__call__", dearer)
    learned = judge_symmetries(judge, torch.arange(64), 48, (0, 6))
    assert float(learned.cost[48:, 6].mean()) > 1.5 and abs(float(learned.target[48:, 6].mean())) < 0.2


@pytest.mark.parametrize(
    ("costs", "classes", "held_out", "right", "expected"),
    [
        # two held-out images count twice, a training image once, and all images, 20 / 6 in the mean, as two,
        # of which each of the first ten images of the class takes a tenth
        ([1, 2, 4, 10], [0, 0, 0, 1], 2, [1, 1, 1, 1], [(2 * 1 + 2 * 2 + 4 + 14 / 3) / 6.4, (10 + 6) / 2.8]),
        ([3] * 10 + [9], [0] * 10 + [1], 11, [1] * 11, [3, (2 * 9 + 1.8 * 39 / 11) / 3.8]),
        ([-2, 4, -3], [0, 0, 1], 3, [0, 1, 0], [4, 4]),  # those that are wrong as they are say nothing
        ([1, 3], [0, 0], 2, [0, 0], [2]),  # where none is right all count
    ],
)
def test_the_mean_of_a_class_by_hand(costs, classes, held_out, right, expected):
    """Which is also all that is known of an image that is wrong; of one that is right its own cost counts 0.3."""
    cost, classes, right = (torch.tensor(one) for one in (costs, classes, right))
    cost, right = cost.float()[:, None].expand(-1, 8), right.float()
    means = class_means(cost, classes, held_out, right)
    torch.testing.assert_close(means, {one: torch.full((8,), float(mean)) for one, mean in enumerate(expected)})
    known = torch.tensor(expected).float()[classes, None].expand(-1, 8)
    torch.testing.assert_close(shrunk(cost, classes, means, right), known.lerp(cost, 0.3 * right[:, None]))


def test_the_table_by_hand():
    """Six held-out images of class 7, four of class 1, which are too few, and training images, which do not count."""
    cost, answer, chances = torch.zeros(20, 8), torch.full((20, 8), 7), torch.zeros(20, 8)
    cost[:6, 4], answer[:6, 4] = torch.tensor([1.0, 1, 1, 2, 2, 2]), torch.tensor([7, 7, 3, 3, 3, 3])
    chances[:, 0], chances[:3, 4], answer[0, 0] = 0.5, 0.5, 2
    (row,) = class_table(found([7] * 6 + [1] * 4 + [7] * 10, 10, cost, answer), policy(chances))
    assert row["class"] == 7 and row["images"] == 6
    assert row["chance"][:5] == pytest.approx([0.5, 0, 0, 0, 0.25])
    assert row["cost"][4] == pytest.approx(1.5) and row["harm"][4] == pytest.approx(0.25)
    assert row["right"][0] == pytest.approx(5 / 6, abs=1e-4) and row["right"][4] == pytest.approx(1 / 3, abs=1e-4)


def test_an_image_of_several_labels_counts_for_each_of_them():
    cost, chances = torch.arange(6.0)[:, None].expand(6, 8), torch.full((6, 8), 1 / 8)
    members = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool().T
    rows = class_table(replace(found([-1] * 6, 6, cost), members=members), policy(chances))
    assert [(row["class"], row["images"], row["cost"][4]) for row in rows] == [(0, 6, 2.5), (1, 5, 3.0)]


def test_what_moved_images_are_taken_for_by_hand():
    """By which share, and how surely next to the images of that class as they are."""
    answer, sure = torch.zeros(20, 8).long(), torch.full((20, 8), 0.5)
    answer[:6, 1], sure[:4, 1] = torch.tensor([2, 2, 2, 2, 0, 1]), 0.6
    answer[6:11, 1] = -1  # where the answer is no class
    answer[11:16, 0], sure[11:16, 0] = torch.tensor([2, 2, 2, 2, 1]), 0.9
    classes = [0] * 6 + [1] * 5 + [2] * 5 + [3] * 2 + [0] * 2  # two are too few, and the last ones training images
    told = recognised_as(found(classes, 18, None, answer, sure), 1)
    assert set(told) == {"0", "2"}
    assert told["0"] == pytest.approx([2, 4 / 6, (4 * 0.6 / 6) / (4 * 0.9 / 5)], abs=1e-3)
    assert told["2"] == pytest.approx([0, 1.0, 1.0], abs=1e-3)  # its moved images look like class 0
