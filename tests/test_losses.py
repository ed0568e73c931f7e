"""Terms against values worked out by hand; entropies and divergences are held to torch's where they are used."""

import math

import pytest
import torch

from learned_affine import losses

LOGITS, ENTROPY = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), 1.75  # bits, of at most 2


@pytest.mark.parametrize(("sign", "factor"), [("printed", -1), ("corrected", 1)])
def test_max_entropy_loss_by_hand(sign, factor):
    got = losses.max_entropy_gap_nats(LOGITS, sign)
    assert got.item() == pytest.approx(factor * math.log(2 - ENTROPY))


def test_the_divergence_of_a_sure_choice_among_four_is_that_of_four():
    torch.testing.assert_close(losses.categorical_kl_nats(torch.eye(8)[:1], 4), torch.tensor([math.log(4)]))


def test_discriminator_at_chance_and_both_players_by_hand():
    assert losses.discriminator_nats(torch.zeros(3), torch.zeros(5)).item() == pytest.approx(2 * math.log(2))
    real, fake = torch.tensor([math.log(3)]), torch.tensor([-math.log(4)])  # D = 3/4 and 1/5
    assert losses.discriminator_nats(real, fake).item() == pytest.approx(-math.log(0.75) - math.log(0.8))
    assert losses.adversarial_nats(fake).item() == pytest.approx(-math.log(0.2))
    assert losses.adversarial_nats(fake, saturating=True).item() == pytest.approx(math.log(0.8))
