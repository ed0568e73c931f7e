"""A policy: its draws, its mode and its divergences, against torch's own distributions."""

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from learned_affine import AffineLimits
from learned_affine.policy.distribution import PRIOR_WIDTH, Policy


def policy(count: int = 5) -> Policy:
    """Policies with a full lower triangular matrix."""
    generator = torch.Generator().manual_seed(2)
    lower = torch.randn(count, 6, 6, generator=generator).tril()
    lower.diagonal(dim1=1, dim2=2).abs_().add_(0.1)
    return Policy(torch.randn(count, 6, generator=generator), lower)


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
    assert Policy.diagonal(torch.zeros(1, 6), torch.full((1, 6), PRIOR_WIDTH)).kl().abs() < 1e-6


def test_the_divergence_to_another_policy_is_torchs():
    generator = torch.Generator().manual_seed(2)
    one, other = torch.randn(5, 6, generator=generator), torch.randn(5, 6, generator=generator)
    width, wide = torch.rand(5, 6, generator=generator) + 0.1, torch.rand(5, 6, generator=generator) + 0.1
    truth = kl_divergence(normal(one, torch.diag_embed(width)), normal(other, torch.diag_embed(wide)))
    assert torch.allclose(Policy.diagonal(one, width).kl_to(other, wide), truth, rtol=1e-4)
