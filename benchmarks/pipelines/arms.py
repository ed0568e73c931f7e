"""The pipelines that are compared: torchvision's own, the learned policy alone and beside them, and its symmetries.

An arm is a function of a ``Setting`` that makes an augmenter of batches ``(B, C, H, W)`` within [0, 1], or None; one
with a label map takes the labels, too. torchvision's transforms go by PIL, image by image, as a dataset would apply
them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.colour import GEOMETRIC
from learned_affine.label_map import MappedLabels

Augment = Callable[[Tensor], Tensor]
NO_WARPS = AffineLimits(angle=0, scale=1, shear=0, translate=0)


class Fit(NamedTuple):
    """What a policy is fitted with; all that is not here is the default."""

    limits: AffineLimits = AffineLimits()
    mapped: bool = False  # with the label map that the default fit proposes


DEFAULT = Fit()


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

    def fitted(self, fit: Fit = DEFAULT) -> LearnedAffineAugment:
        """The policy of a fit, which is made once; by default as users get it."""
        if fit not in self.fits:
            self.fits[fit] = LearnedAffineAugment.fit(
                self.classifier(),
                self.loader,
                val_loader=self.held_out,
                label_map=self.fitted().proposed_label_map() if fit.mapped else None,
                limits=fit.limits,
                p=1.0 if fit.limits == NO_WARPS else None,  # symmetries lose nothing
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


def with_colours(setting: Setting) -> Augment:
    """The recipe: colours as TrivialAugmentWide changes them, geometry as it was learned."""
    colours, policy = per_image(Colours()), setting.fitted()
    return lambda images: policy(colours(images))


def with_proposed_map(setting: Setting) -> MappedLabels:
    """The policy that was fitted with the label map that the default fit proposes, after which labels follow it."""
    return MappedLabels(setting.fitted(FITS["learned, proposed label map"]), setting.fitted().proposed_label_map())


def all_eight(images: Tensor) -> Tensor:
    """Each image at one of the eight positions of a square, by equal chances."""
    codes = torch.randint(8, (len(images),))
    moved = images.clone()
    for code in codes.unique().tolist():
        mirrored = images[codes == code].flip(-1) if code >= 4 else images[codes == code]
        moved[codes == code] = mirrored.rot90(code % 4, (-2, -1))
    return moved


def dealt_to_others(policy: LearnedAffineAugment) -> Augment:
    """The policy, all parameters of an image dealt to another one of the batch."""

    def augment(images: Tensor) -> Tensor:
        parameters = policy.sample_parameters(images)[torch.randperm(len(images)).to(images.device)]
        chosen = (torch.rand(len(images)) < policy.p).to(images.device)
        return torch.where(chosen[:, None, None, None], policy.warp(images, parameters), images)

    return augment


FITS = {  # of the arms whose fit is not the default one
    "learned, symmetries alone": Fit(NO_WARPS),
    "learned, proposed label map": Fit(mapped=True),
}
ARMS: dict[str, Callable[[Setting], Augment | MappedLabels | None]] = {
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
    "all eight symmetries": lambda setting: all_eight,
    "learned": lambda setting: setting.fitted(),
    "learned + colour": with_colours,
    "learned, symmetries alone": lambda setting: setting.fitted(FITS["learned, symmetries alone"]),
    "learned, proposed label map": with_proposed_map,
}
