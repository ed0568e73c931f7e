"""Early stopping: when no measure has moved from one stretch of steps to the next."""

from __future__ import annotations

from typing import Any

KEYS = ("kl", "displacement", "dual")  # of the policy; what the classifier makes of a batch is mostly noise
TOLERANCE = 0.03  # of the larger mean: above the noise of 50 batches' means, below what a policy that widens moves


class EarlyStopping:
    """Compares the means of successive stretches of steps.

    Args:
        patience: steps of a stretch; None: never stop early.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience, self.count, self.reached = patience, 0, False
        self.sums: dict[str, float] = {}
        self.before: dict[str, float] = {}

    def update(self, values: dict[str, float]) -> bool:
        """Take in the measures of a step; whether to stop."""
        if self.patience is None or self.reached:
            return self.reached
        for key in KEYS:
            if key in values:
                self.sums[key] = self.sums.get(key, 0.0) + values[key]
        self.count += 1
        if self.count == self.patience:
            means = {key: total / self.count for key, total in self.sums.items()}
            self.reached = bool(self.before) and not any(_moved(self.before[key], mean) for key, mean in means.items())
            self.before, self.sums, self.count = means, {}, 0
        return self.reached

    def state(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return {"count": self.count, "reached": self.reached, "sums": dict(self.sums), "before": dict(self.before)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state` was taken."""
        self.count, self.reached = state["count"], state["reached"]
        self.sums, self.before = dict(state["sums"]), dict(state["before"])


def _moved(before: float, now: float) -> bool:
    return abs(now - before) > TOLERANCE * max(abs(now), abs(before))
