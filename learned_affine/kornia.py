"""The same policy inside ``kornia.augmentation.AugmentationSequential``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from kornia.augmentation import GeometricAugmentationBase2D
from kornia.geometry.conversions import convert_affinematrix_to_homography
from torch import Tensor

from learned_affine._checks import check_type
from learned_affine.augment import LearnedAffineAugment
from learned_affine.geometry.parameters import FIELDS, AffineParameters
from learned_affine.geometry.warp import warp_by_matrix, working_dtype


class LearnedAffine(GeometricAugmentationBase2D):
    """A thin shell round a ``LearnedAffineAugment``: kornia draws the noise, the augmenter's network does the rest.

    Images, masks, boxes and key points follow as for kornia's own geometric augmentations, with replay
    (``params=``) and inverse. Draws carry no gradient: a pipeline that is trained does not train the policy. kornia's
    boxes and key points are in pixel indices.

    Args:
        augment: the fitted augmenter; its limits, strength, interpolation, padding and network are used.
        p: chance of each image; the augmenter's own if None.
        keepdim: give ``(C, H, W)`` back for ``(C, H, W)``, as for kornia's own.
        same_on_batch: one draw, from the policy of the first image, for all images of a batch.

    Example:
        >>> from kornia.augmentation import AugmentationSequential
        >>> pipeline = AugmentationSequential(LearnedAffine(LearnedAffineAugment()), data_keys=["input", "mask"])
        >>> image, mask = pipeline(torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16))
        >>> image.shape, mask.shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 1, 16, 16]))
    """

    def __init__(
        self, augment: LearnedAffineAugment, p: float | None = None, keepdim: bool = False, same_on_batch: bool = False
    ) -> None:
        check_type("augment", augment, LearnedAffineAugment, "a LearnedAffineAugment")
        if isinstance(augment.fill, dict):
            raise ValueError("augment.fill must be a number or one per channel for kornia, got a dict by type")
        super().__init__(p=augment.p if p is None else p, same_on_batch=same_on_batch, keepdim=keepdim)
        self.augment = augment

    def generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]:
        """The noise of each image, drawn on the CPU, which image's policy it follows, and room for what it makes of it.

        Images with the same number in ``source`` share the policy of the first of them. So ``same_on_batch`` and the
        ``same_on_frame`` of ``VideoSequential``, which repeats parameters, hold.
        """
        count = batch_shape[0]
        drawn = 1 if self.same_on_batch else count
        noise = self.augment.noise(drawn)
        noise = torch.empty(drawn, 0, device="cpu") if noise is None else noise
        room, source = noise.new_full((count, len(FIELDS)), torch.nan), torch.arange(drawn, device="cpu")
        return {"noise": noise.expand(count, -1), "source": source.expand(count), "drawn": room}

    @torch.no_grad()
    def compute_transformation(self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any]) -> Tensor:
        """Source-to-destination matrices ``(B, 3, 3)`` in pixel indices, of ``(B, C, H, W)`` images."""
        if bool(params["drawn"].isnan().any()):  # not so in a replay, where other images are moved as these were
            _, first, follows = np.unique(params["source"].numpy(), return_index=True, return_inverse=True)
            noise = params["noise"][first] if params["noise"].numel() else None
            drawn = self.augment.draw_parameters(input[first], noise)[follows.tolist()]
            for kept in (params, self._params):  # kornia may hand on a copy of what it keeps for a replay
                kept["drawn"].copy_(torch.stack([value.float() for value in drawn.leaves()], -1))
        angle, scale_x, scale_y, shear, right, down, mirror, turns = params["drawn"].to(input.device).unbind(-1)
        parameters = AffineParameters(angle, scale_x, scale_y, shear, right, down, mirror.bool(), turns.long())
        matrix = parameters.map(lambda value: value.to(working_dtype(input))).matrix(*input.shape[-2:])
        return convert_affinematrix_to_homography(matrix).to(input.dtype)

    def apply_transform(self, input: Tensor, params: Any, flags: Any, transform: Tensor) -> Tensor:
        """Warp ``(B, C, H, W)`` images by their matrices."""
        return warp_by_matrix(input, transform[:, :2], *self.augment.sampling.of(Tensor))

    def apply_transform_mask(self, input: Tensor, params: Any, flags: Any, transform: Tensor) -> Tensor:
        """Warp masks by the nearest pixel, filled with 0."""
        return warp_by_matrix(input, transform[:, :2], "nearest", "zeros")

    def inverse_transform(self, input: Tensor, flags: Any, transform: Tensor, size: Any = None) -> Tensor:
        """Warp by ``transform``, which kornia has inverted."""
        return self.apply_transform(input, {}, flags, transform)
