"""A learned policy as the nearest fixed pipeline of torchvision's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.diagnostics.checks import info_of
from learned_affine.diagnostics.measures import policy_moments
from learned_affine.diagnostics.summary import usual_ranges
from learned_affine.geometry.parameters import EIGHT
from learned_affine.tasks.targets import LabelMap
from learned_affine.transforms.transform import PolicyTransform

TOLERATED, OF_IMAGES = 1 / 3, 0.9  # a chance of a third of the identity's, by so many of the images
FLIP, FLOP = "v2.RandomHorizontalFlip()", "v2.RandomVerticalFlip()"
TURNS = "v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in ({})])"
RIGHT_ANGLES = TURNS.format("0, 90, 180, 270")
# steps, and the codes of all that they give together; the most first
STEPS: tuple[tuple[list[str], tuple[int, ...]], ...] = (
    ([FLIP, RIGHT_ANGLES], EIGHT),
    ([RIGHT_ANGLES], (1, 2, 3)),
    ([FLIP, FLOP], (2, 4, 6)),
    ([FLIP], (4,)),
    ([FLOP], (6,)),
    ([TURNS.format("0, 180")], (2,)),
    ([], ()),
)


@torch.no_grad()
def as_transforms(augment: PolicyTransform, images: Tensor) -> str:
    """The nearest fixed pipeline: one line of ``torchvision.transforms.v2`` the same for all images.

    Flips and quarter turns are those that nine of ten images tolerate: they are at least a third as likely as the image
    as it is, whatever ``strength`` is. A symmetry in which the fit's ``label_map`` renames a label is left out, since
    the line moves no labels. Ranges are two standard deviations of all draws about their mean; of a shift, which
    ``RandomAffine`` makes about 0, about 0. A fixed pipeline cannot leave an image out, and ``RandomAffine`` fills
    borders where the augmenter reflects them.

    Args:
        augment: a fitted augmenter.
        images: ``(B, C, H, W)``, some of those that the pipeline is for.

    Raises:
        TypeError, ValueError: if the images are no such batch.

    Example:
        >>> from learned_affine import AffineLimits, LearnedAffineAugment
        >>> limits = AffineLimits(scale=1, shear=0, translate=0, symmetries="none")
        >>> LearnedAffineAugment(limits, p=1.0).as_transforms(torch.rand(4, 3, 32, 32))
        'v2.Compose([v2.RandomAffine(degrees=(-5.3, 5.3), interpolation=v2.InterpolationMode.BILINEAR)])'
    """
    if len(check_batch("images", images)) == 0:
        raise ValueError("images must be at least one, got none")
    mean, deviation, chances = policy_moments(augment, images)
    usual = tolerated(chances, augment.strength).float().mean(0) >= OF_IMAGES
    usual = usual.cpu() & _labels_stay(info_of(augment).get("label_map", {}))
    steps = next([*steps] for steps, codes in STEPS if bool(usual[list(codes)].all()))
    steps += filter(None, [_affine(augment, mean, deviation, type(images))])
    if augment.p == 0 or not steps:
        return "v2.Identity()"
    line = f"[{', '.join(steps)}]"
    return f"v2.Compose({line})" if augment.p == 1 else f"v2.RandomApply({line}, p={augment.p:g})"


def tolerated(chances: Tensor, strength: float) -> Tensor:
    """Of chances ``(..., 8)`` at a strength, which are at least a third of the identity's at full strength: bool."""
    full = chances / max(strength, 1e-9)
    identity = 1 - full[..., 1:].sum(-1, keepdim=True)
    return full >= TOLERATED * identity


def _labels_stay(rules: dict[str, Any]) -> Tensor:
    """In which symmetries, ``(8,)`` bool by code, all labels stay by a history's label map; functions change all."""
    count = max((len(rule) for rule in rules.values() if isinstance(rule, list)), default=1)
    known = {key: rule if isinstance(rule, list) else lambda labels: labels + count for key, rule in rules.items()}
    return (LabelMap(known).in_each_symmetry(count) == torch.arange(count, device="cpu")).all(1)


def _affine(augment: PolicyTransform, mean: Tensor, deviation: Tensor, kind: type) -> str:
    """``RandomAffine`` with what is not 0 of the ranges of images with moments ``(B, 6)``; empty if all are."""
    ends = usual_ranges(augment, mean, deviation, 2)
    rotation, scale, shear, _ = (
        [round(end, digits) for end in pair] for pair, digits in zip(zip(*ends, strict=True), (1, 3, 1, 3), strict=True)
    )
    shift = (2 * (deviation.square() + mean.square()).mean(0).sqrt())[4:].clamp_max(augment.limits.translate).tolist()
    written = [f"translate=({shift[0]:.3f}, {shift[1]:.3f})"] if round(max(shift), 3) else []
    written += [f"scale=({scale[0]:.3f}, {scale[1]:.3f})"] if scale != [1, 1] else []
    written += [f"shear=({shear[0]:.1f}, {shear[1]:.1f})"] if any(shear) else []
    if not written and not any(rotation):
        return ""
    sampling = augment.sampling.of(kind)
    written += [
        f"interpolation=v2.InterpolationMode.{'NEAREST' if sampling.interpolation == 'nearest' else 'BILINEAR'}"
    ]
    written += [f"fill={sampling.fill!r}"] if sampling.fill and sampling.padding_mode == "fill" else []
    return f"v2.RandomAffine(degrees=({rotation[0]:.1f}, {rotation[1]:.1f}), {', '.join(written)})"
