"""What mirrors cost: the regression by hand, and the gap between training and held-out images."""

import pytest
import torch
from torch import nn

from learned_affine.policy.distribution import Policy
from learned_affine.policy.mirrors import BATCHES, CLIP, GAP_RATE, SLOPE, WEIGHT, MirrorBuffer, MirrorCosts
from learned_affine.policy.network import UNIT, LocalizationNetwork


class Says(nn.Module):
    """In place of a network: an observation is the last output itself, and the chance at a price of 1."""

    def mirror_output(self, observation):
        return observation

    def policy(self, observation):
        return Policy(observation.new_zeros(len(observation), 6), torch.eye(6)[None], observation.clamp_max(0))


def costs(values, held_out=False, said=0.0, labels=None):
    """A batch of costs, of which the network says the same of each."""
    cost = torch.tensor(values)
    known = torch.tensor(labels) if labels is not None else torch.full((len(cost),), -1)
    return MirrorCosts(torch.full((len(cost),), said), cost, torch.full((len(cost),), held_out), known)


def generator():
    return torch.Generator().manual_seed(0)


def huber(error: float) -> float:
    return (error**2 / 2 if abs(error) < SLOPE else SLOPE * (abs(error) - SLOPE / 2)) / SLOPE


def test_the_loss_is_hubers_of_the_costs_in_nats():
    buffer = MirrorBuffer()
    buffer.add(costs([0.1, 1.0, -0.5], said=-0.2 * UNIT))  # it says that each costs 0.2 nats
    expected = WEIGHT * sum(huber(0.2 - cost) for cost in (0.1, 1.0, -0.5)) / 3
    assert buffer.loss(Says(), generator()).item() == pytest.approx(expected, rel=1e-5)


def test_costs_that_stand_out_are_cut_and_old_ones_go():
    buffer = MirrorBuffer()
    for number in range(BATCHES + 3):
        buffer.add(costs([99.0, -99.0, number / 100]))
    assert len(buffer.kept) == BATCHES
    assert buffer.kept[-1].cost.tolist() == pytest.approx([CLIP, -CLIP, (BATCHES + 2) / 100])


def test_training_images_are_shifted_to_the_held_out_ones():
    """They cost 0.4 nats more throughout: the gap goes there, and the shifted costs are those of held-out images."""
    buffer = MirrorBuffer()
    for _ in range(10):
        buffer.add(MirrorCosts(*map(torch.cat, zip(costs([0.6, 0.8]), costs([0.2, 0.4], held_out=True), strict=True))))
    gap = 0.0
    for _ in range(5):
        loss = buffer.loss(Says(), generator()).item()
        gap += GAP_RATE * (0.4 - gap)
        assert buffer.gap == pytest.approx(gap, rel=1e-5)
        shifted = [0.6 - gap, 0.8 - gap, 0.2, 0.4]
        assert loss == pytest.approx(WEIGHT * sum(map(huber, shifted)) / 4, rel=1e-5)
    alone = MirrorBuffer()
    alone.add(costs([0.6]))
    alone.loss(Says(), generator())
    assert alone.gap == 0.0  # without held-out images nothing is known of a gap


def test_a_network_that_is_regressed_to_noisy_costs_finds_their_mean():
    """A mean of logits or chances would not be the logit or the chance of the mean."""
    torch.manual_seed(1)
    network, images = LocalizationNetwork(1), torch.rand(2, 1, 16, 16)
    observation = network.observe(images)
    optimizer, buffer, g = torch.optim.Adam(network.parameters(), 0.02), MirrorBuffer(), generator()
    for _ in range(60):
        cost = torch.tensor([0.0, 0.4]) + 0.2 * (torch.rand(2, generator=g) - 0.5)  # within Huber's square part
        buffer.add(MirrorCosts(observation, cost, torch.ones(2, dtype=torch.bool), torch.tensor([0, 1])))
        optimizer.zero_grad()
        buffer.loss(network, g).backward()
        optimizer.step()
    network.price = 5.0 / UNIT
    expected = torch.sigmoid(-5 * torch.tensor([0.0, 0.4]))
    torch.testing.assert_close(network.policy(observation).mirror_chance.detach(), expected, atol=0.06, rtol=0)


def test_the_worst_class_is_the_one_to_which_mirrors_add_most():
    buffer = MirrorBuffer()
    buffer.add(costs([0.1, 0.3], held_out=True, said=0.0, labels=[0, 0]))  # flipped half the time: adds 0.1
    buffer.add(costs([1.0, 1.4], held_out=True, said=-2.0, labels=[7, 7]))  # at 0.119: adds 0.143
    buffer.add(costs([9.0], held_out=False, said=0.0, labels=[3]))  # a training image does not count beside them
    chance = torch.sigmoid(torch.tensor(-2.0)).item()
    assert buffer.worst_class(Says()) == pytest.approx({"class": 7, "chance": chance, "cost": 1.2 * chance})
    unknown = MirrorBuffer()
    unknown.add(costs([1.0]))
    assert unknown.worst_class(Says()) is None
    training = MirrorBuffer()
    training.add(costs([1.0], labels=[2]))
    assert training.worst_class(Says())["class"] == 2  # without held-out images the others tell


def test_state_and_back():
    one, other = MirrorBuffer(), MirrorBuffer()
    one.add(costs([0.5, 0.1], labels=[1, 0]))
    one.add(costs([0.2], held_out=True, labels=[1]))
    one.loss(Says(), generator())
    other.add(costs([9.0]))
    other.load_state(one.state(), torch.device("cpu"))
    assert other.gap == one.gap != 0 and len(other.kept) == 2
    assert other.loss(Says(), generator()).item() == one.loss(Says(), generator()).item()
