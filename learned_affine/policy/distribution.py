"""A policy: the distribution of each image's affine parameters within the limits, and its chance of a mirror."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import NAMES, AffineParameters
from learned_affine.losses import bernoulli_kl_nats, gaussian_kl_nats

DIMENSIONS = len(NAMES)
# of a quadrature, in standard deviations: even steps are exact to five digits where Gauss and Hermite's 32 are 1 % off
NODES = torch.linspace(-6, 6, 97, device="cpu")
SMALLEST, LARGEST = -6.0, 3.0  # logarithms of the widths, over that at the start
PRIOR_WIDTH = 0.9  # standard deviation before the tanh at which tanh(z) is nearest to uniform on [-1, 1]
START = math.log(0.1 * PRIOR_WIDTH)  # of the widths: a wide start gets stuck where the classifier is sure and wrong


@dataclass(frozen=True)
class Policy:
    """Distributions over the unit cube, one an image: ``tanh(mean + L noise)``. The prior is ``tanh(0.9 noise)``.

    An image is mirrored with a chance of its own, at most 1/2, independent of the six numbers. The prior is 1/2.

    Args:
        mean: ``(B, 6)``, before the tanh.
        scale_tril: ``(B, 6, 6)``, the lower triangular ``L``.
        mirror_logit: ``(B,)``, at most 0: the logarithm of the odds of a mirror; None where nothing is mirrored.
    """

    mean: Tensor
    scale_tril: Tensor
    mirror_logit: Tensor | None = None

    @staticmethod
    def noise(*shape: int, mirror: bool = False, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal noise ``(*shape, 6)``, with a mirror 7; drawn on the CPU, so the same on every device."""
        # a compiled graph for batches of any size takes no generator, not even None
        options: Any = {} if generator is None else {"generator": generator}
        return torch.randn(*shape, DIMENSIONS + mirror, **options)

    @property
    def width(self) -> Tensor:
        """The diagonal of ``L``, ``(B, 6)``: the standard deviations, before the tanh, where the rest is 0."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1)

    @property
    def mirror_chance(self) -> Tensor:
        """The chance of a mirror of each image, ``(B,)`` within [0, 1/2]."""
        return torch.zeros_like(self.mean[:, 0]) if self.mirror_logit is None else self.mirror_logit.sigmoid()

    def rows(self, rows: Tensor) -> Policy:
        """The policies of some images."""
        logit = None if self.mirror_logit is None else self.mirror_logit[rows]
        return Policy(self.mean[rows], self.scale_tril[rows], logit)

    def sample(self, noise: Tensor) -> Tensor:
        """The points that ``(..., B, 6)`` standard normal noise leads to, within [-1, 1]."""
        return torch.tanh(self.mean + (self.scale_tril * noise[..., None, :]).sum(-1))

    def sample_mirror(self, noise: Tensor, strength: float = 1.0) -> Tensor:
        """Which images are mirrored, ``(...,)`` bool, by ``(..., 7)`` noise; ``strength`` scales the chance."""
        chance = self.mirror_chance if strength == 1 else strength * self.mirror_chance
        return noise[..., DIMENSIONS] < torch.special.ndtri(chance)

    def mode(self) -> Tensor:
        """The points that no noise leads to."""
        return torch.tanh(self.mean)

    def draw(self, noise: Tensor | None, limits: AffineLimits, strength: float = 1.0) -> AffineParameters:
        """Parameters within the limits.

        Args:
            noise: ``(B, 6)``, or ``(K, B, 6)`` for K draws an image, one after another; with a seventh number some
                images are mirrored. None for the mode, which mirrors none.
            limits: how far the parameters may go.
            strength: in [0, 1], moves every parameter toward the identity.
        """
        unit = self.mode() if noise is None else self.sample(noise[..., :DIMENSIONS]).flatten(0, -2)
        mirror = None
        if noise is not None and noise.shape[-1] > DIMENSIONS and limits.symmetries != "none":
            mirror = self.sample_mirror(noise, strength).flatten()
        return limits.parameters(unit if strength == 1 else strength * unit, mirror)

    def moments(self, limits: AffineLimits, strength: float = 1.0) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each parameter, ``(B, 6)`` each, by quadrature over the normal density."""
        nodes = NODES.to(self.mean)
        deviation = torch.linalg.vector_norm(self.scale_tril, dim=-1)
        points = torch.tanh(self.mean + deviation * nodes[:, None, None])  # (nodes, B, 6)
        values = limits.parameters(strength * points.reshape(-1, DIMENSIONS)).stacked().view_as(points)
        weights = (-nodes.square() / 2).softmax(0)[:, None, None]
        mean = (weights * values).sum(0)
        return mean, (weights * (values - mean).square()).sum(0).sqrt()

    def kl(self) -> Tensor:
        """``KL(policy || prior)`` of each image, ``(B,)`` in nats: of the six numbers and of the mirror."""
        return gaussian_kl_nats(self.mean, self.scale_tril, PRIOR_WIDTH) + self.mirror_kl()

    def mirror_kl(self) -> Tensor:
        """The mirror's part of it, ``(B,)``: 0 where nothing is mirrored."""
        return torch.zeros_like(self.mean[:, 0]) if self.mirror_logit is None else bernoulli_kl_nats(self.mirror_logit)

    def kl_to(self, mean: Tensor, width: Tensor) -> Tensor:
        """``KL(policy || N(mean, diag(width^2)))`` of each image, ``(B,)`` in nats.

        In this direction, of policies that disagree it is the narrow ones that count.
        """
        return gaussian_kl_nats((self.mean - mean) / width, self.scale_tril / width[..., None], 1.0)
