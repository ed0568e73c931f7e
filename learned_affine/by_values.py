"""The fit by values: each batch's policies are improved from the loss at a few draws, and the network follows them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from learned_affine import losses
from learned_affine.fitter import Fitter, Step, finite, numbers
from learned_affine.frozen import logits_of
from learned_affine.localization import LocalizationNetwork, Policy
from learned_affine.natural import Memory, distance_nats, improved
from learned_affine.objectives import Outcome, augmenter_loss, warp_loss
from learned_affine.parameters import AffineParameters

TOGETHER = 3  # batches of the memory in an update: their noise is averaged, and the newest are often among them


class ByValues(Fitter):
    """A fit that needs no gradient through the classifier, of which it sees the logits alone."""

    network: LocalizationNetwork  # FitConfig does not let a raw head come here

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.memory = Memory(self.config.memory)

    def train_step(self, images: Tensor, labels: Tensor | None) -> Step | None:
        """Improve the policies of a batch, and let the network follow; None where a number was not finite."""
        images = images.to(self.device, non_blocking=True)
        seen = self.network.look(images)
        with torch.no_grad():
            policy = self.network.policy(seen)
        noise = torch.stack([self._noise(len(images)) for _ in range(self.config.draws)])
        unit = torch.tanh(policy.mean + policy.width * noise).flatten(0, 1)
        parameters = self.augment.limits.parameters(unit * self.augment.strength)
        if not self.processes.all_agree(finite(parameters)):
            self._go_back()
            return None
        outcome, warped = self._outcome(images, labels, policy, parameters)
        dual = self._dual(outcome)
        loss = augmenter_loss(self.config, outcome, self.target, dual).mean()
        found = self._shown(loss, outcome, parameters, images)
        if self.discriminator is not None:
            found["discriminator_loss"] = self._discriminator_gradients(images, warped)
        values = self.processes.averages(numbers(found))
        if not math.isfinite(values["loss"] + values.get("discriminator_loss", 0.0)):
            return None
        cost = warp_loss(self.config, outcome, self.target, dual).view(len(noise), -1)
        better = improved(policy, noise, cost, self.config.prior_width, self.config.kl_weight)
        self.memory.add(*self.processes.gather(seen, *better))
        if self.discriminator_optimizer is not None:
            self.discriminator_optimizer.step()
        return self._advance(values) if self._follow() else None

    @torch.no_grad()
    def _outcome(
        self, images: Tensor, labels: Tensor | None, policy: Policy, parameters: AffineParameters
    ) -> tuple[Outcome, Tensor]:
        """What became of all draws, and the last draw's images. One draw at a time, for the sake of memory."""
        count, logits, scores, warped = len(images), [], [], images
        for start in range(0, len(parameters), count):
            warped = self.augment.warp(images, parameters[start : start + count])
            with self.processes.autocast(self.device):
                logits.append(logits_of(self.classify, warped))
                scores += [] if self.discriminator is None else [self._score(warped).float()]
        known = self._labels(images, labels, logits[0].shape[1])
        kl = losses.gaussian_kl_nats(policy.mean, policy.scale_tril, self.config.prior_width)
        return Outcome(
            torch.cat(logits),
            None if known is None else known.repeat(len(logits)),
            kl.repeat(len(logits)),
            torch.cat(scores) if scores else None,
        ), warped

    def _follow(self) -> bool:
        """Some steps of the network towards the improved policies in the memory; whether all was finite."""
        self._remember()
        for _ in range(self.config.updates):
            seen, mean, width = self.memory.sample(TOGETHER, self.noise)
            loss = distance_nats(self.network.policy(seen), mean, width).mean()
            if not math.isfinite(float(self._gradients(loss))):
                self._go_back()
                return False
            self.optimizer.step()
        return True

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        return {**super().state(), "memory": self.memory.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was taken."""
        super().load_state(state)
        self.memory.load_state(state["memory"], self.device)
