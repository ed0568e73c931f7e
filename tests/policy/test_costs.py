"""What transforms cost and the policy at a price: the closed form against a search by gradient, and its limits."""

import pytest
import torch

from learned_affine.policy.costs import MOST, Costs
from learned_affine.policy.distribution import Policy


def some(symmetries: bool = False, count: int = 3) -> Costs:
    generator = torch.Generator().manual_seed(4)
    centre = 0.2 * torch.randn(count, 6, generator=generator)
    curvature = (2 * torch.randn(count, 6, generator=generator)).exp()
    if not symmetries:
        return Costs(centre, curvature)
    cost, gate = (torch.rand(count, 8, generator=generator) for _ in range(2))
    cost[:, 0] = 0
    return Costs(centre, curvature, cost, gate)


def minimise(loss, *variables: torch.Tensor) -> None:
    """Change the variables to where the loss is least."""
    optimizer = torch.optim.LBFGS(variables, max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def step():
        optimizer.zero_grad()
        total = loss()
        total.backward()
        return total

    optimizer.step(step)


def test_a_cost_is_0_at_the_identity_quadratic_near_it_and_levels_off():
    costs, step = some(), 1e-2
    assert torch.equal(costs.of(torch.zeros(3, 6)), torch.zeros(3))
    far, centre = costs.of(torch.full((3, 6), 1e4)), costs.of(costs.centre)
    torch.testing.assert_close(far - centre, torch.full((3,), MOST))
    near = costs.of(costs.centre + step * torch.eye(6)[:, None]) - centre  # one number after the other
    torch.testing.assert_close(near, 0.5 * step**2 * costs.curvature.T, rtol=2e-2, atol=1e-5)


@pytest.mark.parametrize("price", [0.3, 4.0, 60.0])
def test_the_policy_is_the_widest_at_its_price(price):
    """Least of ``KL + price * mean of the quadratic``, found by gradient."""
    costs = some()
    costs = Costs(costs.centre.double(), costs.curvature.double())
    mean, log_width = torch.zeros(3, 6).double().requires_grad_(), torch.zeros(3, 6).double().requires_grad_()

    def loss():
        width = log_width.exp()
        quadratic = 0.5 * costs.curvature * ((mean - costs.centre).square() + width.square())
        return (Policy(mean, width).kl() + price * quadratic.sum(-1)).sum()

    minimise(loss, mean, log_width)
    found = costs.at(price)
    torch.testing.assert_close(found.mean, mean.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.width, log_width.detach().exp(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("free", [0.0, 0.3])
@pytest.mark.parametrize("allowed", [tuple(range(8)), (0, 2, 4, 6), (0, 4)])
def test_the_chances_are_the_most_even_at_their_price(allowed, free):
    """Least of ``KL + price * mean cost``, found by gradient over all chances that there are."""
    costs, price = some(symmetries=True), 5.0
    logits = torch.zeros(3, len(allowed)).double().requires_grad_()
    charged = (costs.gate * (costs.symmetries - free).clamp_min(0)).double()[:, allowed]

    def loss():
        chance = logits.softmax(-1)
        return ((chance * logits.log_softmax(-1)).sum(-1) + price * (chance * charged).sum(-1)).sum()

    minimise(loss, logits)
    policy = costs.at(price, free, allowed)
    torch.testing.assert_close(policy.chances[:, allowed], logits.softmax(-1).float().detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(policy.chances.sum(-1), torch.ones(3))
    assert policy.allowed == allowed


def test_without_symmetries_there_are_none():
    assert some().at(1.0, allowed=tuple(range(8))).symmetries is None
    assert some(symmetries=True).at(1.0).symmetries is None
