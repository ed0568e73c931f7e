"""``FitConfig``: every dial of a fit, with the reason for its default."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from learned_affine._checks import check_choice, check_count, check_range

Objective = Literal["calibrated", "paper"]
Labels = Literal["given", "predicted"]
Sign = Literal["printed", "corrected"]
LOSSES = ("entropy_weight", "adversarial_weight", "discriminator_rate")
COMMON = ("objective", "steps", "epochs", "patience", "learning_rate", *LOSSES)
DIALS = {  # of each objective: those that act
    "calibrated": (*COMMON, "draws", "updates", "memory", "shared_rate", "labels", "tolerance", "target", "dual_rate"),
    "paper": (*COMMON, "sign"),
}
OPTIONAL = ("steps", "epochs", "patience")  # counts that may be None
COUNTS = (*OPTIONAL, "draws", "updates", "memory")


@dataclass(frozen=True)
class FitConfig:
    """How an augmenter is fitted. The default has nothing that must be chosen.

    A dial that cannot act is refused: the paper's objective has no target, the calibrated one no sign, and without an
    adversarial weight there is no discriminator to give a rate to.

    Args:
        objective: ``"calibrated"`` (see :mod:`learned_affine.objectives.objective`), or ``"paper"``: the paper's own
            loss, by its gradient through warp and classifier, with an unbounded network and without noise.
        steps: steps, one a batch; as many passes over the loader as that takes. None: 0.8 of a pass, at least 60 and at
            most 300, and no more than fit into about two minutes.
        epochs: passes over the loader instead of ``steps``.
        draws: draws an image and step.
        updates: updates of the localization network a step.
        memory: batches in the replay buffer, whose improved policies the network is regressed to.
        learning_rate: of the localization network, by Adam.
        shared_rate: how many times faster than the network's other weights the part moves that all images share.
        target: mean cross entropy in nats at which augmented images are held. None: measured on held-out images.
        tolerance: of a measured target: the largest share of what the classifier knows about held-out images, ``log m``
            minus its cross entropy, that the warps may cost it; they never cost more than what it gained by memorising
            (:mod:`learned_affine.objectives.target`).
        labels: ``"given"``, or ``"predicted"``: the classifier's own prediction on the untouched image.
        entropy_weight: weight of the max-entropy loss on the classifier's output.
        adversarial_weight: weight of the adversarial loss; 0 leaves the discriminator out.
        discriminator_rate: of the discriminator; by Adam, in the paper's objective by SGD.
        dual_rate: step of the logarithm of the dual variable.
        sign: of the paper's max-entropy loss, ``"printed"`` or ``"corrected"``.
        patience: early stopping: stop once no measure has moved by more than 3 % between one stretch of so many steps
            and the next. None: take all steps.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """

    objective: Objective = "calibrated"
    steps: int | None = None  # 60 to 300, growing with the data: more tell images apart better
    epochs: int | None = None
    draws: int = 2  # of all images of a batch and half as many held-out ones: as much as a training step's two passes
    updates: int = 6  # with 8 the target was held no better, for a tenth more time
    memory: int = 8  # with more of them the policy follows the dual variable so late that both swing
    learning_rate: float = 3e-3  # with a cosine to a twentieth
    shared_rate: float = 3.0  # its slope is the mean over a batch
    target: float | None = None  # measured: the right strength depends on the data
    tolerance: float = 0.15  # of what it knows: the best fixed strengths cost a weak classifier 0.15 to 0.25 of it
    labels: Labels = "given"  # predicted ones cost 1.5 points on rotated images within wide limits
    entropy_weight: float = 1.0  # at 0 accuracy under warps within modest limits was 0.2 points lower
    adversarial_weight: float = 0.1  # at 1 it pushes faster than the dual variable brakes
    discriminator_rate: float = 1e-3  # Adam's own default; the paper's SGD at 1e-4 hardly moves it
    dual_rate: float = 0.1  # a third of it leaves the cross entropy up to 60 % above its target after 150 steps
    sign: Sign = "printed"
    # a fit is short, and its rate falls to the last step: to stop before would leave the rate high and save seconds
    patience: int | None = None

    def __post_init__(self) -> None:
        """Check every dial."""
        check_choice("objective", self.objective, tuple(DIALS))
        check_choice("labels", self.labels, ("given", "predicted"))
        check_choice("sign", self.sign, ("printed", "corrected"))
        for name in COUNTS:
            if getattr(self, name) is not None or name not in OPTIONAL:
                check_count(name, getattr(self, name))
        for name in ("learning_rate", "shared_rate", "discriminator_rate"):
            check_range(name, getattr(self, name), 1e-12, 1e6, "positive")
        check_range("tolerance", self.tolerance, 0.0, 1.0, "in [0, 1]")
        for name in ("entropy_weight", "adversarial_weight", "dual_rate"):
            check_range(name, getattr(self, name), 0.0, 1e6, "at least 0")
        if self.draws < 2:
            raise ValueError(f"draws must be at least 2, to be held against each other, got {self.draws}")
        if self.target is not None:
            check_range("target", self.target, 1e-9, 1e6, "above 0")
        self._refuse_idle_dials()

    def _refuse_idle_dials(self) -> None:
        """Refuse what was set and cannot act."""
        idle = {name: f"objective={self.objective!r}" for name in FIELDS if name not in DIALS[self.objective]}
        if self.adversarial_weight == 0:
            idle["discriminator_rate"] = "adversarial_weight=0"
        if self.epochs is not None:
            idle["steps"] = f"epochs={self.epochs}"
        if self.target is not None:
            idle.setdefault("tolerance", f"target={self.target:g}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in idle and value != field.default:
                raise ValueError(f"{field.name} has no effect with {idle[field.name]}: leave it out, got {value!r}")

    @property
    def needs_labels(self) -> bool:
        """Whether the loader must give labels."""
        return self.objective == "calibrated" and self.labels == "given"

    @classmethod
    def paper(cls, sign: Sign = "printed", **changes: Any) -> FitConfig:
        """The paper as printed (or with the sign of its max-entropy loss corrected): no bounds, no noise.

        Section 4: the augmenter by Adam at 1e-4, the discriminator by SGD at 1e-4, lambda = 2, 50 epochs. Each of them
        can be changed; ``steps`` take the place of the epochs, and without an adversarial weight no rate is set.
        """
        defaults: dict[str, Any] = {"learning_rate": 1e-4, "entropy_weight": 2.0, "adversarial_weight": 1.0}
        defaults |= {} if "steps" in changes else {"epochs": 50}
        defaults |= {} if changes.get("adversarial_weight") == 0 else {"discriminator_rate": 1e-4}
        return cls(**{"objective": "paper", "sign": sign, **defaults, **changes})

    def replace(self, **changes: Any) -> FitConfig:
        """The same with some dials changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The dials that act, as plain values, ready for JSON; ``FitConfig(**config.to_dict())`` is the same."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name in DIALS[self.objective]}


FIELDS = tuple(field.name for field in dataclasses.fields(FitConfig))
