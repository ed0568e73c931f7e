"""A policy: the distribution of each image's affine parameters within the limits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from learned_affine.geometry.parameters import NAMES, AffineLimits, AffineParameters
from learned_affine.losses import gaussian_kl_nats

DIMENSIONS = len(NAMES)
PRIOR_WIDTH = 0.9  # standard deviation before the tanh at which tanh(z) is nearest to uniform on [-1, 1]


@dataclass(frozen=True)
class Policy:
    """Distributions over the unit cube, one an image: ``tanh(mean + L noise)``. The prior is ``tanh(0.9 noise)``.

    Args:
        mean: ``(B, 6)``, before the tanh.
        scale_tril: ``(B, 6, 6)``, the lower triangular ``L``.
    """

    mean: Tensor
    scale_tril: Tensor

    @classmethod
    def diagonal(cls, mean: Tensor, width: Tensor) -> Policy:
        """Policies whose six numbers are independent: standard deviations ``width`` ``(B, 6)`` before the tanh."""
        return cls(mean, torch.diag_embed(width))

    @staticmethod
    def noise(*shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal noise ``(*shape, 6)``, drawn on the CPU: the same on every device."""
        return torch.randn(*shape, DIMENSIONS, generator=generator)

    @property
    def width(self) -> Tensor:
        """The diagonal of ``L``, ``(B, 6)``: the standard deviations, before the tanh, where the rest is 0."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1)

    def sample(self, noise: Tensor) -> Tensor:
        """The points that ``(..., B, 6)`` standard normal noise leads to, within [-1, 1]."""
        return torch.tanh(self.mean + (self.scale_tril * noise[..., None, :]).sum(-1))

    def mode(self) -> Tensor:
        """The points that no noise leads to."""
        return torch.tanh(self.mean)

    def draw(self, noise: Tensor | None, limits: AffineLimits, strength: float = 1.0) -> AffineParameters:
        """Parameters within the limits.

        Args:
            noise: ``(B, 6)``, or ``(K, B, 6)`` for K draws an image, one after another; None for the mode.
            limits: how far the parameters may go.
            strength: in [0, 1], moves every parameter toward the identity.
        """
        unit = self.mode() if noise is None else self.sample(noise).reshape(-1, DIMENSIONS)
        return limits.parameters(unit if strength == 1 else strength * unit)

    def kl(self) -> Tensor:
        """``KL(policy || prior)`` of each image, ``(B,)`` in nats."""
        return gaussian_kl_nats(self.mean, self.scale_tril, PRIOR_WIDTH)

    def kl_to(self, mean: Tensor, width: Tensor) -> Tensor:
        """``KL(policy || N(mean, diag(width^2)))`` of each image, ``(B,)`` in nats.

        In this direction, of policies that disagree it is the narrow ones that count.
        """
        return gaussian_kl_nats((self.mean - mean) / width, self.scale_tril / width[..., None], 1.0)
