"""A policy: its draws, its mode, its moments and its divergences, against torch's own distributions."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, kl_divergence

from learned_affine import AffineLimits
from learned_affine.policy.distribution import PRIOR_WIDTH, Policy

LOGITS = torch.tensor([0.0, -0.3, -1.5, -3.0, -40.0])


def policy(count: int = 5, logit: torch.Tensor | None = None) -> Policy:
    """Policies with a full lower triangular matrix."""
    generator = torch.Generator().manual_seed(2)
    lower = torch.randn(count, 6, 6, generator=generator).tril()
    lower.diagonal(dim1=1, dim2=2).abs_().add_(0.1)
    return Policy(torch.randn(count, 6, generator=generator), lower, logit)


def normal(mean: torch.Tensor, lower: torch.Tensor) -> MultivariateNormal:
    return MultivariateNormal(mean, scale_tril=lower)


def test_draws_are_those_of_a_squashed_normal():
    one, noise = policy(), torch.randn(3, 5, 6)
    expected = torch.tanh(one.mean + torch.einsum("bij,kbj->kbi", one.scale_tril, noise))
    torch.testing.assert_close(one.sample(noise), expected)
    assert torch.equal(one.mode(), torch.tanh(one.mean))
    torch.testing.assert_close(one.sample(torch.zeros(5, 6)), one.mode())


def test_a_draw_stands_within_the_limits_draw_after_draw():
    one, noise, limits = policy(), torch.randn(3, 5, 6), AffineLimits.wide()
    drawn = one.draw(noise, limits).stacked()
    alone = torch.cat([one.draw(single, limits).stacked() for single in noise])
    torch.testing.assert_close(drawn, alone)
    torch.testing.assert_close(one.draw(None, limits).stacked(), limits.parameters(one.mode()).stacked())
    assert one.draw(noise, limits, strength=0.0).displacement().abs().max() == 0


def test_noise_follows_the_generator_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, other = (Policy.noise(2, 5, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert one.shape == (2, 5, 6) and torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_divergence_from_the_prior_is_torchs():
    one = policy()
    prior = normal(torch.zeros(5, 6), PRIOR_WIDTH * torch.eye(6).expand(5, 6, 6))
    torch.testing.assert_close(one.kl(), kl_divergence(normal(one.mean, one.scale_tril), prior), rtol=1e-4, atol=1e-4)
    assert Policy(torch.zeros(1, 6), PRIOR_WIDTH * torch.eye(6)[None]).kl().abs() < 1e-6


def test_the_divergence_to_another_policy_is_torchs():
    generator = torch.Generator().manual_seed(2)
    one, other = torch.randn(5, 6, generator=generator), torch.randn(5, 6, generator=generator)
    width, wide = torch.rand(5, 6, generator=generator) + 0.1, torch.rand(5, 6, generator=generator) + 0.1
    truth = kl_divergence(normal(one, torch.diag_embed(width)), normal(other, torch.diag_embed(wide)))
    assert torch.allclose(Policy(one, torch.diag_embed(width)).kl_to(other, wide), truth, rtol=1e-4)


# -- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.4, 0.0])
def test_moments_are_those_of_an_integral(strength):
    one, limits = policy(), AffineLimits.wide()
    nodes = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    density = torch.exp(-nodes.square() / 2) / math.sqrt(2 * math.pi) * (nodes[1] - nodes[0])
    deviation = one.scale_tril.double().square().sum(-1).sqrt()  # of each number alone
    points = torch.tanh(one.mean.double()[..., None] + deviation[..., None] * nodes)  # (B, 6, nodes)
    values = limits.parameters(strength * points.movedim(1, -1).reshape(-1, 6)).stacked().view(5, -1, 6)
    mean = (values * density[:, None]).sum(1)
    spread = ((values - mean[:, None]).square() * density[:, None]).sum(1).sqrt()
    found = one.moments(limits, strength)
    scale = limits.parameters(torch.ones(1, 6)).stacked() - limits.parameters(-torch.ones(1, 6)).stacked()
    torch.testing.assert_close(found[0] / scale, (mean / scale).float(), atol=4e-3, rtol=0)
    torch.testing.assert_close(found[1] / scale, (spread / scale).float(), atol=4e-3, rtol=0)


def test_moments_are_those_of_draws():
    one, limits = policy(), AffineLimits()
    drawn = one.draw(Policy.noise(20_000, 5), limits).stacked().view(20_000, 5, 6)
    mean, spread = one.moments(limits)
    error = spread / math.sqrt(20_000)
    assert ((drawn.mean(0) - mean).abs() < 4.5 * error).all()
    torch.testing.assert_close(drawn.std(0), spread, rtol=0.05, atol=1e-3)


# -- mirrors ----------------------------------------------------------------------------------------------------------


def test_the_divergence_of_a_mirror_is_torchs():
    bare, one = policy(), policy(logit=LOGITS)
    truth = kl_divergence(Bernoulli(logits=LOGITS.double()), Bernoulli(probs=torch.full((5,), 0.5).double()))
    torch.testing.assert_close((one.kl() - bare.kl()).double(), truth, rtol=0, atol=1e-4)
    assert torch.isfinite(one.kl()).all()


@pytest.mark.parametrize("strength", [1.0, 0.3, 0.0])
def test_mirrors_are_as_frequent_as_their_chance(strength):
    """Within 4.5 standard deviations of a binomial, with a fixed seed."""
    count, one = 40_000, policy(logit=LOGITS)
    torch.testing.assert_close(one.mirror_chance, LOGITS.sigmoid())
    chance = strength * LOGITS.sigmoid()
    drawn = one.draw(Policy.noise(count, 5, mirror=True), AffineLimits(), strength).mirror.view(count, 5)
    most = 4.5 * (chance * (1 - chance) / count).sqrt()
    assert ((drawn.float().mean(0) - chance).abs() <= most).all()
    assert drawn[:, 4].sum() == 0  # e to the -40th


def test_mirrors_are_independent_of_the_six_numbers():
    one = policy(logit=torch.zeros(5))
    drawn = one.draw(Policy.noise(20_000, 5, mirror=True), AffineLimits())
    numbers, mirror = drawn.stacked().view(-1, 5, 6), drawn.mirror.view(-1, 5, 1).float()
    numbers, mirror = ((part - part.mean(0)) / part.std(0) for part in (numbers, mirror))
    assert (numbers * mirror).mean(0).abs().max() < 4.5 / math.sqrt(20_000)


def test_the_six_numbers_are_the_same_bits_with_and_without_a_mirror():
    noise, limits = Policy.noise(5, mirror=True), AffineLimits.wide()
    assert noise.shape == (5, 7)
    mirrored = policy(logit=LOGITS).draw(noise, limits)
    assert torch.equal(mirrored.stacked(), policy().draw(noise[:, :6], limits).stacked())
    assert mirrored.mirror.tolist() == policy(logit=LOGITS).sample_mirror(noise).tolist()


def test_who_mirrors_nothing():
    noise, limits, one = Policy.noise(500, 5, mirror=True), AffineLimits(), policy(logit=torch.zeros(5))
    assert one.draw(noise, limits).mirror.any()
    assert not one.draw(noise, AffineLimits(symmetries="none")).mirror.any()
    assert not one.draw(noise[..., :6], limits).mirror.any()
    assert not one.draw(None, limits).mirror.any()  # the mode
    assert not policy().draw(noise, limits).mirror.any() and policy().mirror_chance.tolist() == [0.0] * 5


def test_mirrors_of_several_draws_stand_draw_after_draw():
    noise, one = Policy.noise(3, 5, mirror=True), policy(logit=LOGITS)
    together = one.draw(noise, AffineLimits()).mirror
    assert torch.equal(together, torch.cat([one.draw(single, AffineLimits()).mirror for single in noise]))


@pytest.mark.parametrize("logit", [None, LOGITS])
def test_policies_of_some_images_are_those_of_the_batch(logit):
    one = policy(logit=logit)
    parts = [one.rows(rows) for rows in (torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3, 4]))]
    logits = None if logit is None else torch.cat([part.mirror_logit for part in parts])
    again = Policy(torch.cat([part.mean for part in parts]), torch.cat([part.scale_tril for part in parts]), logits)
    noise = Policy.noise(5, mirror=True)
    assert again.draw(noise, AffineLimits()).to_dict() == one.draw(noise, AffineLimits()).to_dict()
    assert torch.equal(again.kl(), one.kl()) and (again.mirror_logit is None) == (logit is None)
