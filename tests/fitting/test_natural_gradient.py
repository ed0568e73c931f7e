"""The natural gradient against what it must be by hand, and the replay buffer."""

import copy

import torch
from hypothesis import given
from hypothesis import strategies as st

from learned_affine.fitting.natural_gradient import (
    RATE,
    REACH,
    SHARED_RATE,
    ReplayBuffer,
    natural_gradient,
    natural_gradient_step,
)
from learned_affine.policy.distribution import PRIOR_WIDTH, Policy


def noise(draws: int, images: int) -> torch.Tensor:
    return torch.randn(draws, images, 6, generator=torch.Generator().manual_seed(0))


def diagonal(mean: torch.Tensor, width: torch.Tensor) -> Policy:
    return Policy(mean, torch.diag_embed(width))


def step(start: Policy, drawn: torch.Tensor, losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return natural_gradient_step(start.mean, start.width, natural_gradient(start, drawn, losses))


def test_without_a_loss_the_policy_moves_to_the_prior():
    mean, width = torch.full((1, 6), 0.5), torch.full((1, 6), 0.3)
    drawn = noise(4, 1)
    for _ in range(200):
        mean, width = step(diagonal(mean, width), drawn, torch.zeros(4, 1))
    assert torch.allclose(mean, torch.zeros(1, 6), atol=1e-4)
    assert torch.allclose(width, torch.full((1, 6), PRIOR_WIDTH), rtol=1e-4)


def test_a_slope_moves_the_mean_down_it_and_leaves_the_width():
    slope = torch.tensor([0.3, -0.2, 0.0, 0.1, 0.0, 0.0])
    width, drawn = torch.full((1, 6), PRIOR_WIDTH), noise(200_000, 1)
    points = width * drawn
    mean, after = step(diagonal(torch.zeros(1, 6), width), drawn, points @ slope)
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
        mean, width = step(diagonal(mean, width), drawn, 0.5 * points.square() @ curvature)
    assert torch.allclose(width[0], (curvature + 1 / PRIOR_WIDTH**2).rsqrt(), rtol=0.1)
    assert torch.allclose(mean, torch.zeros(1, 6), atol=0.1)


@given(st.floats(-50, 50), st.integers(2, 6))
def test_a_constant_in_an_images_loss_changes_nothing(constant, draws):
    losses, drawn = torch.rand(draws, 3, generator=torch.Generator().manual_seed(1)), noise(draws, 3)
    start = diagonal(torch.zeros(3, 6), torch.full((3, 6), 0.3))
    one = step(start, drawn, losses.double())
    other = step(start, drawn, losses.double() + constant)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


def test_a_step_stays_within_reach_whatever_the_loss():
    start = diagonal(torch.zeros(2, 6), torch.full((2, 6), 0.3))
    mean, width = step(start, noise(4, 2), torch.tensor([[1e30, 0], [0, 1e30], [-1e30, 5], [0, 0]]))
    assert float(mean.abs().max()) <= REACH * 0.3 + 1e-6
    assert float((width / 0.3).log().abs().max()) <= REACH / 2 + 1e-6


def test_held_out_images_give_the_mean_step_and_the_own_ones_how_steps_differ():
    start = diagonal(torch.zeros(8, 6), torch.full((8, 6), 0.8))
    other = diagonal(torch.zeros(50, 6), torch.full((50, 6), 0.8))
    own = natural_gradient(start, noise(4, 8), 0.1 * torch.rand(4, 8))
    shared = natural_gradient(other, noise(4, 50), 0.1 * torch.rand(4, 50))
    mean, width = natural_gradient_step(start.mean, start.width, own, shared)
    alone, _ = natural_gradient_step(start.mean, start.width, own)
    assert torch.allclose(mean.mean(0), -0.8 * SHARED_RATE * shared.mean.mean(0), atol=1e-6)
    assert torch.allclose(2 * (width / 0.8).log().mean(0), -SHARED_RATE * shared.width.mean(0), atol=1e-5)
    assert torch.allclose(mean - mean.mean(0), alone - alone.mean(0), atol=1e-6)


# -- the replay buffer ------------------------------------------------------------------------------------------------


def test_the_replay_buffer_keeps_the_last_batches():
    buffer = ReplayBuffer(3)
    for number in range(5):
        buffer.add(*(torch.full((2, width), float(number)) for width in (7, 6, 6)))
    observation, mean, width = buffer.sample(10, torch.Generator().manual_seed(0))
    assert sorted(observation[:, 0].tolist()) == [2, 2, 3, 3, 4, 4]
    assert torch.equal(observation[:, 0], mean[:, 0]) and torch.equal(observation[:, 0], width[:, 0])


def test_the_replay_buffer_comes_back_from_its_state():
    buffer, other = ReplayBuffer(3), ReplayBuffer(3)
    buffer.add(torch.rand(2, 7), torch.rand(2, 6), torch.rand(2, 6))
    buffer.add(torch.rand(2, 7), torch.rand(2, 6), torch.rand(2, 6))
    other.load_state(copy.deepcopy(buffer.state()), torch.device("cpu"))
    drawn = [one.sample(1, torch.Generator().manual_seed(4)) for one in (buffer, other)]
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
