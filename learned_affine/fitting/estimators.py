"""Two estimators of how a policy should change: by the gradient of the loss, or by the loss at a few draws.

An estimator is three methods: ``draw``, ``update`` and ``revert``, and its state. :class:`ScoreFunctionEstimator` is
the default's; :class:`PathwiseEstimator` is the paper's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from learned_affine.config import FitConfig
from learned_affine.fitting.natural_gradient import (
    NaturalGradient,
    ReplayBuffer,
    natural_gradient,
    natural_gradient_step,
)
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.objectives.objective import Outcome
from learned_affine.policy.distribution import Policy
from learned_affine.policy.mirrors import EVERY, MirrorBuffer, MirrorCosts
from learned_affine.policy.network import UNIT, LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.runtime.distributed import Distributed
from learned_affine.tasks.model import NO_GRADIENT
from learned_affine.tasks.targets import take

PRICES = 20  # steps that the dual variable is averaged over for the chance of a mirror
SHARES = (0.25, 0.5)  # of training and of held-out images: those whose mirror is tried in a step
CLIP = 5.0  # largest norm of a gradient of the score-function estimator; the paper's is not clipped
TOGETHER = 3  # batches of the replay buffer in an update: their noise is averaged, and the newest are often among them


@dataclass(frozen=True)
class Draws:
    """A few draws an image, before they are judged.

    Args:
        images: ``(B, C, H, W)``.
        labels: theirs as the loader gave them, or None.
        parameters: of the ``K * B`` draws, one draw of all images after another.
        kl: ``(B,)`` divergence of each image's policy from the prior, in nats.
        observation: what the network observed of the images; None from the raw head, as the two below.
        policy: of the images.
        noise: ``(K, B, 6)``, of which the draws were made.
        places: of held-out images, where they stand among all those of the step, which may have several sizes.
    """

    images: Tensor
    labels: Any
    parameters: AffineParameters
    kl: Tensor
    observation: Tensor | None = None
    policy: Policy | None = None
    noise: Tensor | None = None
    places: list[int] | None = None

    @property
    def count(self) -> int:
        """Draws an image."""
        return len(self.parameters) // len(self.images)

    @property
    def finite(self) -> bool:
        """Whether a warp by them is safe: the gradient of one at NaN positions reads outside the image's memory."""
        return bool(torch.isfinite(self.parameters.stacked().detach().sum()))

    def parts(self) -> list[AffineParameters]:
        """The parameters draw by draw, each of ``B`` images."""
        size = len(self.images)
        return [self.parameters[start : start + size] for start in range(0, len(self.parameters), size)]


Evidence = list[tuple[Draws, Tensor]]  # draws, and the loss of each, (K * B,), without the divergence from the prior


class Estimator:
    """What both have in common: the network's optimizer, and the way back from a step that went wrong."""

    differentiates: bool  # whether the loss must have a gradient
    clip = math.inf

    def __init__(
        self,
        network: LocalizationNetwork | RawHead,
        limits: AffineLimits,
        strength: float,
        config: FitConfig,
        processes: Distributed,
    ) -> None:
        self.limits, self.strength, self.config, self.processes = limits, strength, config, processes
        self.parameters = list(network.parameters())
        shared = network.head.bias  # which all images share; the weights tell one image from another
        own = [parameter for parameter in self.parameters if parameter is not shared]
        groups = [{"params": own, "factor": 1.0}, {"params": [shared], "factor": config.shared_rate}]
        self.optimizer = torch.optim.Adam(groups, config.learning_rate)
        self.good: list[Tensor] = []  # the network's weights before the last step

    def remember(self) -> None:
        """Keep the weights before a step."""
        self.good = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def revert(self) -> None:
        """Undo the last step, whose weights lead to warps that are not finite."""
        for parameter, good in zip(self.parameters, self.good, strict=False):
            parameter.copy_(good)

    def backward(self, loss: Tensor) -> Tensor:
        """Give the network the gradients of a loss, averaged over processes and clipped; their norm before that."""
        self.optimizer.zero_grad(set_to_none=True)
        # the network alone: a classifier that is no module is not frozen, and must not gather gradients either
        loss.backward(inputs=[parameter for parameter in self.parameters if parameter.requires_grad])
        self.processes.average_gradients(self.parameters)
        return torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)

    def backward_through(self, loss: Tensor, outcome: Outcome) -> dict[str, Tensor]:
        """Take the gradient of the loss through warp and classifier, where the estimator needs it; its norm."""
        return {}

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        return {"optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to where :meth:`state` was taken."""
        self.optimizer.load_state_dict(state["optimizer"])


class PathwiseEstimator(Estimator):
    """The gradient of the loss through warp and classifier, of the raw head's one warp an image."""

    differentiates = True

    def __init__(self, network: RawHead, *arguments: Any) -> None:
        super().__init__(network, *arguments)
        self.network = network

    def noise(self, draws: int, count: int, generator: torch.Generator, mirror: bool = False) -> Tensor:
        """None of it, for ``count`` images: ``(1, count, 0)``."""
        return torch.empty(1, count, 0)

    def draw(self, images: Tensor, labels: Any, noise: Tensor) -> Draws:
        """The warp of each image."""
        parameters = self.network.draw(images, None, self.limits, self.strength)
        return Draws(images, labels, parameters, images.new_zeros(len(images)))

    def backward_through(self, loss: Tensor, outcome: Outcome) -> dict[str, Tensor]:
        """Take the gradient of the loss; its norm."""
        if not (loss.requires_grad and outcome.warped.requires_grad and outcome.output.requires_grad):
            raise ValueError(NO_GRADIENT)
        return {"gradient": self.backward(loss)}

    def update(self, evidence: Evidence, progress: float, generator: torch.Generator) -> bool:
        """Take a step along the gradient that is there."""
        self.remember()
        self.optimizer.step()
        return True


class ScoreFunctionEstimator(Estimator):
    """Each batch's policies are improved from the loss at a few draws, and the network is regressed to them.

    Needs no gradient through the classifier, of which it uses the outputs alone.
    """

    differentiates = False
    clip = CLIP

    def __init__(self, network: LocalizationNetwork, *arguments: Any) -> None:
        super().__init__(network, *arguments)
        self.network = network
        self.buffer = ReplayBuffer(self.config.memory)
        self.mirrors = MirrorBuffer() if network.mirrors and self.limits.symmetries != "none" else None
        self.log_prices: deque[float] = deque(maxlen=PRICES)

    def noise(self, draws: int, count: int, generator: torch.Generator, mirror: bool = False) -> Tensor:
        """Noise ``(draws, count, 6)``: of the global batch's, which all processes draw alike, this one's rows.

        With ``mirror`` ``(draws, count, 7)``: a step does not draw the mirror, but tries both sides.
        """
        size, mirror = count * self.processes.count, mirror and self.mirrors is not None
        everywhere = [Policy.noise(size, mirror=mirror, generator=generator) for _ in range(draws)]
        return torch.stack(everywhere)[:, self.processes.local_slice(count)]

    @torch.no_grad()
    def draw(self, images: Tensor, labels: Any, noise: Tensor) -> Draws:
        """The draws of ``(K, B, 6)`` noise from the policies of ``B`` images."""
        noise = noise.to(images.device)
        observation = self.network.observe(images)
        policy = self.network.policy(observation)
        if self.mirrors is None:
            policy = replace(policy, mirror_logit=None)
        parameters = policy.draw(noise, self.limits, self.strength)
        return Draws(images, labels, parameters, policy.kl(), observation, policy, noise)

    def rows_to_mirror(self, drawn: list[Draws], generator: torch.Generator) -> list[Tensor]:
        """The images whose mirror is tried: of the global batch some, drawn alike by all processes; this one's rows."""
        some, (training, *held_out) = self.processes.some_rows, drawn
        rows = [some(len(training.images), SHARES[False], generator)]
        if held_out:
            chosen = some(sum(len(draws.images) for draws in held_out), SHARES[True], generator).tolist()
            for draws in held_out:
                places = draws.places or []
                rows.append(torch.tensor([places.index(row) for row in chosen if row in places], dtype=torch.long))
        return rows

    def mirrored(self, draws: Draws, rows: Tensor) -> Draws:
        """Some of the images, mirrored before the last of their draws."""
        assert draws.observation is not None and draws.policy is not None
        labels = take(draws.labels, rows.tolist())
        rows = rows.to(draws.images.device)
        parameters = replace(draws.parts()[-1][rows], mirror=torch.ones_like(rows, dtype=torch.bool))
        policy, images = draws.policy.rows(rows), draws.images[rows]
        return Draws(images, labels, parameters, draws.kl[rows], draws.observation[rows], policy)

    def learn_mirrors(self, tried: list[MirrorCosts], log_dual: float) -> None:
        """Keep what mirrors cost, in all processes, and the price at which costs become chances."""
        assert self.mirrors is not None
        self.mirrors.add(MirrorCosts(*self.processes.gather(*map(torch.cat, zip(*tried, strict=True)))))
        self.log_prices.append(log_dual)
        self.network.price = math.exp(sum(self.log_prices) / len(self.log_prices)) / UNIT

    def update(self, evidence: Evidence, progress: float, generator: torch.Generator) -> bool:
        """Improve the policies of the batch, and let the network follow; whether all was finite.

        Args:
            evidence: draws of training images, then of held-out ones where there are some, and the loss of each draw.
            progress: share of the steps that is done.
            generator: decides which batches of the replay buffer are used.
        """
        self._improve(*evidence)
        self._set_rate(progress)
        self.remember()
        for number in range(self.config.updates):
            observation, mean, width = self.buffer.sample(TOGETHER, generator)
            loss = self.network.policy(observation).kl_to(mean, width).mean()
            if self.mirrors is not None and number % EVERY == 0:
                loss = loss + self.mirrors.loss(self.network, generator)
            if not math.isfinite(float(self.backward(loss))):
                self.revert()
                return False
            self.optimizer.step()
        return True

    def _improve(self, training: tuple[Draws, Tensor], *held_out: tuple[Draws, Tensor]) -> None:
        """Put the batch into the replay buffer with better policies, the same in all processes."""
        draws, _ = training
        assert draws.policy is not None and draws.observation is not None
        parts = [_gradient(*one) for one in held_out]
        own, shared = _gradient(*training), map(torch.cat, zip(*parts, strict=True))
        tensors = (draws.observation, draws.policy.mean, draws.policy.width, *own, *shared)
        observation, mean, width, *found = self.processes.gather(*tensors)
        gathered = NaturalGradient(*found[:3]), NaturalGradient(*found[3:]) if found[3:] else None
        self.buffer.add(observation, *natural_gradient_step(mean, width, *gathered))

    def _set_rate(self, progress: float) -> None:
        """The learning rate falls along a cosine, to a twentieth so that it can follow the dual variable."""
        rate = self.config.learning_rate * max(0.05, 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        state = {**super().state(), "memory": self.buffer.state()}
        if self.mirrors is None:
            return state
        return state | {"mirrors": self.mirrors.state(), "price": self.network.price, "log_prices": [*self.log_prices]}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to where :meth:`state` was taken."""
        super().load_state(state, device)
        self.buffer.load_state(state["memory"], device)
        if self.mirrors is not None:
            self.mirrors.load_state(state["mirrors"], device)
            self.network.price, self.log_prices = state["price"], deque(state["log_prices"], PRICES)


def mirror_costs(mirrored: Draws, cost: Tensor, held_out: bool, class_of: Callable[[Any], Tensor]) -> MirrorCosts:
    """What mirroring some images costs, each in nats, as the buffer keeps it; ``class_of`` labels is an index."""
    assert mirrored.observation is not None
    known = torch.full((len(cost),), held_out, device=cost.device)
    unknown = mirrored.labels is None
    labels = torch.full_like(known, -1, dtype=torch.long) if unknown else class_of(mirrored.labels)
    return MirrorCosts(mirrored.observation, cost, known, labels.to(cost.device))


def _gradient(draws: Draws, loss: Tensor) -> NaturalGradient:
    assert draws.policy is not None and draws.noise is not None
    return natural_gradient(draws.policy, draws.noise, loss.view(draws.count, -1))
