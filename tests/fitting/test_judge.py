"""What the classifier makes of warped images, against the same computed directly."""

import pytest
import torch
from torch.nn import functional as F

from learned_affine import AffineLimits, AffineParameters
from learned_affine.fitting.adversary import Adversary
from learned_affine.fitting.judge import Judge
from learned_affine.fitting.processes import Processes
from learned_affine.policy.distribution import Policy
from learned_affine.tasks.model import Model
from learned_affine.tasks.pool import Pool
from learned_affine.tasks.targets import LabelMap
from tests.fits import IMAGES, LABELS, judge_of, kept
from tests.geometry.matrices import symmetries_alone
from tests.subjects import COMPASS, Compass, Halves, compass

CPU = torch.device("cpu")
LARGE = F.interpolate(IMAGES[:10], size=(20, 20))
SCALE, RESAMPLING = 2.0, 0.07


def judge(processes=None, **options) -> Judge:
    """The images in order, then ten larger ones."""
    pool = Pool(None, kept((IMAGES, LABELS), (LARGE, LABELS[:10])))
    model = Model(Halves(4.0), **options)
    model.temperature = SCALE
    return judge_of(pool, model, RESAMPLING, processes)


def drawn(count: int, symmetries: bool = True) -> AffineParameters:
    policy = Policy(torch.zeros(count, 6), torch.ones(count, 6), torch.full((count, 8), 0.125), tuple(range(8)))
    noise = Policy.noise(count, symmetries=symmetries, generator=torch.Generator().manual_seed(1))
    return policy.draw(noise, AffineLimits.wide())


def logits(images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return Halves(4.0)(images) / SCALE


def entropy(output: torch.Tensor) -> torch.Tensor:
    return torch.distributions.Categorical(logits=output).entropy() / torch.tensor(2.0).log()


@pytest.mark.parametrize("adversarial", [True, False])
def test_a_judgement_is_that_of_each_image_alone(adversarial):
    one, rows = judge(), torch.tensor([3, 70, 5, 3, 64, 63])
    parameters, adversary = drawn(6), Adversary(1, CPU) if adversarial else None
    found = one(rows, parameters, adversary)
    for place, row in enumerate(rows.tolist()):
        image, label = one.pool.images[row][None], one.pool.labels[row]
        warped = one.augment.warp(image, parameters[[place]])
        plain, output = logits(image), logits(warped)
        cost = F.cross_entropy(output, label) - F.cross_entropy(plain, label) - RESAMPLING
        assert float(found.cost[place]) == pytest.approx(float(cost), abs=1e-4)
        assert float(found.entropy[place]) == pytest.approx(float(entropy(output) - entropy(plain)), abs=1e-4)
        assert float(found.sure[place]) == pytest.approx(float(output.softmax(-1).max()), abs=1e-4)
        assert found.answer[place] == output.argmax() and found.right[place] == (output.argmax() == label)
        assert found.agrees[place] == (output.argmax() == plain.argmax())
        score = 0.0
        if adversary is not None:
            with torch.no_grad():
                score = float(F.softplus(-adversary.score(warped)) - F.softplus(-adversary.score(image)))
        assert float(found.score[place]) == pytest.approx(score, abs=1e-4)


class Half(Processes):
    """One of two processes; what the other has it is not told."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank, self.count = rank, 2

    def gather(self, *parts):
        return parts


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_two_processes_judge_a_half_each(count):
    rows, parameters = torch.arange(count) * 3, drawn(count)
    whole, parts = judge()(rows, parameters), [judge(processes=Half(rank))(rows, parameters) for rank in (0, 1)]
    for column, *halves in zip(whole, *parts, strict=True):
        torch.testing.assert_close(torch.cat(halves), column, atol=1e-5, rtol=1e-5)
    assert abs(len(parts[0].cost) - len(parts[1].cost)) <= 1


def test_labels_and_agreement_follow_the_label_map():
    images, labels = compass(64)
    pool, model = Pool(None, kept((images, labels))), Model(Compass(), label_map=LabelMap(COMPASS))
    found = judge_of(pool, model)(torch.arange(64), symmetries_alone(*(torch.arange(64) % 8).tolist()))
    assert bool(found.agrees.all()) and bool(found.right.all()) and float(found.cost.abs().max()) < 0.1
