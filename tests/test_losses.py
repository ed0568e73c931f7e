"""Every term against a value worked out by hand."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, Normal, kl_divergence

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


def test_cross_entropy_by_hand():
    assert losses.cross_entropy_nats(LOGITS[:1], torch.tensor([1])).item() == pytest.approx(math.log(4))


def test_kl_agrees_with_torch_distributions():
    mean, width = torch.randn(4, 6).double(), torch.rand(4, 6).double() + 0.1
    prior = Independent(Normal(torch.zeros(6).double(), 0.9), 1)
    expected = kl_divergence(Independent(Normal(mean, width), 1), prior)
    torch.testing.assert_close(losses.gaussian_kl_nats(mean, width, 0.9), expected)


def test_kl_of_chances_agrees_with_torch_distributions():
    chances = torch.randn(5, 8).double().softmax(-1)
    expected = kl_divergence(Categorical(chances), Categorical(torch.ones(8).double()))
    torch.testing.assert_close(losses.categorical_kl_nats(chances, 8), expected)
    sure = torch.eye(8)[:1]
    torch.testing.assert_close(losses.categorical_kl_nats(sure, 4), torch.tensor([math.log(4)]))


def test_discriminator_at_chance_and_by_hand():
    assert losses.discriminator_nats(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(2 * math.log(2))
    real, fake = torch.tensor([math.log(3)]), torch.tensor([-math.log(4)])  # D = 3/4 and 1/5
    assert losses.discriminator_nats(real, fake).item() == pytest.approx(-math.log(0.75) - math.log(0.8))


def test_adversarial_by_hand():
    fake = torch.tensor([-math.log(4)])
    assert losses.adversarial_nats(fake).item() == pytest.approx(-math.log(0.2))
    assert losses.adversarial_nats(fake, saturating=True).item() == pytest.approx(math.log(0.8))
