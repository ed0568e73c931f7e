"""The pipelines that are compared: torchvision's own, and the learned policy alone, beside them, and in parts.

An arm is a function of a ``Setting`` that makes an augmenter of batches ``(B, C, H, W)`` within [0, 1], or None.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from learned_affine import AffineLimits, LearnedAffineAugment

Augment = Callable[[Tensor], Tensor]


@dataclass
class Setting:
    """A classifier to fit to, and the images that an arm may use.

    Args:
        classifier: what the policy is fitted to.
        loader: the images that it was trained on.
        held_out: images that it was not trained on.
        size: side of the images in pixels.
        padding: of the learned warps.
        seed: of the fit.
        fits: policies that other arms of the setting have fitted already, by their limits.
    """

    classifier: nn.Module
    loader: Any
    held_out: Any
    size: int
    padding: str
    seed: int
    fits: dict[AffineLimits, LearnedAffineAugment] = field(default_factory=dict)

    def fitted(self, limits: AffineLimits) -> LearnedAffineAugment:
        """The policy within these limits, by the default fit: nothing is chosen."""
        if limits not in self.fits:
            self.fits[limits] = LearnedAffineAugment.fit(
                self.classifier,
                self.loader,
                val_loader=self.held_out,
                limits=limits,
                padding_mode=self.padding,
                seed=self.seed,
                progress=False,
            )
        return self.fits[limits]


class Colours(v2.TrivialAugmentWide):
    """TrivialAugmentWide's operations on colours alone."""

    _AUGMENTATION_SPACE: ClassVar[dict[str, Any]] = {
        name: entry
        for name, entry in v2.TrivialAugmentWide._AUGMENTATION_SPACE.items()
        if name not in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
    }


def per_image(*transforms: nn.Module) -> Augment:
    """v2 transforms, which draw once a call, applied image by image through uint8, as their colour operations need."""
    pipeline = v2.Compose(transforms)

    def augment(images: Tensor) -> Tensor:
        pixels = (images * 255).round().to(torch.uint8)
        return torch.stack([pipeline(image) for image in pixels]).float() / 255

    return augment


def after(first: Augment, second: Augment) -> Augment:
    """One augmenter after another."""
    return lambda images: second(first(images))


def flip(setting: Setting | None = None) -> Augment:
    """Each image flipped with a chance of 1/2."""
    return lambda images: torch.where((torch.rand(len(images)) < 0.5)[:, None, None, None], images.flip(-1), images)


def crop(setting: Setting) -> nn.Module:
    """The usual random crop after padding by four pixels, white around icons."""
    mode = {"padding_mode": "edge"} if setting.padding == "border" else {}
    return v2.RandomCrop(setting.size, padding=4, **mode)


def learned(setting: Setting, mirror: bool = True) -> LearnedAffineAugment:
    """The fitted policy, by default with mirrors."""
    return setting.fitted(AffineLimits(mirror=mirror))


@torch.no_grad()
def shuffled_mirrors(setting: Setting) -> Augment:
    """The fitted policy, each image mirrored by the chance of another one of the batch."""
    policy = learned(setting)

    def augment(images: Tensor) -> Tensor:
        dealt = policy.sample_parameters(images).mirror[torch.randperm(len(images))]
        warped = policy.warp(images, replace(policy.sample_parameters(images), mirror=dealt))
        return torch.where((torch.rand(len(images)) < policy.p)[:, None, None, None], warped, images)

    return augment


@torch.no_grad()
def shuffled(setting: Setting) -> Augment:
    """The fitted policy, all parameters of an image dealt to another one of the batch."""
    policy = learned(setting)

    def augment(images: Tensor) -> Tensor:
        warped = policy.warp(images, policy.sample_parameters(images)[torch.randperm(len(images))])
        return torch.where((torch.rand(len(images)) < policy.p)[:, None, None, None], warped, images)

    return augment


ARMS: dict[str, Callable[[Setting], Augment | None]] = {
    "none": lambda setting: None,
    "flip": flip,
    "flip + crop": lambda setting: per_image(v2.RandomHorizontalFlip(), crop(setting)),
    "TrivialAugmentWide": lambda setting: per_image(v2.TrivialAugmentWide()),
    "RandAugment": lambda setting: per_image(v2.RandAugment()),
    "flip + crop + TrivialAugmentWide": lambda setting: per_image(
        v2.RandomHorizontalFlip(), crop(setting), v2.TrivialAugmentWide()
    ),
    "flip + crop + colour": lambda setting: per_image(v2.RandomHorizontalFlip(), crop(setting), Colours()),
    "learned": learned,
    "learned + colour": lambda setting: after(per_image(Colours()), learned(setting)),
    "learned, no mirrors": lambda setting: learned(setting, mirror=False),
    "flip + learned, no mirrors": lambda setting: after(flip(), learned(setting, mirror=False)),
    "learned, mirrors shuffled": shuffled_mirrors,
    "learned, shuffled": shuffled,
}
