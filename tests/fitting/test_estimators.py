"""What the estimators learn: the range of each image, and which warps cost held-out images nothing."""

import copy
import math

import pytest
import torch
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import StoppedFitWarning
from learned_affine.fitting.estimators import Draws, ScoreFunctionEstimator
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.policy.mirrors import MirrorCosts
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.runtime.distributed import Distributed
from tests.fits import loader, same_weights, silent
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
ROTATIONS = AffineLimits(angle=180, scale=1.0, shear=0.0, translate=0.0)


# -- a fit ------------------------------------------------------------------------------------------------------------


class Shapes(nn.Module):
    """Tells discs from upright and lying bars, by how well each fits; a disc bears any rotation, a bar 45 degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("templates", shapes().flatten(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # which the score function does not need a gradient of
            return -0.3 * (images.flatten(1)[:, None] - self.templates).square().sum(-1)


def shapes() -> torch.Tensor:
    """A disc, an upright bar and a lying bar, ``(3, 1, 16, 16)``."""
    steps = torch.arange(16) - 7.5
    x, y = steps.expand(16, 16), steps[:, None].expand(16, 16)
    disc = torch.sigmoid(2 * (4.0 - torch.hypot(x, y)))
    bar = torch.sigmoid(2 * (1.5 - x.abs())) * torch.sigmoid(2 * (6 - y.abs()))
    return torch.stack([disc, bar, bar.T])[:, None]


def test_each_image_gets_the_range_that_it_tolerates():
    """A disc may be rotated by any angle, a bar may not: the truth is known, and a policy for all could not tell."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 3
    images = shapes()[labels] + 0.02 * torch.randn(48, 1, 16, 16, generator=generator)
    options = {"config": FitConfig(target=0.1), "limits": ROTATIONS, "padding_mode": "zeros", "progress": False}
    augment = LearnedAffineAugment.fit(Shapes(), [(images, labels)], **options)
    with torch.no_grad():
        drawn = torch.stack([augment.sample_parameters(images).angle for _ in range(64)])
    ranges = drawn.quantile(0.9, 0) - drawn.quantile(0.1, 0)
    assert float(ranges[labels == 0].min()) > 2 * float(ranges[labels > 0].max())


class ByHeart(nn.Module):
    """Right about the training images, and not sure of any other, however little it differs: rotations cost nothing."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__()
        self.known, self.labels = images.flatten(1), labels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        near = torch.cdist(images.flatten(1), self.known).min(1)
        by_heart = torch.exp(-((near.values / 0.5) ** 2))
        right = nn.functional.one_hot(self.labels[near.indices], 2) * 2.0 - 1
        return right * (0.3 + 5 * by_heart)[:, None]


def rings(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy discs and rings, whose labels know no angle."""
    steps = torch.arange(16) - 7.5
    radius = torch.hypot(steps.expand(16, 16), steps[:, None].expand(16, 16))
    disc, ring = torch.sigmoid(2 * (4 - radius)), torch.sigmoid(4 - 4 * (radius - 5).abs())
    labels = torch.arange(count) % 2
    noise = 0.05 * torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return torch.stack([disc, ring])[labels][:, None] + noise, labels


def test_a_warp_that_costs_held_out_images_nothing_is_found_to_be_free():
    """By heart a rotated training image is a new one; held on held-out images the policy takes all rotations."""
    mine, held_out = rings(64, seed=0), rings(64, seed=1)
    classifier = ByHeart(*mine)
    costs = [float(nn.functional.cross_entropy(classifier(images), labels)) for images, labels in (mine, held_out)]
    between = costs[0] + 2 / 3 * (costs[1] - costs[0])  # of what training images cost when they are no longer known
    ranges = {}
    for held_on, options in {
        "held-out": {"config": FitConfig(steps=60), "val_loader": [held_out]},
        "training": {"config": FitConfig(steps=60, target=between)},
    }.items():
        augment = silent(classifier=classifier, data=[mine], limits=ROTATIONS, **options)
        assert augment.history.info["held_on"] == held_on
        torch.manual_seed(0)
        ranges[held_on] = float(augment.sample_parameters(mine[0].repeat(16, 1, 1, 1)).angle.detach().std())
    assert ranges["held-out"] > 95  # of 104 for uniform rotations
    assert ranges["held-out"] > 1.3 * ranges["training"]


@pytest.mark.parametrize(("config", "goes_back"), [(FitConfig(target=0.4), False), (FitConfig.paper(), True)])
def test_only_the_papers_estimator_goes_back_through_the_classifier(config, goes_back):
    classifier, passes = Halves(), []
    classifier.register_full_backward_hook(lambda *_: passes.append("back"))
    silent(classifier=classifier, data=[(IMAGES, LABELS)], config=config, max_steps=2)
    assert bool(passes) == goes_back


def test_weights_that_lead_nowhere_are_taken_back(tmp_path):
    augment = LearnedAffineAugment()
    saved = []

    def spoil(values):
        if values["step"] == 3:
            saved[-1].price = augment.localization.price  # by which costs, which are weights, become chances
            with torch.no_grad():
                augment.localization.head.bias.fill_(math.nan)
        else:
            saved.append(copy.deepcopy(augment.localization))

    with pytest.warns(StoppedFitWarning, match="not finite"):
        options = {"config": FitConfig(target=0.3), "callbacks": spoil, "log_dir": tmp_path, "progress": False}
        augment.fit(Halves(), loader(), **options)
    saved[-1].set_price(1.0)
    assert same_weights(augment.localization, saved[-1])


# -- their parts ------------------------------------------------------------------------------------------------------


def estimator(**changes) -> ScoreFunctionEstimator:
    """An estimator that has learned what a mirror costs from one batch, which costs nothing."""
    torch.manual_seed(0)
    network = LocalizationNetwork(1)
    one = ScoreFunctionEstimator(network, AffineLimits.wide(), 1.0, FitConfig(**changes), Distributed())
    one.learn_mirrors([costs(network, torch.zeros(64))], log_dual=0.0)
    return one


def costs(network: LocalizationNetwork, cost: torch.Tensor, held_out: bool = False) -> MirrorCosts:
    """That the mirror images of ``IMAGES`` cost so much."""
    return MirrorCosts(network.observe(IMAGES).detach(), cost, torch.full((64,), held_out), LABELS)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def drawn(one: ScoreFunctionEstimator, count: int = 2, mirror: bool = False) -> Draws:
    return one.draw(IMAGES, LABELS, one.noise(count, 64, seeded(), mirror))


@pytest.mark.parametrize("mirror", [False, True])
def test_draws_are_those_of_the_policy_one_after_another(mirror):
    one = estimator()
    with torch.no_grad():
        one.network.head.bias[-1] = 0  # a chance of 1/2
    draws = drawn(one, 3, mirror)
    assert draws.count == 3 and draws.finite and draws.noise.shape == (3, 64, 6 + mirror)
    for part, noise in zip(draws.parts(), draws.noise, strict=True):
        expected = one.network.draw(IMAGES, noise, AffineLimits.wide(), 1.0)
        torch.testing.assert_close(part.stacked(), expected.stacked())
        assert torch.equal(part.mirror, expected.mirror) and bool(part.mirror.any()) == mirror
    torch.testing.assert_close(draws.kl, one.network(IMAGES).kl())


def test_draws_that_are_not_finite_are_known():
    broken = AffineParameters.identity(4).map(lambda value: value * math.nan)
    assert not Draws(IMAGES[:4], None, broken, torch.zeros(4)).finite


def test_a_step_can_be_taken_back():
    one, before = estimator(), estimator()
    draws = drawn(one)
    assert one.update([(draws, torch.rand(128))], 0.0, seeded())
    assert not same_weights(one.network, before.network)
    one.revert()
    assert same_weights(one.network, before.network)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.05), (7.0, 0.05)])
def test_the_rate_falls_along_a_cosine_to_a_twentieth(progress, share):
    one = estimator(learning_rate=0.01, shared_rate=3.0)
    one.update([(drawn(one), torch.rand(128))], progress, seeded())
    assert [group["lr"] for group in one.optimizer.param_groups] == pytest.approx([0.01 * share, 0.03 * share])


def test_the_bias_that_all_images_share_has_a_rate_of_its_own():
    own, shared = (group["params"] for group in estimator().optimizer.param_groups)
    assert len(shared) == 1 and shared[0].shape == (28,) and len(own) == 5


def test_it_goes_on_from_its_state():
    ends = []
    for again in (False, True):
        one = estimator()
        for number in range(4):
            if again and number == 2:
                state, weights, one = one.state(), one.network.state_dict(), estimator()
                one.network.load_state_dict(weights)
                one.load_state(state, torch.device("cpu"))
            losses = torch.rand(128, generator=torch.Generator().manual_seed(number))
            one.learn_mirrors([costs(one.network, losses[:64], held_out=bool(number % 2))], log_dual=float(number))
            one.update([(drawn(one), losses)], 0.0, seeded())
        ends.append(one.network)
    assert same_weights(*ends)
