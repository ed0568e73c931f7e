"""The natural step against what it must be by hand, the memory, and fits by values that look at the image."""

import copy
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.localization import PRIOR_WIDTH, Policy
from learned_affine.natural import RATE, REACH, SHARED_RATE, Memory, distance_nats, improved, slopes
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
BY_VALUES = FitConfig(adversarial_weight=0.0)


def policy(mean: torch.Tensor, width: torch.Tensor) -> Policy:
    return Policy(mean, torch.diag_embed(width))


def noise(draws: int, images: int) -> torch.Tensor:
    return torch.randn(draws, images, 6, generator=torch.Generator().manual_seed(0))


def step(start: Policy, drawn: torch.Tensor, losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return improved(start.mean, start.width, slopes(start, drawn, losses, PRIOR_WIDTH))


# -- one step ---------------------------------------------------------------------------------------------------------


def test_without_a_loss_the_policy_moves_to_the_prior():
    mean, width = torch.full((1, 6), 0.5), torch.full((1, 6), 0.3)
    drawn = noise(4, 1)
    for _ in range(200):
        mean, width = step(policy(mean, width), drawn, torch.zeros(4, 1))
    assert torch.allclose(mean, torch.zeros(1, 6), atol=1e-4)
    assert torch.allclose(width, torch.full((1, 6), PRIOR_WIDTH), rtol=1e-4)


def test_a_slope_moves_the_mean_down_it_and_leaves_the_width():
    slope = torch.tensor([0.3, -0.2, 0.0, 0.1, 0.0, 0.0])
    width, drawn = torch.full((1, 6), PRIOR_WIDTH), noise(200_000, 1)
    points = width * drawn
    mean, after = step(policy(torch.zeros(1, 6), width), drawn, points @ slope)
    assert torch.allclose(mean[0], -RATE * PRIOR_WIDTH**2 * slope, atol=0.01)
    assert torch.allclose(after, width, rtol=0.01)


def test_a_quadratic_loss_leads_to_the_posterior():
    """Of a loss 1/2 a z^2 and a normal prior the best policy is normal with precision a + 1 / prior^2."""
    curvature = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
    generator = torch.Generator().manual_seed(0)
    mean, width = torch.full((1, 6), 0.4), torch.full((1, 6), 0.2)
    for _ in range(60):
        drawn = torch.randn(5000, 1, 6, generator=generator)
        points = mean + width * drawn
        mean, width = step(policy(mean, width), drawn, 0.5 * points.square() @ curvature)
    assert torch.allclose(width[0], (curvature + 1 / PRIOR_WIDTH**2).rsqrt(), rtol=0.1)
    assert torch.allclose(mean, torch.zeros(1, 6), atol=0.1)


@given(st.floats(-50, 50), st.integers(2, 6))
def test_a_constant_in_an_images_loss_changes_nothing(constant, draws):
    losses, drawn = torch.rand(draws, 3, generator=torch.Generator().manual_seed(1)), noise(draws, 3)
    start = policy(torch.zeros(3, 6), torch.full((3, 6), 0.3))
    one = step(start, drawn, losses.double())
    other = step(start, drawn, losses.double() + constant)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


def test_a_step_stays_within_reach_whatever_the_loss():
    start = policy(torch.zeros(2, 6), torch.full((2, 6), 0.3))
    mean, width = step(start, noise(4, 2), torch.tensor([[1e30, 0], [0, 1e30], [-1e30, 5], [0, 0]]))
    assert float(mean.abs().max()) <= REACH * 0.3 + 1e-6
    assert float((width / 0.3).log().abs().max()) <= REACH / 2 + 1e-6


def test_new_images_give_the_mean_step_and_the_own_ones_how_steps_differ():
    start = policy(torch.zeros(8, 6), torch.full((8, 6), 0.8))
    new = policy(torch.zeros(50, 6), torch.full((50, 6), 0.8))
    own = slopes(start, noise(4, 8), 0.1 * torch.rand(4, 8), PRIOR_WIDTH)
    shared = slopes(new, noise(4, 50), 0.1 * torch.rand(4, 50), PRIOR_WIDTH)
    mean, width = improved(start.mean, start.width, own, shared)
    alone, _ = improved(start.mean, start.width, own)
    assert torch.allclose(mean.mean(0), -0.8 * SHARED_RATE * shared.mean.mean(0), atol=1e-6)
    assert torch.allclose(2 * (width / 0.8).log().mean(0), -SHARED_RATE * shared.width.mean(0), atol=1e-5)
    assert torch.allclose(mean - mean.mean(0), alone - alone.mean(0), atol=1e-6)


def test_distance_is_the_divergence():
    generator = torch.Generator().manual_seed(2)
    one, other = torch.randn(5, 6, generator=generator), torch.randn(5, 6, generator=generator)
    width, wide = torch.rand(5, 6, generator=generator) + 0.1, torch.rand(5, 6, generator=generator) + 0.1
    truth = kl_divergence(
        MultivariateNormal(one, scale_tril=torch.diag_embed(width)),
        MultivariateNormal(other, scale_tril=torch.diag_embed(wide)),
    )
    assert torch.allclose(distance_nats(policy(one, width), other, wide), truth, rtol=1e-4)


# -- the memory -------------------------------------------------------------------------------------------------------


def test_memory_keeps_the_last_batches():
    memory = Memory(3)
    for number in range(5):
        memory.add(*(torch.full((2, width), float(number)) for width in (7, 6, 6)))
    seen, mean, width = memory.sample(10, torch.Generator().manual_seed(0))
    assert sorted(seen[:, 0].tolist()) == [2, 2, 3, 3, 4, 4]
    assert torch.equal(seen[:, 0], mean[:, 0]) and torch.equal(seen[:, 0], width[:, 0])


def test_memory_comes_back_from_its_state():
    memory, other = Memory(3), Memory(3)
    memory.add(torch.rand(2, 7), torch.rand(2, 6), torch.rand(2, 6))
    memory.add(torch.rand(2, 7), torch.rand(2, 6), torch.rand(2, 6))
    other.load_state(copy.deepcopy(memory.state()), torch.device("cpu"))
    drawn = [one.sample(1, torch.Generator().manual_seed(4)) for one in (memory, other)]
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))


# -- a whole fit ------------------------------------------------------------------------------------------------------


class Shapes(nn.Module):
    """Tells discs from upright and lying bars, by how well each fits; a disc tolerates any turn, a bar 45 degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("templates", shapes().flatten(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # which a fit by values does not mind
            return -0.3 * (images.flatten(1)[:, None] - self.templates).square().sum(-1)


def shapes() -> torch.Tensor:
    """A disc, an upright bar and a lying bar, ``(3, 1, 16, 16)``."""
    steps = torch.arange(16) - 7.5
    x, y = steps.expand(16, 16), steps[:, None].expand(16, 16)
    disc = torch.sigmoid(2 * (4.0 - torch.hypot(x, y)))
    bar = torch.sigmoid(2 * (1.5 - x.abs())) * torch.sigmoid(2 * (6 - y.abs()))
    return torch.stack([disc, bar, bar.T])[:, None]


def test_each_image_gets_the_range_that_it_tolerates():
    """A disc may be turned by any angle, a bar may not: the truth is known, and a policy for all could not tell."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 3
    images = shapes()[labels] + 0.02 * torch.randn(48, 1, 16, 16, generator=generator)
    limits = AffineLimits(angle=180, scale=1.0, shear=0.0, translate=0.0)
    config = BY_VALUES.replace(target=0.1)
    augment = LearnedAffineAugment.fit(
        Shapes(), [(images, labels)], config=config, limits=limits, padding_mode="zeros", seed=0, progress=False
    )
    with torch.no_grad():
        drawn = torch.stack([augment.sample_parameters(images).angle for _ in range(64)])
    ranges = drawn.quantile(0.9, 0) - drawn.quantile(0.1, 0)
    assert float(ranges[labels == 0].min()) > 2 * float(ranges[labels > 0].max())


def test_it_holds_the_target():
    config = BY_VALUES.replace(target=0.4, steps=200)
    options = {"config": config, "limits": AffineLimits.wide(), "seed": 0, "progress": False}
    augment = LearnedAffineAugment.fit(Halves(4.0), [(IMAGES, LABELS)], **options)
    assert sum(augment.history["cross_entropy"][-40:]) / 40 == pytest.approx(0.4, rel=0.15)


@pytest.mark.parametrize(("config", "goes_back"), [(BY_VALUES, False), (FitConfig.pathwise(), True)])
def test_only_a_pathwise_fit_goes_back_through_the_classifier(config, goes_back):
    classifier, passes = Halves(), []
    classifier.register_full_backward_hook(lambda *_: passes.append("back"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        options = {"config": config.replace(target=0.4), "max_steps": 2, "progress": False}
        LearnedAffineAugment.fit(classifier, [(IMAGES, LABELS)], **options)
    assert bool(passes) == goes_back


def test_a_classifier_that_looks_at_nothing_is_refused():
    with pytest.raises(ValueError, match="classifier must give logits that depend on its input, got the same for"):
        LearnedAffineAugment.fit(
            lambda images: torch.zeros(len(images), 2), [(IMAGES, LABELS)], config=BY_VALUES.replace(target=0.4)
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": 1}, "draws must be at least 2 for a fit by values"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"memory": 2.5}, "memory must be an int"),
        (
            {"estimator": "values", "objective": "entropy_target"},
            "estimator must be 'pathwise' for the objective 'entropy_target'",
        ),
        ({"estimator": "values", "objective": "paper"}, "estimator must be 'pathwise' for the objective 'paper'"),
        ({"estimator": "values", "head": "raw"}, "estimator must be 'pathwise' for the head 'raw'"),
        ({"estimator": "values", "deterministic": True}, "estimator must be 'pathwise' for a deterministic fit"),
        ({"estimator": "guess"}, "estimator must be"),
    ],
)
def test_what_it_cannot_do_is_said(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        BY_VALUES.replace(**changes)


def test_resume_is_exact(tmp_path):
    config = BY_VALUES.replace(target=0.4, steps=9, adversarial_weight=0.1)
    options = {"config": config, "seed": 3, "progress": False}
    loader = [(IMAGES[start : start + 16], LABELS[start : start + 16]) for start in range(0, 64, 16)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        whole = LearnedAffineAugment.fit(Halves(), loader, **options)
        LearnedAffineAugment.fit(Halves(), loader, max_steps=5, checkpoint=tmp_path, **options)
        parts = LearnedAffineAugment.fit(Halves(), loader, checkpoint=tmp_path, resume=True, **options)
    pairs = zip(whole.localization.parameters(), parts.localization.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
