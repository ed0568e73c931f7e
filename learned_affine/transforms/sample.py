"""What a sample holds: its images, its labels, and which label belongs to which image."""

from __future__ import annotations

from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine._checks import shown
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.geometry.warp import working

PIL_MODES = ("L", "LA", "RGB", "RGBA", "F", "I")
LABELS = (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)


class SampleParameters:
    """The parameters drawn for a sample, and which label belongs to which of its images.

    Args:
        parameters: those of the images in ``rows``.
        rows: ``(R,)`` indices of the images that are augmented, None for all.
        count: number of images, ``B``.
        items: everything in the sample that is to be transformed.
        observed: the image that the network observed and what :func:`take` gave for it, so that it is converted once.
    """

    def __init__(
        self,
        parameters: AffineParameters,
        rows: Tensor | None,
        count: int,
        items: list[Any],
        observed: tuple[Any, Tensor] | None = None,
    ) -> None:
        self.parameters, self.rows, self.count, self.observed = parameters, rows, count, observed
        self.owner = {} if count == 1 else self._owners(items)

    def _owners(self, items: list[Any]) -> dict[int, int]:
        """Of a batch of B images with a list of B targets, the i-th boxes (or key points, or mask) follow image i."""
        owner = {}
        for kind in LABELS:
            own = [item for item in items if isinstance(item, kind)]
            if len(own) == self.count:
                owner.update({id(item): row for row, item in enumerate(own)})
        return owner

    def place(self, row: int) -> int | None:
        """Where image ``row`` stands in ``parameters``; None if it is not augmented."""
        if self.rows is None:
            return row
        found = (self.rows == row).nonzero()
        return int(found) if len(found) else None

    def matrix(self, height: int, width: int, like: Tensor) -> Tensor:
        """``(R, 2, 3)`` matrices for items of that size, on the device and in the precision of floating ones."""
        parameters, first = self.parameters, self.parameters.angle
        at_hand = first.device.type == "cpu" and like.device.type == "cpu" and not torch.compiler.is_compiling()
        if at_hand and len(first) == 1:
            return parameters.matrix_of_one(height, width, like.dtype)
        if first.dtype != like.dtype or first.device != like.device:
            parameters = parameters.map(lambda value: value.to(like.device, like.dtype))
        return parameters.matrix(height, width)

    def converted(self, item: Any) -> Tensor | None:
        """What :func:`take` gives for an item, if it is the image that the network observed."""
        return self.observed[1] if self.observed is not None and self.observed[0] is item else None


def take(images: Tensor, rows: Tensor | None) -> Tensor:
    """The ``rows`` of ``(B, C, H, W)`` images, None for all, in the dtype that they are warped in."""
    return working(images if rows is None else images.index_select(0, rows.to(images.device)))


def is_image(item: Any) -> bool:
    """Whether an item is an image, which the network can observe."""
    if isinstance(item, PIL.Image.Image | tv_tensors.Image | tv_tensors.Video):
        return True
    return isinstance(item, Tensor) and F.is_pure_tensor(item)


def has_labels(items: list[Any]) -> bool:
    """Whether there are labels that would have to follow an image."""
    return any(isinstance(item, LABELS) for item in items)


def first_image(items: list[Any]) -> Any:
    """The image that decides; None if there is none."""
    return next((item for item in items if is_image(item)), None)


def as_batch(item: Any) -> Tensor:
    """An image of any kind as ``(B, C, H, W)`` for the network; of a clip, its first frame.

    Raises:
        TypeError: for a PIL mode that cannot be interpolated.
        ValueError: for a tensor that is no image.
    """
    if isinstance(item, PIL.Image.Image):
        return pil_to_tensor(item)[None]
    if item.ndim < 3 or 0 in item.shape[-3:]:
        raise ValueError(
            f"an image must have the shape (..., C, H, W) with sides of at least 1, got {shown(item)}; "
            "in a sample without tv_tensors the first tensor is taken for the image"
        )
    if item.dtype.is_complex:
        raise TypeError(f"an image must have a real dtype, got {item.dtype}")
    plain = item.as_subclass(Tensor) if type(item) is not Tensor else item
    if isinstance(item, tv_tensors.Video):
        if item.ndim < 4 or item.shape[-4] == 0:
            raise ValueError(f"a video must have the shape (..., T, C, H, W) with a frame, got {shown(item)}")
        plain = plain.select(-4, 0)
    return plain if plain.ndim == 4 else plain.reshape(-1, *plain.shape[-3:])


def pil_to_tensor(image: PIL.Image.Image) -> Tensor:
    """``(C, H, W)`` of a PIL image.

    Raises:
        TypeError: for a mode whose values cannot be interpolated.
    """
    if image.mode not in PIL_MODES:
        raise TypeError(
            f"a PIL image must have one of the modes {', '.join(PIL_MODES)}, got {image.mode!r}: "
            "convert it first, for instance by v2.RGB() or image.convert('RGB')"
        )
    return F.pil_to_tensor(image)
