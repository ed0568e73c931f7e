"""The regression finds costs that are known, and the price is the one at which they come to the budget."""

import pytest
import torch

from learned_affine.fitting.learn import AGED, Draws, Learner, price_for
from learned_affine.fitting.symmetries import SymmetryCosts
from learned_affine.policy.costs import MOST, Costs
from learned_affine.policy.network import LocalizationNetwork
from tests.subjects import seeded

CPU = torch.device("cpu")


@pytest.mark.parametrize("budget", [1e-3, 0.2, 5.0])
@pytest.mark.parametrize("share", [0.03, 1.0, 400.0])
def test_the_price_is_that_at_which_the_cost_is_the_budget(budget, share):
    price = price_for(budget, lambda price: share / price)
    assert price == pytest.approx(share / budget, rel=1e-4)


def kinds(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Thumbnails of two kinds, bright above or to the left, and which they are of."""
    kind = torch.arange(count) % 2
    images = 0.3 * torch.randn(count, 1, 16, 16, generator=seeded(3))
    images[kind == 0, :, :8] += 2
    images[kind == 1, :, :, :8] += 2
    return images, kind


CURVATURE = torch.tensor([[8.0, 1, 1, 4, 2, 2], [0.5, 1, 1, 4, 20, 2]])
CENTRE = torch.tensor([[0.1, 0, 0, 0, 0, 0], [0, 0, 0, -0.1, 0, 0]])


def learner(images: torch.Tensor, outputs: torch.Tensor | None = None, **options) -> Learner:
    torch.manual_seed(0)
    network = LocalizationNetwork(1, **options)
    network.reprice(30.0)  # as a fit begins: its costs are in nats then
    return Learner(network, images, outputs, 5e-3, seeded())


def draws_of(kind: torch.Tensor, rounds: int = 3, each: int = 1000, noise: float = 0.2) -> list[Draws]:
    """Draws, and what they cost by the true curvatures and centres, within a noise."""
    draws, generator = [], seeded(5)
    for _ in range(rounds):
        rows = torch.randint(len(kind), (each,), generator=generator)
        z = 0.5 * torch.randn(each, 6, generator=generator)
        cost = Costs(CENTRE[kind[rows]], CURVATURE[kind[rows]]).of(z)
        draws.append(Draws(rows, z, cost + noise * torch.randn(each, generator=generator), torch.zeros(each)))
    return draws


@pytest.mark.parametrize("known", [True, False])
def test_it_finds_what_each_transform_costs_each_kind_of_image(known):
    images, kind = kinds(200)
    one = learner(images, torch.nn.functional.one_hot(kind).float() if known else None, symmetries="none")
    draws = draws_of(kind)
    errors = [one.learn(draws) for _ in range(4)]
    assert errors[-1] == pytest.approx(0.2, abs=0.06) and errors[-1] < errors[0]
    costs = one.costs(torch.arange(200))
    for place in (0, 1):
        torch.testing.assert_close(costs.curvature[kind == place].mean(0), CURVATURE[place], rtol=0.3, atol=0.3)
        torch.testing.assert_close(costs.centre[kind == place].mean(0), CENTRE[place], rtol=0, atol=0.08)


def test_the_bonus_counts_by_the_price_and_a_lost_label_no_more_than_the_most():
    images, kind = kinds(50)
    (draws,) = draws_of(kind, 1, 200)
    cost, bonus = draws.cost + 10.0 * (draws.cost > 1), 0.3 * draws.cost
    priced = (cost - bonus / 30).clamp_max(MOST)
    errors = [
        learner(images, symmetries="none").learn([one])
        for one in (Draws(draws.rows, draws.z, cost, bonus), Draws(draws.rows, draws.z, priced, torch.zeros(200)))
    ]
    assert errors[0] == errors[1] and float(priced.max()) == MOST


def test_it_finds_what_symmetries_cost_beside():
    images, kind = kinds(100)
    one, rows = learner(images), torch.arange(100)
    target = torch.zeros(100, 8)
    target[kind == 0, 2], target[kind == 1, 4] = 2.0, 1.0
    target[:, 1] = 50.0  # not allowed, so not learned
    allowed = (0, 2, 4, 6)
    known = {"classes": kind, "members": kind[:, None] > 0, "answer": target, "sure": target, "right": target}
    one.symmetries = SymmetryCosts(rows=rows, held_out=60, cost=target, target=target, allowed=allowed, **known)
    for _ in range(4):
        one.learn(draws_of(kind, 1))
    costs = one.costs(rows)
    found = costs.gate * costs.symmetries
    torch.testing.assert_close(found[:, allowed], target[:, allowed], atol=0.4, rtol=0)
    assert float((found - target)[:, allowed].abs().mean()) < 0.1 and float(found[:, 1].max()) < 10


def test_old_draws_count_less():
    """Of two rounds that contradict each other the mean by weight is found."""
    images, _ = kinds(2)
    one, draws = learner(images, symmetries="none"), []
    z = 0.1 * torch.randn(500, 6, generator=seeded(1))  # so small that costs do not level off
    quadratic = 0.5 * z.square().sum(-1)
    for count, curvature in ((500, 1.0), (0, 0.0), (0, 0.0), (500, 5.0)):
        draws.append(Draws(torch.zeros(count).long(), z[:count], curvature * quadratic[:count], torch.zeros(count)))
    for _ in range(4):
        one.learn(draws)
    weight = AGED**3
    found = float(one.costs(torch.tensor([0])).curvature.mean())
    assert found == pytest.approx((5 + weight * 1) / (1 + weight), rel=0.15)
