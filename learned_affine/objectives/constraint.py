"""The dual variable (Lagrange multiplier) that holds a measured cost at its target."""

from __future__ import annotations

import math
from dataclasses import dataclass

START = 10.0  # where no budget is known
SHARE = 3.0  # over the budget: where six numbers whose cost is quadratic in their widths end; too low a start runs wide
MOST = 3.0  # times the start: beyond, the constraint is hopeless, and a larger dual variable is only noise
DAMPING = 1.0  # without it the dual variable swings, and where it is at the last step is chance
LEAST = math.log(1e-4)  # of its logarithm, so that a long spell on one side can be made up for


@dataclass
class Constraint:
    """Holds the mean cost of augmented images at a target: its weight grows where they cost more.

    Args:
        target: cost to hold, in nats.
        rate: step of the logarithm of the dual variable.
        budget: how far the target is above the cost without augmentation, in nats; None: not known.
    """

    target: float
    rate: float
    budget: float | None = None

    def __post_init__(self) -> None:
        """Start where the dual variable is expected to end."""
        start = START if self.budget is None else min(1e3, max(1.0, SHARE / max(self.budget, 1e-9)))
        self.log_dual, self.most = math.log(start), math.log(MOST * start)

    @property
    def dual(self) -> float:
        """The dual variable."""
        return math.exp(self.log_dual)

    def weight(self, measured: float) -> float:
        """The dual variable for one batch, damped by the batch's own error."""
        return math.exp(self.log_dual + DAMPING * relative_error(measured, self.target))

    def update(self, measured: float) -> None:
        """One step: ``log lam += rate * clip((measured - target) / target, -1, 1)``."""
        moved = self.log_dual + self.rate * relative_error(measured, self.target)
        self.log_dual = max(LEAST, min(self.most, moved))


def relative_error(measured: float, target: float) -> float:
    """How far ``measured`` is above ``target``, as a share of it, clipped to [-1, 1]."""
    return max(-1.0, min(1.0, (measured - target) / max(target, 1e-8)))
