"""The dual variable (Lagrange multiplier) that holds a measured cost at its target."""

from __future__ import annotations

import math
from dataclasses import dataclass

START = 10.0  # from 1 the policy first runs too wide, and the steps are used up by its way back
DAMPING = 1.0  # without it the dual variable swings, and where it is at the last step is chance
RANGE = (math.log(1e-4), math.log(1e4))  # of its logarithm, so that a long spell on one side can be made up for


@dataclass
class Constraint:
    """Holds the mean cost of augmented images at a target: its weight grows where they cost more.

    Args:
        target: cost to hold, in nats.
        rate: step of the logarithm of the dual variable.
        log_dual: logarithm of the dual variable.
    """

    target: float
    rate: float
    log_dual: float = math.log(START)

    @property
    def dual(self) -> float:
        """The dual variable."""
        return math.exp(self.log_dual)

    def weight(self, measured: float) -> float:
        """The dual variable for one batch, damped by the batch's own error."""
        return math.exp(self.log_dual + DAMPING * relative_error(measured, self.target))

    def update(self, measured: float) -> None:
        """One step: ``log lam += rate * clip((measured - target) / target, -1, 1)``."""
        low, high = RANGE
        self.log_dual = max(low, min(high, self.log_dual + self.rate * relative_error(measured, self.target)))


def relative_error(measured: float, target: float) -> float:
    """How far ``measured`` is above ``target``, as a share of it, clipped to [-1, 1]."""
    return max(-1.0, min(1.0, (measured - target) / max(target, 1e-8)))
