"""What a policy is to minimise, put together by hand; and where the signs of the paper's loss lead."""

import math

import pytest
import torch

from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import FitWarning
from learned_affine.objectives.objective import OBJECTIVES, Calibrated, Outcome, Paper
from tests.fits import loader, silent
from tests.subjects import small_net

PROBABILITY, DISCRIMINATED = 0.75, 0.2  # of the true class; of an original
ENTROPY = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
SURE = torch.tensor([[0.75, 0.25]]).log()


def outcome(scores: bool = True) -> Outcome:
    """Of one draw of one image, whose label is class 0."""
    return Outcome(
        output=SURE,
        cost=torch.tensor([-math.log(PROBABILITY)]),
        kl=torch.tensor([2.5]),
        scores=torch.tensor([math.log(DISCRIMINATED / (1 - DISCRIMINATED))]) if scores else None,
        right=torch.ones(1),
        warped=torch.zeros(1, 1, 2, 2),
        entropy=torch.tensor([ENTROPY]),
    )


@pytest.mark.parametrize("scores", [True, False])
def test_calibrated_by_hand(scores):
    config = FitConfig(entropy_weight=0.7, adversarial_weight=0.3)
    objective, target, weight = Calibrated(config), 0.4, 9.0
    depends = weight * (-math.log(PROBABILITY) - target) - 0.7 * ENTROPY
    depends += 0.3 * -math.log(DISCRIMINATED) if scores else 0.0
    assert objective.draw_loss(outcome(scores), target, weight).item() == pytest.approx(depends, rel=1e-5)
    assert objective.loss(outcome(scores), target, weight).item() == pytest.approx((2.5 + depends) / 10, rel=1e-5)


@pytest.mark.parametrize(("sign", "factor"), [("printed", -1), ("corrected", 1)])
@pytest.mark.parametrize("scores", [True, False])
def test_paper_by_hand(sign, factor, scores):
    objective = Paper(FitConfig.paper(sign))
    expected = 2 * factor * math.log(1 - ENTROPY) + (math.log(1 - DISCRIMINATED) if scores else 0.0)
    assert objective.loss(outcome(scores)).item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(objective.draw_loss(outcome(scores)), objective.loss(outcome(scores)))


def test_only_the_calibrated_objective_is_held_at_a_target():
    assert {name: kind.constrained for name, kind in OBJECTIVES.items()} == {"calibrated": True, "paper": False}


# -- fits -------------------------------------------------------------------------------------------------------------


def trained():
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    return classifier


@pytest.mark.parametrize(("sign", "direction"), [("printed", -1), ("corrected", 1)])
def test_papers_sign_decides_where_the_entropy_goes(sign, direction):
    config = FitConfig.paper(sign, epochs=15, learning_rate=5e-4)
    entropy = silent(classifier=trained(), config=config).history["entropy"]
    assert direction * (entropy[-1] - entropy[0]) > 0.02


def test_paper_corrected_runs_away_and_says_so():
    config = FitConfig.paper("corrected", epochs=40, learning_rate=3e-3)
    options = {"config": config, "padding_mode": "zeros", "progress": False}
    with pytest.warns(FitWarning, match=r"destroys the images|not finite"):
        augment = LearnedAffineAugment.fit(trained(), loader(), **options)
    assert augment.history["displacement"][-1] > 0.2


@pytest.mark.parametrize(
    "config", [FitConfig(target=0.4, dual_rate=0.0), FitConfig.paper(epochs=15, learning_rate=5e-4)]
)
def test_fits_lower_their_loss(config):
    history = silent(data=loader(32), val_loader=loader(), config=config).history
    assert history["loss"][-1] < history["loss"][0]
