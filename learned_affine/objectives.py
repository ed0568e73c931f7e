"""What the augmenter minimises: the terms of ``losses`` put together for each of the named objectives.

The default is *calibrated*: give each image the widest range of warps that costs the frozen classifier little of what
it knows about images that it has never seen. ``c*`` is its cross entropy on those, and ``FitConfig.tolerance`` of what
it is better than a guess.

    KL(q(.|x) || prior)  +  lam (CE(f(T x), y) - c*)  -  w_H H(f(T x)) / log2 m  +  w_adv softplus(-D(T x))

divided by ``1 + lam``; the dual variable ``lam`` grows where the mean cross entropy is above ``c*``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from learned_affine import losses
from learned_affine.config import FitConfig


@dataclass(frozen=True)
class Outcome:
    """What became of a batch of augmented images.

    Args:
        logits: ``(B, m)`` of the frozen classifier.
        labels: ``(B,)`` given or predicted; None where the objective needs none.
        kl: ``(B,)`` divergence of each image's policy from the prior, in nats.
        scores: ``(B,)`` of the discriminator, None without one.
    """

    logits: Tensor
    labels: Tensor | None
    kl: Tensor
    scores: Tensor | None


def augmenter_loss(config: FitConfig, outcome: Outcome, target: float, dual: float) -> Tensor:
    """The augmenter's loss of each image, ``(B,)``, for the objective of ``config``."""
    if config.objective == "paper":
        return _paper(config, outcome)
    loss = config.kl_weight * outcome.kl + warp_loss(config, outcome, target, dual)
    return loss / (1 + dual) if config.objective == "calibrated" else loss


def warp_loss(config: FitConfig, outcome: Outcome, target: float, dual: float) -> Tensor:
    """The terms that depend on the draw, ``(B,)`` in nats: all but the divergence from the prior."""
    loss = outcome.logits.new_zeros(len(outcome.logits))
    if outcome.scores is not None:
        loss = loss + config.adversarial_weight * losses.adversarial_nats(outcome.scores)
    if config.objective == "entropy_target":
        return loss + (losses.relative_entropy(outcome.logits).mean() - target).abs()
    assert outcome.labels is not None
    if config.objective == "hardness":
        return loss + losses.hardness(outcome.logits, outcome.labels, target)
    loss = loss - config.entropy_weight * losses.relative_entropy(outcome.logits)
    return loss + dual * (losses.cross_entropy_nats(outcome.logits, outcome.labels) - target)


def _paper(config: FitConfig, outcome: Outcome) -> Tensor:
    """``log(1 - D(I')) + lambda L_ME(I')``, equation 4 of the paper."""
    loss = config.entropy_weight * losses.max_entropy_gap_nats(outcome.logits, config.sign)
    if outcome.scores is not None:
        loss = loss + config.adversarial_weight * losses.adversarial_nats(outcome.scores, saturating=True)
    return loss


def measured_target(config: FitConfig, logits: Tensor, labels: Tensor | None) -> float:
    """The target that unseen images set: what the objective holds, measured on them.

    Args:
        logits: ``(N, m)`` of the classifier on images that it was not trained on.
        labels: ``(N,)`` of them; None where the objective uses predicted labels.
    """
    if config.objective == "paper":
        return 0.0
    if config.objective == "entropy_target":
        return float(losses.relative_entropy(logits).mean())
    labels = logits.argmax(-1) if labels is None or config.labels == "predicted" else labels
    surprise = losses.cross_entropy_nats(logits, labels)
    if config.objective == "hardness":
        return float((-surprise).exp().mean().clamp(1e-3, 1 - 1e-3))
    return float(surprise.mean().clamp_min(1e-3))


def fallback_target(config: FitConfig, training: float, classes: int) -> float:
    """The target where there are no unseen images: cautious, and said so in the log.

    A quarter of the way from what the classifier has on its training images to what a guess has; for hardness 0.8.
    """
    if config.objective == "paper":
        return 0.0
    if config.objective == "hardness":
        return 0.8
    guess = 1.0 if config.objective == "entropy_target" else math.log(classes)
    return training + 0.25 * max(guess - training, 0.0)
