"""``FitConfig``: every dial of a fit, with the reason for its default."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from learned_affine._checks import check_choice, check_count, check_range

Objective = Literal["calibrated", "paper"]
Labels = Literal["given", "predicted"]
Sign = Literal["printed", "corrected"]
IDLE = {"calibrated": ("sign",), "paper": ("images", "tolerance", "target", "labels")}  # what cannot act


@dataclass(frozen=True)
class FitConfig:
    """How an augmenter is fitted. The default has nothing that must be chosen.

    A dial that cannot act is refused: the paper's objective has no target, and the calibrated one no sign.

    Args:
        objective: ``"calibrated"``: regress what each transform costs each image, then price it (see ``fitting``); or
            ``"paper"``: the paper's own loss, by its gradient through warp and classifier, with an unbounded network
            and without noise.
        rounds: rounds of drawing, judging and learning; in the paper's objective passes over the loader.
        images: warped images that are judged in the rounds. On top come 30 % for symmetries, and at most 2,400 in the
            last rounds, which set the price. None: 4 for each image that the fit keeps, at least 3,000 and at most
            9,000. Fewer where they would take more than about 90 seconds.
        learning_rate: of the localization network, by Adam.
        tolerance: of a measured target: the largest share of what the classifier knows, ``log m`` minus its held-out
            cross entropy, that transforms may cost (:mod:`learned_affine.fitting.target`).
        target: mean cross entropy in nats at which augmented images are held. None: measured on held-out images.
        labels: ``"given"``, or ``"predicted"``: the classifier's own prediction on the untouched image.
        entropy_weight: weight of the max-entropy loss on the classifier's output.
        adversarial_weight: weight of the adversarial loss; 0 leaves the discriminator out.
        sign: of the paper's max-entropy loss, ``"printed"`` or ``"corrected"``.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """

    objective: Objective = "calibrated"
    rounds: int = 8
    images: int | None = None
    learning_rate: float = 5e-3  # with a cosine to a fiftieth in each round
    tolerance: float = 0.1  # of what it knows: 0.15 gains more on some sets and less on others
    target: float | None = None  # measured: the right strength depends on the data
    labels: Labels = "given"  # predicted ones cost 1.5 points on rotated images within wide limits
    entropy_weight: float = 1.0
    adversarial_weight: float = 0.1
    sign: Sign = "printed"

    def __post_init__(self) -> None:
        """Check every dial."""
        for name, choices in (("objective", Objective), ("labels", Labels), ("sign", Sign)):
            check_choice(name, getattr(self, name), get_args(choices))
        check_count("rounds", self.rounds)
        if self.images is not None:
            check_count("images", self.images)
        check_range("learning_rate", self.learning_rate, 1e-12, 1e6, "positive")
        check_range("tolerance", self.tolerance, 0.0, 1.0, "in [0, 1]")
        for name in ("entropy_weight", "adversarial_weight"):
            check_range(name, getattr(self, name), 0.0, 1e6, "at least 0")
        if self.target is not None:
            check_range("target", self.target, 1e-9, 1e6, "above 0")
        idle = {name: f"objective={self.objective!r}" for name in IDLE[self.objective]}
        if self.target is not None:
            idle.setdefault("tolerance", f"target={self.target:g}")
        for name, cause in idle.items():
            if getattr(self, name) != getattr(FitConfig, name):  # its default
                raise ValueError(f"{name} has no effect with {cause}: leave it out, got {getattr(self, name)!r}")

    @classmethod
    def paper(cls, sign: Sign = "printed", **changes: Any) -> FitConfig:
        """The paper as printed (or with the sign of its max-entropy loss corrected): no bounds, no noise.

        Section 4: the augmenter by Adam at 1e-4, the discriminator by SGD at 1e-4, lambda = 2, 50 epochs, which are
        ``rounds`` here. All but the discriminator's rate can be changed.
        """
        defaults = {"rounds": 50, "learning_rate": 1e-4, "entropy_weight": 2.0, "adversarial_weight": 1.0}
        return cls(**{"objective": "paper", "sign": sign, **defaults, **changes})

    def replace(self, **changes: Any) -> FitConfig:
        """The same with some dials changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The dials that act, as plain values, ready for JSON; ``FitConfig(**config.to_dict())`` is the same."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in IDLE[self.objective]}
