"""A policy: its draws, its mode, its moments and its divergences, against torch's own distributions."""

import math

import pytest
import torch
from torch.distributions import Categorical, MultivariateNormal, kl_divergence

from learned_affine import AffineLimits
from learned_affine.policy.distribution import PRIOR_WIDTH, Policy

SOME = [[0.3, 0.1, 0.2, 0.05, 0.05, 0.1, 0.15, 0.05], [0.001, 0, 0, 0, 0, 0, 0, 0.999]]
CHANCES = torch.tensor([[0.125] * 8, [1.0, 0, 0, 0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0.5, 0, 0, 0], *SOME])
ALL = tuple(range(8))


def policy(chances: torch.Tensor | None = None, count: int = 5) -> Policy:
    generator = torch.Generator().manual_seed(2)
    mean, width = torch.randn(count, 6, generator=generator), torch.rand(count, 6, generator=generator) + 0.1
    return Policy(mean, width, chances, (0,) if chances is None else ALL)


def test_a_draw_stands_within_the_limits_draw_after_draw():
    one, noise, limits = policy(CHANCES), Policy.noise(3, 5, symmetries=True), AffineLimits.wide()
    drawn, alone = one.draw(noise, limits), [one.draw(single, limits) for single in noise]
    torch.testing.assert_close(drawn.stacked(), torch.cat([single.stacked() for single in alone]))
    assert torch.equal(drawn.codes(), torch.cat([single.codes() for single in alone]))
    torch.testing.assert_close(one.draw(None, limits).stacked(), limits.parameters(torch.tanh(one.mean)).stacked())
    still = one.draw(noise, limits, strength=0.0)
    assert still.displacement().abs().max() == 0 and not still.codes().any()


def test_the_divergence_from_the_prior_is_torchs():
    one = policy(CHANCES)
    normal = MultivariateNormal(one.mean, torch.diag_embed(one.width.square()))
    prior = MultivariateNormal(torch.zeros(5, 6), PRIOR_WIDTH**2 * torch.eye(6).expand(5, 6, 6))
    even = kl_divergence(Categorical(CHANCES.clamp_min(1e-12)), Categorical(torch.ones(5, 8)))
    torch.testing.assert_close(one.symmetry_kl(), even, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.kl(), kl_divergence(normal, prior) + even, rtol=1e-4, atol=1e-4)
    assert float(Policy(torch.zeros(1, 6), torch.full((1, 6), PRIOR_WIDTH)).kl()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("strength", [1.0, 0.4, 0.0])
def test_moments_are_those_of_an_integral(strength):
    one, limits = policy(), AffineLimits.wide()
    nodes = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    density = torch.exp(-nodes.square() / 2) / math.sqrt(2 * math.pi) * (nodes[1] - nodes[0])
    points = torch.tanh(one.mean.double()[..., None] + one.width.double()[..., None] * nodes)  # (B, 6, nodes)
    values = limits.parameters(strength * points.movedim(1, -1).reshape(-1, 6)).stacked().view(5, -1, 6)
    mean = (values * density[:, None]).sum(1)
    spread = ((values - mean[:, None]).square() * density[:, None]).sum(1).sqrt()
    found = one.moments(limits, strength)
    scale = limits.parameters(torch.ones(1, 6)).stacked() - limits.parameters(-torch.ones(1, 6)).stacked()
    torch.testing.assert_close(found[0] / scale, (mean / scale).float(), atol=4e-3, rtol=0)
    torch.testing.assert_close(found[1] / scale, (spread / scale).float(), atol=4e-3, rtol=0)


@pytest.mark.parametrize("strength", [1.0, 0.3, 0.0])
def test_symmetries_are_as_frequent_as_their_chances(strength):
    """Within 4.5 standard deviations of a binomial, with a fixed seed; ``strength`` scales all but the identity's."""
    count, one = 40_000, policy(CHANCES)
    expected = strength * CHANCES
    expected[:, 0] = 1 - expected[:, 1:].sum(-1)
    codes = one.draw(Policy.noise(count, 5, symmetries=True), AffineLimits(), strength).codes().view(count, 5)
    found = torch.nn.functional.one_hot(codes, 8).float().mean(0)
    assert ((found - expected).abs() <= 4.5 * (expected * (1 - expected).clamp_min(0) / count).sqrt() + 1e-7).all()
    assert torch.equal(one.chances, CHANCES)


def test_who_has_no_symmetries():
    noise, limits, one = Policy.noise(500, 5, symmetries=True), AffineLimits(), policy(CHANCES)
    assert one.draw(noise, limits).codes().any()
    assert not one.draw(noise[..., :6], limits).codes().any()
    assert not one.draw(None, limits).codes().any()  # the mode
    assert not policy().draw(noise, limits).codes().any()
    assert policy().chances.tolist() == [[1.0] + [0.0] * 7] * 5
