"""When a fit has come to rest: nothing that a step shows has moved from one stretch of steps to the next."""

from __future__ import annotations

from typing import Any

KEYS = ("kl", "displacement", "dual")  # of the policy; what the classifier makes of a batch is mostly noise
TOLERANCE = 0.03  # of the larger mean: above the noise of 50 batches' means, below what a policy that widens moves


class Stillness:
    """Compares the means of successive stretches of steps.

    Args:
        patience: steps of a stretch; None: a fit is never taken to be at rest.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience, self.count, self.reached = patience, 0, False
        self.sums: dict[str, float] = {}
        self.before: dict[str, float] = {}

    def note(self, values: dict[str, float]) -> bool:
        """Take down a step; whether the fit is at rest."""
        if self.patience is None or self.reached:
            return self.reached
        for key in KEYS:
            self.sums[key] = self.sums.get(key, 0.0) + values[key]
        self.count += 1
        if self.count == self.patience:
            means = {key: total / self.count for key, total in self.sums.items()}
            self.reached = bool(self.before) and not any(_moved(self.before[key], means[key]) for key in KEYS)
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
