"""Improving each image's policy by what the loss *is* at a few draws, without a gradient through warp and classifier.

The slope of the loss at one draw says little about a range of 180 degrees: a small rotation changes the loss a little,
and the slope is multiplied by the whole range. Its values at a few draws, held against each other, do say which way a
range should move. From ``N(mean, diag(width^2))`` and draws ``mean + width * noise`` with the losses ``l``:

    advantage  a = l - mean of the image's other l
    slope of the mean, in widths             = E[a noise] + width * mean / prior^2
    slope of twice the logarithm of a width  = E[a (noise^2 - 1)] + (width / prior)^2 - 1

which is the natural gradient of ``E[l] + KL(q || prior)``, by the score function with a leave-one-out baseline. A step
against it has the length ``0.6 / max(1, mean |a|)``: where the losses differ by many nats, as under a large dual
variable, it is the shorter, else its noise, which grows with them, would push the loss up, and the dual with it.
Source: Wierstra et al., "Natural evolution strategies" (2014), section 3; Kool et al., "Buy 4 REINFORCE samples, get a
baseline for free!" (2019).

Such a step is noisy. The network that is regressed to it, for many images and steps together, averages the noise away.

Two sets of images can share the work. The classifier has memorised the images that it was trained on: any warp of such
an image makes it harder, also one that its label bears, up to how hard held-out images are. What a warp really costs
shows on held-out images alone. So what all policies have in common follows the mean slope of the held-out images, and
the training images' own slopes say only how they differ from each other.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import torch
from torch import Tensor

from learned_affine.policy.distribution import PRIOR_WIDTH, Policy

RATE = 0.6  # of a natural step; 1 would be Newton's, if the draws were many
SHARED_RATE = 1.0  # of one along the mean slope of many images, which has less noise
REACH = 0.5  # at most so many widths, or so much of a width's logarithm, in a step


class NaturalGradient(NamedTuple):
    """The natural gradient of each image's loss.

    Args:
        mean: ``(B, 6)``, of the policy's mean, in widths.
        width: ``(B, 6)``, of twice the logarithm of its width.
        spread: ``(B, 1)``, how far the losses of its draws lie apart, in nats.
    """

    mean: Tensor
    width: Tensor
    spread: Tensor


def natural_gradient(policy: Policy, noise: Tensor, losses: Tensor) -> NaturalGradient:
    """The natural gradient of each image's loss, from the losses of its draws.

    Args:
        policy: of ``B`` images, with a diagonal ``scale_tril``.
        noise: ``(K, B, 6)`` of the draws ``mean + width * noise``; K at least 2.
        losses: ``(K, B)`` in nats, without the divergence from the prior, which is known in closed form.
    """
    others = (losses.sum(0) - losses) / (len(losses) - 1)
    advantage = (losses - others)[..., None]
    return NaturalGradient(
        (advantage * noise).mean(0) + policy.width * policy.mean / PRIOR_WIDTH**2,
        (advantage * (noise.square() - 1)).mean(0) + ((policy.width / PRIOR_WIDTH).square() - 1),
        advantage.abs().mean(0),
    )


def natural_gradient_step(
    mean: Tensor, width: Tensor, own: NaturalGradient, held_out: NaturalGradient | None = None
) -> tuple[Tensor, Tensor]:
    """One natural step of each image's policy.

    Args:
        mean, width: ``(B, 6)`` of the policies.
        own: their natural gradients.
        held_out: those of any number of held-out images, which then give the mean of all steps; ``own`` says how the
            steps differ.

    Returns:
        The better mean and width, ``(B, 6)`` each.
    """
    rate = RATE / own.spread.clamp_min(1.0)
    if held_out is None:
        down, narrower = rate * own.mean, rate * own.width
    else:
        # the noise of a mean over N images is that of one over the root of N
        together = SHARED_RATE / (held_out.spread.mean() / len(held_out.spread) ** 0.5).clamp_min(1.0)
        down = together * held_out.mean.mean(0) + _centred(rate * _centred(own.mean))
        narrower = together * held_out.width.mean(0) + _centred(rate * _centred(own.width))
    return mean - width * down.clamp(-REACH, REACH), width * (-0.5 * narrower.clamp(-REACH, REACH)).exp()


def _centred(values: Tensor) -> Tensor:
    """What differs between the rows."""
    return values - values.mean(0)


class ReplayBuffer:
    """The improved policies of the last batches, with what the network observed of their images.

    Args:
        batches: how many of them it keeps.
    """

    def __init__(self, batches: int) -> None:
        self.kept: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=batches)

    def add(self, observation: Tensor, mean: Tensor, width: Tensor) -> None:
        """Keep a batch, and let the oldest go where there are too many."""
        self.kept.append((observation, mean, width))

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Observation, mean and width of ``count`` kept batches, or of all where there are fewer."""
        chosen = torch.randperm(len(self.kept), generator=generator)[:count].tolist()
        observation, mean, width = zip(*(self.kept[index] for index in chosen), strict=True)
        return torch.cat(observation), torch.cat(mean), torch.cat(width)

    def state(self) -> dict[str, Any]:
        """What is kept, as plain tensors."""
        return {"kept": [list(batch) for batch in self.kept]}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Take up what :meth:`state` gave."""
        self.kept.clear()
        self.kept.extend(tuple(part.to(device) for part in batch) for batch in state["kept"])
