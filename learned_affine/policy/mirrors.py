"""What it costs the classifier to see an image mirrored: measured in pairs, and regressed on by the network.

A chance ``m`` of a mirror, with a prior of 1/2, adds ``KL(Bernoulli(m) || Bernoulli(1/2)) + lam m d`` to an image's
loss, where ``d`` is what mirroring costs and ``lam`` the dual variable. The best chance is known in closed form,

    logit m = -lam d,    at most 0,

so only ``d`` has to be learned. A sample of it is the difference between the costs of one draw of the six numbers with
and without the mirror. The network is regressed to ``d`` itself, in nats, not to the logit: its samples are noisy but
right in the mean, and a mean of logits or chances would not be the logit or the chance of the mean. ``lam`` enters as a
factor that is known exactly (``LocalizationNetwork.price``).
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine.policy.network import UNIT, LocalizationNetwork

CLIP = 2.0  # nats: at a dual variable of 4 a chance of 0.0003
SLOPE = 0.3  # nats, from where on an error counts linearly: most images cost nothing, a few ten nats
WEIGHT = 6.0  # against the divergence of the six numbers
EVERY = 2  # updates of the network: in all of them it is no better, for more time
BATCHES = 64  # of costs that are kept; they hardly depend on how far the policy goes
TOGETHER = 3  # of them in an update
GAP_RATE = 0.1  # of the running mean of what training images cost more


class MirrorCosts(NamedTuple):
    """What mirroring some images costs.

    Args:
        observation: ``(B, ...)``, what the network observed of them.
        cost: ``(B,)`` in nats.
        held_out: ``(B,)`` bool, whether the classifier was not trained on them.
        label: ``(B,)`` class indices, -1 where they are not known.
    """

    observation: Tensor
    cost: Tensor
    held_out: Tensor
    label: Tensor


class MirrorBuffer:
    """The costs of the last batches.

    Training images are known by heart, their mirror images are not: on them mirroring costs more, by ``gap``. That is
    the mean of what the network leaves unexplained, on training images less on held-out ones, so that it does not
    depend on which classes happen to be among them.
    """

    def __init__(self) -> None:
        self.kept: deque[MirrorCosts] = deque(maxlen=BATCHES)
        self.gap = 0.0

    def add(self, costs: MirrorCosts) -> None:
        """Keep a batch, and let the oldest go where there are too many."""
        self.kept.append(costs._replace(cost=costs.cost.clamp(-CLIP, CLIP)))

    def loss(self, network: LocalizationNetwork, generator: torch.Generator) -> Tensor:
        """How far the network's costs are from some of those that are kept."""
        chosen = torch.randperm(len(self.kept), generator=generator)[:TOGETHER].tolist()
        observation, cost, held_out, _ = map(torch.cat, zip(*(self.kept[index] for index in chosen), strict=True))
        expected = -network.mirror_output(observation) / UNIT
        if bool(held_out.any()) and not bool(held_out.all()):
            left = (cost - expected).detach()
            self.gap += GAP_RATE * (float(left[~held_out].mean() - left[held_out].mean()) - self.gap)
        cost = torch.where(held_out, cost, cost - self.gap)
        return WEIGHT * F.huber_loss(expected, cost, delta=SLOPE) / SLOPE

    @torch.no_grad()
    def worst_class(self, network: LocalizationNetwork, strength: float = 1.0) -> dict[str, float] | None:
        """The class to which mirrors add most, with its mean chance and what that adds to its cost (nats).

        None where no labels are known. The cost of a single mirror is cut at :data:`CLIP` nats; ``strength`` scales the
        chance, as in a draw.
        """
        observation, cost, held_out, label = map(torch.cat, zip(*self.kept, strict=True))
        if bool(held_out.any()):  # on training images mirrors cost more, since those are known by heart
            observation, cost, label = observation[held_out], cost[held_out], label[held_out]
        chance = strength * network.policy(observation).mirror_chance
        added = {one: float((chance * cost)[label == one].mean()) for one in label[label >= 0].unique().tolist()}
        if not added:
            return None
        worst = max(added, key=lambda one: added[one])
        return {"class": worst, "chance": float(chance[label == worst].mean()), "cost": added[worst]}

    def state(self) -> dict[str, Any]:
        """All of it, as plain values and tensors."""
        return {"kept": [list(batch) for batch in self.kept], "gap": self.gap}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Take up what :meth:`state` gave."""
        self.kept.clear()
        self.kept.extend(MirrorCosts(*(part.to(device) for part in batch)) for batch in state["kept"])
        self.gap = state["gap"]
