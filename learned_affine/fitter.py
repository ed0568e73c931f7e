"""The two players of a fit and one step of each: the augmenter, and the discriminator against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine import losses
from learned_affine.config import FitConfig
from learned_affine.diagnostics import output_measures, policy_measures, variance_between_images
from learned_affine.discriminator import Discriminator
from learned_affine.frozen import NO_GRADIENT, check_labels
from learned_affine.localization import DIMENSIONS, Policy, RawHead, match_channels
from learned_affine.objectives import Outcome, augmenter_loss
from learned_affine.parameters import AffineParameters
from learned_affine.processes import Processes
from learned_affine.unseen import Unseen

if TYPE_CHECKING:
    from learned_affine.transform import LearnedAffineAugment

Step = dict[str, float]
STATE = ("log_dual", "target", "temperature", "step", "epoch", "step_in_epoch", "seed")  # plain values of a fit
BETWEEN_DRAWS = (
    64  # an image, for the share of variance between images: 8 alone fake a share of 1 % where there is none
)


class Fitter:
    """The state of a fit: two players, their optimizers, the dual variable, and where the data stand."""

    def __init__(
        self,
        augment: LearnedAffineAugment,
        classify: Callable[[Tensor], Tensor],
        config: FitConfig,
        processes: Processes,
        device: torch.device,
        seed: int,
    ) -> None:
        self.augment, self.classify, self.config = augment, classify, config
        self.processes, self.device, self.seed = processes, device, seed
        self.network = augment.localization.to(device)
        self.discriminator: Discriminator | None = None
        if config.adversarial_weight > 0:
            self.discriminator = Discriminator(augment.localization.channels).to(device)
            self.discriminator.to(memory_format=torch.channels_last)  # in which its convolutions are fastest
        processes.equalise(self.network)
        self.optimizer = torch.optim.Adam(self._groups(), config.learning_rate)
        self.discriminator_optimizer = self._discriminator_optimizer()
        self.log_dual = math.log(config.dual_start)
        self.target, self.temperature = 0.0, 1.0
        self.unseen: Unseen | None = None  # images that the target is held on; without them, the training images
        self.noise = torch.Generator().manual_seed(seed % 2**63)
        self.step = self.epoch = self.step_in_epoch = 0
        self.steps = config.steps
        self._good: list[Tensor] | None = None  # the network's weights before the last step

    def _groups(self) -> list[dict[str, Any]]:
        """The bias of the head, which all images share, apart from the weights, which tell one image from another."""
        shared = self.network.head.bias
        own = [parameter for parameter in self.network.parameters() if parameter is not shared]
        return [{"params": own, "factor": 1.0}, {"params": [shared], "factor": self.config.shared_rate}]

    def _discriminator_optimizer(self) -> torch.optim.Optimizer | None:
        if self.discriminator is None:
            return None
        self.processes.equalise(self.discriminator)
        kinds: dict[str, Any] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        return kinds[self.config.discriminator_optimizer](
            self.discriminator.parameters(), lr=self.config.discriminator_rate
        )

    def logits(self, images: Tensor) -> Tensor:
        """The classifier's logits ``(B, m)``, divided by the temperature."""
        logits = self.classify(images)
        return logits if self.temperature == 1 else logits / self.temperature

    @property
    def held_on(self) -> str:
        """Which augmented images are held at the target."""
        return "training" if self.unseen is None else "unseen"

    # -- one step -----------------------------------------------------------------------------------------------------

    def train_step(self, images: Tensor, labels: Tensor | None) -> Step | None:
        """One step of both players; None, with nothing changed, where a number was not finite."""
        images = images.to(self.device, non_blocking=True)
        parameters, kl = self._propose(images)
        if not self.processes.all_agree(finite(parameters)):
            self._go_back()
            return None
        warped = self.augment.warp(images, parameters)
        with self.processes.autocast(self.device):
            logits = self.logits(warped)
            labels = self._labels(images, labels, logits.shape[1])
            scores = None if self.discriminator is None else self._score(warped).float()
        outcome = Outcome(logits, labels, kl, scores)
        loss = augmenter_loss(self.config, outcome, self.target, self._dual(outcome)).mean()
        if not loss.requires_grad or not warped.requires_grad or not logits.requires_grad:
            raise ValueError(NO_GRADIENT)
        found = self._shown(loss, outcome, parameters, images) | {"gradient": self._gradients(loss)}
        if self.discriminator is not None:
            found["discriminator_loss"] = self._discriminator_gradients(images, warped.detach())
        values = self.processes.averages(numbers(found))
        gradient, limited = values.pop("gradient"), values["loss"] + values.get("discriminator_loss", 0.0)
        if not math.isfinite(gradient) or not math.isfinite(limited):
            return None
        self._step_both()
        return self._advance(values)

    def draw(self, images: Tensor) -> tuple[Tensor, AffineParameters, Tensor]:
        """Warped images, their parameters, and each image's divergence from the prior."""
        parameters, kl = self._propose(images)
        return self.augment.warp(images, parameters), parameters, kl

    def _propose(self, images: Tensor) -> tuple[AffineParameters, Tensor]:
        """Parameters, and each image's divergence from the prior."""
        network, limits, strength = self.network, self.augment.limits, self.augment.strength
        if isinstance(network, RawHead):
            parameters = network.draw(images, None, limits, strength)
            return parameters, images.new_zeros(len(images))
        policy: Policy = network(images)
        unit = policy.mode() if self.config.deterministic else policy.sample(self._noise(len(images)))
        parameters = limits.parameters(unit * strength)
        kl = losses.gaussian_kl_nats(policy.mean, policy.scale_tril, self.config.prior_width)
        return parameters, kl

    def _noise(self, count: int) -> Tensor:
        """Noise for ``count`` images: of the global batch's, which all processes draw alike, this one's rows."""
        everywhere = torch.randn(count * self.processes.count, DIMENSIONS, generator=self.noise)
        return everywhere[self.processes.part(count)].to(self.device, non_blocking=True)

    @torch.no_grad()
    def _labels(self, images: Tensor, labels: Tensor | None, classes: int) -> Tensor | None:
        """The labels that the objective asks for."""
        if self.config.objective not in ("calibrated", "hardness"):
            # only shown, so labels that are none of the classifier's classes do no harm
            fits = labels is not None and int(labels.min()) >= 0 and int(labels.max()) < classes
            return labels.to(self.device) if labels is not None and fits else None
        if self.config.labels == "predicted":
            return self.logits(images).argmax(-1)
        return check_labels(labels, classes, self.config.objective).to(self.device)

    def _dual(self, outcome: Outcome) -> float:
        """The dual variable, damped by the batch's own excess."""
        if self.config.objective != "calibrated" or outcome.labels is None:
            return math.exp(self.log_dual)
        measured = self.processes.average(
            float(losses.cross_entropy_nats(outcome.logits.detach(), outcome.labels).mean())
        )
        return math.exp(self.log_dual + self.config.dual_damping * losses.dual_error(measured, self.target))

    def _set_rate(self) -> None:
        """The augmenter's rate falls along a cosine, to a twentieth so that it can follow the dual; not the paper's."""
        if self.config.objective == "paper":
            return
        done = min(1.0, self.step / max(1, self.steps))
        rate = self.config.learning_rate * max(0.05, 0.5 * (1 + math.cos(math.pi * done)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    def _gradients(self, loss: Tensor) -> Tensor:
        """Give the network the gradients of the augmenter's loss, clipped; their norm before that."""
        self.optimizer.zero_grad(set_to_none=True)
        # the network alone: a classifier that is no module is not frozen, and must not gather gradients either
        loss.backward(inputs=[parameter for parameter in self.network.parameters() if parameter.requires_grad])
        self.processes.average_gradients(self.network)
        return torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)

    def _discriminator_gradients(self, originals: Tensor, warped: Tensor) -> Tensor:
        """Give the discriminator the gradients of its own loss, which is returned, in nats."""
        assert self.discriminator is not None and self.discriminator_optimizer is not None
        with self.processes.autocast(self.device):
            loss = self._discriminator_loss(self._shown_as_original(originals), warped)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.processes.average_gradients(self.discriminator)
        return loss.detach()

    def _step_both(self) -> None:
        """Take both players' steps along the gradients that they have."""
        self._remember()
        self.optimizer.step()
        if self.discriminator_optimizer is not None:
            self.discriminator_optimizer.step()

    def _remember(self) -> None:
        """Set the rate of the step to come, and keep the weights before it."""
        self._set_rate()
        self._good = [parameter.detach().clone() for parameter in self.network.parameters()]

    def _advance(self, values: Step) -> Step:
        """Count a step that was taken; the dual variable follows it."""
        self._step_dual(values)
        self.step += 1
        self.step_in_epoch += 1
        return values

    @torch.no_grad()
    def _go_back(self) -> None:
        """Undo the last step of the augmenter, whose weights lead to warps that are not finite."""
        for parameter, good in zip(self.network.parameters(), self._good or (), strict=False):
            parameter.copy_(good)

    def _discriminator_loss(self, originals: Tensor, warped: Tensor) -> Tensor:
        return losses.discriminator_nats(self._score(originals).float(), self._score(warped).float())

    def _score(self, images: Tensor) -> Tensor:
        """The discriminator's scores, of images with the channels that the network looks at."""
        assert self.discriminator is not None
        scores: Tensor = self.discriminator(match_channels(images, self.network.channels).float())
        return scores

    def _shown_as_original(self, images: Tensor) -> Tensor:
        if self.config.discriminator_sees == "originals":
            return images
        unit = torch.tanh(self.config.prior_width * self._noise(len(images)))
        return self.augment.warp(images, self.augment.limits.parameters(unit))

    def _step_dual(self, values: Step) -> None:
        if self.config.objective == "calibrated":
            self.log_dual = losses.dual_step(self.log_dual, values["cross_entropy"], self.target, self.config.dual_rate)
        values["dual"] = math.exp(self.log_dual)

    @torch.no_grad()
    def _shown(self, loss: Tensor, outcome: Outcome, parameters: AffineParameters, images: Tensor) -> dict[str, Tensor]:
        """What a step shows: loss, entropy (bits), cross entropy (nats), KL (nats), displacement."""
        surprise = loss.new_tensor(math.nan)
        if outcome.labels is not None:
            surprise = losses.cross_entropy_nats(outcome.logits, outcome.labels).mean()
        return {
            "loss": loss,
            "entropy": losses.shannon_entropy_bits(outcome.logits).mean(),
            "cross_entropy": surprise,
            "kl": outcome.kl.mean(),
            "displacement": parameters.displacement(*images.shape[-2:]).mean(),
        }

    # -- measures -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def measure(self, images: Tensor, labels: Tensor | None, noise: torch.Generator) -> Step:
        """The measures of one batch, without a step."""
        before, self.noise = self.noise, noise
        try:
            images = images.to(self.device)
            parameters, kl = self._propose(images)
            if not self.processes.all_agree(finite(parameters)):
                return {}
            warped = self.augment.warp(images, parameters)
            logits, clean = self.logits(warped), self.logits(images)
            labels = self._labels(images, labels, logits.shape[1])
            scores = None if self.discriminator is None else self._score(warped)
            outcome = Outcome(logits, labels, kl, scores)
            loss = augmenter_loss(self.config, outcome, self.target, self._dual(outcome)).mean()
            values = numbers(self._shown(loss, outcome, parameters, images))
            values |= policy_measures(parameters, *images.shape[-2:]) | output_measures(logits, clean)
            values |= self._between(images)
            if self.discriminator is not None:
                values["discriminator_loss"] = float(self._discriminator_loss(self._shown_as_original(images), warped))
            return self.processes.averages(values)
        finally:
            self.noise = before

    def _between(self, images: Tensor) -> Step:
        """How much the network's output differs between images; NaN where that cannot be told from one image."""
        if len(images) < 2:
            return {"between_image_variance": math.nan, "output_spread": math.nan}
        output = self.network(images)
        if isinstance(output, Policy):
            noise = torch.randn(BETWEEN_DRAWS, len(images), DIMENSIONS, generator=self.noise).to(self.device)
            share = variance_between_images(output, noise)
            output = torch.cat([output.mean, output.scale_tril.flatten(1)], dim=1)
        else:
            share = 1.0  # of the paper's head, which knows no noise
        return {"between_image_variance": share, "output_spread": float(output.flatten(1).std(0).max())}

    # -- where it stands ----------------------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """What a checkpoint must have been made with to go on from it."""
        used = ("strength", "interpolation", "padding_mode")
        return {
            **self.config.to_dict(),
            "limits": asdict(self.augment.limits),
            "localization": self.network.arguments(),
            **{name: getattr(self.augment, name) for name in used},
        }

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        pairs: dict[str, Any] = {"network": self.network, "optimizer": self.optimizer}
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            pairs |= {"discriminator": self.discriminator, "discriminator_optimizer": self.discriminator_optimizer}
        return {
            **{name: part.state_dict() for name, part in pairs.items()},
            "noise": self.noise.get_state(),
            **{name: getattr(self, name) for name in STATE},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        for name in STATE:
            setattr(self, name, state[name])
        self.noise.set_state(state["noise"])


def numbers(found: dict[str, Tensor]) -> Step:
    """Zero-dimensional tensors as numbers, by one transfer from the device."""
    return dict(zip(found, torch.stack([value.detach().float() for value in found.values()]).tolist(), strict=True))


def finite(parameters: AffineParameters) -> bool:
    """Whether a warp by them is safe: the gradient of one at NaN positions reads outside the image's memory."""
    return bool(torch.isfinite(parameters.stacked().detach().sum()))
