"""What a policy is to minimise: the terms of ``losses`` put together.

The default is *calibrated*: give each image the widest distribution of warps at which the frozen classifier loses
little of what it knows about held-out images. ``c*`` is its cross entropy on those, plus the budget of
:mod:`learned_affine.objectives.target`.

    KL(q(.|x) || prior)  +  lam (CE(f(T x), y) - c*)  -  w_H H(f(T x)) / log2 m  +  w_adv softplus(-D(T x))

divided by ``1 + lam``; the dual variable ``lam`` grows where the mean cross entropy is above ``c*``. In other tasks
the task's own loss stands for ``CE``, and the most that its entropy can be for ``log2 m``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from learned_affine import losses
from learned_affine.config import FitConfig


@dataclass(frozen=True)
class Outcome:
    """What became of a batch of augmented images; ``K`` draws an image stand one after another.

    Args:
        output: ``(K * B, m)`` logits of the frozen classifier at its temperature, or ``(K * B,)`` of the user's loss.
        cost: ``(K * B,)``, what an image costs in nats; None where there are no labels and none are needed.
        kl: ``(K * B,)`` divergence of each image's policy from the prior, in nats.
        scores: ``(K * B,)`` of the discriminator, None without one.
        right: ``(K * B,)``, 1 where the classifier gives the label, else 0; None as ``cost``.
        warped: ``(B, C, H, W)``, the last draw's images.
        entropy: ``(K * B,)`` of the output, as a share of its maximum.
    """

    output: Tensor
    cost: Tensor | None
    kl: Tensor
    scores: Tensor | None
    right: Tensor | None
    warped: Tensor
    entropy: Tensor

    def rows(self, rows: Tensor) -> Outcome:
        """The outcome of some draws."""
        cost, scores, right = (None if one is None else one[rows] for one in (self.cost, self.scores, self.right))
        return Outcome(self.output[rows], cost, self.kl[rows], scores, right, self.warped, self.entropy[rows])


def merge(outcomes: list[Outcome]) -> Outcome:
    """The outcomes of several batches as that of one; the images are those of the last."""
    if len(outcomes) == 1:
        return outcomes[0]

    def joined(name: str) -> Tensor | None:
        parts = [getattr(one, name) for one in outcomes]
        return None if any(part is None for part in parts) else torch.cat(parts)

    output, kl, entropy = (torch.cat([getattr(one, name) for one in outcomes]) for name in ("output", "kl", "entropy"))
    return Outcome(output, joined("cost"), kl, joined("scores"), joined("right"), outcomes[-1].warped, entropy)


class Calibrated:
    """The default objective; the constraint's dual variable ``weight`` and its ``target`` come from outside."""

    constrained = True

    def __init__(self, config: FitConfig) -> None:
        self.entropy_weight, self.adversarial_weight = config.entropy_weight, config.adversarial_weight

    def loss(self, outcome: Outcome, target: float, weight: float) -> Tensor:
        """The loss of each draw, ``(K * B,)``."""
        return (outcome.kl + self.draw_loss(outcome, target, weight)) / (1 + weight)

    def draw_loss(self, outcome: Outcome, target: float, weight: float) -> Tensor:
        """The terms that depend on the draw, ``(K * B,)`` in nats: all but the divergence from the prior."""
        assert outcome.cost is not None
        loss = -self.entropy_weight * outcome.entropy
        if outcome.scores is not None:
            loss = self.adversarial_weight * losses.adversarial_nats(outcome.scores) + loss
        return loss + weight * (outcome.cost - target)


class Paper:
    """``log(1 - D(I')) + lambda L_ME(I')``, equation 4 of the paper."""

    constrained = False

    def __init__(self, config: FitConfig) -> None:
        self.entropy_weight, self.adversarial_weight = config.entropy_weight, config.adversarial_weight
        self.sign = config.sign

    def loss(self, outcome: Outcome, target: float = math.nan, weight: float = math.nan) -> Tensor:
        """The loss of each image, ``(B,)``; nothing is held at a target."""
        loss = self.entropy_weight * losses.max_entropy_gap_nats(outcome.output, self.sign)
        if outcome.scores is not None:
            loss = loss + self.adversarial_weight * losses.adversarial_nats(outcome.scores, saturating=True)
        return loss

    draw_loss = loss  # all of it depends on the warp


OBJECTIVES: dict[str, type[Calibrated] | type[Paper]] = {"calibrated": Calibrated, "paper": Paper}
