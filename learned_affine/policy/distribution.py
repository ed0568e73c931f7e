"""A policy: the distribution of each image's affine parameters within the limits, and the chances of its symmetries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import EIGHT, NAMES, AffineParameters
from learned_affine.losses import categorical_kl_nats, gaussian_kl_nats

DIMENSIONS = len(NAMES)
PRIOR_WIDTH = 0.9  # standard deviation before the tanh at which tanh(z) is nearest to uniform on [-1, 1]
REACH = 0.2  # of the centres, before the tanh: farther ones drift away from the identity, which costs nothing
FLATTEST, STEEPEST = -8.0, 12.0  # logarithms of curvatures
# of a quadrature, in standard deviations: even steps are exact to five digits where Gauss and Hermite's 32 are 1 % off
NODES = torch.linspace(-6, 6, 97, device="cpu")


@dataclass(frozen=True)
class Policy:
    """Distributions, one per image: ``tanh(mean + width noise)`` within the unit cube, and one of the symmetries.

    The prior is ``tanh(0.9 noise)``, and each allowed symmetry is equally likely.
    """

    mean: Tensor  # (B, 6), before the tanh
    width: Tensor  # (B, 6), standard deviations before the tanh
    symmetries: Tensor | None = None  # (B, 8), the probability of each by its code quarter_turns + 4 * mirror
    allowed: tuple[int, ...] = (0,)  # the codes that may have a probability

    @staticmethod
    def noise(*shape: int, symmetries: bool = False, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal noise ``(*shape, 6)``, for symmetries 7; drawn on the CPU, so the same on every device."""
        # a compiled graph for batches of any size takes no generator, not even None
        options: Any = {} if generator is None else {"generator": generator}
        return torch.randn(*shape, DIMENSIONS + symmetries, device="cpu", **options)

    @property
    def chances(self) -> Tensor:
        """The probability of each symmetry, ``(B, 8)``; without symmetries, that of the identity is 1."""
        return self._identity() if self.symmetries is None else self.symmetries

    def chances_at(self, strength: float) -> Tensor:
        """The chances ``(B, 8)`` where ``strength``, in [0, 1], moves them toward the identity."""
        return self._identity().lerp(self.chances, strength)

    def _identity(self) -> Tensor:
        return torch.eye(1, len(EIGHT), dtype=self.mean.dtype, device=self.mean.device).expand(len(self.mean), -1)

    def before_tanh(self, noise: Tensor) -> Tensor:
        """The draws ``(..., B, 6)`` that standard normal noise of this shape leads to, before the tanh."""
        return torch.addcmul(self.mean, self.width, noise)

    def draw(self, noise: Tensor | None, limits: AffineLimits, strength: float = 1.0) -> AffineParameters:
        """Parameters within the limits.

        Args:
            noise: ``(B, 6)``, or ``(K, B, 6)`` for K draws per image, one after another; with a seventh number also
                symmetries are drawn. None for the mode, without symmetries.
            limits: how far the parameters may go.
            strength: in [0, 1], moves every parameter, and the chances of the symmetries, toward the identity.
        """
        z = self.mean if noise is None else self.before_tanh(noise[..., :DIMENSIONS]).flatten(0, -2)
        unit = torch.tanh(z) if strength == 1 else strength * torch.tanh(z)
        if noise is None or noise.shape[-1] == DIMENSIONS or self.symmetries is None:
            return limits.parameters(unit)
        others = self.symmetries[:, 1:] if strength == 1 else strength * self.symmetries[:, 1:]
        # the sum over a symmetry and those after it: the code is how many of these the noise falls within
        after = others.flip(-1).cumsum(-1).flip(-1)
        code = (torch.special.ndtr(noise[..., DIMENSIONS])[..., None] < after).sum(-1).flatten()
        return limits.parameters(unit, code >= 4, code % 4)

    def moments(self, limits: AffineLimits, strength: float = 1.0) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each parameter, ``(B, 6)`` each, by quadrature over the normal density."""
        nodes = NODES.to(self.mean)
        points = torch.tanh(self.mean + self.width * nodes[:, None, None])  # (nodes, B, 6)
        values = limits.parameters(strength * points.reshape(-1, DIMENSIONS)).stacked().view_as(points)
        weights = (-nodes.square() / 2).softmax(0)[:, None, None]
        mean = (weights * values).sum(0)
        return mean, (weights * (values - mean).square()).sum(0).sqrt()

    def kl(self) -> Tensor:
        """``KL(policy || prior)`` of each image, ``(B,)`` in nats: of the six numbers and of the symmetries."""
        return gaussian_kl_nats(self.mean, self.width, PRIOR_WIDTH) + self.symmetry_kl()

    def symmetry_kl(self) -> Tensor:
        """The symmetries' part of it, ``(B,)``."""
        return categorical_kl_nats(self.chances, len(self.allowed))
