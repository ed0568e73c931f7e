"""Every term against a value worked out by hand."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, kl_divergence

from learned_affine import losses

LOGITS = torch.tensor([[0.75, 0.25], [0.5, 0.5], [1.0, 1e-30]], dtype=torch.float64).log()
ENTROPY = 0.75 * math.log2(4 / 3) + 0.25 * 2


def test_entropy_by_hand():
    expected = torch.tensor([ENTROPY, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(losses.shannon_entropy_bits(LOGITS), expected)
    torch.testing.assert_close(losses.relative_entropy(torch.zeros(1, 8)), torch.ones(1))


@pytest.mark.parametrize(("sign", "factor"), [("printed", -1), ("corrected", 1)])
def test_max_entropy_loss_by_hand(sign, factor):
    got = losses.max_entropy_gap_nats(LOGITS[:1], sign)
    assert got.item() == pytest.approx(factor * math.log(1 - ENTROPY))


def test_printed_sign_rewards_low_entropy_and_the_corrected_one_high():
    low, high = torch.tensor([[4.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert losses.max_entropy_gap_nats(low) < losses.max_entropy_gap_nats(high)
    assert losses.max_entropy_gap_nats(low, "corrected") > losses.max_entropy_gap_nats(high, "corrected")


def test_max_entropy_loss_is_finite_at_the_uniform_distribution():
    assert torch.isfinite(losses.max_entropy_gap_nats(torch.zeros(1, 4), "corrected")).all()


def test_cross_entropy_by_hand():
    assert losses.cross_entropy_nats(LOGITS[:1], torch.tensor([1])).item() == pytest.approx(math.log(4))


def test_kl_agrees_with_torch_distributions():
    lower = torch.tril(torch.randn(4, 6, 6, dtype=torch.float64))
    lower = lower + torch.diag_embed(lower.diagonal(dim1=1, dim2=2).abs() + 0.1 - lower.diagonal(dim1=1, dim2=2))
    mean = torch.randn(4, 6, dtype=torch.float64)
    prior = MultivariateNormal(torch.zeros(6).double(), 0.81 * torch.eye(6).double())
    expected = kl_divergence(MultivariateNormal(mean, scale_tril=lower), prior)
    torch.testing.assert_close(losses.gaussian_kl_nats(mean, lower, 0.9), expected)


def test_kl_of_a_coin_agrees_with_torch_distributions():
    logit = torch.tensor([-40.0, -7.0, -1.5, -1e-3, 0.0, 1e-3, 2.0, 40.0], dtype=torch.float64, requires_grad=True)
    found = losses.bernoulli_kl_nats(logit)
    expected = kl_divergence(Bernoulli(logits=logit), Bernoulli(torch.tensor(0.5, dtype=torch.float64)))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    (slope,) = torch.autograd.grad(found.sum(), logit)
    chance = logit.detach().sigmoid()
    torch.testing.assert_close(slope, logit.detach() * chance * (1 - chance))  # by hand: the logit times the variance


def test_kl_of_a_coin_is_finite_at_the_ends():
    logit = torch.tensor([-1e4, -200.0, 200.0], requires_grad=True)
    found = losses.bernoulli_kl_nats(logit)
    torch.testing.assert_close(found.detach(), torch.full((3,), math.log(2)))
    assert bool(torch.isfinite(torch.autograd.grad(found.sum(), logit)[0]).all())


def test_discriminator_at_chance_and_by_hand():
    assert losses.discriminator_nats(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(2 * math.log(2))
    real, fake = torch.tensor([math.log(3)]), torch.tensor([-math.log(4)])  # D = 3/4 and 1/5
    assert losses.discriminator_nats(real, fake).item() == pytest.approx(-math.log(0.75) - math.log(0.8))


def test_adversarial_by_hand():
    fake = torch.tensor([-math.log(4)])
    assert losses.adversarial_nats(fake).item() == pytest.approx(-math.log(0.2))
    assert losses.adversarial_nats(fake, saturating=True).item() == pytest.approx(math.log(0.8))
