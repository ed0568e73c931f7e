"""A learned policy as the nearest fixed pipeline of torchvision's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch
from learned_affine.diagnostics.measures import policy_moments, variances
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import EIGHT, NAMES
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
    as it is. A symmetry in which the fit's ``label_map`` renames a label is left out, since the line moves no labels.
    Ranges are two standard deviations of all draws. A fixed pipeline cannot leave an image out, and ``RandomAffine``
    fills borders where the augmenter reflects them.

    Args:
        augment: a fitted augmenter.
        images: ``(B, C, H, W)``, some of those that the pipeline is for.

    Raises:
        TypeError, ValueError: if the images are no such batch.

    Example:
        >>> from learned_affine import AffineLimits, LearnedAffineAugment
        >>> limits = AffineLimits(scale=1, shear=0, translate=0, symmetries="none")
        >>> LearnedAffineAugment(limits, p=1.0).as_transforms(torch.rand(4, 3, 32, 32))
        'v2.Compose([v2.RandomAffine(degrees=5.3, interpolation=v2.InterpolationMode.BILINEAR)])'
    """
    mean, deviation, chances = policy_moments(augment, check_batch("images", images))
    tolerated = (chances >= TOLERATED * chances[:, :1]).float().mean(0) >= OF_IMAGES
    tolerated = tolerated.cpu() & _labels_stay(getattr(augment.history, "info", {}).get("label_map", {}))
    steps = next([*steps] for steps, codes in STEPS if bool(tolerated[list(codes)].all()))
    within, between = variances(mean, deviation)
    spread = dict(zip(NAMES, (2 * (within + between).sqrt()).tolist(), strict=True))
    steps += filter(None, [_affine(spread, augment.limits)])
    if augment.p == 0 or not steps:
        return "v2.Identity()"
    line = f"[{', '.join(steps)}]"
    return f"v2.Compose({line})" if augment.p == 1 else f"v2.RandomApply({line}, p={augment.p:g})"


def _labels_stay(rules: dict[str, Any]) -> Tensor:
    """In which symmetries, ``(8,)`` bool by code, all labels stay by a history's label map; functions change all."""
    count = max((len(rule) for rule in rules.values() if isinstance(rule, list)), default=1)
    known = {key: rule if isinstance(rule, list) else lambda labels: labels + count for key, rule in rules.items()}
    if not known:
        return torch.ones(8, dtype=torch.bool)
    return (LabelMap(known).in_each_symmetry(count) == torch.arange(count)).all(1)


def _affine(spread: dict[str, float], limits: AffineLimits) -> str:
    """``RandomAffine`` with what is not 0 of the ranges, within the limits; empty if all are."""
    degrees, shear = min(spread["angle"], limits.angle), min(spread["shear"], limits.shear)
    across, down = (min(spread[name], limits.translate) for name in ("translate_x", "translate_y"))
    scale = min(1 + ((spread["scale_x"] ** 2 + spread["scale_y"] ** 2) / 2) ** 0.5, limits.scale)
    parts = [f"translate=({across:.3f}, {down:.3f})"] if round(max(across, down), 3) else []
    parts += [f"scale=({1 / scale:.3f}, {scale:.3f})"] if round(scale - 1, 3) else []
    parts += [f"shear={shear:.1f}"] if round(shear, 1) else []
    if not parts and not round(degrees, 1):
        return ""
    inside = [f"degrees={degrees:.1f}", *parts, "interpolation=v2.InterpolationMode.BILINEAR"]
    return f"v2.RandomAffine({', '.join(inside)})"
