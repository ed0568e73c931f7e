"""The fit by values: each batch's policies are improved from the loss at a few draws, and the network follows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learned_affine import losses
from learned_affine.fitter import Fitter, Step, finite, numbers
from learned_affine.localization import LocalizationNetwork, Policy
from learned_affine.natural import Memory, Slopes, distance_nats, improved, slopes
from learned_affine.objectives import Outcome, augmenter_loss, warp_loss
from learned_affine.parameters import AffineParameters

TOGETHER = 3  # batches of the memory in an update: their noise is averaged, and the newest are often among them


@dataclass(frozen=True)
class Trial:
    """A few draws an image, before they are judged.

    Args:
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` as the loader gave them, or None.
        seen: what the network saw of the images.
        policy: of the images.
        noise: ``(K, B, 6)``, of which the draws were made.
        parameters: of the ``K * B`` draws.
    """

    images: Tensor
    labels: Tensor | None
    seen: Tensor
    policy: Policy
    noise: Tensor
    parameters: AffineParameters


class ByValues(Fitter):
    """A fit that needs no gradient through the classifier, of which it sees the logits alone."""

    network: LocalizationNetwork  # FitConfig does not let a raw head come here

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.memory = Memory(self.config.memory)

    def train_step(self, images: Tensor, labels: Tensor | None) -> Step | None:
        """Improve the policies of a batch, and let the network follow; None where a number was not finite."""
        trial = self._try(images, labels)
        new = None if self.unseen is None else self._try(*self._some_unseen(len(images)))
        if not self.processes.all_agree(all(finite(one.parameters) for one in (trial, new) if one is not None)):
            self._go_back()
            return None
        outcome, warped = self._outcome(trial)
        held, judged = (trial, outcome) if new is None else (new, self._outcome(new)[0])
        dual = self._dual(judged)
        loss = augmenter_loss(self.config, judged, self.target, dual).mean()
        found = self._shown(loss, judged, held.parameters, held.images)
        if self.discriminator is not None:
            found["discriminator_loss"] = self._discriminator_gradients(trial.images, warped)
        values = self.processes.averages(numbers(found))
        if not math.isfinite(values["loss"] + values.get("discriminator_loss", 0.0)):
            return None
        own = self._slopes(trial, outcome, dual)
        self._improve(trial, own, None if new is None else self._slopes(new, judged, dual))
        if self.discriminator_optimizer is not None:
            self.discriminator_optimizer.step()
        return self._advance(values) if self._follow() else None

    def _some_unseen(self, count: int) -> tuple[Tensor, Tensor | None]:
        """This process's part of some unseen images, half as many as a batch has."""
        assert self.unseen is not None
        processes, half = self.processes, -(-count // 2)
        images, labels = self.unseen.draw(half * processes.count, self.noise)
        part = processes.part(half)
        return images[part], None if labels is None else labels[part]

    @torch.no_grad()
    def _try(self, images: Tensor, labels: Tensor | None) -> Trial:
        """Draw from the policy of each image."""
        images = images.to(self.device, non_blocking=True)
        seen = self.network.look(images)
        policy = self.network.policy(seen)
        noise = torch.stack([self._noise(len(images)) for _ in range(self.config.draws)])
        unit = torch.tanh(policy.mean + policy.width * noise).flatten(0, 1)
        parameters = self.augment.limits.parameters(unit * self.augment.strength)
        return Trial(images, labels, seen, policy, noise, parameters)

    @torch.no_grad()
    def _outcome(self, trial: Trial) -> tuple[Outcome, Tensor]:
        """What became of all draws, and the last draw's images. One draw at a time, for the sake of memory."""
        images, policy = trial.images, trial.policy
        count, logits, scores, warped = len(images), [], [], images
        for start in range(0, len(trial.parameters), count):
            warped = self.augment.warp(images, trial.parameters[start : start + count])
            with self.processes.autocast(self.device):
                logits.append(self.logits(warped))
                scores += [] if self.discriminator is None else [self._score(warped).float()]
        known = self._labels(images, trial.labels, logits[0].shape[1])
        kl = losses.gaussian_kl_nats(policy.mean, policy.scale_tril, self.config.prior_width)
        return Outcome(
            torch.cat(logits),
            None if known is None else known.repeat(len(logits)),
            kl.repeat(len(logits)),
            torch.cat(scores) if scores else None,
        ), warped

    def _slopes(self, trial: Trial, outcome: Outcome, dual: float) -> Slopes:
        """Which way each image's policy should move."""
        cost = warp_loss(self.config, outcome, self.target, dual).view(len(trial.noise), -1)
        return slopes(trial.policy, trial.noise, cost, self.config.prior_width, self.config.kl_weight)

    def _improve(self, trial: Trial, own: Slopes, new: Slopes | None) -> None:
        """Keep the batch in the memory with better policies, the same in all processes."""
        policy, between = trial.policy, () if new is None else tuple(new)
        seen, mean, width, *found = self.processes.gather(trial.seen, policy.mean, policy.width, *own, *between)
        parts = Slopes(*found[:3]), Slopes(*found[3:]) if found[3:] else None
        self.memory.add(seen, *improved(mean, width, *parts))

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
