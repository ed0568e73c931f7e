"""What each transform costs each image, and the policy that follows from it at a price.

A draw ``z`` of the six numbers (before the tanh) is taken to cost

    c(z) = S(z - a) - S(-a),    S(d) = M (1 - exp(-q / M)),    q = 1/2 sum_k h_k d_k^2:

a quadratic about a centre ``a`` near the identity that levels off at ``M`` nats, 0 at the identity. The widest
distribution (least divergence from the prior) at a price ``lam`` for each nat of the quadratic is a Gaussian; among the
symmetries it is a softmax of their costs:

    precision = lam h + 1 / 0.81,    mean = lam h a / precision,    chance of e ~ exp(-lam max(s_e - free, 0)).

A symmetry whose cost is within ``free`` is taken as one that costs nothing: costs are known to some hundredths of a
nat alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from learned_affine.geometry.parameters import EIGHT
from learned_affine.policy.distribution import PRIOR_WIDTH, Policy

MOST = 5.0  # nats, at which costs level off: a label is lost by then, and more of it teaches nothing


@dataclass(frozen=True)
class Costs:
    """Of each image: centre and curvature of what a warp costs, and what the symmetries cost."""

    centre: Tensor  # (B, 6), before the tanh
    curvature: Tensor  # (B, 6), positive; in nats, or already multiplied by a price
    symmetries: Tensor | None = None  # (B, 8), of the identity 0; or None
    gate: Tensor | None = None  # (B, 8) in [0, 1]: how much the image differs from its moved copy

    def of(self, z: Tensor) -> Tensor:
        """What draws ``(..., B, 6)``, before the tanh, are predicted to cost: ``(..., B)`` nats, at most ``MOST``."""
        quadratics = (0.5 * (self.curvature * offset.square()).sum(-1) for offset in (z - self.centre, self.centre))
        there, here = (-MOST * torch.expm1(-quadratic / MOST) for quadratic in quadratics)
        return there - here

    def without_gains(self, z: Tensor) -> Tensor:
        """The same where a gain counts as 0: so the mean over draws falls with the price, and stays above 0."""
        return self.of(z).clamp_min(0)

    def of_symmetries(self) -> Tensor:
        """What each symmetry is predicted to cost, ``(B, 8)`` nats, without gains."""
        if self.symmetries is None or self.gate is None:
            return self.centre.new_zeros(len(self.centre), len(EIGHT))
        return (self.gate * self.symmetries).clamp_min(0)

    def at(self, price: float, free: float = 0.0, allowed: tuple[int, ...] = (0,)) -> Policy:
        """The policy at a price, over the allowed symmetries."""
        priced = price * self.curvature
        precision = priced + 1 / PRIOR_WIDTH**2
        mean, width = priced * self.centre / precision, precision.rsqrt()
        if self.symmetries is None or len(allowed) == 1:
            return Policy(mean, width)
        assert self.gate is not None
        logits = -price * self.gate * (self.symmetries - free).clamp_min(0)
        forbidden = [code for code in EIGHT if code not in allowed]
        if forbidden:
            logits = logits.index_fill(1, torch.tensor(forbidden, device=logits.device), -torch.inf)
        return Policy(mean, width, logits.softmax(-1), allowed)
