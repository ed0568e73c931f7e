"""Other ways to fit, for ``accuracy.py`` to hold against the default; no part of the package."""

from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from arms import ANY_ANGLE, WIDE, Setting
from fitted_arms import fitted
from torch import Tensor

from learned_affine import FitConfig, LearnedAffineAugment, fitting, localization
from learned_affine.by_values import ByValues, Trial
from learned_affine.localization import Policy
from learned_affine.losses import cross_entropy_nats, dual_error
from learned_affine.natural import Slopes
from learned_affine.objectives import Outcome, warp_loss


class PerClass(ByValues):
    """Holds every class of unseen images at a target of its own, by a factor of its own on the dual variable."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.log_factors = torch.empty(0)  # one a class
        self.targets = torch.empty(0)
        self.judged: Outcome | None = None

    def _slopes(self, trial: Trial, outcome: Outcome, dual: float) -> Slopes:
        if len(self.targets) == 0:
            self._find_targets(outcome.logits.shape[1])
        self.judged = outcome  # the unseen images come last
        return super()._slopes(trial, outcome, dual * self.log_factors.exp()[outcome.labels.cpu()].to(self.device))

    def _find_targets(self, classes: int) -> None:
        """What the default holds in the mean, for each class: its cross entropy and a share of what is known of it."""
        with torch.no_grad():
            parts = torch.stack(self.unseen.images).split(64)
            logits = torch.cat([self.logits(some.to(self.device)).cpu() for some in parts])
        labels = torch.stack(self.unseen.labels)
        surprise = cross_entropy_nats(logits, labels)
        plain = torch.stack([surprise[labels == one].mean() for one in range(classes)])
        known = (torch.tensor(classes).log() - plain).clamp_min(0)
        self.targets, self.log_factors = plain + self.config.tolerance * known, torch.zeros(classes)

    def _improve(self, trial: Trial, own: Slopes, new: Slopes | None) -> None:
        super()._improve(trial, own, new)
        labels = self.judged.labels.cpu()
        surprise = cross_entropy_nats(self.judged.logits.cpu(), labels)
        for one in labels.unique().tolist():
            error = dual_error(float(surprise[labels == one].mean()), float(self.targets[one]))
            self.log_factors[one] += self.config.dual_rate * error
        # what all classes have in common is the dual variable's own
        self.log_factors = (self.log_factors - self.log_factors.mean()).clamp(-3, 3)


class WeightedSamples(ByValues):
    """Takes policies to the moments of their draws, weighted as the best policy ``q*`` would draw them: forward KL."""

    def _slopes(self, trial: Trial, outcome: Outcome, dual: float) -> Slopes:
        cost = warp_loss(self.config, outcome, self.target, dual).view(len(trial.noise), -1)
        return weighted_moments(trial.policy, trial.noise, cost, self.config.prior_width)


def weighted_moments(policy: Policy, noise: Tensor, losses: Tensor, prior_width: float) -> Slopes:
    """How far mean and width are from those of draws weighted by ``q* / policy``, ``q* = prior exp(-loss) / Z``.

    The weights' logarithms are shrunk to a standard deviation of 1 at most: as they are, one of eight draws has nearly
    all of the weight, and every policy shrinks to a point. Arguments and units are those of
    :func:`learned_affine.natural.slopes`.
    """
    drawn = policy.mean + policy.width * noise
    exponents = (noise.square() / 2 - (drawn / prior_width).square() / 2).sum(-1) - losses
    weights = (exponents / exponents.std(0).clamp_min(1.0)).softmax(0)[..., None]
    mean = (weights * noise).sum(0)
    spread = (weights * (noise - mean).square()).sum(0) / (1 - weights.square().sum(0)).clamp_min(0.1)
    # of a ratio near 1 the ratio minus 1, whose mean has no bias, stands for the logarithm
    return Slopes(-mean, 1 - spread, torch.ones_like(mean[:, :1]))


def fitted_by(setting: Setting, players: type[ByValues], **arguments: Any) -> LearnedAffineAugment:
    """A policy from a fit in which these take the default's place."""
    with patch.object(fitting, "ByValues", players):
        return fitted(setting, **arguments)


def from_the_prior(setting: Setting, **arguments: Any) -> LearnedAffineAugment:
    """A fit whose policies start as wide as the prior, instead of at a tenth of it."""
    with patch.object(localization, "START_WIDTH", 1.0):
        return fitted(setting, **arguments)


PER_CLASS = partial(fitted_by, players=PerClass)
WEIGHTED = partial(fitted_by, players=WeightedSamples, config=FitConfig(draws=8))
DIALS = {  # one dial of the default turned, by the name of its arm
    "entropy term x 10": {"config": FitConfig(entropy_weight=10.0)},
    "dual rate x 0.3": {"config": FitConfig(dual_rate=0.03)},
    "dual start 1": {"config": FitConfig(dual_start=1.0)},
    "30 steps": {"config": FitConfig(steps=30)},
    "120 steps": {"config": FitConfig(steps=120)},
    "thumbnail 8": {"size": 8},
    "width 256": {"width": 256},
    "p .25": {"p": 0.25},
    "p .75": {"p": 0.75},
}
VARIANTS = {
    "learned, held per class": PER_CLASS,
    "learned wide, held per class": partial(PER_CLASS, limits=WIDE),
    "learned, weighted samples": WEIGHTED,
    "learned wide, weighted samples": partial(WEIGHTED, limits=WIDE),
    "learned wide, entropy term x 10": partial(fitted, limits=WIDE, config=FitConfig(entropy_weight=10.0)),
    "learned wide, no entropy term": partial(fitted, limits=WIDE, config=FitConfig(entropy_weight=0.0)),
    "learned wide, 120 steps": partial(fitted, limits=WIDE, config=FitConfig(steps=120)),
    "learned, any angle": partial(fitted, limits=ANY_ANGLE),
    "learned, wide start": from_the_prior,
    "learned wide, wide start": partial(from_the_prior, limits=WIDE),
    **{f"learned, {name}": partial(fitted, **dial) for name, dial in DIALS.items()},
}
