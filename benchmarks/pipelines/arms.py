"""The pipelines that are compared: torchvision's own, and the learned policy alone, beside them, and in parts.

An arm is a function of a ``Setting`` that makes an augmenter of batches ``(B, C, H, W)`` within [0, 1], or None.
torchvision's transforms go by PIL, image by image, as a dataset would apply them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.colour import GEOMETRIC
from learned_affine.policy.network import LocalizationNetwork  # private: one arm's network does not see the image

Augment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Fit:
    """What a policy is fitted with; all that is not here is the default."""

    symmetries: str = "all"
    per_image: bool = True
    config: FitConfig = field(default_factory=FitConfig)


@dataclass
class Setting:
    """A classifier to fit to, and the images that an arm may use.

    Args:
        classifier: makes what the policy is fitted to; called once, and only where an arm needs it.
        loader: the images that it was trained on.
        held_out: images that it was not trained on.
        channels: of the images.
        size: side of the images in pixels.
        padding: of the learned warps.
        seed: of the fit.
        fits: policies that other arms of the setting have fitted already.
    """

    classifier: Callable[[], nn.Module]
    loader: Any
    held_out: Any
    channels: int
    size: int
    padding: str
    seed: int
    fits: dict[Fit, LearnedAffineAugment] = field(default_factory=dict)

    def fitted(self, fit: Fit) -> LearnedAffineAugment:
        """The policy of a fit, which is made once."""
        if fit not in self.fits:
            one_for_all = LocalizationNetwork(self.channels, per_image=False, symmetries=fit.symmetries)
            self.fits[fit] = LearnedAffineAugment.fit(
                self.classifier(),
                self.loader,
                val_loader=self.held_out,
                limits=AffineLimits(symmetries=fit.symmetries),
                localization=None if fit.per_image else one_for_all,
                config=fit.config,
                padding_mode=self.padding,
                seed=self.seed,
                progress=False,
            )
        return self.fits[fit]


class Colours(transforms.TrivialAugmentWide):
    """``TrivialAugmentColour`` for torchvision's first transforms, whose draws the rows were made with."""

    def _augmentation_space(self, num_bins: int) -> dict[str, Any]:
        return of_colours(super()._augmentation_space(num_bins))


def of_colours(operations: dict[str, Any]) -> dict[str, Any]:
    """All operations but the geometric ones."""
    return {name: entry for name, entry in operations.items() if name not in GEOMETRIC}


def per_image(*steps: nn.Module) -> Augment:
    """torchvision's transforms, which draw once a call, applied image by image through PIL."""
    pipeline = transforms.Compose(steps)

    def augment(images: Tensor) -> Tensor:
        pixels = (images * 255).round().to(torch.uint8).cpu()
        done = [F.pil_to_tensor(pipeline(F.to_pil_image(image))) for image in pixels]
        return torch.stack(done).to(images.device).float() / 255

    return augment


def flip(setting: Setting | None = None) -> Augment:
    """Each image flipped with a chance of 1/2."""

    def augment(images: Tensor) -> Tensor:
        chosen = (torch.rand(len(images)) < 0.5).to(images.device)
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)

    return augment


def flip_and_crop(setting: Setting) -> tuple[nn.Module, nn.Module]:
    """The usual flip, and the usual random crop after padding by four pixels: white around icons, else black."""
    fill = 255 if setting.padding == "border" else 0
    return transforms.RandomHorizontalFlip(), transforms.RandomCrop(setting.size, padding=4, fill=fill)


def flip_and_affine(setting: Setting) -> Augment:
    """Flips, and warps uniform within half the modest limits: a choice by hand that is never far too strong."""
    half = AffineLimits.modest()
    affine = transforms.RandomAffine(
        half.angle / 2,
        (half.translate / 2, half.translate / 2),
        (half.scale**-0.5, half.scale**0.5),
        half.shear / 2,
        interpolation=InterpolationMode.BILINEAR,
        fill=255 if setting.padding == "border" else 0,
    )
    return per_image(transforms.RandomHorizontalFlip(), affine)


def learned(setting: Setting, **fit: Any) -> LearnedAffineAugment:
    """The fitted policy, by default as users get it."""
    return setting.fitted(Fit(**fit))


def with_colours(setting: Setting) -> Augment:
    """The recipe: colours as TrivialAugmentWide changes them, geometry as it was learned."""
    colours, policy = per_image(Colours()), learned(setting)
    return lambda images: policy(colours(images))


def shuffled_symmetries(setting: Setting) -> Augment:
    """The fitted policy, each image flipped and turned by the chances of another one of the batch."""
    policy = learned(setting)

    def augment(images: Tensor) -> Tensor:
        others = policy.sample_parameters(images)[torch.randperm(len(images))]
        own = policy.sample_parameters(images)
        return by_chance(policy, images, replace(own, mirror=others.mirror, quarter_turns=others.quarter_turns))

    return augment


def dealt_to_others(policy: LearnedAffineAugment) -> Augment:
    """The policy, all parameters of an image dealt to another one of the batch."""
    return lambda images: by_chance(
        policy, images, policy.sample_parameters(images)[torch.randperm(len(images)).to(images.device)]
    )


def by_chance(policy: LearnedAffineAugment, images: Tensor, parameters: Any) -> Tensor:
    """Images warped by the parameters, each with the chance ``p`` of the policy."""
    chosen = (torch.rand(len(images)) < policy.p).to(images.device)
    return torch.where(chosen[:, None, None, None], policy.warp(images, parameters), images)


ARMS: dict[str, Callable[[Setting], Augment | None]] = {
    "none": lambda setting: None,
    "flip": flip,
    "flip + crop": lambda setting: per_image(*flip_and_crop(setting)),
    "flip + affine": flip_and_affine,
    "TrivialAugmentWide": lambda setting: per_image(transforms.TrivialAugmentWide()),
    "RandAugment": lambda setting: per_image(transforms.RandAugment()),
    "flip + crop + TrivialAugmentWide": lambda setting: per_image(
        *flip_and_crop(setting), transforms.TrivialAugmentWide()
    ),
    "flip + crop + colour": lambda setting: per_image(*flip_and_crop(setting), Colours()),
    "learned": learned,
    "learned + colour": with_colours,
    "learned, mirror alone": partial(learned, symmetries="mirror"),
    "learned, no symmetries": partial(learned, symmetries="none"),
    "learned, symmetries shuffled": shuffled_symmetries,
    "learned, shuffled": lambda setting: dealt_to_others(learned(setting)),
    "learned, one for all": partial(learned, per_image=False),
    "learned, no adversarial loss": partial(learned, config=FitConfig(adversarial_weight=0.0)),
    "learned, no entropy loss": partial(learned, config=FitConfig(entropy_weight=0.0)),
}
FITS = {  # of the arms whose fit is not the default one
    "learned, mirror alone": Fit(symmetries="mirror"),
    "learned, no symmetries": Fit(symmetries="none"),
    "learned, one for all": Fit(per_image=False),
    "learned, no adversarial loss": Fit(config=FitConfig(adversarial_weight=0.0)),
    "learned, no entropy loss": Fit(config=FitConfig(entropy_weight=0.0)),
}
