"""What one would use without fitting: the arms that learn nothing, and what an arm is.

An arm is a function of a ``Setting`` that makes an augmenter of batches ``(B, C, H, W)``, or None. Every arm draws anew
for each image. The arms with a stage 2 are in ``fitted_arms.py``.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.classifier import evaluate_classifier
from learned_affine.losses import relative_entropy
from learned_affine.policy.distribution import PRIOR_WIDTH  # private: the arm "prior" is what a fit starts from

Augment = Callable[[Tensor], Tensor]
STRENGTHS, CHANCES = (0.25, 0.5, 0.75, 1.0, 1.5), (0.5, 1.0)


@dataclass
class Setting:
    """One classifier after stage 1, and the images that stage 3 may use."""

    classifier: nn.Module
    loader: Any
    held_out: Any
    channels: int
    padding: str
    seed: int
    epochs: int
    notes: dict[str, Any] = field(default_factory=dict)  # what an arm wants to have in its row
    on_epoch: Callable[[nn.Module, int], None] | None = None  # for arms that follow the classifier

    def augmenter(self, limits: AffineLimits, **arguments: Any) -> LearnedAffineAugment:
        """An unfitted augmenter with the setting's padding."""
        return LearnedAffineAugment(limits, padding_mode=self.padding, **arguments)


class Affine(nn.Module):
    """Each image by chance ``p`` warped within the limits; ``draw`` gives points of the unit cube for a batch."""

    def __init__(self, setting: Setting, limits: AffineLimits, p: float, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.augment, self.p, self.draw = setting.augmenter(limits), p, draw

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Warped images."""
        rows = chosen(images, self.p)
        if len(rows) == 0:
            return images
        some = images[rows]
        warped = self.augment.warp(some, self.augment.limits.parameters(self.draw(some)))
        return images.index_copy(0, rows, warped)


def chosen(images: Tensor, p: float) -> Tensor:
    """The rows that chance ``p`` picks."""
    return (torch.rand(len(images)) < p).nonzero()[:, 0].to(images.device)


def uniform_points(images: Tensor) -> Tensor:
    """Uniform over the unit cube."""
    return (2 * torch.rand(len(images), 6) - 1).to(images.device)


def prior_points(images: Tensor) -> Tensor:
    """From the prior."""
    return torch.tanh(PRIOR_WIDTH * torch.randn(len(images), 6)).to(images.device)


class PerImage:
    """A v2 transform, which draws once a call, applied image by image; through uint8 where it needs that."""

    def __init__(self, transform: nn.Module, through_bytes: bool = False) -> None:
        self.transform, self.through_bytes = transform, through_bytes

    def __call__(self, images: Tensor) -> Tensor:
        """The same images, each with its own draw."""
        if not self.through_bytes:
            return torch.stack([self.transform(image) for image in images])
        pixels = (images * 255).round().to(torch.uint8)
        return torch.stack([self.transform(image) for image in pixels]).float() / 255


def scaled(limits: AffineLimits, strength: float) -> AffineLimits:
    """The limits times a strength."""
    return AffineLimits(
        min(180.0, limits.angle * strength),
        limits.scale**strength,
        limits.shear * strength,
        limits.translate * strength,
    )


def uniform(setting: Setting, p: float, limits: AffineLimits | None = None) -> Augment:
    """Random affine, uniform within the limits."""
    return Affine(setting, limits or AffineLimits.modest(), p, uniform_points)


def nearest_of_ten(setting: Setting) -> Augment:
    """Of 10 draws from the prior the one whose cross entropy is nearest to that of held-out images; no network."""
    classifier = copy.deepcopy(setting.classifier).eval()
    target = evaluate_classifier(classifier, setting.held_out, progress=False)["cross_entropy"]
    limits = AffineLimits.modest()
    augment = setting.augmenter(limits)

    def points(images: Tensor) -> Tensor:
        labels = classifier(images).argmax(-1)
        drawn = [prior_points(images) for _ in range(10)]
        gaps = []
        for unit in drawn:
            logits = classifier(augment.warp(images, limits.parameters(unit)))
            gaps.append((F.cross_entropy(logits, labels, reduction="none") - target).abs())
        best = torch.stack(gaps).argmin(0)
        return torch.stack(drawn)[best, torch.arange(len(images), device=best.device)]

    return Affine(setting, limits, 0.5, points)


def by_certainty(setting: Setting) -> Augment:
    """EntAugment's idea within our limits: the surer the classifier is of an image now, the stronger its warp."""
    now: dict[str, nn.Module] = {"classifier": copy.deepcopy(setting.classifier).eval()}

    def follow(classifier: nn.Module, epoch: int) -> None:
        now["classifier"] = copy.deepcopy(classifier).eval()

    def points(images: Tensor) -> Tensor:
        sure = 1 - relative_entropy(now["classifier"](images))
        return uniform_points(images) * sure[:, None]

    setting.on_epoch = follow
    return Affine(setting, AffineLimits.modest(), 1.0, points)


class Geometric(v2.TrivialAugmentWide):
    """TrivialAugmentWide with its geometric operations alone."""

    _AUGMENTATION_SPACE: ClassVar[dict[str, Any]] = {
        name: v2.TrivialAugmentWide._AUGMENTATION_SPACE[name]
        for name in ("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
    }


WIDE = AffineLimits.wide()
ANY_ANGLE = replace(AffineLimits.modest(), angle=180.0)


def point_name(strength: float, p: float) -> str:
    """The arm of one point of the grid of fixed strengths."""
    return f"uniform{'' if strength == 1 else f' x {strength:g}'} p {f'{p:g}'.lstrip('0')}"


# ten fixed strengths, each an arm of its own; which of them was best on held-out images is read off their rows
GRID: dict[str, Callable[[Setting], Augment | None]] = {
    point_name(strength, p): partial(uniform, p=p, limits=scaled(AffineLimits.modest(), strength))
    for strength in STRENGTHS
    for p in CHANCES
}
BASELINES: dict[str, Callable[[Setting], Augment | None]] = {
    "none": lambda setting: None,
    "flip and crop": lambda setting: PerImage(
        v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(32 if setting.channels == 3 else 28, padding=4)])
    ),
    **GRID,
    "uniform wide p .5": partial(uniform, p=0.5, limits=WIDE),
    "uniform wide p 1": partial(uniform, p=1.0, limits=WIDE),
    "uniform, any angle p .5": partial(uniform, p=0.5, limits=ANY_ANGLE),
    "uniform x 0.5, any angle p .5": partial(uniform, p=0.5, limits=replace(scaled(ANY_ANGLE, 0.5), angle=180.0)),
    "prior": lambda setting: Affine(setting, AffineLimits.modest(), 0.5, prior_points),
    "nearest of 10": nearest_of_ten,
    "by certainty": by_certainty,
    "TrivialAugmentWide": lambda setting: PerImage(v2.TrivialAugmentWide(), True),
    "TrivialAugmentWide, geometric part": lambda setting: PerImage(Geometric()),
    "RandAugment": lambda setting: PerImage(v2.RandAugment(), True),
    "AugMix": lambda setting: PerImage(v2.AugMix(), True),
}
