"""What stage 3 trains with in ``accuracy.py``: each arm makes an augmenter of batches ``(B, C, H, W)``, or None.

An arm is a function of a ``Setting``; its name is its key in ``ARMS``. Every arm draws anew for each image.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.classifier import evaluate_classifier, train_classifier
from learned_affine.localization import PRIOR_WIDTH, LocalizationNetwork
from learned_affine.losses import relative_entropy

Augment = Callable[[Tensor], Tensor]
GRID = [(strength, p) for strength in (0.25, 0.5, 0.75, 1.0, 1.5) for p in (0.5, 1.0)]


@dataclass
class Setting:
    """One classifier after stage 1, and the images that stage 3 may use."""

    classifier: nn.Module
    loader: Any
    unseen: Any
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
        chosen = (torch.rand(len(images)) < self.p).nonzero()[:, 0]
        if len(chosen) == 0:
            return images
        some = images[chosen]
        warped = self.augment.warp(some, self.augment.limits.parameters(self.draw(some)))
        return images.index_copy(0, chosen, warped)


def uniform_points(images: Tensor) -> Tensor:
    """Uniform over the unit cube."""
    return 2 * torch.rand(len(images), 6) - 1


def prior_points(images: Tensor) -> Tensor:
    """From the prior."""
    return torch.tanh(PRIOR_WIDTH * torch.randn(len(images), 6))


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


def best_of_grid(setting: Setting) -> Augment:
    """The point of a 10-point grid of strengths whose training is best on the unseen images."""
    found = {}
    for strength, p in GRID:
        augment = uniform(setting, p, scaled(AffineLimits.modest(), strength))
        tuned = copy.deepcopy(setting.classifier)
        train_classifier(
            tuned, setting.loader, augment=augment, epochs=setting.epochs, seed=setting.seed, progress=False
        )
        found[strength, p] = evaluate_classifier(tuned, setting.unseen, progress=False)["accuracy"]
    strength, p = max(found, key=lambda point: found[point])
    setting.notes["grid_point"] = [strength, p]
    return uniform(setting, p, scaled(AffineLimits.modest(), strength))


def nearest_of_ten(setting: Setting) -> Augment:
    """Of 10 draws from the prior the one whose cross entropy is nearest to that of unseen images; no network."""
    classifier = copy.deepcopy(setting.classifier).eval()
    target = evaluate_classifier(classifier, setting.unseen, progress=False)["cross_entropy"]
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
        return torch.stack(drawn)[best, torch.arange(len(images))]

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


def fitted(
    setting: Setting,
    p: float = 0.5,
    config: FitConfig | None = None,
    limits: AffineLimits | None = None,
    per_image: bool = True,
    harder: float | None = None,
) -> LearnedAffineAugment:
    """Stage 2: an augmenter fitted to the setting's classifier, or to ``harder`` times its own target."""
    config = config or FitConfig()
    if harder is not None:
        unseen = evaluate_classifier(setting.classifier, setting.unseen, progress=False)["cross_entropy"]
        config = config.replace(target=harder * unseen)
    arguments: dict[str, Any] = {"limits": limits or AffineLimits.modest(), "padding_mode": setting.padding, "p": p}
    if config.head == "bounded":
        arguments["localization"] = LocalizationNetwork(setting.channels, per_image=per_image)
    augment = LearnedAffineAugment.fit(
        setting.classifier,
        setting.loader,
        val_loader=setting.unseen,
        config=config,
        seed=setting.seed,
        progress=False,
        **arguments,
    )
    last = augment.history.last()
    setting.notes |= {key: last[key] for key in ("displacement", "kl", "cross_entropy", "visible_area") if key in last}
    setting.notes["target"] = augment.history.info["target"]
    return augment


def shuffled(setting: Setting) -> Augment:
    """The learned policy, with its parameters dealt to other images of the batch."""
    augment = fitted(setting)

    @torch.no_grad()
    def draw(images: Tensor) -> Tensor:
        chosen = (torch.rand(len(images)) < augment.p).nonzero()[:, 0]
        parameters = augment.sample_parameters(images)[torch.randperm(len(images))][chosen]
        return images if len(chosen) == 0 else images.index_copy(0, chosen, augment.warp(images[chosen], parameters))

    return draw


def refitted(setting: Setting, every: int = 8) -> Augment:
    """The learned policy, fitted again to the classifier of the moment, with fewer steps after the first time."""
    augment = fitted(setting)

    def follow(classifier: nn.Module, epoch: int) -> None:
        if epoch and epoch % every == 0:
            quick = FitConfig(steps=100)
            augment.fit(
                classifier, setting.loader, val_loader=setting.unseen, config=quick, seed=setting.seed, progress=False
            )

    setting.on_epoch = follow
    return augment


GEOMETRIC = v2.RandomChoice(
    [
        v2.RandomAffine(0, shear=(-57, 57)),
        v2.RandomAffine(0, shear=(0, 0, -57, 57)),
        v2.RandomAffine(0, translate=(1.0, 0.0)),
        v2.RandomAffine(0, translate=(0.0, 1.0)),
        v2.RandomRotation(135),
        v2.Identity(),
    ]
)
WIDE = AffineLimits.wide()

ARMS: dict[str, Callable[[Setting], Augment | None]] = {
    "none": lambda setting: None,
    "uniform p .5": partial(uniform, p=0.5),
    "uniform p 1": partial(uniform, p=1.0),
    "learned": fitted,
    "learned wide": partial(fitted, limits=WIDE),
    "uniform wide p .5": partial(uniform, p=0.5, limits=WIDE),
    "learned p 1": partial(fitted, p=1.0),
    "learned, no discriminator": partial(fitted, config=FitConfig(adversarial_weight=0.0)),
    "learned, no entropy term": partial(fitted, config=FitConfig(entropy_weight=0.0)),
    "learned, shuffled": shuffled,
    "learned, one for all": partial(fitted, per_image=False),
    "learned, predicted labels": partial(fitted, config=FitConfig(labels="predicted")),
    "learned, target x 1.5": partial(fitted, harder=1.5),
    "learned, target x 2": partial(fitted, harder=2.0),
    "learned, refitted": refitted,
    "entropy target": partial(fitted, config=FitConfig.entropy_target()),
    "entropy target wide": partial(fitted, config=FitConfig.entropy_target(), limits=WIDE),
    "hardness": partial(fitted, config=FitConfig.hardness()),
    "prior": lambda setting: Affine(setting, AffineLimits.modest(), 0.5, prior_points),
    "nearest of 10": nearest_of_ten,
    "by certainty": by_certainty,
    "flip and crop": lambda setting: PerImage(
        v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(32 if setting.channels == 3 else 28, padding=4)])
    ),
    "TrivialAugmentWide": lambda setting: PerImage(v2.TrivialAugmentWide(), True),
    "TrivialAugment, geometric part": lambda setting: PerImage(GEOMETRIC),
    "RandAugment": lambda setting: PerImage(v2.RandAugment(), True),
    "AugMix": lambda setting: PerImage(v2.AugMix(), True),
    "best of grid": best_of_grid,
    "paper": partial(fitted, config=FitConfig.paper()),
    "paper, sign corrected": partial(fitted, config=FitConfig.paper(sign="corrected")),
}
