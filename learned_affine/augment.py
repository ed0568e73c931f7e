"""``LearnedAffineAugment``: the transform, with what fits, judges, saves and loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torchvision.models import WeightsEnum

from learned_affine._checks import explain_keywords
from learned_affine.diagnostics.evaluation import evaluate
from learned_affine.diagnostics.fixed import as_transforms
from learned_affine.diagnostics.summary import proposed_label_map, summary
from learned_affine.fitting.bound import CONSTRUCTOR, FitMethod
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.warp import Fill, Interpolation, PaddingMode
from learned_affine.transforms.transform import PolicyTransform
from learned_affine.weights.save_load import load, save

if TYPE_CHECKING:
    from typing_extensions import Self


class LearnedAffineAugment(PolicyTransform):
    """Rotates, scales, shears, shifts and flips each image at random, within the range learned for that image.

    A drop-in transform for v1 and v2 pipelines. Takes PIL images, tensors ``(..., C, H, W)`` of any dtype, and
    torchvision's ``Image``, ``Video``, ``Mask``, ``BoundingBoxes`` and ``KeyPoints`` in any nested sample, and returns
    the same types, dtypes, devices, sizes and modes. A batched tensor gets its own parameters for each image. Outside a
    fit, none of its weights requires a gradient.

    Args:
        limits: how far it may go, and which of the symmetries (flips and quarter turns) images may get. Labels that
            name a side are not renamed here: ``learned_affine.label_map`` does that.
        localization: the localization network; a new, unfitted one if None, which makes small random warps and flips
            one image in twenty.
        p: chance, image by image, of being augmented; the other images come back bit-identical.
        strength: in [0, 1], moves every parameter toward the identity, and scales the chance of a flip.
        deterministic: use the mode of each image's distribution instead of a draw, and flip none.
        interpolation: ``"bilinear"``, ``"nearest"`` or ``"bicubic"``, torchvision's ``InterpolationMode`` of these, or
            ``"sharp"``, which blurs least, in half the time of bicubic; masks are always ``"nearest"``.
        padding_mode: ``"reflection"``, ``"border"``, ``"zeros"`` or ``"fill"``; masks are always filled.
        fill: a value, one per channel, or a dict by type as in torchvision; other than 0 only with ``"fill"``.
        generator: a CPU generator to draw from instead of torch's global one.

    Each argument is also an attribute, which can be set later and is checked as here.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> augment = LearnedAffineAugment(AffineLimits(angle=10))
        >>> augment(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 32, 32])

    Source: Cho, Kim, Yoon (KAIST), "Automatic data augmentation from an active-learning viewpoint for image
    classification".
    """

    fit = FitMethod()
    evaluate = evaluate
    summary = summary
    proposed_label_map = proposed_label_map
    as_transforms = as_transforms
    save_pretrained = save

    @classmethod
    @explain_keywords("from_pretrained")
    def from_pretrained(
        cls,
        source: str | Path | WeightsEnum,
        *,
        revision: str | None = None,
        limits: AffineLimits | None = None,
        p: float | None = None,
        strength: float | None = None,
        deterministic: bool | None = None,
        interpolation: Interpolation | None = None,
        padding_mode: PaddingMode | None = None,
        fill: Fill | Mapping[Any, Fill] | None = None,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Load a fitted augmenter.

        No code of the file is run, its tensors must be exactly those expected, and no random number is drawn. Files of
        versions 0.1 and 0.2 are refused: fit the augmenter anew.

        Args:
            source: a member of ``LearnedAffineAugment_Weights`` or its name, a file, a folder that ``save_pretrained``
                wrote, or a hub id ``"org/repo"`` (through ``huggingface_hub`` and its environment variables).
            revision: branch, tag or commit, of a hub id only.
            limits, p, strength, deterministic, interpolation, padding_mode, fill, generator: of the constructor; what
                is not None replaces the file's. With another ``padding_mode`` than ``"fill"``, the file's ``fill`` no
                longer counts. ``limits`` with other ``symmetries`` do not make a policy flip that was fitted without.

        Raises:
            WeightsError: if the file is damaged, foreign, of another format, or asks for what is not allowed.
            FileNotFoundError, ImportError: if there is no such file, or no ``huggingface_hub`` for a hub id.
            TypeError, ValueError: if a change is no argument of the constructor, or not a valid one.
        """
        changes = {name: value for name, value in locals().items() if name in CONSTRUCTOR and value is not None}
        return load(cls, source, revision, changes)
