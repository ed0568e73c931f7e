"""The paper's own procedure: its loss by hand, and where the two signs of it lead."""

import math

import pytest
import torch
from torch import nn

from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting.adversary import Adversary
from learned_affine.policy.raw_head import RawHead
from tests.fits import IMAGES, LABELS, PAPER, loader, quick, same_weights, silent
from tests.subjects import Halves, small_net


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(0)
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    return classifier


@pytest.mark.parametrize("sign", ["printed", "corrected"])
@pytest.mark.parametrize("weight", [0.0, 1.5])
def test_the_loss_of_the_first_step_by_hand(sign, weight, monkeypatch):
    """The first warp is the identity; the discriminator is asked before it learns."""
    config = FitConfig.paper(sign, rounds=1, entropy_weight=0.7, adversarial_weight=weight)
    seen, score = [], Adversary.score

    def spy(self, images):
        seen.append(score(self, images))
        return seen[-1]

    monkeypatch.setattr(Adversary, "score", spy)
    history = silent(classifier=Halves(4.0), data=[(IMAGES, LABELS)], config=config).history
    probability = Halves(4.0)(IMAGES).detach().softmax(-1)
    gap = 1 + (probability * probability.log2()).sum(-1)
    expected = 0.7 * {"printed": -1, "corrected": 1}[sign] * float(gap.log().mean())
    if weight:
        expected += weight * float((1 - seen[0].detach().sigmoid()).log().mean())
    assert history["loss"][0] == pytest.approx(expected, rel=1e-3)
    assert math.isnan(history["discriminator_loss"][0]) == (weight == 0)
    assert history["agreement"] == [1.0] and history["displacement"][0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("sign", "direction"), [("printed", -1), ("corrected", 1)])
def test_the_sign_decides_where_the_entropy_goes(trained, sign, direction):
    config = FitConfig.paper(sign, rounds=8, learning_rate=1e-3)
    entropy = silent(classifier=trained, config=config).history["entropy"]
    assert direction * (entropy[-1] - entropy[0]) > 0.01


def test_as_printed_it_collapses_to_the_identity_and_says_so():
    """On images that are recognised best as they are."""
    with pytest.warns(FitWarning, match="identity-collapse: .*The paper's printed loss has this optimum"):
        options = {"config": FitConfig.paper(rounds=3), "padding_mode": "zeros"}
        augment = LearnedAffineAugment.fit(Halves(4.0), loader(), progress=False, **options)
    assert augment.history["displacement"][-1] < 0.02


def test_corrected_it_runs_away_and_says_so(trained):
    config, data = FitConfig.paper("corrected", rounds=50, learning_rate=1e-2), [(IMAGES, LABELS)]
    with pytest.warns(FitWarning, match=r"destroyed-images: |stopped-fit: "):
        augment = LearnedAffineAugment.fit(trained, data, config=config, padding_mode="zeros", progress=False)
    assert augment.history["displacement"][-1] > 0.2


def test_a_loss_that_is_not_finite_stops_it_with_the_last_good_weights():
    class Breaks(Halves):
        calls = 0

        def forward(self, images):
            self.calls += 1
            return super().forward(images) * (math.nan if self.calls == 6 else 1)  # of the third step's warps

    with pytest.warns(FitWarning, match="stopped-fit: .*stopped in round 1"):
        augment = LearnedAffineAugment.fit(Breaks(), loader(), config=PAPER, progress=False)
    assert all(bool(tensor.isfinite().all()) for tensor in augment.localization.state_dict().values())
    assert augment.history.rounds == 0


def test_a_matrix_without_an_inverse_stops_it():
    network = RawHead(1)
    torch.nn.init.zeros_(network.head.bias)
    with pytest.warns(FitWarning, match="stopped-fit: .*stopped in round 1"):
        LearnedAffineAugment.fit(Halves(), loader(), config=PAPER, progress=False, localization=network)


def test_it_needs_no_labels_and_its_rounds_are_passes():
    config = PAPER.replace(rounds=2)
    augment = quick(data=[IMAGES.clone()] * 2, config=config)
    assert type(augment.localization) is RawHead and augment.history.rounds == 2
    assert augment.history.info["config"]["sign"] == "printed" and "target" not in augment.history.info
    assert same_weights(augment, quick(data=[(IMAGES, LABELS)] * 2, config=config))


def test_what_it_cannot_take_is_named():
    batches = [(IMAGES, LABELS)]
    named = "loader must be one that can be passed over again for the paper's objective"
    with pytest.raises(ValueError, match=named):
        quick(data=iter(batches), config=PAPER.replace(rounds=2))
    assert quick(data=iter(batches), config=PAPER).history.rounds == 1
    with pytest.raises(ValueError, match="task must be one of classes for the paper's objective, got 'multi-label'"):
        quick(config=PAPER, task="multi-label")
