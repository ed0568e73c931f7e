"""One step of a fit: draw, judge, weigh, improve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FEWEST_STEPS
from learned_affine.diagnostics.measures import mirror_measures, policy_measures, variance_between_images
from learned_affine.fitting.estimators import Draws, PathwiseEstimator, ScoreFunctionEstimator, mirror_costs
from learned_affine.objectives.adversary import Adversary
from learned_affine.objectives.constraint import Constraint
from learned_affine.objectives.objective import OBJECTIVES, Outcome, merge
from learned_affine.objectives.target import Target
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import UNIT
from learned_affine.policy.raw_head import RawHead
from learned_affine.runtime.distributed import Distributed
from learned_affine.tasks.model import Model
from learned_affine.tasks.targets import join
from learned_affine.transforms.transform import PolicyTransform

Metrics = dict[str, float]
POSITION = ("step", "epoch", "step_in_epoch", "seed")  # where the data stand
# draws an image for the share of variance between images: 8 alone fake a share of 1 % where there is none
BETWEEN_DRAWS = 64


class PolicyTrainer:
    """A policy, the estimator that improves it, the constraint and the adversary, and where the data stand.

    Args:
        augment: the transform whose policy is fitted.
        model: the classifier, and what its outputs cost.
        config: every dial.
        target: what augmented images are held to.
        adversary: the discriminator, None without one.
        processes: one or several.
        device: where it computes.
        seed: of the noise.
    """

    def __init__(
        self,
        augment: PolicyTransform,
        model: Model,
        config: FitConfig,
        target: Target,
        adversary: Adversary | None,
        processes: Distributed,
        device: torch.device,
        seed: int,
    ) -> None:
        self.augment, self.model, self.config, self.adversary = augment, model, config, adversary
        self.processes, self.device, self.seed = processes, device, seed
        self.network, self.held_out = augment.localization, target.held_out
        model.temperature = target.temperature
        self.objective = OBJECTIVES[config.objective](config)
        self.constraint = Constraint(target.value, config.dual_rate, target.budget)
        shared = (augment.limits, augment.strength, config, processes)
        self.estimator: PathwiseEstimator | ScoreFunctionEstimator = (
            PathwiseEstimator(self.network, *shared)
            if isinstance(self.network, RawHead)
            else ScoreFunctionEstimator(self.network, *shared)
        )
        if isinstance(self.estimator, ScoreFunctionEstimator) and self.estimator.mirrors is not None:
            self.estimator.network.set_price(self.constraint.dual / UNIT)
        self.noise = torch.Generator().manual_seed(seed % 2**63)
        self.step = self.epoch = self.step_in_epoch = 0
        self.steps = config.steps or FEWEST_STEPS

    # -- one step -----------------------------------------------------------------------------------------------------

    def train_step(self, images: Tensor, labels: Any) -> Metrics | None:
        """One step; None, with nothing changed, where a number was not finite."""
        images = images.to(self.device, non_blocking=True)
        drawn = [self._draw(images, labels), *self._draw_held_out(len(images))]
        if not self.processes.all(all(draws.finite for draws in drawn)):
            self.estimator.revert()
            return None
        outcomes = [self._judge(draws) for draws in drawn]
        held = slice(1, None) if len(drawn) > 1 else slice(None)  # what is held at the target
        judged = merge(outcomes[held])
        weight = self._weight(judged)
        mirrored = self._try_mirrors(drawn, outcomes, weight)
        metrics = self._metrics(drawn, outcomes, judged, held, weight, mirrored)
        if metrics is None:
            return None
        evidence = [(d, self.objective.draw_loss(o, self.target, weight)) for d, o in zip(drawn, outcomes, strict=True)]
        if not self.estimator.update(evidence, self.step / max(1, self.steps), self.noise):
            return None
        return self._advance(metrics)

    def _draw(self, images: Tensor, labels: Any) -> Draws:
        noise = self.estimator.noise(self.config.draws, len(images), self.noise)
        return self.estimator.draw(images, labels, noise)

    def _draw_held_out(self, count: int) -> Iterator[Draws]:
        """Draws of some held-out images, half as many as a batch has, this process's part; one for each size."""
        if self.held_out is None:
            return
        half = -(-count // 2)
        chosen = self.held_out.draw(half * self.processes.count, self.noise)[self.processes.local_slice(half)]
        noise = self.estimator.noise(self.config.draws, half, self.noise)
        for places, images, labels in self.held_out.batches(chosen):
            yield replace(self.estimator.draw(images.to(self.device), labels, noise[:, places]), places=places)

    def _judge(self, draws: Draws) -> Outcome:
        """What became of all draws. One draw at a time, so that less memory is needed."""
        answers, scores, warped, model = [], [], draws.images, self.model
        with torch.set_grad_enabled(self.estimator.differentiates), self.processes.autocast(self.device):
            for parameters in draws.parts():
                warped = self.augment.warp(draws.images, parameters)
                answers.append(model.answer(warped))
                scores += [] if self.adversary is None else [self.adversary.score(warped).float()]
            labels = model.labels_of(draws.images, draws.labels, answers[0])
            followed = [model.follow(labels, parameters, self.augment.apply) for parameters in draws.parts()]
            output = torch.cat(list(map(model.output, answers, followed)))
        labels, task = join(followed), model.task
        cost, right = [None if labels is None else of(output, labels) for of in (task.loss, task.right)]
        kl, entropy = draws.kl.repeat(draws.count), task.relative_entropy(output)
        return Outcome(output, cost, kl, torch.cat(scores) if scores else None, right, warped, entropy)

    @torch.no_grad()
    def _try_mirrors(self, drawn: list[Draws], outcomes: list[Outcome], weight: float) -> dict[str, Tensor]:
        """Judge some images mirrored; what mirrors add to the costs of those held at the target, and their number."""
        estimator = self.estimator
        if not isinstance(estimator, ScoreFunctionEstimator) or estimator.mirrors is None:
            return {}
        none, class_of = estimator.mirrored(drawn[0], torch.zeros(0, dtype=torch.long)), self.model.task.class_of
        costs = [mirror_costs(none, torch.zeros(0, device=self.device), False, class_of)]
        added, tried = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        rows_of_each = estimator.rows_to_mirror(drawn, self.noise)
        for place, (draws, outcome, rows) in enumerate(zip(drawn, outcomes, rows_of_each, strict=True)):
            if len(rows) == 0:
                continue
            mirrored = estimator.mirrored(draws, rows)
            last = rows.to(self.device) + len(draws.images) * (draws.count - 1)
            before, after = outcome.rows(last), self._judge(mirrored)
            both = [self.objective.draw_loss(one, self.target, weight) for one in (before, after)]
            costs.append(mirror_costs(mirrored, (both[1] - both[0]) / weight, place > 0, class_of))
            assert mirrored.policy is not None and before.cost is not None and after.cost is not None
            if place > 0 or len(drawn) == 1:
                chance = self.augment.strength * mirrored.policy.mirror_chance
                added, tried = added + (chance * (after.cost - before.cost)).sum(), tried + len(rows)
        estimator.learn_mirrors(costs, self.constraint.log_dual)
        return {"added": added, "tried": tried}

    @property
    def target(self) -> float:
        """The cost at which augmented images are held, in nats."""
        return self.constraint.target

    def _weight(self, outcome: Outcome) -> float:
        """The dual variable for a batch; NaN where nothing is held at a target."""
        if not self.objective.constrained or outcome.cost is None:
            return math.nan
        return self.constraint.weight(self.processes.average(float(outcome.cost.detach().mean())))

    def _metrics(
        self,
        drawn: list[Draws],
        outcomes: list[Outcome],
        judged: Outcome,
        held: slice,
        weight: float,
        mirrored: dict[str, Tensor],
    ) -> Metrics | None:
        """What a step measures, averaged over processes; None where it is not finite. Gradients are taken here."""
        loss = self.objective.loss(judged, self.target, weight).mean()
        found = self._shown(loss, drawn[held], judged) | self.estimator.backward_through(loss, judged)
        if self.adversary is not None:
            found["discriminator_loss"] = self.adversary.backward(drawn[0].images, outcomes[0].warped.detach())
        metrics = self.processes.averages(numbers(found | mirrored))
        if mirrored:  # some, though perhaps none in this process
            metrics["cross_entropy"] += metrics.pop("added") / metrics.pop("tried")
        checked = metrics["loss"] + metrics.get("discriminator_loss", 0.0) + metrics.pop("gradient", 0.0)
        return metrics if math.isfinite(checked) else None

    @torch.no_grad()
    def _shown(self, loss: Tensor, drawn: list[Draws], outcome: Outcome) -> dict[str, Tensor]:
        """Loss, entropy (bits), the task's loss (nats), KL (nats), displacement (without mirrors)."""
        moved = [draws.parameters.without_symmetry().displacement(*draws.images.shape[-2:]) for draws in drawn]
        return {
            "loss": loss,
            "entropy": self.model.task.entropy_bits(outcome.output).mean(),
            "cross_entropy": loss.new_tensor(math.nan) if outcome.cost is None else outcome.cost.mean(),
            "accuracy": loss.new_tensor(math.nan) if outcome.right is None else outcome.right.mean(),
            "kl": outcome.kl.mean(),
            "displacement": torch.cat(moved).mean(),
        }

    def _advance(self, metrics: Metrics) -> Metrics:
        """Count a step that was taken; adversary and dual variable take theirs."""
        if self.adversary is not None:
            self.adversary.step()
        if self.objective.constrained:
            self.constraint.update(metrics["cross_entropy"])
            metrics["dual"] = self.constraint.dual
        self.step += 1
        self.step_in_epoch += 1
        return metrics

    def worst_mirrored_class(self) -> dict[str, float] | None:
        """The class to which mirrors add most; see :meth:`learned_affine.policy.mirrors.MirrorBuffer.worst_class`."""
        estimator = self.estimator
        if isinstance(estimator, PathwiseEstimator) or estimator.mirrors is None or not estimator.mirrors.kept:
            return None
        return estimator.mirrors.worst_class(estimator.network, self.augment.strength)

    # -- measures -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def draw(self, images: Tensor, noise: torch.Generator) -> tuple[Tensor, Draws]:
        """Warped images, and the draw of each that they come from."""
        draws = self.estimator.draw(images, None, self.estimator.noise(1, len(images), noise, mirror=True))
        return self.augment.warp(images, draws.parameters), draws

    @torch.no_grad()
    def measure(self, images: Tensor, labels: Any, noise: torch.Generator) -> Metrics:
        """The measures of one batch, without a step."""
        images = images.to(self.device)
        draws = self.estimator.draw(images, labels, self.estimator.noise(1, len(images), noise, mirror=True))
        if not self.processes.all(draws.finite):
            return {}
        outcome = self._judge(draws)
        loss = self.objective.loss(outcome, self.target, self._weight(outcome)).mean()
        metrics = numbers(self._shown(loss, [draws], outcome))
        metrics |= policy_measures(draws.parameters, *images.shape[-2:])
        metrics |= {"agreement": self.model.agreement(images, labels, outcome.output), **self._between(images, noise)}
        metrics |= {} if draws.policy is None else mirror_measures(self.augment.strength * draws.policy.mirror_chance)
        metrics["mirror_kl"] = 0.0 if draws.policy is None else float(draws.policy.mirror_kl().mean())
        if self.adversary is not None:
            metrics["discriminator_loss"] = float(self.adversary.loss(images, outcome.warped))
        return self.processes.averages(metrics)

    def _between(self, images: Tensor, generator: torch.Generator) -> Metrics:
        """How much the network's output differs between images; NaN where that cannot be told from one image."""
        if len(images) < 2:
            return {"between_image_variance": math.nan, "output_spread": math.nan}
        output = self.network(images)
        if isinstance(output, Policy):
            noise = Policy.noise(BETWEEN_DRAWS, len(images), generator=generator).to(self.device)
            share = variance_between_images(output, noise)
            output = torch.cat([output.mean, output.scale_tril.flatten(1)], dim=1)
        else:
            share = 1.0  # of the raw head, which knows no noise
        return {"between_image_variance": share, "output_spread": float(output.flatten(1).std(0).max())}

    # -- where it stands ----------------------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """What a checkpoint must have been made with to go on from it."""
        used = ("strength", "interpolation", "padding_mode")
        return {
            **self.config.to_dict(),
            "task": repr(self.model.task),
            "label_mirror": repr(self.model.label_mirror),
            "limits": asdict(self.augment.limits),
            "localization": self.network.arguments(),
            **{name: getattr(self.augment, name) for name in used},
        }

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        held = {"target": self.target, "temperature": self.model.temperature, "log_dual": self.constraint.log_dual}
        held |= {"most_dual": self.constraint.most, "steps": self.steps}
        return {
            "network": self.network.state_dict(),
            **self.estimator.state(),
            **({} if self.adversary is None else self.adversary.state()),
            "noise": self.noise.get_state(),
            **held,
            **{name: getattr(self, name) for name in POSITION},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was taken."""
        self.network.load_state_dict(state["network"])
        self.estimator.load_state(state, self.device)
        if self.adversary is not None:
            self.adversary.load_state(state)
        self.constraint.target, self.constraint.log_dual = state["target"], state["log_dual"]
        self.constraint.most, self.steps = state["most_dual"], state["steps"]
        self.model.temperature = state["temperature"]
        for name in POSITION:
            setattr(self, name, state[name])
        self.noise.set_state(state["noise"])


def numbers(found: dict[str, Tensor]) -> Metrics:
    """Zero-dimensional tensors as numbers, by one transfer from the device."""
    return dict(zip(found, torch.stack([value.detach().float() for value in found.values()]).tolist(), strict=True))
