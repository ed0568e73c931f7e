"""Regress the costs on the images, and find the price at which they come to the budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine.fitting.symmetries import SymmetryCosts
from learned_affine.policy.costs import MOST, Costs
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.tasks.pool import CPU

STEPS, BATCH = 80, 512  # a round
AGED = 0.7  # the weight of a draw falls by this a round: old ones were made by a policy that is left
KNOWN = 1.0  # weight of the classifier's own outputs, which teach the features what the images are
SURE = 0.5  # nats: the noise of a cost, besides what grows with it
LARGEST = 100.0  # of these outputs: masked classes have far lower ones, or minus infinity
LAST_RATE = 0.02  # of the learning rate, at the end of a round's cosine
PREDICTED_DRAWS = 16  # of each image that is priced
BISECTIONS, CHEAPEST, DEAREST = 24, 1e-2, 1e5  # prices, in one over the budget


class Draws(NamedTuple):
    """The draws of a round that were judged."""

    rows: Tensor  # (N,), of the pool
    z: Tensor  # (N, 6), before the tanh
    cost: Tensor  # (N,), in nats
    bonus: Tensor  # (N,), what the paper's losses take off, whatever the price


class Learner:
    """The network, what it learns beside the costs, and its optimizer.

    Args:
        network: from images to costs.
        observations: ``(P, ...)``, what it uses of each image of the fit.
        outputs: ``(P, m)``, the classifier's output for each image; None for a loss of the user's own.
        learning_rate, generator: of Adam; of the order of the draws.
    """

    def __init__(
        self,
        network: LocalizationNetwork,
        observations: Tensor,
        outputs: Tensor | None,
        learning_rate: float,
        generator: torch.Generator,
    ) -> None:
        self.network, self.observations, self.generator, self.rate = network, observations, generator, learning_rate
        self.symmetries: SymmetryCosts | None = None  # as judged
        self.allowed = network.codes  # symmetries, as far as they were judged
        with torch.no_grad():  # once, since it took more than half of a round
            self.gates = torch.cat([network.gate(some) for some in observations.split(BATCH)])
        self.outputs = None if outputs is None or not network.per_image else _standardised(outputs.to(observations))
        count = 1 if self.outputs is None else self.outputs.shape[1]
        self.known = nn.Linear(network.head.in_features, count, device=CPU).to(observations)
        self.optimizer = torch.optim.Adam([*network.parameters(), *self.known.parameters()], lr=learning_rate)

    def learn(self, rounds: list[Draws]) -> float:
        """A round of regression on all draws so far; returns the root mean square error of the last steps, in nats."""
        last = len(rounds) - 1
        ages = torch.cat([torch.full_like(one.cost, last - number) for number, one in enumerate(rounds)])
        chosen = torch.multinomial(AGED**ages, STEPS * BATCH, replacement=True, generator=self.generator)
        rows, z, cost, bonus = (torch.cat(column).to(self.gates.device) for column in zip(*rounds, strict=True))
        target = (cost - bonus / self.network.price).clamp_max(MOST)  # a label that is lost costs no more
        errors = []
        for step, some in enumerate(chosen.to(target.device).split(BATCH)):
            share = 0.5 * (1 + math.cos(math.pi * step / STEPS))
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * max(LAST_RATE, share)
            errors.append(self._step(rows[some], z[some], target[some]))
        return float(torch.stack(errors[-10:]).mean().sqrt())

    def _step(self, rows: Tensor, z: Tensor, target: Tensor) -> Tensor:
        features = self._features(rows)
        costs = self.network.read(features, self.gates[rows])
        predicted = costs.of(z)
        errors = (predicted - target).square()
        # the noise of a cost grows with it, so cheap draws have more weight
        weight = 1 / (predicted.detach().clamp_min(0) + SURE)
        loss = (weight * errors).sum() / weight.sum()
        if self.outputs is not None:
            loss = loss + KNOWN * F.mse_loss(self.known(features), self.outputs[rows])
        if self.symmetries is not None:
            loss = loss + self.symmetries.error(costs, rows)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return errors.detach().mean()

    def _features(self, rows: Tensor) -> Tensor:
        observed = self.observations[rows]
        return self.network.features(observed) if self.network.per_image else observed

    @torch.no_grad()
    def costs(self, rows: Tensor) -> Costs:
        """What transforms cost the images of some rows, by the network as it is."""
        return self.network.read(self._features(rows), self.gates[rows])

    def policy(self, costs: Costs, price: float | None = None) -> Policy:
        """The policy that follows from costs at a price, else at the network's present one."""
        return costs.at(self.network.price if price is None else price, self.network.free, self.allowed)

    def cost_by_price(self, rows: Tensor) -> Callable[[float], float]:
        """What warps and symmetries are predicted to cost the images of some rows in the mean, in nats, at a price.

        The network is asked once, since only the price changes while one is looked for.
        """
        costs, own = self.costs(rows), torch.Generator().manual_seed(0)
        noise = Policy.noise(PREDICTED_DRAWS, len(rows), generator=own).to(costs.centre)

        def predicted(price: float) -> float:
            policy = self.policy(costs, price)
            warps = costs.without_gains(policy.before_tanh(noise)).mean()
            return float(warps + (policy.chances * costs.of_symmetries()).sum(1).mean())

        return predicted


def _standardised(outputs: Tensor) -> Tensor:
    """Outputs of an image count from their mean, so that one logit and two classes are the same."""
    outputs = outputs.clamp(-LARGEST, LARGEST)
    outputs = outputs - outputs.mean(1, keepdim=True) if outputs.shape[1] > 1 else outputs
    return (outputs - outputs.mean(0)) / outputs.std(0, correction=0).clamp_min(1e-3)


def price_for(budget: float, cost_at: Callable[[float], float], cheapest: float = CHEAPEST) -> float:
    """The price at which the cost, which falls with it, comes to the budget, in nats; not below the cheapest."""
    low, high = math.log(cheapest / budget), math.log(DEAREST / budget)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost_at(math.exp(middle)) > budget else (low, middle)
    return math.exp((low + high) / 2)
