"""What is compared: torchvision's pipelines, what an expert would choose, and the learned policy alone and in parts.

An arm has a pipeline for each PIL image, as a dataset would apply it, and an augmenter of batches ``(B, 3, S, S)``;
either may be missing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import kornia.augmentation
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmarks.pipelines.arms import NO_WARPS, all_eight, dealt_to_others
from benchmarks.real.data import MIRRORED, Batches, RealSet
from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.colour import TrivialAugmentColour
from learned_affine.label_map import MappedLabels

BILINEAR = v2.InterpolationMode.BILINEAR
EXPERTS = {  # what an expert would choose, where that is an arm of its own; all eight and any rotation elsewhere
    "traffic-signs": "affine_by_hand",
    "letters": "affine_by_hand",
    "hands": "affine_by_hand",
    "flowers": "flip_crop",
}
Moved = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Arm(NamedTuple):
    """What is done to a PIL image, to a batch and its labels, and the policy where there is one."""

    one: Callable[[Any], Any] | None = None
    many: Moved | None = None
    policy: LearnedAffineAugment | None = None


@dataclass
class Setting:
    """A set and a seed, with the classifier that policies are fitted to and the policies that arms share."""

    pictures: RealSet
    seed: int
    classifier: Callable[[], nn.Module]
    preprocess: Callable[[Tensor], Tensor] | None = None
    fits: dict[tuple[AffineLimits, FitConfig, bool], LearnedAffineAugment] = field(default_factory=dict)

    @property
    def label_map(self) -> dict[str, list[int]]:
        """What a left-right flip makes of each class, by hand."""
        pairs = dict(MIRRORED[self.pictures.name])
        pairs |= {right: left for left, right in pairs.items()}
        classes = self.pictures.classes
        return {"mirror": [classes.index(pairs.get(name, name)) for name in classes]}

    def learned(self, limits: AffineLimits | None = None, mapped: bool = False, **config: Any) -> LearnedAffineAugment:
        """The policy of a fit, which is made once; by default as users get it."""
        key = limits or AffineLimits(), FitConfig(**config), mapped
        if key not in self.fits:
            self.fits[key] = LearnedAffineAugment.fit(
                self.classifier(),
                Batches(self.pictures.train, shuffle=True),
                val_loader=Batches(self.pictures.held_out),
                preprocess=self.preprocess,
                limits=key[0],
                config=key[1],
                label_map=self.label_map if mapped else None,
                p=1.0 if key[0] == NO_WARPS else None,  # symmetries lose nothing
                seed=self.seed,
                progress=False,
            )
        return self.fits[key]


def by_policy(policy: LearnedAffineAugment, one: Callable[[Any], Any] | None = None, dealt: bool = False) -> Arm:
    """A policy, after what each image gets; ``dealt``: with the parameters of another image of the batch."""
    return Arm(one, images_alone(dealt_to_others(policy) if dealt else policy), policy)


def images_alone(augment: Callable[[Tensor], Tensor]) -> Moved:
    """Labels stay."""
    return lambda images, labels: (augment(images), labels)


def with_map(setting: Setting, one: Callable[[Any], Any] | None = None) -> Arm:
    """A policy that was fitted with the label map, after which labels follow it."""
    policy = setting.learned(mapped=True)
    return Arm(one, MappedLabels(policy, setting.label_map), policy)


def flip_crop(setting: Setting) -> Arm:
    """The usual flip, with the crop that photographs get, or after padding by four pixels."""
    size = setting.pictures.train.images.shape[-1]
    photographs = setting.pictures.name == "flowers"
    crop = v2.RandomResizedCrop(size) if photographs else v2.RandomCrop(size, padding=4)
    return Arm(v2.Compose([v2.RandomHorizontalFlip(), crop]))


def affine_by_hand(setting: Setting) -> Arm:
    """The line that anybody would write."""
    affine = v2.RandomAffine(10, (0.1, 0.1), (0.85, 1.15), 10, interpolation=BILINEAR)
    return Arm(v2.RandomApply([affine], p=0.5))


def expert(setting: Setting) -> Arm:
    """What an expert would choose for the set: seen from above, all eight symmetries and any rotation."""
    if setting.pictures.name in EXPERTS:
        return ARMS[EXPERTS[setting.pictures.name]](setting)
    rotated = kornia.augmentation.RandomAffine(45, padding_mode="reflection", p=0.5)
    return Arm(many=images_alone(lambda images: rotated(all_eight(images))))


ARMS: dict[str, Callable[[Setting], Arm]] = {
    "none": lambda setting: Arm(),
    "flip_crop": flip_crop,
    "expert": expert,
    "affine_by_hand": affine_by_hand,
    "trivial_augment": lambda setting: Arm(v2.TrivialAugmentWide()),
    "rand_augment": lambda setting: Arm(v2.RandAugment()),
    "colour": lambda setting: Arm(TrivialAugmentColour()),
    "all_eight": lambda setting: Arm(many=images_alone(all_eight)),
    "learned": lambda setting: by_policy(setting.learned()),
    "learned_colour": lambda setting: by_policy(setting.learned(), TrivialAugmentColour()),
    "learned_shuffled": lambda setting: by_policy(setting.learned(), dealt=True),
    "learned_map": with_map,
    "learned_map_colour": lambda setting: with_map(setting, TrivialAugmentColour()),
    "learned_no_entropy": lambda setting: by_policy(setting.learned(entropy_weight=0.0)),
    "learned_no_adversary": lambda setting: by_policy(setting.learned(adversarial_weight=0.0)),
    "symmetries_alone": lambda setting: by_policy(setting.learned(NO_WARPS)),
}


def suits(arm: str, name: str) -> bool:
    """Whether a set has an arm of its own of that name."""
    if arm == "expert":
        return name not in EXPERTS
    return name in MIRRORED if "_map" in arm else True


def fits(arm: str) -> bool:
    """Whether an arm needs a fitted policy."""
    return arm.startswith(("learned", "symmetries"))
